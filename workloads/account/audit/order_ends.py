"""
Orders at the end of a run: order_model.py against what the target says (I4, I5, I19).

What the target can't tell makes the invariant UNKNOWN; what the operation log doesn't know for
certain (an order whose release was never answered) is left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.account.audit.movements import FEES
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.order_checks import OrderFold
from workloads.account.audit.order_model import lock_minor
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump, OrderDump, TargetState
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.column_types import Column
from workloads.account.wire.kinds import Kind

Listed = Mapping[int, OrderDump]


class _Order(NamedTuple):
    """An order that is open by the model."""

    order_id: int
    account_id: int
    asset_id: int
    leaves_lots: int
    lock_minor: int


def check_ends(
    fold: OrderFold,
    log: OperationLog,
    *,
    opening: TargetState,
    closing: TargetState,
    is_attached: bool,
) -> None:
    """Check orders, locks and fees at the end of a run; what is not known is UNKNOWN."""
    tallies = fold.tallies
    _check_fees(fold, opening, closing)
    check_lists(fold, log, opening=opening, closing=closing, is_attached=is_attached)
    if opening.accounts is None or closing.accounts is None:
        tallies.locks.lacks("the accounts' locks are not known")
        return
    orders = _open_orders(fold, log)
    listed = closing.accounts.open_orders
    if listed is not None:
        _check_listed(orders, listed, tallies.locks)
    if not is_attached:
        _check_withdrawals(log, opening.accounts, closing.accounts, tallies.locks)
        _check_locked(orders, opening.accounts, closing.accounts, tallies.locks)
    elif listed is not None:
        tallies.locks.note("account totals are not held to it, as others may trade too")
    else:
        tallies.locks.lacks("the open orders are not listed, and others may trade too")


def check_lists(
    fold: OrderFold,
    log: OperationLog,
    *,
    opening: TargetState,
    closing: TargetState,
    is_attached: bool,
) -> None:
    """The target's own list of open orders: against the operation log, and against its balances."""
    tally = fold.tallies.orphans
    before = opening.accounts.open_orders if opening.accounts is not None else None
    after = closing.accounts.open_orders if closing.accounts is not None else None
    _check_ended(fold, log, after)
    if closing.accounts is None or before is None or after is None:
        tally.lacks("the open orders are not known")
        return
    _check_own_lists(tally, closing.accounts, after)
    if not is_attached:
        _check_unknown_orders(tally, log, before, after)


