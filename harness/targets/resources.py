"""
What the processes of a run use: CPU, memory and context switches, sampled from outside.

A subject ("target", "generator") is a set of processes, each with all its descendants. CPU comes
from each process's own CPU clock, to the nanosecond, not from 10 ms ticks. A process that died
keeps what it had used, so that sums never go back and a restart shows as one curve. What can't be
read (someone else's process, another machine) is absent, never 0.

Where two sides take turns, a target's CPU time is all that it used while either had its turn: work
that it put off until the other's is its own all the same.
"""

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from harness.model.memory_slope import LeakVerdict, memory_slope
from harness.model.record import ProcessResources
from harness.model.units import NANOS_PER_SECOND
from harness.model.window import Window
from harness.targets.process_tree import process_tree

_INTERVAL_NS = NANOS_PER_SECOND
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
    rss_peak_bytes: int  # the most since the measured phase began, where known; else as rss_bytes
    voluntary_count: int
    involuntary_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
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
    """Samples about once a second from a thread of its own, between start() and stop()."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._window: Window | None = None
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)

    def watch(self, subject: str, pid: int | None) -> None:
        """Count process *pid* to *subject*, from now on; None is a process not known."""
        with self._lock:
            watched = self._subjects.setdefault(subject, _Subject())
            if pid is not None:
                watched.trees.setdefault(pid, _Tree(pid))

    def start(self, window: Window | None = None) -> None:
        """Begin to sample, at the edges of *window* too, which make its means exact."""
        self._window = window
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end; harmless twice, and without start()."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def sample(self) -> None:
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
        """
        What *subject* used in *window*, CPU by the seconds in which operations are offered.

        rss_bytes_max: of processes that the harness began the peak that the kernel saw, of several
        the sum of theirs; else the most that a sample saw.
        """
        with self._lock:
            readings = self._readings(subject)
            roots = list(self._subjects[subject].trees) if subject in self._subjects else []
        return _summary(roots[-1] if roots else None, readings, window)  # newest after a restart

    def _run(self) -> None:
        start_ns = None if self._window is None else sample_instants_ns(self._window)[0]
        for instant_ns in self._instants_ns():
            if self._stopping.wait(max(0, instant_ns - time.monotonic_ns()) / NANOS_PER_SECOND):
                break
            self.sample()
            if instant_ns == start_ns:
                with self._lock:
                    for subject in self._subjects.values():
                        subject.begin_peaks()
        self.sample()

    def _instants_ns(self) -> Iterator[int]:
        """Without end: once a second, but as the window wants it from its start to its end."""
        at_ns = time.monotonic_ns()
        if self._window is not None:
            wanted_ns = sample_instants_ns(self._window)
            yield from range(at_ns, wanted_ns[0], _INTERVAL_NS)
            yield from wanted_ns
            at_ns = wanted_ns[-1] + _INTERVAL_NS
        yield from itertools.count(at_ns, _INTERVAL_NS)

    def _readings(self, subject: str) -> list[ResourceReading]:
        watched = self._subjects.get(subject)
        return list(watched.readings) if watched is not None else []


@dataclass(slots=True)
class _Tree:
    """
    The CPU time of one process and all that it began; what was seen of the dead stays.

    Attributes:
        alive: The processes at the last look, *root_pid* among them in any case.
        cpu_ns: By pid, of each process alone, as last read.
        waited_ns: By pid, of the children that it has waited for, since it was watched.
        total_ns: Of all together.
    """

    root_pid: int
    alive: tuple[int, ...] = ()
    cpu_ns: dict[int, int] = field(default_factory=dict)
    waited_ns: dict[int, int] = field(default_factory=dict)
    total_ns: int = 0
    _waited_before_ns: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        # What was waited for before who is there: a child that ends in between is missed once, not
        # counted twice.
        for pid in self.alive:
            with suppress(OSError, ValueError, IndexError):
                self.waited_ns[pid] = _waited_ns(pid) - self._waited_before_ns.get(pid, 0)
        is_first = not self.alive
        self.alive = process_tree(self.root_pid)
        if is_first:  # those that come later have waited for nothing that is not the run's
            for pid in self.alive:
                with suppress(OSError, ValueError, IndexError):
                    self._waited_before_ns[pid] = _waited_ns(pid)

    def read_clocks(self) -> None:
        """
        Sum up the clocks of all that were ever seen, and what nobody saw of the dead.

        A child's last moments, and a child that came and went between two looks, are in what its
        parent waited for; so is, a second time, what was seen of it.
        """
        for pid in self.alive:
            with suppress(OSError):
                self.cpu_ns[pid] = time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK_KIND)
        alive = set(self.alive)
        dead = [pid for pid in self.cpu_ns if pid not in alive]
        seen_ns = sum(self.cpu_ns[pid] + self._waited_before_ns.get(pid, 0) for pid in dead)
        waited_ns = sum(ns for pid, ns in self.waited_ns.items() if pid in alive)
        found_ns = sum(self.cpu_ns.values()) + max(0, waited_ns - seen_ns)
        self.total_ns = max(self.total_ns, found_ns)


@dataclass(slots=True)
class _Subject:
    """
    What is counted together: totals by process, kept after its death.

    Attributes:
        trees: By the pid of their root, in the order in which they came.
        peak_pids: Whose peak of memory begins with the measured phase, or with their own life.
    """

    trees: dict[int, _Tree] = field(default_factory=dict)
    readings: list[ResourceReading] = field(default_factory=list)
    switches: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # by pid, tid
    peak_pids: set[int] | None = None  # None: the measured phase has not begun

    def sample(self) -> None:
        """Add a reading, if something of it is alive and may be read."""
        known = self._alive()
        for tree in self.trees.values():
            tree.look()
        pids = self._alive()
        if self.peak_pids is not None:
            self.peak_pids |= pids - known
        at_ns = time.monotonic_ns()
        for tree in self.trees.values():  # together: what follows takes a millisecond
            tree.read_clocks()
        rss_bytes = rss_peak_bytes = 0
        for pid in sorted(pids):
            with suppress(OSError, ValueError):
                now_bytes, peak_bytes = _memory_bytes(pid)
                rss_bytes += now_bytes
                rss_peak_bytes += peak_bytes if pid in (self.peak_pids or ()) else now_bytes
                self.switches.update(_context_switches(pid))
        if rss_bytes:
            self.readings.append(
                ResourceReading(
                    at_ns=at_ns,
                    cpu_ns=sum(tree.total_ns for tree in self.trees.values()),
                    rss_bytes=rss_bytes,
                    rss_peak_bytes=rss_peak_bytes,
                    voluntary_count=sum(pair[0] for pair in self.switches.values()),
                    involuntary_count=sum(pair[1] for pair in self.switches.values()),
                )
            )

    def begin_peaks(self) -> None:
        """
        Let the kernel forget what memory was in use before; where it refuses, do without.

        Only of processes that the harness began: what runs already has its own observers.
        """
        self.peak_pids = set()
        for pid in self._alive() & set(process_tree(os.getpid())):
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
                self.peak_pids.add(pid)

    def _alive(self) -> set[int]:
        return {pid for tree in self.trees.values() for pid in tree.alive}


def sample_instants_ns(window: Window) -> list[int]:
    """
    When to sample: at the window's start, about once a second, at its end.

    Where turns are taken always in a guard, when what was sent is answered and nothing is measured.
    """
    turns, lead_ns, step_ns = window.turns, 0, _INTERVAL_NS
    if turns is not None:
        lead_ns = turns.guard_ns // _GUARD_PARTS
        step_ns = -(-_INTERVAL_NS // turns.round_ns) * turns.round_ns  # both sides' turns alike
    inside_ns = range(window.start_ns, window.end_ns, step_ns)
    return [at_ns - lead_ns for at_ns in (*inside_ns, window.end_ns)]


def _memory_bytes(pid: int) -> tuple[int, int]:
    """Resident now, and the most since its start or since it was made to forget."""
    found = {"VmHWM:": 0, "VmRSS:": 0}
    for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
        name, _, value = line.partition("\t")
        if name in found:
            found[name] = int(value.split()[0]) << 10  # kB
    peak_bytes, now_bytes = found.values()
    return now_bytes, max(now_bytes, peak_bytes)


def _waited_ns(pid: int) -> int:
    """CPU time of all children that *pid* has waited for, and of theirs."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return ticks * NANOS_PER_SECOND // os.sysconf("SC_CLK_TCK")


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


