"""The runs that a release policy demands, done one after the other; none stops those after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engine.supervisor import InterruptedRunError
from harness.errors import HarnessError, UsageError
from harness.model.record import PLAIN
from harness.profilers.py_spy import PySpyOptions
from harness.runs.profiled_passes import run_passes
from harness.runs.run import Run, RunSetup
from harness.workflows.measured_runs import ToldView, profiled_passes
from harness.workflows.requests import Note, SignOffRequest, Stopper, Tell
from reports.writing import write_run_report
from workloads.micro.micro_run import MicroRequest, run_micro
from workloads.micro.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.model.release_file import ReleasePolicy, RunDemand
    from harness.model.scenario import Scenario
    from harness.targets.target_file import TargetSpec

_EMBEDDED = "embedded"
_ADDRESS = "address"
_ROUND_COUNT, _PROCESS_COUNT = 12, 5  # the defaults of `acctbench micro`


@dataclass(frozen=True, slots=True)
class ReleaseRuns:
    """What to run the demands of *policy* with; the request has the broker, or the policy."""

    policy: ReleasePolicy
    scenarios: Mapping[str, Scenario]  # by key of a demand
    target: TargetSpec
    request: SignOffRequest
    tell: Tell
    stopper: Stopper

    def execute(self) -> list[Path]:
        """
        The folders of all runs, those that could not be finished included.

        Raises:
            UsageError: a run can't begin as it was asked for.
            InterruptedRunError: the user stopped one.
        """
        plan = [
            (demand, place)
            for demand in self.policy.demands
            for place in range(1, demand.run_count + 1)
        ]
        folders: list[Path] = []
        for number, (demand, place) in enumerate(plan, start=1):
            self.tell(Note(text=f"{number} of {len(plan)}: {demand.key}, run {place}"))
            folders += self._kernels(demand) if demand.is_micro else self._service(demand)
        return folders

    def _service(self, demand: RunDemand) -> list[Path]:
        setup = RunSetup(
            scenario=self.scenarios[demand.key],
            target=self.target,
            kafka=self._broker(demand),
            runs_folder=self.request.runs_folder,
            command=self.request.command,
        )
        passes = profiled_passes(PySpyOptions(), demand.profiles)
        begun: list[Run] = []

        def on_run(run: Run) -> None:
            begun.append(run)
            self.stopper.follow(run)

        try:
            done = run_passes(setup, passes, ToldView(self.tell), self.stopper.stopped, on_run)
        except UsageError:
            raise
        except HarnessError as error:
            if self.stopper.stopped.is_set():
                raise
            self._fail(demand, error)
            return [begun[0].folder] if begun else []
        write_run_report(done.plain.folder)
        if self.stopper.stopped.is_set():
            raise InterruptedRunError("interrupted")
        return [done.plain.folder]

    def _kernels(self, demand: RunDemand) -> list[Path]:
        request = MicroRequest(
            pattern="",
            timing=Timing(process_count=_PROCESS_COUNT, round_count=_ROUND_COUNT),
            counts=demand.instrumentation != PLAIN,
            against=None,
            runs_folder=self.request.runs_folder,
            command=self.request.command,
        )
        try:
            return [run_micro(request).folder]
        except UsageError:
            raise
        except HarnessError as error:
            self._fail(demand, error)
            return []

    def _fail(self, demand: RunDemand, error: HarnessError) -> None:
        self.tell(Note(text=f"{demand.key}: {error}", is_failure=True))

    def _broker(self, demand: RunDemand) -> str:
        if self.request.kafka is not None:
            return self.request.kafka
        if demand.broker == _ADDRESS:
            raise UsageError(
                f"--kafka: {demand.key} demands a broker that runs already; write its HOST:PORT"
            )
        return demand.broker or _EMBEDDED
