"""
I22: the harness audits itself.

Every operation has one outcome, and is the one that scenario and seed plan.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.operation import Outcome
from harness.model.text import significant
from harness.system import AuditEvidence, ShardPlan
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.tally import Tally
from workloads.account.plan.describe import plan_statistics
from workloads.account.plan.planner import make_plan

_COMPARED = (
    *("account", "peer_account", "instrument", "side", "price_ticks", "qty_lots"),
    *("asset", "amount_minor", "order", "peer_order", "duplicate_of"),
)


def check_generation(evidence: AuditEvidence, log: OperationLog) -> Tally:
    """Check the operation log against the plan, made again from scenario and seed."""
    tally = Tally("I22")
    _check_outcomes(tally, log)
    scenario = evidence.scenario
    plans = evidence.plans() if evidence.plans is not None else _plans(evidence)
    _check_plans(tally, evidence, log, plans)
    for statistic in plan_statistics(scenario, plans):
        if statistic.is_asked_for:
            tally.check(
                statistic.is_met,
                f"{statistic.name} is {significant(statistic.value, 4)},"
                f" must be {statistic.demand}",
            )
    return tally


def _plans(evidence: AuditEvidence) -> Sequence[ShardPlan]:
    shard_count = evidence.scenario.load.worker_count
    return [
        make_plan(evidence.scenario, seed=evidence.seed, shard=shard, shard_count=shard_count)
        for shard in range(shard_count)
    ]


def _check_outcomes(tally: Tally, log: OperationLog) -> None:
    tally.checked_count += log.count
    unfinished = np.isin(log.outcome, (Outcome.PLANNED, Outcome.IN_FLIGHT))
    tally.violate_all(unfinished, lambda row: f"{log.describe(row)} has no outcome")
    undecided = int(
        np.count_nonzero(np.isin(log.final_outcome, (Outcome.FAILED, Outcome.TIMED_OUT)))
    )
    if undecided:
        tally.note(f"the outcome of {undecided:,} is unknown")


def _check_plans(
    tally: Tally, evidence: AuditEvidence, log: OperationLog, plans: Sequence[ShardPlan]
) -> None:
    table = evidence.operations
    planned_count = sum(len(plan) for plan in plans)
    tally.check(
        planned_count == len(table),
        f"{planned_count:,} operations were planned, the log has {len(table):,}",
    )
    if planned_count != len(table):
        return
    _compare(tally, "kind", [plan.kind for plan in plans], log.kind)
    for name in _COMPARED:
        if name in table.columns:
            _compare(tally, name, [plan.columns[name] for plan in plans], table[name].to_numpy())


def _compare(tally: Tally, name: str, parts: Sequence[NDArray[Any]], stored: NDArray[Any]) -> None:
    planned = parts[0] if len(parts) == 1 else np.concatenate(parts)
    differing = int(np.count_nonzero(planned != stored))
    tally.check(differing == 0, f"{differing:,} operations have another {name} than planned")
