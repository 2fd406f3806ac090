"""A small plan with every hot message in it: what the codec kernels encode and decode."""

from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np

from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides, load_scenario
from harness.model.units import NANOS_PER_SECOND
from harness.system import ShardPlan
from workloads.account.plan.planner import make_plan
from workloads.account.wire.kinds import Kind
from workloads.account.wire.requests import PlanEncoder, encode_plan

MESSAGE_COUNT = 1024  # of each kind
RUN_TAG = 0x5EED_0000_00C0_DEC5
_SEED = 42
_ACCOUNTS = {"kind": "zipf", "count": 1_000, "theta": 0.99}
_MIX = {"reserve": "36%", "release": "22%", "fill": "14%", "amend": "14%", "transfer": "14%"}
# What is left of an order follows from its reserve and its fills alone where nothing is amended.
_MIX_UNAMENDED = {"reserve": "42%", "release": "26%", "fill": "16%", "transfer": "16%"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """The scenario, its plan, and the rows of the first MESSAGE_COUNT messages of each kind."""

    scenario: Scenario
    plan: ShardPlan

    def encoder(self) -> PlanEncoder:
        """An encoder that has seen nothing yet."""
        return PlanEncoder(self.scenario, self.plan, run_tag=RUN_TAG)

    def rows(self, kind: Kind) -> list[int]:
        """Where the first MESSAGE_COUNT messages of *kind* are."""
        rows: list[int] = np.flatnonzero(self.plan.kind == kind)[:MESSAGE_COUNT].tolist()
        assert len(rows) == MESSAGE_COUNT, f"the plan has {len(rows)} of {kind.name}"
        return rows

    def column(self, name: str, kind: Kind) -> list[int]:
        """A column of the plan at those rows."""
        values: list[int] = self.plan.columns[name][self.rows(kind)].tolist()
        return values


@cache
def encoded_messages(kind: Kind) -> tuple[bytes, ...]:
    """The first MESSAGE_COUNT messages of *kind*."""
    planned = plan_inputs()
    payloads = encode_plan(planned.scenario, planned.plan, run_tag=RUN_TAG)
    start = payloads.start
    return tuple(bytes(payloads.blob[start[row] : start[row + 1]]) for row in planned.rows(kind))


@cache
def plan_inputs(*, is_amended: bool = True) -> PlanInputs:
    """The same plan every time."""
    scenario = load_scenario(
        "spot-steady",
        folder=resources.files("workloads.scenarios"),
        overrides=ScenarioOverrides(
            rate_per_s=2_000.0, warmup_ns=NANOS_PER_SECOND, measure_ns=4 * NANOS_PER_SECOND
        ),
    )
    mix = _MIX if is_amended else _MIX_UNAMENDED
    workload = {**scenario.workload, "mix": mix, "accounts": _ACCOUNTS}
    scenario = replace(scenario, workload=workload)
    return PlanInputs(
        scenario=scenario, plan=make_plan(scenario, seed=_SEED, shard=0, shard_count=1)
    )
