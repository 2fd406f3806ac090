"""
I4, I5 and I19: every lock is what its order needs, no lock without an order, every fee is right.

This is the part that goes with the ledger; order_ends.py holds the result to the closing state.
The model of orders is driven by the ledger's own order of events (only that decides what an order
was when it was filled) and by the operation log's terms. What each transaction should have done is
computed first, and a difference counts against the invariant that it violates (attribution.py).
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.account.audit.attribution import Attribution, Suspect
from workloads.account.audit.effects import EffectFold
from workloads.account.audit.grouped import Groups, exact, exact_together
from workloads.account.audit.instruments import Instruments
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.movements import (
    AVAILABLE,
    EXTERNAL,
    FEES,
    LOCKED_ORDERS,
    LOCKED_WITHDRAWAL,
    Lines,
    Movements,
    Places,
    differing,
    movements,
)
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.order_model import (
    Followed,
    OrderStep,
    Steps,
    follow,
    no_steps,
    still_open,
)
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.column_types import Column, Mask
from workloads.account.wire.kinds import Kind

_STEP_OF = {
    Kind.RESERVE: OrderStep.RESERVE,
    Kind.AMEND: OrderStep.AMEND,
    Kind.FILL: OrderStep.FILL,
    Kind.RELEASE: OrderStep.RELEASE,
    Kind.LATE_FILL: OrderStep.FILL,
    Kind.ORDER_EVENT: OrderStep.RELEASE,
}
_NO_STEP = -1
_STEP_BY_KIND = np.array([int(_STEP_OF.get(kind, _NO_STEP)) for kind in Kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """The three invariants of orders."""

    locks: Tally
    orphans: Tally
    fees: Tally


class OrderFold:
    """
    Fed with every new transaction, in order.

    Attributes:
        open_orders: As they are by the operation log's terms and the ledger so far.
        fees_expected_minor: Of all matches so far, by asset.
        fees_foreign_minor: That transactions of nobody's moved to FEES, by asset.
    """

    def __init__(
        self,
        log: OperationLog,
        instruments: Instruments,
        places: Places,
        *,
        opening: AccountsDump | None,
        effects: EffectFold,
    ) -> None:
        self.tallies = Tallies(locks=Tally("I4"), orphans=Tally("I5"), fees=Tally("I19"))
        self.instruments = instruments
        self._log, self._places = log, places
        self._attribution = Attribution(
            log, locks=self.tallies.locks, fees=self.tallies.fees, effects=effects
        )
        self.open_orders = no_steps()
        self.fees_expected_minor: dict[int, int] = defaultdict(int)
        self.fees_foreign_minor: dict[int, int] = defaultdict(int)
        listed = (opening.open_orders if opening is not None else None) or {}
        # What an order of before the run holds is known only where the target lists it.
        self._knows_older = opening is not None and opening.open_orders is not None
        # What single orders hold as the ledger says; who holds nothing is left out.
        self._holder = np.array(sorted(listed), np.uint64)
        self._held_minor = np.array([listed[item].locked_minor for item in sorted(listed)], object)

    def held_minor(self) -> dict[int, int]:
        """What single orders hold as the ledger says, by order_id; not those that hold nothing."""
        return dict(zip(self._holder.tolist(), self._held_minor.tolist(), strict=True))

    def observe(self, part: Transactions, row: Column) -> None:
        """Fold any transactions: locks of single orders, and FEES."""
        self._check_held(part)
        postings = part.postings
        foreign = np.flatnonzero((postings.account_id == FEES) & (row[postings.owner] < 0))
        for line in foreign.tolist():
            delta_minor = int(postings.delta_minor[line])
            self.fees_foreign_minor[int(postings.asset_id[line])] += delta_minor

    def take(
        self,
        part: Transactions,
        row: Column,
        moves: Movements,
        *,
        is_first: Mask,
        is_balanced: Mask,
    ) -> None:
        """Check that the first transaction of each operation has the expected effect."""
        first = np.flatnonzero(is_first)
        kinds = self._log.kind[row[first]]
        self.tallies.fees.checked_count += int(np.count_nonzero(self._log.is_match[row[first]]))
        moves_locks = _STEP_BY_KIND[kinds] != _NO_STEP
        self.tallies.locks.checked_count += int(np.count_nonzero(moves_locks))
        steps, owner = self._steps(first, row[first])
        followed = follow(steps, self.instruments)
        self.open_orders = still_open(steps, followed)
        done = followed.is_open & (owner >= 0)
        legs = done & (steps.what == OrderStep.FILL)
        quote = self.instruments.quote_asset_id[steps.instrument[legs]]
        for asset_id in np.unique(quote).tolist():
            fees_minor = followed.fee_minor[legs][quote == asset_id]
            self.fees_expected_minor[asset_id] += int(exact(fees_minor).sum())
        expected = movements(
            self._places,
            Lines.joined(
                [
                    *self._order_lines(steps.rows(done), followed.rows(done), owner[done]),
                    *self._transfer_lines(first, row[first]),
                    *self._phase_lines(first, row[first]),
                ]
            ),
        )
        actual = moves.rows(is_first[moves.owner])
        for index in differing(self._places, expected, actual).tolist():
            its_legs = legs & (owner == index)
            self._attribution.attribute(
                Suspect(
                    part=part,
                    index=index,
                    row_index=int(row[index]),
                    expected=expected.of(self._places, index),
                    actual=actual.of(self._places, index),
                    leg_fees_minor=dict(
                        zip(
                            self._log.order_ids(steps.order[its_legs]).tolist(),
                            followed.fee_minor[its_legs].tolist(),
                            strict=True,
                        )
                    ),
                    is_balanced=bool(is_balanced[index]),
                )
            )

    def _steps(self, owner: Column, row: Column) -> tuple[Steps, Column]:
        """Steps of orders, those that are open already first; and each one's transaction."""
        log = self._log
        what = _STEP_BY_KIND[log.kind[row]]
        is_fill = what == OrderStep.FILL
        order = np.where(what == OrderStep.RESERVE, row, log.order[row])
        # A match is a step of both its orders: the taker's first.
        order = np.concatenate([order, log.peer_order[row[is_fill]]])
        leg = np.concatenate([np.arange(len(row)), np.flatnonzero(is_fill)])
        is_maker = np.arange(len(leg)) >= len(row)
        chosen = np.flatnonzero((what[leg] != _NO_STEP) & (order >= 0))
        chosen = chosen[np.argsort(leg[chosen], kind="stable")]
        order, leg, is_maker = order[chosen].astype(np.int64), leg[chosen], is_maker[chosen]
        steps = Steps(
            order=order,
            what=what[leg],
            is_buy=log.side[order] == contract.BUY,
            instrument=log.instrument[order].astype(np.int64),
            ticks=log.price_ticks[row[leg]].astype(np.int64),
            lots=log.qty_lots[row[leg]].astype(np.int64),
            is_maker=is_maker,
            basis_ppm_minor=np.zeros(len(leg), np.int64),
        )
        nobody = np.full(len(self.open_orders), _NO_STEP)
        return Steps.joined([self.open_orders, steps]), np.concatenate([nobody, owner[leg]])

    def _order_lines(self, steps: Steps, followed: Followed, owner: Column) -> list[Lines]:
        """What steps must move: locks, and of a match what each side pays and gets."""
        log, order, is_buy = self._log, steps.order, steps.is_buy
        account_id = log.account_id(order)
        base = self.instruments.base_asset_id[steps.instrument]
        quote = self.instruments.quote_asset_id[steps.instrument]
        lock_asset = np.where(is_buy, quote, base)
        locked = followed.lock_change_minor
        # A buy pays out of its lock; what that no longer needs and the match did not cost is free.
        spent = np.where(is_buy, followed.notional_minor + followed.fee_minor, 0)
        is_fill = steps.what == OrderStep.FILL
        moves_own = ~is_fill | is_buy
        fill = np.flatnonzero(is_fill)
        got_asset = np.where(is_buy, base, quote)[fill]
        got = np.where(
            is_buy[fill],
            steps.lots[fill] * self.instruments.base_per_lot_minor[steps.instrument[fill]],
            followed.notional_minor[fill] - followed.fee_minor[fill],
        )
        return [
            Lines.of(owner, account_id, lock_asset, LOCKED_ORDERS, locked),
            Lines.of(owner, account_id, lock_asset, AVAILABLE, -locked - spent).rows(moves_own),
            Lines.of(owner[fill], account_id[fill], got_asset, AVAILABLE, got),
            Lines.of(owner[fill], FEES, quote[fill], AVAILABLE, followed.fee_minor[fill]),
        ]

    def _transfer_lines(self, owner: Column, row: Column) -> list[Lines]:
        """What transfers must move: to the account, from EXTERNAL or from who sends."""
        log, lines = self._log, []
        for kind in (Kind.TRANSFER, Kind.INTERNAL_TRANSFER):
            chosen = np.flatnonzero(log.kind[row] == kind)
            rows = row[chosen]
            sides: tuple[Any, Any] = (log.account_id(rows), EXTERNAL)
            if kind == Kind.INTERNAL_TRANSFER:
                sides = (log.peer_account_id(rows), log.account_id(rows))
            asset_id, amount = log.asset[rows], log.amount_minor[rows].astype(np.int64)
            for account_id, delta_minor in zip(sides, (amount, -amount), strict=True):
                lines.append(Lines.of(owner[chosen], account_id, asset_id, AVAILABLE, delta_minor))
        return lines

    def _phase_lines(self, owner: Column, row: Column) -> list[Lines]:
        """
        What the phases of two-phase transfers must move.

        A withdrawal is set aside by the first, and goes out or comes back by the second; a deposit
        comes in by the second alone. The second one's asset and amount are its first one's.
        """
        log, lines = self._log, []
        amount = log.amount_minor[row].astype(np.int64)
        kind = log.kind[row]
        is_withdrawal = amount < 0
        for chosen, *moves in (
            ((kind == Kind.PEND) & is_withdrawal, (AVAILABLE, 1), (LOCKED_WITHDRAWAL, -1)),
            ((kind == Kind.VOID) & is_withdrawal, (LOCKED_WITHDRAWAL, 1), (AVAILABLE, -1)),
            ((kind == Kind.POST) & is_withdrawal, (LOCKED_WITHDRAWAL, 1)),
            ((kind == Kind.POST) & ~is_withdrawal, (AVAILABLE, 1)),
        ):
            rows, asset_id = row[chosen], log.asset[row[chosen]]
            lines += [
                Lines.of(
                    owner[chosen], log.account_id(rows), asset_id, bucket, sign * amount[chosen]
                )
                for bucket, sign in moves
            ]
        posts = kind == Kind.POST
        contra = Lines.of(owner[posts], EXTERNAL, log.asset[row[posts]], AVAILABLE, -amount[posts])
        return [*lines, contra]

    def _check_held(self, part: Transactions) -> None:
        """No posting releases more than its order has locked."""
        postings, tally = part.postings, self.tallies.orphans
        lines = np.flatnonzero((postings.bucket == LOCKED_ORDERS) & (postings.order_id > 0))
        if not self._knows_older:
            lines = lines[self._log.rows_of_orders(postings.order_id[lines]) >= 0]
        holder, number = np.unique(
            np.concatenate([self._holder, postings.order_id[lines]]), return_inverse=True
        )
        before = len(self._holder)
        held_minor = exact_together(self._held_minor, postings.delta_minor[lines])
        groups = Groups(number)
        after_minor = groups.running(held_minor)
        tally.violate_all(
            after_minor[before:] < 0,
            lambda index: (
                f"order {postings.order_id[lines[index]]:#018x} freed "
                f"{-after_minor[before + index]} more than it held at journal_seq "
                f"{part.journal_seq[postings.owner[lines[index]]]}"
            ),
            size=-after_minor[before:],
            at=part.number[postings.owner[lines]],
            checked_count=len(lines),
        )
        left_minor = after_minor[groups.last]
        self._holder, self._held_minor = holder[left_minor != 0], left_minor[left_minor != 0]
