"""
Is a plan what the scenario asks for? Its statistics, each beside its target where it has one.

`acctbench plan` prints them, and invariant I22 holds a run's plan to them. The arrivals' own
statistics are harness.model.arrivals_statistics', the others stand beside this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.model.arrivals_statistics import Statistic, arrival_statistics
from harness.model.scenario import Scenario
from harness.system import ShardPlan
from workloads.account.plan.flow_statistics import (
    OperationFlow,
    flow_of,
    mix_statistics,
    order_flow,
    skew_statistics,
)
from workloads.account.plan.order_statistics import (
    cap_statistics,
    open_order_statistics,
    sweep_statistics,
)
from workloads.account.terms.workload import Workload, parse_workload
from workloads.account.wire.kinds import Kind
from workloads.account.wire.requests import encode_plan

_ENGINE_BYTES = 36  # stamps, outcome and code of an operation in the load process


def plan_statistics(scenario: Scenario, plans: Sequence[ShardPlan]) -> tuple[Statistic, ...]:
    """The statistics of all shards' plans together."""
    workload = parse_workload(scenario.workload)
    return _statistics(scenario, workload, plans, flow_of(scenario, plans))


def _statistics(
    scenario: Scenario, workload: Workload, plans: Sequence[ShardPlan], flow: OperationFlow
) -> tuple[Statistic, ...]:
    if not len(flow):
        return ()
    found = [
        *mix_statistics(flow, workload),
        *skew_statistics(flow, workload, scenario.seed),
        *arrival_statistics(
            scenario.arrivals,
            flow.offset_ns[~flow.is_derived],
            warmup_ns=scenario.warmup_ns,
            measure_ns=scenario.measure_ns,
        ),
        *cap_statistics(flow, workload.caps),
        *order_flow(flow),
        *open_order_statistics(plans, workload, flow),
    ]
    if workload.sweeps is not None:
        found += sweep_statistics(plans, workload.sweeps)
    return tuple(found)


def describe_plans(scenario: Scenario, plans: Sequence[ShardPlan]) -> Mapping[str, Any]:
    """The same for people, with counts and bytes."""
    flow = flow_of(scenario, plans)
    count = max(1, len(flow))
    payload_bytes = sum(len(encode_plan(scenario, plan, run_tag=0).blob) for plan in plans)
    column_bytes = sum(array.nbytes for plan in plans for array in plan.columns.values())
    workload = parse_workload(scenario.workload)
    reserve_count = int(np.count_nonzero(flow.kind == Kind.RESERVE))
    return {
        "operations": {
            "count": len(flow),
            "measured": int(np.count_nonzero(flow.is_measured)),
            "expected_to_be_refused": round(reserve_count * workload.insufficient),
            "distinct_accounts": len(np.unique(flow.account)),
            "distinct_instruments": len(np.unique(flow.instrument[flow.instrument > 0])),
        },
        "bytes_per_operation": {
            "payload": round(payload_bytes / count, 1),
            "columns": round(column_bytes / count, 1),
            "engine": _ENGINE_BYTES,
        },
        "statistics": {
            item.name: item.shown() for item in _statistics(scenario, workload, plans, flow)
        },
    }
