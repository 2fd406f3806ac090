"""
A run's plans, made once more after the load from its scenario and seed, while the audit reads on.

Planning is most of what the audit of a large run does, and needs nothing of the run: on a second
core it costs no time. For a small run a process costs more than it saves.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from harness.engine.shard_file import mapped_plan
from harness.engine.specification import PlanSpecification
from harness.engine.supervisor import PLAN_TIMEOUT_S
from harness.engine.workers import Crew
from harness.model.scenario import Scenario
from harness.system import ShardPlan

APART_COUNT_MIN = 500_000  # operations: from here on planning takes longer than a process to start


class PlansAgain:
    """
    The plans of a run made anew, from when this is made; `close` ends it.

    Attributes:
        plans: Waits for the plans and gives them; None: nothing was begun, the run is too small.
    """

    def __init__(self, scenario: Scenario, *, operation_count: int, folder: Path) -> None:
        """*folder*: of the run, for files that are gone at the end; *operation_count*: its size."""
        self._crew = Crew()
        self._folders: list[Path] = []
        self.plans: Callable[[], Sequence[ShardPlan]] | None = None
        if operation_count < APART_COUNT_MIN:
            return
        shard_count = scenario.load.worker_count
        for shard in range(shard_count):
            self._folders.append((folder / f"plan-again-{shard}").resolve())
            specification = PlanSpecification(
                scenario=scenario,
                seed=scenario.seed,
                shard=shard,
                shard_count=shard_count,
                folder=str(self._folders[shard]),
            )
            self._crew.add(
                "harness.engine.replan_process", specification, log=folder / "planner.log"
            )
        self.plans = self._await

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still goes on and remove its files; harmless twice."""
        self._crew.stop()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)  # what is mapped stays readable

    def _await(self) -> Sequence[ShardPlan]:
        self._crew.wait_for("finished", self._crew.workers, PLAN_TIMEOUT_S)
        shard_count = len(self._folders)
        return [
            mapped_plan(folder, shard=shard, shard_count=shard_count)
            for shard, folder in enumerate(self._folders)
        ]
