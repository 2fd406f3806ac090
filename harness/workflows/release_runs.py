"""The runs that a release policy demands, done one after the other; none stops those after it."""

from __future__ import annotations

import shlex
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cli.console import people, printable
from harness.cli.profile_command import passes_of
from harness.cli.profiler_options import DEFAULTS
from harness.cli.run_command import make_view, stops_on_signal
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.model.release_file import ReleasePolicy, RunDemand
    from harness.model.scenario import Scenario
    from harness.runs.run import Run
    from harness.targets.target_file import TargetSpec

_EMBEDDED = "embedded"
_ADDRESS = "address"
_ROUND_COUNT, _PROCESS_COUNT = 12, 5  # the defaults of `acctbench micro`


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRuns:
    """What to run the demands of *policy* with; *kafka* is None where the policy says it."""

    policy: ReleasePolicy
    scenarios: Mapping[str, Scenario]  # by key of a demand
    target: TargetSpec
    kafka: str | None
    runs_folder: Path
    is_quiet: bool

    def execute(self) -> list[Path]:
        """
        The folders of all runs, those that could not be finished included.

        Raises:
            UsageError: a run can't begin as it was asked for.
        """
        plan = [
            (demand, place)
            for demand in self.policy.demands
            for place in range(1, demand.run_count + 1)
        ]
        folders: list[Path] = []
        for number, (demand, place) in enumerate(plan, start=1):
            people.print(f"{number} of {len(plan)}: {demand.key}, run {place}")
            folders += self._kernels(demand) if demand.is_micro else self._service(demand)
        return folders

    def _service(self, demand: RunDemand) -> list[Path]:
        from harness.runs.profiled_passes import run_passes
        from harness.runs.run import RunRequest
        from reports.writing import write_run_report

        request = RunRequest(
            scenario=self.scenarios[demand.key],
            target=self.target,
            kafka=self._broker(demand),
            runs_folder=self.runs_folder,
            command=shlex.join(["acctbench", *sys.argv[1:]]),
        )
        passes = passes_of(dict(DEFAULTS), demand.profiles)
        view = make_view(self.is_quiet)
        stopped = threading.Event()
        current: list[Run] = []
        try:
            with stops_on_signal(stopped, lambda: bool(current) and current[-1].is_driving):
                done = run_passes(request, passes, view, stopped, current.append)
        except UsageError:
            raise
        except HarnessError as error:
            people.print(printable(f"{demand.key}: {error}"), style="red")
            return [current[0].folder] if current else []
        finally:
            view.close()
        write_run_report(done.plain.folder)
        if stopped.is_set():
            raise KeyboardInterrupt
        return [done.plain.folder]

    def _kernels(self, demand: RunDemand) -> list[Path]:
        from harness.model.record import PLAIN
        from workloads.micro.micro_run import MicroRequest, run_micro
        from workloads.micro.timing import Timing

        request = MicroRequest(
            pattern="",
            timing=Timing(process_count=_PROCESS_COUNT, round_count=_ROUND_COUNT),
            counts=demand.instrumentation != PLAIN,
            against=None,
            runs_folder=self.runs_folder,
            command=shlex.join(["acctbench", *sys.argv[1:]]),
        )
        try:
            return [run_micro(request).folder]
        except UsageError:
            raise
        except HarnessError as error:
            people.print(printable(f"{demand.key}: {error}"), style="red")
            return []

    def _broker(self, demand: RunDemand) -> str:
        if self.kafka is not None:
            return self.kafka
        if demand.broker == _ADDRESS:
            raise UsageError(
                f"--kafka: {demand.key} demands a broker that runs already; write its HOST:PORT"
            )
        return demand.broker or _EMBEDDED
