"""
What the kernel says of a process's threads: CPU time, names and whether they are stopped.

/proc/<pid>/task/<tid>/schedstat has the nanoseconds a thread has run (Linux,
Documentation/scheduler/sched-stats.rst). What can't be read is absent.
"""

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ProfilerError
from harness.targets.process_tree import process_tree

_INTERPRETER = re.compile(r"/(lib)?python[\d.]*(\.so[\d.]*)?$", re.MULTILINE)
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_STOPPED_STATES = ("T", "t")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTime:
    name: str
    cpu_ns: int


def thread_times(pids: tuple[int, ...]) -> Mapping[int, ThreadTime]:
    """CPU time of every thread of *pids*, by its number in the kernel."""
    times: dict[int, ThreadTime] = {}
    for task in _tasks(pids):
        with suppress(OSError, ValueError, IndexError):
            times[int(task.name)] = ThreadTime(
                name=(task / "comm").read_text().strip(),
                cpu_ns=int((task / "schedstat").read_text().split()[0]),
            )
    return times


def is_stopped(pid: int) -> bool:
    """Whether a thread of *pid* is stopped, by a signal or a tracer."""
    for task in _tasks((pid,)):
        with suppress(OSError):
            if (task / "stat").read_text().rpartition(") ")[2][:1] in _STOPPED_STATES:
                return True
    return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether *pid* has a handler for the signal *number* (SigCgt of man 5 proc)."""
    with suppress(OSError):
        found = _CAUGHT.search(Path(f"/proc/{pid}/status").read_text())
        return found is not None and int(found[1], 16) >> (number - 1) & 1 == 1
    return False


def is_python(pid: int) -> bool:
    """Whether *pid* has a Python interpreter in its memory; False too where that can't be read."""
    with suppress(OSError):
        if Path(f"/proc/{pid}/exe").resolve().name.startswith("python"):
            return True
    with suppress(OSError):  # may be allowed where the other is not
        return _INTERPRETER.search(Path(f"/proc/{pid}/maps").read_text()) is not None
    return False


def _tasks(pids: tuple[int, ...]) -> Iterator[Path]:
    for pid in pids:
        with suppress(OSError):
            yield from Path(f"/proc/{pid}/task").iterdir()


def python_process_of(pid: int) -> int:
    """*pid*, or the first of its descendants that is a Python process; ProfilerError if none is."""
    for candidate in process_tree(pid):
        if is_python(candidate):
            return candidate
    try:
        Path(f"/proc/{pid}/maps").read_bytes()  # its mode says nothing: the kernel decides here
    except PermissionError as error:
        raise ProfilerError(
            f"process {pid} can't be looked into: this user may not trace it; run as its user or "
            "as root, or give the container SYS_PTRACE"
        ) from error
    except OSError as error:
        raise ProfilerError(f"process {pid} is gone: there is nothing to profile") from error
    raise ProfilerError(
        f"process {pid} is not Python: py-spy can't profile it; fold its stacks with perf or pprof "
        "and hand them in with --stacks FILE"
    )
