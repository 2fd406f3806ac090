"""
Run a scenario unprofiled, then repeat the same plan once under each profiler.

All passes have the same plan and seed. Only the unprofiled one gives timings: a profiler disturbs
what it looks at, and by how much is read off each profiled run against the unprofiled one.
Profiled runs lie in the folder of the unprofiled one, passes/<instrumentation>, each a whole run
with its own audit.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.model.record import RunRecord
from harness.model.text import significant
from harness.model.verdict import Correctness, ExitCode, worst_exit_code
from harness.profilers.profiled_run import MakeProfiler
from harness.runs.run import Run, RunSetup, RunView
from harness.storage.run_folder import StoredRun, load_run, pass_folder

# Measured: memray with Python's own allocators makes a service two to six times slower.
MEMRAY_SLOWDOWN = 4.0
_BUSY_SHARE = 0.6  # of a core that a slowed target may need, so that it does not fall behind
# So many times slower at most; in steps, so that two runs of one service are sent alike.
_STRETCHES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """
    One profiled run.

    Attributes:
        name: What its folder is called, e.g. "cpu", and "cpu-2" for the second start.
        profiler: Makes what looks into the target.
        slowdown_ratio: How much more CPU time the target may need under it; so much slower the same
            operations are sent, where they would saturate it.
        stretch_ratio: How much slower they are sent, where another run decides that; None: see
            above.
    """

    name: str
    profiler: MakeProfiler
    slowdown_ratio: float
    stretch_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """The unprofiled run, and the profiled ones by name."""

    plain: StoredRun
    profiled: Mapping[str, StoredRun]

    @property
    def exit_code(self) -> ExitCode:
        """
        The unprofiled run's, or worse: a profiled one lost money, or has no profile.

        Whether a profiled run was on time does not matter: its timings are not used.
        """
        codes = [ExitCode(self.plain.record.exit_code)]
        for one in self.profiled.values():
            if one.record.correctness.status is Correctness.FAILED:
                codes.append(ExitCode.AUDIT_FAILED)
            if not one.record.profiles:
                codes.append(ExitCode.INCONCLUSIVE)
        return worst_exit_code(codes)


def run_passes(
    request: RunSetup,
    passes: Sequence[Pass],
    view: RunView,
    stopped: threading.Event,
    on_run: Callable[[Run], None],
) -> Passes:
    """
    Run *request* unprofiled (its profiler is not used), then once for each of *passes*.

    *stopped* ends the run that goes on; *on_run* is told of each run before it begins. Raises
    HarnessError if a run could not be finished; those before it are kept.
    """

    def execute(one: RunSetup) -> StoredRun:
        run = Run(one, view, stopped)
        on_run(run)
        return run.execute()

    plain = execute(replace(request, profiler=None))
    profiled = {one.name: run_profiled(request, plain, one, view, execute) for one in passes}
    return Passes(plain=plain, profiled=profiled)


def run_profiled(
    request: RunSetup,
    plain: StoredRun,
    one: Pass,
    view: RunView,
    execute: Callable[[RunSetup], StoredRun],
) -> StoredRun:
    """The profiled run *one* of *plain*, which ran *request*; moved into the folder of *plain*."""
    stretch = one.stretch_ratio or stretch_of(plain.record, one.slowdown_ratio)
    scenario = replace(
        request.scenario,
        load=replace(request.scenario.load, stretch_ratio=stretch),
        objectives=(),
    )
    view.phase("pass", _describe(one, stretch))
    folder = pass_folder(plain.folder, one.name)
    profiled = execute(
        replace(request, scenario=scenario, runs_folder=folder.parent, profiler=one.profiler)
    )
    return load_run(Path(profiled.folder).rename(folder))


def stretch_of(plain: RunRecord, slowdown_ratio: float) -> float:
    """So that the target, slowed so much, stays below _BUSY_SHARE of a core; 1 where it does."""
    cpu_cores = plain.resources["target"].cpu_cores_mean
    if cpu_cores is None or slowdown_ratio <= 1:
        return 1.0
    needed = cpu_cores * slowdown_ratio / _BUSY_SHARE
    return next((ratio for ratio in _STRETCHES if ratio >= needed), _STRETCHES[-1])


def _describe(one: Pass, stretch: float) -> str:
    slower = f", {significant(stretch, 2)} times slower than planned" if stretch > 1 else ""
    return f"{one.name}: the same operations under the profiler{slower}"
