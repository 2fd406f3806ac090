"""
Is a plan what the scenario asks for? Its statistics, each beside its target where it has one.

`acctbench plan` prints them, and invariant I22 holds a run's plan to them. Tolerances are the wider
of the contract's (1 point of share, 3 points of account skew) and what chance alone explains at
this number of operations. The arrivals' own statistics are harness.model.arrivals_statistics'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals_statistics import SIGMAS, Statistic, arrival_statistics
from harness.model.scenario import Scenario
from harness.model.units import NANOS_PER_SECOND
from harness.system import ShardPlan
from workloads.account.plan.accounts import make_accounts
from workloads.account.plan.kinds import Kind
from workloads.account.plan.market import market
from workloads.account.plan.messages import encode_plan
from workloads.account.plan.parameters import Workload, parse_workload

_SHARE_TOLERANCE = 0.01
_SKEW_TOLERANCE = 0.03
_HOT_SHARE = 0.01
_ENGINE_BYTES = 36  # stamps, outcome and code of an operation in the load process


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """All shards' operations in order of time; *is_measured* leaves warm-up out."""

    offset_ns: NDArray[np.int64]
    kind: NDArray[np.uint8]
    account: NDArray[np.uint32]
    instrument: NDArray[np.uint16]
    is_duplicate: NDArray[np.bool_]
    is_measured: NDArray[np.bool_]


def plan_statistics(scenario: Scenario, plans: Sequence[ShardPlan]) -> tuple[Statistic, ...]:
    """The statistics of all shards' plans together."""
    workload = parse_workload(scenario.workload)
    stream = _stream(scenario, plans)
    if not len(stream.offset_ns):
        return ()
    return (
        *_mix(stream, workload),
        *_skew(stream, workload, scenario.seed),
        *arrival_statistics(
            scenario.arrivals,
            stream.offset_ns,
            warmup_ns=scenario.warmup_ns,
            measure_ns=scenario.measure_ns,
        ),
        *_orders(plans, workload, stream),
    )


def describe_plans(scenario: Scenario, plans: Sequence[ShardPlan]) -> Mapping[str, Any]:
    """The same for people, with counts and bytes."""
    stream = _stream(scenario, plans)
    count = max(1, len(stream.offset_ns))
    payload_bytes = sum(len(encode_plan(scenario, plan, run_tag=0).blob) for plan in plans)
    column_bytes = sum(array.nbytes for plan in plans for array in plan.columns.values())
    workload = parse_workload(scenario.workload)
    reserve_count = int(np.count_nonzero(stream.kind == Kind.RESERVE))
    return {
        "operations": {
            "count": len(stream.offset_ns),
            "measured": int(np.count_nonzero(stream.is_measured)),
            "expected_to_be_refused": round(reserve_count * workload.insufficient),
            "distinct_accounts": len(np.unique(stream.account)),
            "distinct_instruments": len(np.unique(stream.instrument[stream.instrument > 0])),
        },
        "bytes_per_operation": {
            "payload": round(payload_bytes / count, 1),
            "columns": round(column_bytes / count, 1),
            "engine": _ENGINE_BYTES,
        },
        "statistics": {item.name: item.shown() for item in plan_statistics(scenario, plans)},
    }


def _stream(scenario: Scenario, plans: Sequence[ShardPlan]) -> _Stream:
    offsets = np.concatenate([plan.intended_offset_ns for plan in plans])
    order = np.argsort(offsets, kind="stable")

    def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        found: NDArray[Any] = np.concatenate(arrays)[order]
        return found

    return _Stream(
        offset_ns=offsets[order],
        kind=joined([plan.kind for plan in plans]),
        account=joined([plan.columns["account"] for plan in plans]),
        instrument=joined([plan.columns["instrument"] for plan in plans]),
        is_duplicate=joined([plan.columns["duplicate_of"] for plan in plans]) >= 0,
        is_measured=offsets[order] >= scenario.warmup_ns,
    )


def _mix(stream: _Stream, workload: Workload) -> list[Statistic]:
    kinds = stream.kind[stream.is_measured]
    duplicates = stream.is_duplicate[stream.is_measured]
    count = max(1, len(kinds))
    found = []
    for name, target in workload.mix:
        if name == "duplicate":
            share = float(duplicates.mean()) if len(duplicates) else 0.0
        else:
            share = np.count_nonzero((kinds == Kind[name.upper()]) & ~duplicates) / count
        if target or share:
            by_chance = SIGMAS * (target * (1 - target) / count) ** 0.5
            found.append(
                Statistic(
                    name=f"share_{name}",
                    value=share,
                    target=target,
                    tolerance=max(_SHARE_TOLERANCE, by_chance),
                )
            )
    return found


def _skew(stream: _Stream, workload: Workload, seed: int) -> list[Statistic]:
    """How much falls to the accounts meant to be the busiest; releases repeat their reserve's."""
    weights = make_accounts(workload, market(workload.instruments), seed=seed).weights
    hot_count = max(1, int(len(weights) * _HOT_SHARE))
    hot = np.argpartition(weights, -hot_count)[-hot_count:]
    target = float(weights[hot].sum())
    chosen = np.isin(stream.kind, [Kind.RESERVE, Kind.TRANSFER]) & ~stream.is_duplicate
    accounts = stream.account[chosen]
    accounts = accounts[accounts < len(weights)]
    if not len(accounts):
        return []
    share = float(np.isin(accounts, hot).mean())
    by_chance = SIGMAS * (target * (1 - target) / len(accounts)) ** 0.5
    tolerance = max(_SKEW_TOLERANCE, by_chance)
    return [
        Statistic(name="top_1_percent_accounts", value=share, target=target, tolerance=tolerance)
    ]


def _orders(plans: Sequence[ShardPlan], workload: Workload, stream: _Stream) -> list[Statistic]:
    """Open orders if every operation is applied when it is due."""
    steps = np.concatenate([_open_order_steps(plan) for plan in plans])
    if not steps.any():
        return []
    offsets = np.concatenate([plan.intended_offset_ns for plan in plans])
    over_time = np.cumsum(steps[np.argsort(offsets, kind="stable")])
    open_max = float(over_time.max())
    second_half = over_time[len(over_time) // 2 :]
    span_s = max(1, int(stream.offset_ns[-1] - stream.offset_ns[0])) / NANOS_PER_SECOND
    reserve_per_s = np.count_nonzero(stream.kind == Kind.RESERVE) / span_s
    life_s = (workload.order_life + workload.expected_reply) / NANOS_PER_SECOND
    return [
        Statistic(name="open_orders_mean", value=float(second_half.mean())),
        Statistic(name="open_orders_expected", value=reserve_per_s * life_s),
        Statistic(name="open_orders_max", value=open_max),
        Statistic(name="open_orders_end", value=float(over_time[-1])),
    ]


def _open_order_steps(plan: ShardPlan) -> NDArray[np.int64]:
    """+1 for a reserve, -1 for a release, and for each order that a fill closes."""
    kind, columns = plan.kind, plan.columns
    lots = columns["qty_lots"]
    steps: NDArray[np.int64] = (kind == Kind.RESERVE).astype(np.int64)
    steps -= kind == Kind.RELEASE
    is_fill = kind == Kind.FILL
    for name in ("order", "peer_order"):
        closes = is_fill & (lots == lots[np.maximum(columns[name], 0)])
        steps -= closes
    return steps
