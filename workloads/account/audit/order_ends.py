"""
Orders at the end of a run: the model of orders.py against what the target says (I4, I5, I19).

What the target can't tell makes the invariant UNKNOWN; what the operation log doesn't know for
certain (an order whose release was never answered) is left out.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from workloads.account.audit.evidence import AccountsDump, TargetState
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.order_model import FEES
from workloads.account.audit.orders import OrderFold
from workloads.account.audit.tally import Tally
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID
from workloads.account.plan.kinds import Kind


def check_ends(
    fold: OrderFold,
    log: OperationLog,
    *,
    opening: TargetState,
    closing: TargetState,
    is_attached: bool,
) -> None:
    """Everything that only the end can tell; what is not known is UNKNOWN."""
    tallies = fold.tallies
    _check_fees(fold, opening, closing)
    _check_ended(fold, log, closing.accounts)
    if opening.accounts is None or closing.accounts is None:
        tallies.locks.lacks("the accounts' locks are not known")
        tallies.orphans.lacks("the open orders are not known")
        return
    _check_listed(fold, closing.accounts)
    _check_own_lists(tallies.orphans, closing.accounts)
    if is_attached:
        tallies.locks.note("account totals are not held to it, as others may trade too")
    else:
        _check_locked(fold, opening.accounts, closing.accounts)
        _check_strangers(tallies.orphans, log, opening.accounts, closing.accounts)


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
        tally.check(
            collected == must_be,
            f"asset {asset_id}: FEES grew by {collected}, the matches' fees sum to {must_be}",
            size=abs(collected - must_be),
        )


def _check_ended(fold: OrderFold, log: OperationLog, closing: AccountsDump | None) -> None:
    """Each order by the operation log: ended ones lock nothing, the others are there."""
    tally = fold.tallies.orphans
    is_ended, is_undecided = _ended_orders(log)
    is_over = is_ended | (log.duty == Duty.NONE)
    judged = (log.kind == Kind.RESERVE) & (log.duty != Duty.ANY) & ~is_undecided
    rows = np.flatnonzero(judged)
    tally.checked_count += len(rows)
    for row, over in zip(rows.tolist(), is_over[rows].tolist(), strict=True):
        order_id = log.order_id(row)
        held_minor = fold.held_minor.get(order_id, 0)
        is_listed = closing is not None and order_id in closing.open_orders
        if over and (is_listed or held_minor > 0):
            tally.violate(
                f"{log.describe(row)} has ended and still locks {held_minor}", size=held_minor
            )
        elif not over and closing is not None and not is_listed:
            tally.violate(f"{log.describe(row)} is open and the target doesn't list it")


def _ended_orders(log: OperationLog) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """By row of the reserve: is the order over for certain, and may it be."""
    releases, fills = log.kind == Kind.RELEASE, log.kind == Kind.FILL
    ending = [(releases, log.order)]
    for orders in (log.order, log.peer_order):
        is_whole = log.qty_lots == log.qty_lots[np.maximum(orders, 0)]
        ending.append((fills & is_whole, orders))
    is_ended, is_undecided = (np.zeros(log.count, dtype=np.bool_) for _ in range(2))
    for chosen, orders in ending:
        is_ended[orders[chosen & (log.duty == Duty.ONE)]] = True
        is_undecided[orders[chosen & (log.duty == Duty.ANY)]] = True
    return is_ended, is_undecided & ~is_ended


def _check_listed(fold: OrderFold, closing: AccountsDump) -> None:
    """Each open order as the target lists it, against the model."""
    for order in fold.open_orders.values():
        listed = closing.open_orders.get(order.order_id)
        if listed is None:
            continue
        lock_minor = order.lock_minor()
        fold.tallies.locks.check(
            (listed.locked_minor, listed.leaves_lots) == (lock_minor, order.leaves_lots),
            f"order {order.order_id:#018x} lists {listed.locked_minor} locked for "
            f"{listed.leaves_lots} lots, must be {lock_minor} for {order.leaves_lots}",
            size=abs(listed.locked_minor - lock_minor),
        )


def _check_own_lists(tally: Tally, closing: AccountsDump) -> None:
    """Each balance's lock, against the target's own list of orders."""
    owned: dict[tuple[int, int], int] = defaultdict(int)
    for item in closing.open_orders.values():
        owned[item.account_id, item.asset_id] += item.locked_minor
    for key, balance in closing.balances.items():
        if key[0] >= FIRST_ACCOUNT_ID:
            locked_minor = balance.locked_orders_minor
            tally.check(
                locked_minor == owned[key],
                f"account {key[0]} asset {key[1]} has {locked_minor} locked, its open orders "
                f"hold {owned[key]}",
                size=abs(locked_minor - owned[key]),
            )


def _check_locked(fold: OrderFold, opening: AccountsDump, closing: AccountsDump) -> None:
    """Each balance's lock, against the model's open orders."""
    needed: dict[tuple[int, int], int] = defaultdict(int)
    for order in fold.open_orders.values():
        needed[order.account_id, order.lock_asset_id] += order.lock_minor()
    for key, balance in closing.balances.items():
        if key[0] < FIRST_ACCOUNT_ID:
            continue
        before = opening.balances.get(key)
        must_be = needed[key] + (before.locked_orders_minor if before is not None else 0)
        fold.tallies.locks.check(
            balance.locked_orders_minor == must_be,
            f"account {key[0]} asset {key[1]} has {balance.locked_orders_minor} locked, "
            f"its open orders need {must_be}",
            size=abs(balance.locked_orders_minor - must_be),
        )


def _check_strangers(
    tally: Tally, log: OperationLog, opening: AccountsDump, closing: AccountsDump
) -> None:
    for order_id in closing.open_orders.keys() - opening.open_orders.keys():
        if log.row_of_order(order_id) < 0:
            tally.check(False, f"order {order_id:#018x} is open, and nobody reserved it")


def _fees(state: TargetState) -> dict[int, int] | None:
    """FEES by asset, of every asset that anyone holds: from the accounts, or from the totals."""
    if state.accounts is not None:
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
