"""
What the processes of a run use: CPU, memory and context switches, sampled from outside.

A subject ("target", "generator") is a set of processes, each with all its descendants. CPU comes
from each process's own CPU clock, to the nanosecond, not from 10 ms ticks. A process that died
keeps what it had used, so that sums never go back and a restart shows as one curve. What can't be
read (someone else's process, another machine) is absent, never 0.
"""

import os
import resource
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from harness.model.memory_slope import LeakVerdict, memory_slope
from harness.model.record import ProcessResources
from harness.model.units import NANOS_PER_SECOND
from harness.model.validity import Window

_INTERVAL_S = 1.0
_GUARD_PARTS = 2  # clocks are read half of the guard before the next slot
_STEADY_NS = NANOS_PER_SECOND // 2  # over less than this a rate of CPU is noise
_CPU_CLOCK_KIND = 2  # CPUCLOCK_SCHED: user and system time together
_SWITCH_FIELDS = ("voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReading:
    """The running totals of a subject at one moment of CLOCK_MONOTONIC."""

    at_ns: int
    cpu_ns: int
    rss_bytes: int
    voluntary_count: int
    involuntary_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """One row of samples.parquet."""

    offset_ns: int
    subject: str
    metric: str
    value: float


def sampler_of(subjects: Iterable[tuple[str, int | None]]) -> "ResourceSampler":
    """A sampler that watches these (subject, pid), not started."""
    sampler = ResourceSampler()
    for subject, pid in subjects:
        sampler.watch(subject, pid)
    return sampler


class ResourceSampler:
    """Samples once a second from a thread of its own, between start() and stop()."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._instants_ns: Sequence[int] = ()
        self._cores: Sequence[int] = ()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)

    def watch(self, subject: str, pid: int | None) -> None:
        """Count process *pid* to *subject*, from now on; None is a process not known."""
        with self._lock:
            watched = self._subjects.setdefault(subject, _Subject())
            if pid is not None:
                watched.roots[pid] = None

    def start(self, instants_ns: Sequence[int] = (), cores: Sequence[int] = ()) -> None:
        """Begin to sample; at *instants_ns* of CLOCK_MONOTONIC alone, from *cores*, if any."""
        self._instants_ns, self._cores = instants_ns, cores
        self._thread.start()

    def finish(self) -> None:
        """Wait for the instants that are still to come, then end; without any as stop()."""
        if self._instants_ns and self._thread.is_alive():
            self._thread.join()
        self.stop()

    def stop(self) -> None:
        """Take a last sample and end; harmless twice, and without start()."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def sample(self) -> None:
        """Sample now; called at the edges of the measured phase it makes their means exact."""
        with self._lock:
            for subject in self._subjects.values():
                subject.sample()

    def cpu_cores(self, subject: str) -> float | None:
        """CPU cores used over about the last second, for the live view; None if not known."""
        with self._lock:
            readings = self._readings(subject)
        before = [r for r in readings if readings[-1].at_ns - r.at_ns >= _STEADY_NS]
        return _cores(before[-1], readings[-1]) if before else None

    def rows(self, origin_ns: int) -> list[ResourceRow]:
        """All samples for samples.parquet, as offsets from *origin_ns*."""
        with self._lock:
            return [
                row
                for name, subject in self._subjects.items()
                for row in _rows(name, subject.readings, origin_ns)
            ]

    def summary(self, subject: str, window: Window) -> ProcessResources:
        """What *subject* used in *window*; where turns are taken, its CPU in the turns alone."""
        with self._lock:
            readings = self._readings(subject)
            roots = list(self._subjects[subject].roots) if subject in self._subjects else []
        pid = roots[-1] if roots else None  # the newest, after a restart
        summary = _summary(pid, readings, window.start_ns, window.end_ns)
        if window.turns is None:
            return summary
        used = turn_usage(readings, window)
        return replace(
            summary,
            cpu_cores_mean=used.own_cpu_ns / (window.length_s * NANOS_PER_SECOND) if used else None,
            cpu_cores_max=used.own_cpu_ns_max / window.turns.window_ns if used else None,
        )

    def turn_usage(self, subject: str, window: Window) -> "TurnUsage | None":
        """What *subject* used in its turns and out of them; None where it can't be read."""
        with self._lock:
            return turn_usage(self._readings(subject), window)

    def _run(self) -> None:
        if self._instants_ns:
            _ask_for_punctuality(self._cores)
        for instant_ns in self._instants_ns:
            if self._stopping.wait(max(0, instant_ns - time.monotonic_ns()) / NANOS_PER_SECOND):
                break
            self.sample()
        if self._instants_ns:
            return
        next_s = time.monotonic()
        while not self._stopping.wait(max(0.0, next_s - time.monotonic())):
            self.sample()
            next_s += _INTERVAL_S
        self.sample()

    def _readings(self, subject: str) -> list[ResourceReading]:
        watched = self._subjects.get(subject)
        return list(watched.readings) if watched is not None else []


@dataclass(slots=True)
class _Subject:
    """Totals by process, kept after its death."""

    roots: dict[int, None] = field(default_factory=dict)  # in the order in which they came
    readings: list[ResourceReading] = field(default_factory=list)
    cpu_ns: dict[int, int] = field(default_factory=dict)  # by pid
    switches: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # by pid, tid

    def sample(self) -> None:
        pids = _with_descendants(self.roots)
        at_ns = time.monotonic_ns()
        for pid in pids:  # the clocks first and together: what follows takes a millisecond
            with suppress(OSError):
                self.cpu_ns[pid] = time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK_KIND)
        rss_bytes = 0
        for pid in pids:
            with suppress(OSError):
                rss_bytes += _rss_bytes(pid)
                self.switches.update(_context_switches(pid))
        if rss_bytes:  # something of it is alive and may be read
            self.readings.append(
                ResourceReading(
                    at_ns=at_ns,
                    cpu_ns=sum(self.cpu_ns.values()),
                    rss_bytes=rss_bytes,
                    voluntary_count=sum(pair[0] for pair in self.switches.values()),
                    involuntary_count=sum(pair[1] for pair in self.switches.values()),
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnUsage:
    """
    The CPU time of a subject where two sides take turns.

    Attributes:
        own_cpu_ns: In its own slots, guards included.
        own_cpu_ns_max: In the busiest of them.
        idle_cpu_cores: While the other side had its turns.
        late_share: Of the time of its slots, what was counted to the wrong one because a reading
            came late.
    """

    own_cpu_ns: int
    own_cpu_ns_max: int
    idle_cpu_cores: float
    late_share: float


def turn_instants_ns(window: Window) -> list[int]:
    """When to read the clocks: in every guard, when what was sent is answered, late enough."""
    turns = window.turns
    assert turns is not None, "nobody takes turns"
    lead_ns = turns.guard_ns // _GUARD_PARTS
    starts_ns = [start_ns for start_ns, _ in turns.slots(window.end_ns - window.start_ns)]
    ends_ns = window.end_ns - window.start_ns
    return [window.start_ns + offset_ns - lead_ns for offset_ns in (*starts_ns, ends_ns)]


def turn_usage(readings: Sequence[ResourceReading], window: Window) -> TurnUsage | None:
    """
    What was used in turns, by *readings* taken at turn_instants_ns.

    None if one of them is missing, or so late that it belongs to the next.
    """
    turns = window.turns
    assert turns is not None, "nobody takes turns"
    taken: list[ResourceReading] = []
    rest, lead_ns = iter(readings), turns.guard_ns // _GUARD_PARTS
    instants_ns = turn_instants_ns(window)
    for instant_ns in instants_ns:  # timers may be early by a little
        reading = next((item for item in rest if item.at_ns >= instant_ns - lead_ns), None)
        if reading is None or reading.at_ns >= instant_ns + turns.slot_ns - lead_ns:
            return None
        taken.append(reading)
    late_ns = sum(
        max(0, reading.at_ns - instant_ns - lead_ns)
        for reading, instant_ns in zip(taken, instants_ns, strict=True)
    )
    is_own = [own for _, own in turns.slots(window.end_ns - window.start_ns)]
    used_ns = [after.cpu_ns - before.cpu_ns for before, after in pairwise(taken)]
    own_ns = [used for used, own in zip(used_ns, is_own, strict=True) if own]
    idle_ns = sum(used_ns) - sum(own_ns)
    return TurnUsage(
        own_cpu_ns=sum(own_ns),
        own_cpu_ns_max=max(own_ns),
        idle_cpu_cores=idle_ns / (window.end_ns - window.start_ns - window.own_ns),
        late_share=late_ns / window.own_ns,
    )


def _ask_for_punctuality(cores: Sequence[int]) -> None:
    """
    Real-time priority for this thread alone, where permitted: it works in the guards only.

    On *cores*, which are not the generator's: it must not be what makes that late.
    """
    with suppress(OSError):
        if cores:
            os.sched_setaffinity(0, cores)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _with_descendants(roots: Iterable[int]) -> list[int]:
    """From /proc/PID/task/TID/children: asking for all processes of the machine costs 5 ms."""
    found, waiting = set[int](), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text(encoding="ascii").split())
    return sorted(found)


def _rss_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def _context_switches(pid: int) -> dict[tuple[int, int], tuple[int, int]]:
    """By thread: the status file of a process has those of its first thread only."""
    counts = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            values = dict.fromkeys(_SWITCH_FIELDS, 0)
            for line in (
                (task / "status").read_text(encoding="ascii", errors="replace").splitlines()
            ):
                name, _, value = line.partition("\t")
                if name in values:
                    values[name] = int(value)
            voluntary, involuntary = values.values()
            counts[pid, int(task.name)] = (voluntary, involuntary)
    return counts


def _cores(before: ResourceReading, after: ResourceReading) -> float:
    return (after.cpu_ns - before.cpu_ns) / max(1, after.at_ns - before.at_ns)


def _rows(subject: str, readings: list[ResourceReading], origin_ns: int) -> list[ResourceRow]:
    rows = []
    for before, after in pairwise(readings):
        elapsed_s = (after.at_ns - before.at_ns) / NANOS_PER_SECOND
        if elapsed_s <= 0:
            continue
        values = {
            "cpu_cores": _cores(before, after),
            "rss_bytes": float(after.rss_bytes),
            "context_switches_voluntary_per_s": (after.voluntary_count - before.voluntary_count)
            / elapsed_s,
            "context_switches_involuntary_per_s": (
                after.involuntary_count - before.involuntary_count
            )
            / elapsed_s,
        }
        rows += [
            ResourceRow(
                offset_ns=after.at_ns - origin_ns, subject=subject, metric=metric, value=value
            )
            for metric, value in values.items()
        ]
    return rows


def _summary(
    pid: int | None, readings: list[ResourceReading], start_ns: int, end_ns: int
) -> ProcessResources:
    """Between the last reading before the window and the first after it, or the nearest inside."""
    first = max((r for r in readings if r.at_ns <= start_ns), key=_at, default=None)
    last = min((r for r in readings if r.at_ns >= end_ns), key=_at, default=None)
    window = [r for r in readings if start_ns < r.at_ns < end_ns]
    window = [r for r in (first, *window, last) if r is not None]
    if len(window) < 2:
        return ProcessResources(
            pid=pid,
            cpu_cores_mean=None,
            cpu_cores_max=None,
            rss_bytes_max=None,
            context_switches_voluntary_per_s=None,
            context_switches_involuntary_per_s=None,
        )
    begin, end = window[0], window[-1]
    elapsed_s = (end.at_ns - begin.at_ns) / NANOS_PER_SECOND
    voluntary_count = end.voluntary_count - begin.voluntary_count
    involuntary_count = end.involuntary_count - begin.involuntary_count
    steady = [
        _cores(before, after)
        for before, after in pairwise(window)
        if after.at_ns - before.at_ns >= _STEADY_NS
    ]
    return ProcessResources(
        pid=pid,
        cpu_cores_mean=_cores(begin, end),
        cpu_cores_max=max(steady, default=None),
        rss_bytes_max=max(reading.rss_bytes for reading in window),
        context_switches_voluntary_per_s=voluntary_count / elapsed_s,
        context_switches_involuntary_per_s=involuntary_count / elapsed_s,
        rss_slope_bytes_per_s=_rss_slope(window),
    )


def _rss_slope(readings: Sequence[ResourceReading]) -> float | None:
    slope = memory_slope([r.at_ns for r in readings], [r.rss_bytes for r in readings])
    return None if slope.verdict is LeakVerdict.TOO_SHORT else slope.slope_bytes_per_s


def _at(reading: ResourceReading) -> int:
    return reading.at_ns
