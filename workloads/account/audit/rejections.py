"""
I7: a rejection has a true reason, and pending transfers are listed.

A rejected request has no transaction to check. But some reasons are statements about the state: the
order has ended, the pending transfer does not exist. Where operation log and ledger prove such a
reason false, the request should have been applied. An operation that may have ended it meanwhile,
or that was not answered before the request was sent, proves nothing.
"""

from collections.abc import Sequence

import numpy as np

from harness.model.operation import Outcome
from workloads.account.audit.operation_log import Duty, OperationLog
from workloads.account.audit.order_checks import OrderFold
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.column_types import Column, Mask
from workloads.account.wire.kinds import Kind

_ORDER_IS_OVER: tuple[int, ...] = (contract.ORDER_UNKNOWN, contract.ORDER_TERMINAL)
_PENDING_IS_OVER: tuple[int, ...] = (
    contract.PENDING_ALREADY_POSTED,
    contract.PENDING_ALREADY_VOIDED,
    contract.PENDING_UNKNOWN,
    contract.PENDING_MISMATCH,
)
_SECOND_PHASES = (Kind.POST, Kind.VOID)


def check_rejections(log: OperationLog, tally: Tally, orders: OrderFold) -> None:
    """Rejections with a false reason; *orders* have the whole ledger behind them."""
    # Of an order that others ended (their transactions are not followed) the lock is gone.
    holders = np.array(list(orders.held_minor()), np.uint64)
    open_orders = np.intersect1d(orders.open_orders.order, log.rows_of_orders(holders))
    rows = _rejected(log, (Kind.AMEND, Kind.RELEASE), _ORDER_IS_OVER)
    order = log.order[rows]
    unknown = np.flatnonzero(log.duty == Duty.ANY)
    is_open = np.isin(order, open_orders) & _was_answered(log, order, before=rows)
    is_open &= ~np.isin(order, log.order[unknown]) & ~np.isin(order, log.peer_order[unknown])
    _report(log, tally, rows, is_open, "its order is open")

    rows = _rejected(log, _SECOND_PHASES, _PENDING_IS_OVER)
    first = log.pending[rows]
    is_pending = _was_answered(log, first, before=rows) & ~np.isin(first, _settled(log))
    _report(log, tally, rows, is_pending, "its first phase is pending")


def check_pending(log: OperationLog, tally: Tally, accounts: AccountsDump | None) -> None:
    """The target's list of pending transfers, against those that have no second phase."""
    if accounts is None or accounts.pending is None:
        return
    pends: Mask = (log.kind == Kind.PEND) & (log.duplicate_of < 0)
    is_pending = pends & (log.duty == Duty.ONE)
    is_pending[_settled(log)] = False
    if is_pending.any() and not accounts.pending:
        tally.lacks("the pending transfers are not listed")
        return
    is_over = pends & (log.duty == Duty.NONE)
    is_over[_settled(log, is_certain=True)] = True
    is_listed = np.zeros(log.count, np.bool_)
    is_listed[log.rows_of_requests(accounts.pending)] = True
    tally.checked_count += int(np.count_nonzero(is_pending | is_over))
    tally.violate_all(
        is_pending & ~is_listed,
        lambda row: f"{log.describe(row)} is pending, but the target doesn't list it",
    )
    tally.violate_all(
        is_over & is_listed,
        lambda row: f"{log.describe(row)} is not pending, but the target lists it",
    )


def _rejected(log: OperationLog, kinds: Sequence[Kind], codes: Sequence[int]) -> Column:
    """Rows rejected with one of *codes*; repeated requests are checked in effects.py."""
    rejected = np.flatnonzero((log.final_outcome == Outcome.REJECTED) & (log.duplicate_of < 0))
    chosen = np.isin(log.kind[rejected], kinds) & np.isin(log.final_code[rejected], codes)
    rows: Column = rejected[chosen]
    return rows


def _was_answered(log: OperationLog, rows: Column, *, before: Column) -> Mask:
    """Which of *rows* were acknowledged before the row of *before* was sent."""
    acknowledged = (log.outcome[rows] == Outcome.ACKNOWLEDGED) & (log.duty[rows] == Duty.ONE)
    was: Mask = acknowledged & (log.done_ns[rows] <= log.sent_ns[before])
    return was


def _settled(log: OperationLog, *, is_certain: bool = False) -> Column:
    """First phases that have a second one: that may have been applied, or for certain."""
    seconds = np.isin(log.kind, _SECOND_PHASES)
    seconds &= (log.duty == Duty.ONE) if is_certain else (log.duty != Duty.NONE)
    rows: Column = log.pending[seconds]
    return rows


def _report(log: OperationLog, tally: Tally, rows: Column, is_false: Mask, what: str) -> None:
    def describe(index: int) -> str:
        code = contract.Code.Name(int(log.final_code[rows[index]]))  # type: ignore[arg-type]
        return f"{log.describe(int(rows[index]))} was rejected with {code}, but {what}"

    tally.violate_all(is_false, describe, checked_count=len(rows))
