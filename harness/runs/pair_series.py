"""
The measuring side of a gate: builds both sides, plays pairs while the budget lasts, keeps them all.

What the pairs say is not known here; whoever asks for the next one decides. A pair that the machine
or the generator made unusable is kept and counted, and another is played in its place; a side that
dies or loses money ends the gate.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from harness.errors import BrokerError, EngineError, HarnessError
from harness.model.record import PLAIN
from harness.model.turns import PairFacts, Turns
from harness.model.units import NANOS_PER_SECOND
from harness.model.verdict import Correctness, Validity
from harness.profilers.profiled_run import MakeProfiler
from harness.runs.paired_run import SIDES, PairRunner
from harness.runs.profiled_passes import MEMRAY_SLOWDOWN, stretch_of
from harness.runs.run import Run, RunSetup, RunView
from harness.storage.run_folder import StoredRun, load_run
from harness.targets.build import build_target
from harness.targets.target_file import LaunchSpec

BASE, CANDIDATE = SIDES
PAIRS_FOLDER = "pairs"
MEMORY_FOLDER = "memory"
_BURST_COUNT = 50  # operations sent at once under memray, on average
_SPOILT_COUNT_MAX = 3  # more than these and than the good ones: the machine can't support a verdict
_OVERTIME_SHARE = 0.25  # of the budget, for a confirmation that has begun


Setups = Mapping[str, RunSetup]
"""How each side is run, by its name, in the folder of all pairs; one side: it runs alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(PairFacts):
    """A pair and its runs, by side."""

    runs: Mapping[str, StoredRun]

    @property
    def is_audit_failed(self) -> bool:
        """Whether a side lost or made money."""
        return any(
            run.record.correctness.status is Correctness.FAILED for run in self.runs.values()
        )


class Player(Protocol):
    """Plays one pair after the other."""

    def play(self, number: int) -> Played:
        """Pair *number*; a HarnessError, if a side or the broker failed, names the side."""
        ...


class PairPlayer:
    """
    Both sides at once; enter it: it holds a broker.

    They take turns of *window_ns* and *guard_ns*; a window of 0: no turns, both are sent the same
    at the same time.
    """

    def __init__(self, setups: Setups, window_ns: int, guard_ns: int, view: RunView) -> None:
        self._setups, self._view = setups, view
        self._window_ns, self._guard_ns = window_ns, guard_ns
        self._runner = PairRunner(setups[CANDIDATE].runs_folder / "broker")

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.__exit__()

    def play(self, number: int) -> Played:
        setup = self._setups[CANDIDATE]
        first = SIDES[(number + setup.scenario.seed) % len(SIDES)]
        began_s = time.monotonic()
        pair = self._runner.play(
            {side: self._taking_turns(side, begins=side == first) for side in SIDES},
            _pair_folder(setup, number),
            self._view,
        )
        if pair.failure is not None:
            raise _of_side(*pair.failure)
        return _played(number, first, pair.runs, began_s)

    def _taking_turns(self, side: str, *, begins: bool) -> RunSetup:
        setup = self._setups[side]
        if not self._window_ns:
            return setup
        turns = Turns(begins=begins, window_ns=self._window_ns, guard_ns=self._guard_ns)
        load = replace(setup.scenario.load, turns=turns)
        return replace(setup, scenario=replace(setup.scenario, load=load))


class AlonePlayer:
    def __init__(self, setups: Setups, view: RunView) -> None:
        self._setup, self._view = setups[CANDIDATE], view
        self._stopped = threading.Event()

    def play(self, number: int) -> Played:
        folder = _pair_folder(self._setup, number)
        began_s = time.monotonic()
        run = Run(replace(self._setup, runs_folder=folder), self._view, self._stopped)
        try:
            stored = run.execute()
        except HarnessError as error:
            raise _of_side(CANDIDATE, error) from error
        kept = load_run(stored.folder.rename(folder / CANDIDATE))
        return _played(number, "", {CANDIDATE: kept}, began_s)


