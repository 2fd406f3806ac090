"""From the names of a request to the stored report of a run, or of a run and its profiled runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from harness.errors import ComparisonError, UsageError
from harness.model.metrics import figures_of
from harness.profilers.memray_profiler import MemrayProfiler
from harness.profilers.py_spy import PySpyOptions, PySpyProfiler
from harness.profilers.stacks_file import attach_stacks, check_stacks
from harness.runs.profiled_passes import MEMRAY_SLOWDOWN, Pass, Passes, run_passes
from harness.runs.run import Run, RunSetup
from harness.storage.run_folder import StoredRun, find_run, load_run
from harness.targets.target_file import load_target
from harness.workflows.requests import (
    Phase,
    ProfileRequest,
    Result,
    RunDetails,
    RunRequest,
    Stopper,
    Tell,
    tell_nobody,
)
from harness.workflows.scenarios import checked_scenario
from reports.writing import write_run_report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from harness.engine.progress import Progress
    from harness.model.record import RunRecord
    from harness.model.scenario import Scenario
    from harness.profilers.profiled_run import MakeProfiler

_Details = TypeVar("_Details")
_CPU, _MEMORY = PySpyProfiler.instrumentation, MemrayProfiler.instrumentation
_SLOWDOWN_RATIOS = {_CPU: 1.0, _MEMORY: MEMRAY_SLOWDOWN}


class ToldView:
    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def phase(self, name: str, detail: str) -> None:
        self._tell(Phase(name=name, detail=detail))

    def progress(self, progress: Progress) -> None:
        self._tell(progress)


def run(
    request: RunRequest, tell: Tell = tell_nobody, stopper: Stopper | None = None
) -> Result[RunDetails]:
    """
    Run, audit and report.

    Stacks that can't be used do not lose the run: the result says what is wrong with them. Raises
    HarnessError if the run could not be finished; its folder is kept as `.incomplete`.
    """
    setup = _setup(request)
    check_stacks(request.stacks, setup.target)
    view, stopper = ToldView(tell), stopper or Stopper()
    this = Run(setup, view, stopper.stopped)
    stopper.follow(this)
    stored = this.execute()
    view.phase("report", "one file, opens offline")
    fault = _attach(stored, request.stacks)
    details = RunDetails(record=stored.record, stacks_fault=fault)
    return _result(stored, stored.record.exit_code, details)


def profile(
    request: ProfileRequest, tell: Tell = tell_nobody, stopper: Stopper | None = None
) -> Result[Passes]:
    """
    Run unprofiled, then under each profiler, and report.

    Raises UsageError also if a run of `against` has no profile, ComparisonError if it is of another
    scenario or seed, HarnessError if a run could not be finished; those before it are kept.
    """
    asked, stopper = request.run, stopper or Stopper()
    base = stored_runs(request.against, asked.runs_folder)
    kinds = set(_SLOWDOWN_RATIOS) if request.only is None else {request.only}
    passes = profiled_passes(
        asked.profiler_options, kinds, request.start_count, _stretches_of(base)
    )
    setup = _setup(asked)
    _check_same_scenario(base, setup.scenario)
    done = run_passes(setup, passes, ToldView(tell), stopper.stopped, stopper.follow)
    return _result(done.plain, done.exit_code, done)


def profiled_passes(
    options: PySpyOptions,
    kinds: Collection[str],
    start_count: int = 1,
    stretches: Mapping[str, float] | None = None,
) -> list[Pass]:
    """*start_count* profiled runs of each of *kinds*; *stretches*: how much slower, where known."""
    return [
        Pass(
            name=name if start == 1 else f"{name}-{start}",
            profiler=make,
            slowdown_ratio=_SLOWDOWN_RATIOS[name],
            stretch_ratio=(stretches or {}).get(name),
        )
        for start in range(1, start_count + 1)
        for name, make in _profilers(options).items()
        if name in kinds
    ]


def stored_runs(names: Sequence[str], runs_folder: Path) -> tuple[StoredRun, ...]:
    """The runs that *names* mean; raises UsageError, RecordError."""
    return tuple(load_run(find_run(name, runs_folder)) for name in names)


def _setup(request: RunRequest) -> RunSetup:
    makers = _profilers(request.profiler_options)
    if request.profiler not in {None, *makers}:
        raise UsageError(
            f'profiler: "{request.profiler}" is none; write one of {", ".join(makers)}'
        )
    return RunSetup(
        scenario=checked_scenario(request.scenario, request.overrides, request.policy),
        target=load_target(request.target),
        kafka=request.kafka,
        runs_folder=request.runs_folder,
        command=request.command,
        profiler=None if request.profiler is None else makers[request.profiler],
    )


def _result(stored: StoredRun, exit_code: int, details: _Details) -> Result[_Details]:
    record = stored.record
    return Result(
        verdict=_verdict(record),
        exit_code=exit_code,
        folder=stored.folder,
        page=write_run_report(stored.folder),
        figures={figure.name: figure.value for figure in figures_of(record)},
        details=details,
    )


def _verdict(record: RunRecord) -> str:
    sections = (record.validity, record.correctness, record.performance)
    return " ".join(str(section.status) for section in sections)


def _profilers(options: PySpyOptions) -> dict[str, MakeProfiler]:
    return {
        _CPU: lambda folder: PySpyProfiler(folder, options),
        _MEMORY: lambda folder: MemrayProfiler(folder, native=options.native),
    }


def _attach(stored: StoredRun, stacks: Sequence[Path]) -> UsageError | None:
    """What is wrong with *stacks*, if anything; else they are a profile of the run."""
    if stacks:
        begun_at = datetime.fromisoformat(stored.record.created_at)
        try:
            attach_stacks(stored, stacks, not_before=begun_at)
        except UsageError as error:
            return error
    return None


def _check_same_scenario(base: Sequence[StoredRun], scenario: Scenario) -> None:
    """Reject before minutes are spent on what can't be compared in the end."""
    for run in base:
        record = run.record
        if not record.profiles and not any(
            one.record.profiles for one in run.profiled_runs().values()
        ):
            raise UsageError(
                f"--against {record.run_id}: it has no profile; name a run of acctbench profile, or"
                " of acctbench run --profiler"
            )
        asked = {
            "scenario.name": (record.scenario.get("name"), scenario.name),
            "scenario.digest": (record.scenario.get("digest"), scenario.digest),
            "seed": (record.seed, scenario.seed),
        }
        for field, (there, here) in asked.items():
            if there != here:
                raise ComparisonError(
                    f"--against {record.run_id}: {field} is {there} there and {here} here; profile"
                    " the same scenario with the same options and seed"
                )


def _stretches_of(base: Sequence[StoredRun]) -> dict[str, float]:
    """How much slower the profiled runs of *base* were sent, by profiler: so must ours be."""
    return {
        start.record.instrumentation: float(start.record.load.get("stretch", 1.0))
        for run in base
        for start in (run, *run.profiled_runs().values())
        if start.record.profiles
    }
