"""
Statistics of a plan's orders: how many are open, how many fills one takes, how dense messages are.

They suppose that every operation is applied when it is due. Arrays only; see describe.py.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals_statistics import SIGMAS, Statistic
from harness.model.units import NANOS_PER_SECOND, format_duration
from harness.system import ShardPlan
from workloads.account.plan.flow_statistics import OperationFlow
from workloads.account.terms.workload import Cap, Sweeps, Workload
from workloads.account.wire.kinds import MATCHES, RECORDS, Kind


def open_order_statistics(
    plans: Sequence[ShardPlan], workload: Workload, flow: OperationFlow
) -> Iterator[Statistic]:
    """Open orders, if every operation is applied when it is due."""
    steps = np.concatenate([_open_order_steps(plan) for plan in plans])
    if not steps.any():
        return
    offsets = np.concatenate([plan.intended_offset_ns for plan in plans])
    over_time = np.cumsum(steps[np.argsort(offsets, kind="stable")])
    yield Statistic(name="open_orders_mean", value=float(over_time[len(over_time) // 2 :].mean()))
    span_s = max(1, int(flow.offset_ns[-1] - flow.offset_ns[0])) / NANOS_PER_SECOND
    resting = (flow.kind == Kind.RESERVE) & ~flow.is_ioc & ~flow.is_duplicate
    life_s = (workload.order_life + workload.expected_reply) / NANOS_PER_SECOND
    expected = np.count_nonzero(resting) / span_s * life_s
    yield Statistic(name="open_orders_expected", value=float(expected))
    yield Statistic(name="open_orders_max", value=float(over_time.max()))
    yield Statistic(name="open_orders_end", value=float(over_time[-1]))


def _open_order_steps(plan: ShardPlan) -> NDArray[np.int64]:
    """+1 for a reserve, -1 for what ends an order, and for each order that a fill closes."""
    kind, columns = plan.kind, plan.columns
    lots, order = columns["qty_lots"].astype(np.int64), columns["order"]
    is_first = columns["duplicate_of"] < 0
    steps: NDArray[np.int64] = ((kind == Kind.RESERVE) & is_first).astype(np.int64)
    steps -= np.isin(kind, (Kind.RELEASE, Kind.ORDER_EVENT)) & is_first
    asked_lots = lots.copy()
    amends = np.flatnonzero((kind == Kind.AMEND) & is_first & (lots > 0))
    asked_lots[order[amends]] = lots[amends]  # the last one stands; fills come after all of them
    fills = np.flatnonzero(np.isin(kind, MATCHES))
    legs = np.concatenate([order[fills], columns["peer_order"][fills]])
    rows = np.concatenate([fills, fills])
    by_order = np.lexsort((rows, legs))
    legs, rows = legs[by_order], rows[by_order]
    total = np.cumsum(lots[rows])
    is_new = np.diff(legs, prepend=-1) != 0
    before = np.maximum.accumulate(np.where(is_new, total - lots[rows], 0))
    np.subtract.at(steps, rows[total - before >= asked_lots[legs]], 1)
    return steps


def sweep_statistics(plans: Sequence[ShardPlan], sweeps: Sweeps) -> Iterator[Statistic]:
    """Fills an aggressive order, whose number is geometric and cut off at its maximum."""
    counts = np.concatenate([np.unique(_takers(plan), return_counts=True)[1] for plan in plans])
    if not len(counts):
        return
    goes_on = 1 - 1 / sweeps.mean
    mean = (1 - goes_on**sweeps.max) * sweeps.mean
    error = SIGMAS * (goes_on**0.5 * sweeps.mean) / len(counts) ** 0.5
    # The last sweep of a shard ends with the plan.
    cut_off = len(plans) * sweeps.mean / len(counts)
    yield Statistic(
        name="fills_a_sweep_mean",
        value=float(counts.mean()),
        target=mean,
        tolerance=max(0.01 * mean, error) + cut_off,
    )
    yield Statistic(name="fills_a_sweep_max", value=float(counts.max()), at_most=float(sweeps.max))


def _takers(plan: ShardPlan) -> NDArray[np.int32]:
    takers: NDArray[np.int32] = plan.columns["order"][np.isin(plan.kind, MATCHES)]
    return takers


def cap_statistics(flow: OperationFlow, caps: Sequence[Cap]) -> Iterator[Statistic]:
    """The most messages that any account sends in any window of each cap."""
    own = ~np.isin(flow.kind, RECORDS) & (flow.kind != Kind.CREATE_ACCOUNT)
    by_account = np.lexsort((flow.offset_ns[own], flow.account[own]))
    account = flow.account[own][by_account].astype(np.int64)
    offset_ns = flow.offset_ns[own][by_account]
    if not len(account):
        return
    # One axis for all accounts, far enough apart that no window holds two of them.
    span_ns = int(offset_ns.max()) + max((cap.window for cap in caps), default=0) + 1
    axis = account * span_ns + offset_ns
    for cap in caps:
        first = np.searchsorted(axis, axis - cap.window, side="right")
        yield Statistic(
            name=f"messages_max_in_{format_duration(cap.window)}",
            value=float(np.max(np.arange(len(axis)) - first + 1)),
            at_most=float(cap.count),
        )