def _open_orders(fold: OrderFold, log: OperationLog) -> list[_Order]:
    orders = fold.open_orders
    row = orders.order
    instruments, instrument = fold.instruments, orders.instrument
    lock = lock_minor(
        instruments,
        is_buy=orders.is_buy,
        instrument=instrument,
        limit_ticks=orders.ticks,
        leaves_lots=orders.lots,
        basis=orders.basis_ppm_minor,
    )
    columns = (
        log.order_ids(row),
        log.account_id(row),
        np.where(
            orders.is_buy,
            instruments.quote_asset_id[instrument],
            instruments.base_asset_id[instrument],
        ),
        orders.lots,
        lock,
    )
    return [_Order(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _check_fees(fold: OrderFold, opening: TargetState, closing: TargetState) -> None:
    """What FEES grew by, against the sum of all matches' fees."""
    tally = fold.tallies.fees
    before, after = _fees(opening), _fees(closing)
    if before is None or after is None:
        tally.lacks("the FEES account is not known")
        return
    expected = fold.fees_expected_minor
    for asset_id in {**expected, **after}:
        must_be = expected.get(asset_id, 0) + fold.fees_foreign_minor.get(asset_id, 0)
        collected = after.get(asset_id, 0) - before.get(asset_id, 0)
        tally.check_equal(
            collected,
            must_be,
            f"asset {asset_id}: FEES grew by {collected}, the matches' fees sum to {must_be}",
        )


def _check_ended(fold: OrderFold, log: OperationLog, listed: Listed | None) -> None:
    """Each order by the operation log: ended ones lock nothing, the others are there."""
    tally = fold.tallies.orphans
    is_ended, is_undecided = _ended_orders(log)
    is_over = is_ended | (log.duty == Duty.NONE)
    judged = (log.kind == Kind.RESERVE) & (log.duty != Duty.ANY) & ~is_undecided
    tally.checked_count += int(np.count_nonzero(judged))
    held = {key: minor for key, minor in fold.held_minor().items() if minor > 0}
    holds = _by_row(log, held)
    is_listed = _by_row(log, listed or {})
    still_locks = judged & is_over & (is_listed | holds)
    is_gone = judged & ~is_over & ~is_listed if listed is not None else np.zeros_like(judged)
    rows = np.flatnonzero(still_locks | is_gone)
    held_minor = [
        fold.held_minor().get(order_id, 0) if over else 0
        for order_id, over in zip(
            log.order_ids(rows).tolist(), still_locks[rows].tolist(), strict=True
        )
    ]

    def describe(index: int) -> str:
        row = rows[index]
        if still_locks[row]:
            return f"{log.describe(row)} has ended, but still locks {held_minor[index]}"
        return f"{log.describe(row)} is open, but the target doesn't list it"

    tally.violate_all(np.ones(len(rows), np.bool_), describe, size=np.array(held_minor, object))


def _by_row(log: OperationLog, order_ids: Iterable[int]) -> NDArray[np.bool_]:
    """Whether the order that a row reserves is one of *order_ids*."""
    found = np.zeros(log.count, dtype=np.bool_)
    rows = log.rows_of_orders(np.array(list(order_ids), np.uint64))
    found[rows[rows >= 0]] = True
    return found


def _ended_orders(log: OperationLog) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """
    By row of the reserve: has the order ended for certain, and may it have.

    Orders end by a release, by the engine, or when filled to what the last amendment left of them.
    """
    is_certain, is_possible = log.duty == Duty.ONE, log.duty != Duty.NONE
    ends = np.isin(log.kind, (Kind.RELEASE, Kind.ORDER_EVENT))
    amends = (log.kind == Kind.AMEND) & (log.qty_lots > 0)
    asked_lots = log.qty_lots.astype(np.int64)
    certain = np.flatnonzero(amends & is_certain)  # in order of time: the last one stands
    asked_lots[log.order[certain]] = log.qty_lots[certain]
    is_ended, is_undecided = (np.zeros(log.count, dtype=np.bool_) for _ in range(2))
    is_ended[log.order[ends & is_certain]] = True
    is_undecided[log.order[(ends | amends) & is_possible & ~is_certain]] = True
    is_reserve = log.kind == Kind.RESERVE
    is_ended |= is_reserve & (_filled_lots(log, is_certain) >= asked_lots)
    is_undecided |= is_reserve & (_filled_lots(log, is_possible) >= asked_lots)
    return is_ended, is_undecided & ~is_ended


def _filled_lots(log: OperationLog, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """By row of the reserve: what the *chosen* fills take of the order."""
    fills = np.flatnonzero(log.is_match & chosen)
    filled_lots = np.zeros(log.count, dtype=np.int64)
    for orders in (log.order, log.peer_order):
        np.add.at(filled_lots, orders[fills], log.qty_lots[fills])
    return filled_lots


def _check_listed(orders: Sequence[_Order], listed: Listed, tally: Tally) -> None:
    """Each open order as the target lists it, against the model."""
    for order in orders:
        item = listed.get(order.order_id)
        if item is None:
            continue
        tally.check(
            (item.locked_minor, item.leaves_lots) == (order.lock_minor, order.leaves_lots),
            f"order {order.order_id:#018x} lists {item.locked_minor} locked for "
            f"{item.leaves_lots} lots, must be {order.lock_minor} for {order.leaves_lots}",
            size=abs(item.locked_minor - order.lock_minor),
        )


def _check_own_lists(tally: Tally, closing: AccountsDump, listed: Listed) -> None:
    """Each balance's lock, against the target's own list of orders."""
    owned: dict[tuple[int, int], int] = defaultdict(int)
    for item in listed.values():
        owned[item.account_id, item.asset_id] += item.locked_minor
    for key, balance in closing.balances.items():
        if key[0] >= FIRST_ACCOUNT_ID:
            locked_minor = balance.locked_orders_minor
            tally.check_equal(
                locked_minor,
                owned[key],
                f"account {key[0]} asset {key[1]} has {locked_minor} locked, its open orders "
                f"hold {owned[key]}",
            )


def _check_locked(
    orders: Sequence[_Order], opening: AccountsDump, closing: AccountsDump, tally: Tally
) -> None:
    """Each balance's lock, against the model's open orders."""
    needed: dict[tuple[int, int], int] = defaultdict(int)
    for order in orders:
        needed[order.account_id, order.asset_id] += order.lock_minor
    for key, balance in closing.balances.items():
        if key[0] < FIRST_ACCOUNT_ID:
            continue
        before = opening.balances.get(key)
        must_be = needed[key] + (before.locked_orders_minor if before is not None else 0)
        tally.check_equal(
            balance.locked_orders_minor,
            must_be,
            f"account {key[0]} asset {key[1]} has {balance.locked_orders_minor} locked, "
            f"its open orders need {must_be}",
        )


def _check_withdrawals(
    log: OperationLog, opening: AccountsDump, closing: AccountsDump, tally: Tally
) -> None:
    """locked_withdrawal of each balance, against withdrawals with a first phase and no second."""
    is_certain = log.duty == Duty.ONE
    phases = np.isin(log.kind, (Kind.PEND, Kind.POST, Kind.VOID))
    unknown = np.flatnonzero(phases & (log.duty == Duty.ANY))
    left_out = set(_places_of(log, unknown))
    settled = phases & (log.kind != Kind.PEND) & is_certain
    is_left = (log.kind == Kind.PEND) & is_certain & (log.amount_minor < 0)
    is_left[log.pending[settled]] = False
    needed: dict[tuple[int, int], int] = defaultdict(int)
    left = np.flatnonzero(is_left)
    for place, amount_minor in zip(
        _places_of(log, left), log.amount_minor[left].tolist(), strict=True
    ):
        needed[place] -= amount_minor
    for key, balance in closing.balances.items():
        before = opening.balances.get(key)
        must_be = needed.get(key, 0) + (before.locked_withdrawal_minor if before is not None else 0)
        locked_minor = balance.locked_withdrawal_minor
        if key in left_out or (not must_be and not locked_minor):
            continue
        tally.check_equal(
            locked_minor,
            must_be,
            f"account {key[0]} asset {key[1]} has {locked_minor} locked for withdrawals, "
            f"its pending withdrawals need {must_be}",
        )


def _places_of(log: OperationLog, rows: Column) -> list[tuple[int, int]]:
    return list(zip(log.account_id(rows).tolist(), log.asset[rows].tolist(), strict=True))


def _check_unknown_orders(tally: Tally, log: OperationLog, before: Listed, after: Listed) -> None:
    new = sorted(after.keys() - before.keys())
    rows = log.rows_of_orders(np.array(new, np.uint64))
    for order_id, row in zip(new, rows.tolist(), strict=True):
        if row < 0:
            tally.check(False, f"order {order_id:#018x} is open, and no operation reserved it")


def _fees(state: TargetState) -> dict[int, int] | None:
    """FEES by asset, of every asset that anyone holds: from the accounts, or from the totals."""
    if state.accounts is not None and FEES in state.accounts.account_seq:
        found = dict.fromkeys((asset_id for _, asset_id in state.accounts.balances), 0)
        for (account_id, asset_id), dump in state.accounts.balances.items():
            if account_id == FEES:
                found[asset_id] = dump.total_minor
        return found
    if state.totals is not None:
        return {
            asset_id: total.system_minor.get(FEES, 0) for asset_id, total in state.totals.items()
        }
    return None
