"""
What a workflow is asked, what it tells while it goes, and what it answers.

A workflow takes a frozen request, calls back with events, and returns a Result or raises an error
of harness.errors. It prints nothing, reads no command line and handles no signal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness.errors import UsageError
from harness.model.scenario_file import ScenarioOverrides
from harness.profilers.py_spy import PySpyOptions
from harness.workflows.scenarios import DEFAULT_SCENARIO

if TYPE_CHECKING:
    from harness.engine.progress import Progress
    from harness.model.record import RunRecord
    from harness.runs.run import Run
    from reports.compare.verdicts import Comparison

_RUNS = Path("runs")
_Details = TypeVar("_Details")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """
    One audited run.

    Attributes:
        scenario, target: A name or a file.
        kafka: "embedded", "apache" or HOST:PORT.
        policy: A file of demands beside the scenario's own.
        profiler: "cpu" or "memory": profile the target; latencies are not comparable then.
        stacks: Files of folded stacks made elsewhere, read when the run is over.
        command: Repeats it; kept in the record.
    """

    scenario: str = DEFAULT_SCENARIO
    overrides: ScenarioOverrides = field(default_factory=ScenarioOverrides)
    target: str = "reference"
    kafka: str = "embedded"
    policy: Path | None = None
    profiler: str | None = None
    profiler_options: PySpyOptions = field(default_factory=PySpyOptions)
    stacks: tuple[Path, ...] = ()
    runs_folder: Path = _RUNS
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """
    A run, then the same operations under each profiler.

    Attributes:
        run: Its profiler and stacks are not used.
        only: "cpu" or "memory"; None: both.
        start_count: Profiled starts of each kind.
        against: Stored runs that the profiles will be compared with: sent the same, as slowly.
    """

    run: RunRequest
    only: str | None = None
    start_count: int = 1
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """
    Two sets of stored runs, or files of samples, compared.

    Attributes:
        baseline, candidate: As `acctbench compare` names a side.
        output: Folder of the page; None: below the folder of runs.
    """

    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    policy: Path | None = None
    output: Path | None = None
    runs_folder: Path = _RUNS
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """
    A candidate compared with its base.

    Attributes:
        base, candidate: Revisions of the repository of the current folder.
        target: Target file of both revisions, inside the repository.
        base_target, candidate_target: Target files, instead of a revision.
        baseline: Name of stored runs, instead of a base that is alive.
        scenario, budget_ns: None: the policy's, or the program's.
        seed: Of the plan and of which side takes the first turn; None: the scenario's.

    Raises:
        UsageError: a side is named in two ways, or the base in none.
    """

    base: str | None = None
    candidate: str = "HEAD"
    target: str = "reference"
    base_target: str | None = None
    candidate_target: str | None = None
    baseline: str | None = None
    policy: Path | None = None
    scenario: str | None = None
    budget_ns: int | None = None
    seed: int | None = None
    kafka: str = "embedded"
    runs_folder: Path = _RUNS
    command: str = ""

    def __post_init__(self) -> None:
        given = [name for name in (self.base, self.base_target, self.baseline) if name]
        if len(given) != 1:
            raise UsageError(
                f"{'no' if not given else 'more than one'} base is named: write one of --base REF, "
                "--base-target FILE and --baseline NAME"
            )
        if self.candidate_target and self.candidate != "HEAD":
            raise UsageError("--candidate and --candidate-target name two; leave one out")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOffRequest:
    """
    The verdict on a release.

    Attributes:
        policy: What the release must show.
        collected: Look at these stored runs; none: at all of the newest build, or of *build*.
        runs_all: Do every demanded run first, against *target*, with *kafka* or the policy's.
        output: Folder of the bundle; None: release-NAME.
        is_forced: Replace a bundle that is there already.

    Raises:
        UsageError: what is asked for doesn't go together.
    """

    release: str
    policy: Path
    collected: tuple[str, ...] = ()
    build: str = ""
    runs_all: bool = False
    target: str | None = None
    kafka: str | None = None
    output: Path | None = None
    is_forced: bool = False
    runs_folder: Path = _RUNS
    command: str = ""

    def __post_init__(self) -> None:
        if self.runs_all and (self.collected or self.build):
            raise UsageError("--run collects what it runs: leave out --collect and --build")
        if self.runs_all and not self.target:
            raise UsageError("--run needs --target: what to run against")
        for name, value in (("target", self.target), ("kafka", self.kafka)):
            if value and not self.runs_all:
                raise UsageError(f"--{name} is for --run: stored runs say it themselves")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRequest:
    """
    Accept that the metrics that fit *metric* got worse at *run*.

    Attributes:
        who, why: Kept with it.
        folders: Of runs; the file goes into the one that has *run*.
    """

    metric: str
    run: str
    who: str
    why: str
    folders: tuple[Path, ...] = (_RUNS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Generic[_Details]):
    """
    What came of a request.

    Attributes:
        verdict: In a word, or of a run in a few.
        exit_code: That of the command line.
        folder: What was written.
        page: For a reader.
        figures: By metric: of a run its value; of a comparison candidate to baseline.
        details: Everything.
    """

    verdict: str
    exit_code: int
    folder: Path
    page: Path
    figures: Mapping[str, float]
    details: _Details


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """The record; *stacks_fault*: why the stacks that were given are not in it."""

    record: RunRecord
    stacks_fault: UsageError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonDetails:
    """The comparison; *document* is compare.json, of a gate verdict.json."""

    comparison: Comparison
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """*file* holds it; *metrics* were accepted at *run_id*, *still_open* is what was not."""

    file: Path
    run_id: str
    metrics: tuple[str, ...]
    still_open: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    name: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence about runs that follow each other."""

    text: str
    is_failure: bool = False


Tell = Callable[["Phase | Note | Progress"], object]
"""Called with each event; a Progress comes several times a second while load goes."""


def tell_nobody(event: Phase | Note | Progress) -> None:
    """Nothing."""


class Stopper:
    """Ends the run that goes on, in order: for another thread, or a handler of signals."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._run: Run | None = None

    def follow(self, run: Run) -> None:
        self._run = run

    def stop(self) -> bool:
        """False if no load goes, or it was stopped before: then nothing can end in order."""
        if self._run is None or not self._run.is_driving or self.stopped.is_set():
            return False
        self.stopped.set()
        return True
