"""
I4, I5 and I19: every lock is what its order needs, no lock without an order, every fee is right.

This is the part that goes with the ledger; order_ends.py holds the result to the closing state.
The model of orders is driven by the ledger's own order of events (only that decides what an order
was when it was filled) and by the operation log's terms. What each transaction should have done is
computed first, and the difference is laid at the door of the law it breaks.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from workloads.account.audit import order_model
from workloads.account.audit.effects import EffectFold
from workloads.account.audit.evidence import AccountsDump
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.order_model import (
    EXTERNAL,
    FEES,
    LOCKED_ORDERS,
    Effect,
    OpenOrder,
    Terms,
)
from workloads.account.audit.tally import Tally
from workloads.account.audit.transaction import Transaction
from workloads.account.contract.accounts_pb2 import BUY
from workloads.account.plan.kinds import Kind
from workloads.account.plan.market import (
    BASE_ASSET_OFFSET,
    BASE_PER_LOT_MINOR,
    QUOTE_ASSET_ID,
    QUOTE_PER_TICK_LOT_MINOR,
)
from workloads.account.plan.parameters import Workload

_FILL = int(Kind.FILL)
_MOVES_LOCKS = frozenset((Kind.RESERVE, Kind.AMEND, Kind.RELEASE, Kind.FILL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """The three invariants of orders."""

    locks: Tally
    orphans: Tally
    fees: Tally


def make_tallies() -> Tallies:
    """With nothing checked yet."""
    return Tallies(
        locks=Tally(
            "I4",
            "Locked is what open orders need",
            facts="lock movements, orders and balances",
            law="locked_orders is the sum over open orders of what each must lock",
        ),
        orphans=Tally(
            "I5",
            "No lock without an open order",
            facts="orders and lock movements",
            law="Ended orders lock nothing, and none freed more than it held",
        ),
        fees=Tally(
            "I19",
            "Fees are right to the unit",
            facts="matches and assets",
            law="The fees of every match, and their sum, are as recomputed",
        ),
    )


class OrderFold:
    """Fed with every new transaction of this run, once an operation."""

    def __init__(
        self,
        log: OperationLog,
        workload: Workload,
        *,
        opening: AccountsDump | None,
        effects: EffectFold,
    ) -> None:
        self.tallies = make_tallies()
        self._log = log
        self._cells = log.cells
        self._workload = workload
        self._effects = effects
        self.open_orders: dict[int, OpenOrder] = {}  # by row of the reserve
        self.held_minor: dict[int, int] = {}  # by order_id, as the ledger says
        self.fees_expected_minor: dict[int, int] = defaultdict(int)  # by asset
        self.fees_foreign_minor: dict[int, int] = defaultdict(int)  # of nobody's transactions
        if opening is not None:
            self.held_minor |= {
                order_id: order.locked_minor for order_id, order in opening.open_orders.items()
            }

        self._expected: Mapping[int, Callable[[int], Effect]] = {
            Kind.RESERVE: self._reserve,
            Kind.AMEND: self._amend,
            Kind.RELEASE: self._release,
            Kind.TRANSFER: self._transfer,
            Kind.INTERNAL_TRANSFER: self._internal_transfer,
            Kind.CREATE_ACCOUNT: self._create_account,
        }

    def observe(self, transaction: Transaction) -> None:
        """Any transaction: what it does to the locks of single orders, and to FEES."""
        for line in transaction.postings:
            if line.bucket == LOCKED_ORDERS and line.order_id:
                held_minor = self.held_minor.get(line.order_id, 0) + line.delta_minor
                self.held_minor[line.order_id] = held_minor
                self.tallies.orphans.checked_count += 1
                if held_minor < 0:
                    self.tallies.orphans.violate(
                        f"order {line.order_id:#018x} freed {-held_minor} more than it held "
                        f"at journal_seq {transaction.journal_seq}",
                        size=-held_minor,
                    )
            if line.account_id == FEES and transaction.row < 0:
                self.fees_foreign_minor[line.asset_id] += line.delta_minor

    def take(self, transaction: Transaction, *, is_balanced: bool) -> None:
        """The first transaction of an operation: is its effect what was asked for."""
        row = transaction.row
        kind = self._cells.kind[row]
        leg_fees_minor: dict[int, int] = {}
        if kind == _FILL:
            expected, leg_fees_minor = self._fill(row)
            self.tallies.fees.checked_count += 1
        else:
            expected = self._expected[kind](row)
        if kind in _MOVES_LOCKS:
            self.tallies.locks.checked_count += 1
        if expected != transaction.effect:
            self._blame(transaction, expected, leg_fees_minor, is_balanced=is_balanced)

    def _reserve(self, row: int) -> Effect:
        cells = self._cells
        order = self.open_orders[row] = OpenOrder(
            order_id=self._log.order_id(row),
            account_id=cells.account_id[row],
            terms=_terms(cells.instrument[row]),
            is_buy=cells.side[row] == BUY,
            limit_ticks=cells.price_ticks[row],
            leaves_lots=cells.qty_lots[row],
            fee_ppm=self._workload.taker_fee_ppm,
        )
        return order_model.reserve_effect(order)

    def _amend(self, row: int) -> Effect:
        cells = self._cells
        order = self.open_orders.get(cells.order[row])
        if order is None:
            return {}
        return order_model.amend(
            order, limit_ticks=cells.price_ticks[row], leaves_lots=cells.qty_lots[row]
        )

    def _release(self, row: int) -> Effect:
        order = self.open_orders.pop(self._cells.order[row], None)
        return order_model.release_effect(order) if order is not None else {}

    def _transfer(self, row: int) -> Effect:
        cells = self._cells
        return order_model.transfer_effect(
            cells.account_id[row], EXTERNAL, cells.asset[row], cells.amount_minor[row]
        )

    def _internal_transfer(self, row: int) -> Effect:
        cells = self._cells
        sender_id, receiver_id = cells.account_id[row], cells.peer_account_id[row]
        return order_model.transfer_effect(
            receiver_id, sender_id, cells.asset[row], cells.amount_minor[row]
        )

    def _create_account(self, row: int) -> Effect:
        del row
        return {}

    def _fill(self, row: int) -> tuple[Effect, dict[int, int]]:
        """Of a match: its effect, and the fee of each leg by order_id."""
        cells, total = self._cells, Effect()
        leg_fees_minor: dict[int, int] = {}
        legs = (
            (cells.order[row], self._workload.taker_fee_ppm),
            (cells.peer_order[row], self._workload.maker_fee_ppm),
        )
        for order_row, fee_ppm in legs:
            order = self.open_orders.get(order_row)
            if order is None:
                continue
            lots = cells.qty_lots[row]
            effect, fee_minor = order_model.fill(
                order, price_ticks=cells.price_ticks[row], lots=lots, fee_ppm=fee_ppm
            )
            leg_fees_minor[order.order_id] = fee_minor
            self.fees_expected_minor[order.terms.quote_asset_id] += fee_minor
            for key, delta_minor in effect.items():
                order_model.add(total, key, delta_minor)
            if order.leaves_lots <= 0:
                del self.open_orders[order_row]
        return total, leg_fees_minor

    def _blame(
        self,
        transaction: Transaction,
        expected: Effect,
        leg_fees_minor: Mapping[int, int],
        *,
        is_balanced: bool,
    ) -> None:
        """Lay each difference at one law: fees, locks, or (what neither explains) the effect."""
        what = f"{self._log.describe(transaction.row)} at journal_seq {transaction.journal_seq}"
        left: dict[int, int] = defaultdict(int)  # by asset; what FEES got too much, users lack
        users: dict[tuple[int, int], int] = defaultdict(int)
        has_wrong_fees = False
        for key in {**expected, **transaction.effect}:
            account_id, asset_id, bucket = key
            wanted, got = expected.get(key, 0), transaction.effect.get(key, 0)
            if wanted == got:
                continue
            left[asset_id] += got - wanted
            if account_id == FEES:
                has_wrong_fees = True
                self.tallies.fees.violate(
                    f"{what}: fee {got} in asset {asset_id}, must be {wanted}",
                    size=abs(got - wanted),
                )
                continue
            users[account_id, asset_id] += got - wanted
            if bucket == LOCKED_ORDERS:
                self.tallies.locks.violate(
                    f"{what}: moved the lock of account {account_id} by {got}, must be {wanted}",
                    size=abs(got - wanted),
                )
        has_wrong_fees = has_wrong_fees or self._has_wrong_legs(transaction, leg_fees_minor, what)
        fees_explain = has_wrong_fees and all(total == 0 for total in left.values())
        wrong = {key: delta for key, delta in users.items() if delta}
        if wrong and is_balanced and not fees_explain:
            (account_id, asset_id), delta = max(wrong.items(), key=lambda item: abs(item[1]))
            self._effects.wrong(
                transaction,
                f"account {account_id} got {delta:+} of asset {asset_id} beside what was asked",
                size=abs(delta),
            )

    def _has_wrong_legs(
        self, transaction: Transaction, leg_fees_minor: Mapping[int, int], what: str
    ) -> bool:
        """Whether the sum of the fees is right and its sides are not, as far as FEES names them."""
        paid_minor: dict[int, int] = defaultdict(int)
        for line in transaction.postings:
            if line.account_id == FEES and line.order_id:
                paid_minor[line.order_id] += line.delta_minor
        if not paid_minor:
            return False
        for order_id, must_be in leg_fees_minor.items():
            if paid_minor[order_id] != must_be:
                self.tallies.fees.violate(
                    f"{what}: order {order_id:#018x} paid a fee of {paid_minor[order_id]}, "
                    f"must be {must_be}",
                    size=abs(paid_minor[order_id] - must_be),
                )
                return True
        return False


@cache
def _terms(instrument_id: int) -> Terms:
    return Terms(
        base_asset_id=instrument_id + BASE_ASSET_OFFSET,
        quote_asset_id=QUOTE_ASSET_ID,
        base_per_lot_minor=BASE_PER_LOT_MINOR,
        quote_per_tick_lot_minor=QUOTE_PER_TICK_LOT_MINOR,
    )
