"""
Profiling inside one run: from the target's environment to the files in the run folder.

A run without a profiler has one of these too, which does nothing: the life of a run reads the same.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.errors import HarnessError, ProfilerError, RecordError
from harness.model.profile import MISSING, Profile, folded_lines, profile_to_json
from harness.model.record import PLAIN, ProfileEntry
from harness.model.window import Window
from harness.profilers.agent_link import with_agent
from harness.profilers.profiler import ProfiledTarget, Profiler, SegmentClock
from harness.storage.run_folder import profile_digest
from harness.targets.target_file import LaunchSpec, TargetSpec

MakeProfiler = Callable[[Path], Profiler]
"""From the folder of raw material to a profiler; raises ProfilerError."""

_FOLDER, _RAW = "profile", "raw"


class ProfiledRun:
    """The profiler of a run, or none."""

    def __init__(self, make: MakeProfiler | None, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._profiler: Profiler | None = None
        self._clock: SegmentClock | None = None
        self._make = make
        self._window: Window | None = None
        self.notes: list[str] = []
        self.kept: tuple[ProfileEntry, ...] = ()  # of a run that failed

    @property
    def instrumentation(self) -> str:
        """For the record: what was attached while the figures were taken."""
        return self._profiler.instrumentation if self._profiler is not None else PLAIN

    def prepared(self, target: TargetSpec) -> TargetSpec:
        """*target* with what the profiler needs in its environment; makes the profiler."""
        if self._make is not None:
            try:
                self._profiler = self._make(self._run_folder / _FOLDER / _RAW)
            except ProfilerError as error:
                self._miss(str(error))
        if self._profiler is None or not isinstance(target.how, LaunchSpec):
            return target
        environment = with_agent(target.how.environment, self._profiler.environment)
        return replace(target, how=replace(target.how, environment=environment))

    def start(self, window: Window, target: ProfiledTarget) -> None:
        """The load has begun: take segments all over *window*."""
        if self._profiler is not None:
            self._clock = SegmentClock(self._profiler, target)
            self._window = window
            self._clock.start(window)

    def rest(self) -> None:
        """Nothing is left to be done: look at the target at rest."""
        if self._clock is not None:
            self._clock.rest()

    def stop(self) -> None:
        """End the last segment; harmless twice, and without start()."""
        if self._clock is not None:
            self._clock.stop()
            for failure in self._clock.failures:
                self._miss(failure)
            self._clock = None
        elif self._profiler is not None:
            self._profiler.close()

    @contextmanager
    def kept_on_failure(self, answered: Callable[[], pd.DataFrame]) -> Iterator[None]:
        """
        What is collected while this holds is written even if the run fails: its reason is in it.

        *answered* gives the operations so far, kind and done_ns.
        """
        try:
            yield
        except BaseException:
            self.stop()
            if self._window is not None:
                with suppress(HarnessError, OSError):  # the run's own failure must be told
                    self.kept = self.store(self._window, answered())
            raise

    def store(self, window: Window, table: pd.DataFrame) -> tuple[ProfileEntry, ...]:
        """Write what profiles there are of a run with the operations *table* (kind, done_ns)."""
        if self._profiler is None:
            return ()
        profiles = self._profiler.profiles(window, _counter(table))
        if not profiles and not self.notes:
            self._miss("it took no segment")
        return tuple(
            write_profile(self._run_folder, profile, profile.metric) for profile in profiles
        )

    def _miss(self, why: str) -> None:
        what = self._profiler.instrumentation if self._profiler is not None else "asked for"
        self.notes.append(f"{MISSING} ({what}) is missing or not whole: {why}.")


def write_profile(run_folder: Path, profile: Profile, name: str) -> ProfileEntry:
    """Write *profile* into the run's folder, and as folded stacks; its entry in the record."""
    folder = run_folder / _FOLDER
    file = folder / f"{name}.profile.json.gz"
    text = json.dumps(profile_to_json(profile), separators=(",", ":"))
    # mtime and name left out: the same profile is the same bytes.
    data = gzip.compress(text.encode(), mtime=0)
    folded = "\n".join([*folded_lines(profile), ""])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        (folder / f"{name}.folded").write_text(folded, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{file}: can't be written: {error}") from error
    return ProfileEntry(
        file=f"{_FOLDER}/{file.name}",
        metric=profile.metric,
        profiler=dict(profile.profiler),
        segment_count=len(profile.segments),
        blake2b=profile_digest(data),
    )


def _counter(table: pd.DataFrame) -> Callable[[int, int], Mapping[str, int]]:
    done_ns, kinds = table["done_ns"].to_numpy(), table["kind"]

    def count(start_ns: int, end_ns: int) -> Mapping[str, int]:
        counts = kinds[(done_ns >= start_ns) & (done_ns < end_ns)].value_counts()
        return {str(kind): int(count) for kind, count in counts.items() if count}

    return count