def _summary(pid: int | None, readings: list[ResourceReading], window: Window) -> ProcessResources:
    """Between the readings that are nearest to the window's edges."""
    instants_ns = sample_instants_ns(window)
    edges_ns = [_nearest(readings, instants_ns[place]).at_ns for place in (0, -1) if readings]
    inside = [r for r in readings if edges_ns[0] <= r.at_ns <= edges_ns[1]]
    if len(inside) < 2:
        return ProcessResources(
            pid=pid,
            cpu_cores_mean=None,
            cpu_cores_max=None,
            rss_bytes_max=None,
            context_switches_voluntary_per_s=None,
            context_switches_involuntary_per_s=None,
        )
    begin, end = inside[0], inside[-1]
    elapsed_s = (end.at_ns - begin.at_ns) / NANOS_PER_SECOND
    of_offered = (window.end_ns - window.start_ns) / (window.length_s * NANOS_PER_SECOND)
    steady = [
        _cores(before, after)
        for before, after in pairwise(inside)
        if after.at_ns - before.at_ns >= _STEADY_NS
    ]
    return ProcessResources(
        pid=pid,
        cpu_cores_mean=_cores(begin, end) * of_offered,
        cpu_cores_max=max(steady) * of_offered if steady else None,
        rss_bytes_max=max(begin.rss_bytes, *(r.rss_peak_bytes for r in inside[1:])),
        context_switches_voluntary_per_s=(end.voluntary_count - begin.voluntary_count) / elapsed_s,
        context_switches_involuntary_per_s=(end.involuntary_count - begin.involuntary_count)
        / elapsed_s,
        rss_slope_bytes_per_s=_rss_slope(inside),
    )


def _nearest(readings: Sequence[ResourceReading], at_ns: int) -> ResourceReading:
    return min(readings, key=lambda reading: abs(reading.at_ns - at_ns))


def _rss_slope(readings: Sequence[ResourceReading]) -> float | None:
    slope = memory_slope([r.at_ns for r in readings], [r.rss_bytes for r in readings])
    return None if slope.verdict is LeakVerdict.TOO_SHORT else slope.slope_bytes_per_s
