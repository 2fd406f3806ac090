"""
What the machine did besides the run: how its clocks went, and who else had its processors.

Looked at twice, before the load begins and after it has drained, so that looking disturbs nothing.
All times are ticks of 10 ms (man 5 proc), of seconds together. Of the processors on which the run
may go, what they worked is what they were neither idle nor taken away by the hypervisor; the run's
own part is that of its processes with all that they began, living or waited for. The rest is other
processes', whether they can be seen from here (a container sees its own) or have ended since. A
kernel that counts idle time by ticks misses work between two of them, so that the rest may be too
small: where the run may go everywhere, it is no less than what the processes that can be seen used
by their own clocks.
"""

import os
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.model.validity import Neighbours

_IDLE, _IO_WAIT, _STOLEN = 3, 4, 7  # places in a cpu line of /proc/stat
_FIELD_COUNT = 8  # what follows is counted in these already
_KERNEL_PID = 2  # kthreadd, parent of the kernel's threads
_KERNEL_NAME = "the kernel"
_NAMED_COUNT = 3
_NAMED_CORES_MIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """
    Over the watched time.

    Attributes:
        drift: Of monotonic against raw time.
        steal_share: Of the processors' time, what the hypervisor took; None: not known.
        neighbours: What others than the run used; None: not known.
    """

    drift: float
    steal_share: float | None
    neighbours: Neighbours | None


class MachineWatch:
    """Starts watching when made; the run's processes are *own_pids* and all that they began."""

    def __init__(self, own_pids: Collection[int | None]) -> None:
        self._own_pids = own_pids
        self._monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        self._began = _look()

    def facts(self) -> MachineFacts:
        monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self._monotonic_ns
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - self._raw_ns
        began, ended = self._began, _look()
        drift = (monotonic_ns - raw_ns) / max(1, raw_ns)
        if began is None or ended is None or not ended.follows(began):
            return MachineFacts(drift=drift, steal_share=None, neighbours=None)
        return MachineFacts(
            drift=drift,
            steal_share=_steal_share(began, ended),
            neighbours=_neighbours(began, ended, self._own_pids),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """*ticks_with_ended*: its own, and those of the children that it has waited for."""

    parent_pid: int
    started_ticks: int  # since boot; with the pid it tells one process from another
    name: str
    ticks_with_ended: int
    processor_id: int  # on which it ran last


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Ticks of the processors on which the run may go, all of them together."""

    processors: frozenset[int]
    all_ticks: int
    worked_ticks: int
    stolen_ticks: int
    processes: dict[int, _Process]
    is_whole_machine: bool

    def follows(self, before: "_Moment") -> bool:
        """Whether time has passed, on the same processors."""
        return self.all_ticks > before.all_ticks and self.processors == before.processors

    def ticks_of(self, before: "_Moment") -> dict[int, int]:
        """By pid, what each process used since, with its children that have ended since."""
        found = {pid: process.ticks_with_ended for pid, process in self.processes.items()}
        for pid, process in before.processes.items():
            now = self.processes.get(pid)
            if now is not None and now.started_ticks == process.started_ticks:
                found[pid] -= process.ticks_with_ended
            elif process.parent_pid in found:  # what it had used is at its parent now
                found[process.parent_pid] -= process.ticks_with_ended
        return found

    def own_pids(self, roots: Collection[int | None]) -> set[int]:
        """*roots* and their descendants; None is one that is not known."""
        children: dict[int, list[int]] = {}
        for pid, process in self.processes.items():
            children.setdefault(process.parent_pid, []).append(pid)
        found = set[int]()
        waiting = [pid for pid in roots if pid is not None and pid in self.processes]
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting += children.get(pid, ())
        return found

    def ticks_by(self, pids: Collection[int]) -> int:
        """What *pids* have used: a child that was waited for is counted at its parent."""
        return sum(self.processes[pid].ticks_with_ended for pid in pids)


def _steal_share(began: _Moment, ended: _Moment) -> float:
    return (ended.stolen_ticks - began.stolen_ticks) / (ended.all_ticks - began.all_ticks)


def _neighbours(began: _Moment, ended: _Moment, roots: Collection[int | None]) -> Neighbours:
    all_ticks = ended.all_ticks - began.all_ticks
    worked_ticks = ended.worked_ticks - began.worked_ticks
    own_pids = ended.own_pids(roots)
    own_ticks = ended.ticks_by(own_pids) - began.ticks_by(began.own_pids(roots))
    ticks, ticks_by_name = ended.ticks_of(began), Counter[str]()
    for pid, process in ended.processes.items():
        if pid not in own_pids and process.processor_id in ended.processors:
            ticks_by_name[process.name] += max(0, ticks[pid])
    cores_per_tick = len(ended.processors) / all_ticks
    seen_ticks = ticks_by_name.total() if ended.is_whole_machine else 0
    return Neighbours(
        cores=max(worked_ticks - own_ticks, seen_ticks) * cores_per_tick,
        processor_count=len(ended.processors),
        busiest=tuple(
            (name, used_ticks * cores_per_tick)
            for name, used_ticks in ticks_by_name.most_common(_NAMED_COUNT)
            if used_ticks * cores_per_tick >= _NAMED_CORES_MIN
        ),
        has_unknown=None in roots,
    )


def _look() -> _Moment | None:
    """None where the system does not tell."""
    try:
        processors = frozenset(os.sched_getaffinity(0))
        names = {f"cpu{number}" for number in processors}
        lines = [line.split() for line in Path("/proc/stat").read_text("ascii").splitlines()]
        rows = [
            [int(field) for field in fields[1 : 1 + _FIELD_COUNT]]
            for fields in lines
            if fields and fields[0] in names
        ]
        machine_count = sum(fields[0][3:].isdigit() for fields in lines if fields)
        ticks = [sum(column) for column in zip(*rows, strict=True)]
        unused_ticks = ticks[_IDLE] + ticks[_IO_WAIT] + ticks[_STOLEN]
        return _Moment(
            processors=processors,
            all_ticks=sum(ticks),
            worked_ticks=sum(ticks) - unused_ticks,
            stolen_ticks=ticks[_STOLEN],
            processes=_processes(),
            is_whole_machine=len(rows) == machine_count,
        )
    except (OSError, ValueError, IndexError):
        return None


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                found[int(entry.name)] = _process(Path(entry.path, "stat").read_bytes())
    return found


def _process(stat: bytes) -> _Process:
    """One line of /proc/PID/stat, whose name may hold anything, brackets and newlines too."""
    name, _, rest = stat.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    parent_pid = int(fields[1])
    user, system, ended_user, ended_system = (int(field) for field in fields[11:15])
    text = "".join(c if c.isprintable() else "?" for c in name.decode("utf-8", "replace"))
    return _Process(
        parent_pid=parent_pid,
        started_ticks=int(fields[19]),
        name=_KERNEL_NAME if parent_pid == _KERNEL_PID else text,
        ticks_with_ended=user + system + ended_user + ended_system,
        processor_id=int(fields[36]),
    )