class Gatherer:
    """Plays until the budget is spent; `pairs` are the good ones."""

    def __init__(self, player: Player, budget_ns: int) -> None:
        self._player, self._budget_s = player, budget_ns / NANOS_PER_SECOND
        self._began_s = time.monotonic()
        self.played: list[Played] = []

    @property
    def pairs(self) -> list[Played]:
        """Those that can be used."""
        return [item for item in self.played if not item.spoilt]

    @property
    def spent_s(self) -> float:
        """Since the first pair began."""
        return time.monotonic() - self._began_s

    @property
    def pair_s(self) -> float:
        """How long a pair took on average."""
        return sum(item.length_s for item in self.played) / max(1, len(self.played))

    @property
    def affordable_count(self) -> int:
        """
        How many good pairs the whole budget buys, at the pace of the last, with the losses so far.

        The first is slower: it starts the broker too.
        """
        if not self.played:
            return 0
        good_share = len(self.pairs) / len(self.played)
        left_count = max(0.0, self._budget_s - self.spent_s) / self.played[-1].length_s
        return len(self.pairs) + int(left_count * good_share)

    def gather(self, count: int, *, is_confirming: bool, on_pair: Callable[[Played], None]) -> bool:
        """
        Play until there are *count* good pairs; False if the budget does not reach.

        Raises as `play`; EngineError: too many pairs were unusable.
        """
        budget_s = self._budget_s * (1.0 + (_OVERTIME_SHARE if is_confirming else 0.0))
        while len(self.pairs) < count:
            if self.played and self.spent_s + self.pair_s > budget_s:
                return False
            one = self._player.play(len(self.played) + 1)
            self.played.append(one)
            on_pair(one)
            if one.is_audit_failed:
                return False
            self._check_machine()
        return True

    def _check_machine(self) -> None:
        spoilt = [item for item in self.played if item.spoilt]
        if len(spoilt) >= _SPOILT_COUNT_MAX and len(spoilt) > len(self.pairs):
            raise EngineError(
                f"{len(spoilt)} of {len(self.played)} pairs are INVALID, so nothing can be said of "
                f"either side. The last: {spoilt[-1].spoilt[0]}"
            )


def memory_setups(setups: Setups, pair: Played, make: MakeProfiler) -> Setups:
    """
    *setups* for pairs under memray, sent as *pair* allows.

    Both sides are sent the same at the same time, more slowly where memray would saturate them, and
    in bursts: what a service allocates for a batch (a commit, a request to the broker) is by how
    many operations happen to meet in it, and where each comes alone that is a matter of how busy
    the machine is. Of a burst it is a small share.
    """
    records = [run.record for run in pair.runs.values()]
    rate_per_s = max(record.rate.offered_per_s for record in records)
    stretch_ratio = max(stretch_of(record, MEMRAY_SLOWDOWN) for record in records)
    burst_ns = int(_BURST_COUNT / max(rate_per_s, 1.0) * NANOS_PER_SECOND)

    def asked(setup: RunSetup) -> RunSetup:
        load = replace(setup.scenario.load, stretch_ratio=stretch_ratio, burst_ns=burst_ns)
        return replace(
            setup,
            scenario=replace(setup.scenario, load=load),
            runs_folder=setup.runs_folder / MEMORY_FOLDER,
            profiler=make,
        )

    return {side: asked(setup) for side, setup in setups.items()}


def build_sides(setups: Setups, view: RunView) -> None:
    """
    Build every side once: what can't be built is known before anything is measured.

    Each run builds again, into its own folder; what is up to date costs nothing then.
    """
    for side, setup in setups.items():
        how = setup.target.how
        if isinstance(how, LaunchSpec) and how.build_steps:
            folder = setup.runs_folder / "build" / side
            folder.mkdir(parents=True, exist_ok=True)
            view.phase("build", f"{side}: {len(how.build_steps)} steps")
            try:
                build_target(how, folder=folder)
            except HarnessError as error:
                raise _of_side(side, error) from error


def _pair_folder(setup: RunSetup, number: int) -> Path:
    return setup.runs_folder / PAIRS_FOLDER / str(number)


def _played(number: int, first: str, runs: Mapping[str, StoredRun], began_s: float) -> Played:
    spoilt = [f"{side} of pair {number}: {why}" for side, run in runs.items() for why in _why(run)]
    return Played(
        number=number,
        first=first,
        runs=runs,
        spoilt=tuple(spoilt),
        length_s=time.monotonic() - began_s,
    )


def _why(run: StoredRun) -> list[str]:
    """Why the figures of *run* can't be used; of a profiled one, which has no timings, a lack."""
    record = run.record
    if record.instrumentation != PLAIN:
        return [] if record.profiles else list(record.notes) or ["it has no profile"]
    if record.validity.status is not Validity.INVALID:
        return []
    checks = record.validity.checks
    return [f"{it.title}: {it.sentence}" for it in checks if it.status is Validity.INVALID]


def _of_side(side: str, error: HarnessError) -> HarnessError:
    """The same error, saying whose it is; the broker is both sides'."""
    if isinstance(error, BrokerError):
        return error
    try:
        return type(error)(f"{side}: {error}")
    except TypeError:
        return EngineError(f"{side}: {error}")
