"""
CPU profiles by py-spy: where the target spends its CPU time, without a change to it.

py-spy samples stacks; the kernel knows how long each thread ran. So the samples of a thread are
scaled to that thread's CPU time over the segment, and time without a Python frame (threads of
native libraries) is a stack of its own, labelled: nothing is hidden, and the sum is what the kernel
accounts to the target. One py-spy a segment, ended by SIGINT: its `--duration` takes whole seconds
only, and a kill loses at most one segment. A first, discarded one while the load warms up pays for
reading the target's symbols.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.errors import ProfilerError
from harness.model.profile import Frame, Metric, Profile, ProfileSegment, StackTable
from harness.model.window import Window
from harness.profilers.frames import frame_of, parse_folded
from harness.profilers.profiler import CountOperations, ProfiledTarget, pid_of, segment_count
from harness.profilers.threads import (
    ThreadTime,
    catches,
    is_stopped,
    python_process_of,
    thread_times,
)
from harness.targets.process import guardian
from harness.targets.process_tree import process_tree

_STARTED_WITHIN_S = 10.0  # on a busy machine; before it samples, SIGINT would kill it
_ENDED_WITHIN_S = 10.0  # after SIGINT: writing a segment takes milliseconds
_FROZEN_FOR_S = 1.0  # stopped and without CPU time in a segment: a sample takes milliseconds
_STOPPED_FOR_S = 0.3  # a target that is stopped longer than this after py-spy's end is woken
_THREAD = re.compile(r"thread \((0x)?(?P<id>[0-9a-fA-F]+)\)(: (?P<name>.*))?$")
_PROCESS = "process "


@dataclass(frozen=True, slots=True, kw_only=True)
class PySpyOptions:
    """
    How py-spy looks.

    Attributes:
        rate_per_s: Samples a second.
        blocking: Stop the target for each sample, which gives whole stacks; without, torn stacks
            are thrown away.
        native: Frames of C, C++ and Cython too; needs blocking.
        gil_only: Only threads that hold the interpreter's lock.
        subprocesses: The target's children too.
    """

    rate_per_s: int = 100
    blocking: bool = True
    native: bool = False
    gil_only: bool = False
    subprocesses: bool = False

    def __post_init__(self) -> None:
        assert self.rate_per_s > 0
        assert self.blocking or not self.native, "py-spy takes native frames of a stopped target"

    @property
    def flags(self) -> list[str]:
        chosen = {
            "--nonblocking": not self.blocking,
            "--native": self.native,
            "--gil": self.gil_only,
            "--subprocesses": self.subprocesses,
        }
        return [flag for flag, is_on in chosen.items() if is_on]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    start_ns: int
    end_ns: int
    path: Path
    cpu_ns: Mapping[int, ThreadTime]  # by thread, over the segment


class PySpyProfiler:
    """CPU time by stack; `make` it a run's profiler."""

    instrumentation = "cpu"
    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path, options: PySpyOptions, *, cores: Sequence[int] = ()) -> None:
        """Raw segments go to *folder*; py-spy itself runs on *cores*."""
        self._folder = folder
        self._options = options
        self._cores = tuple(cores)
        self._pid = 0
        self._target: ProfiledTarget | None = None
        self._segments: list[_Segment] = []
        self._popen: subprocess.Popen[str] | None = None
        self._path = Path()
        self._start_ns = 0
        self._before: Mapping[int, ThreadTime] = {}
        self._seen_cpu_ns, self._ran_at_s = 0, 0.0
        self._notes: list[str] = []

    def segment_shares(self, length_ns: int) -> Sequence[float]:
        count = segment_count(length_ns)
        return [1 / count] * count

    def prepare(self, target: ProfiledTarget) -> None:
        """Find the Python process and pay for the first attach."""
        self._pid, self._target = python_process_of(pid_of(target)), target
        self._folder.mkdir(parents=True, exist_ok=True)
        self._launch(self._folder / "first.folded")
        self._end()
        self._path.unlink(missing_ok=True)

    def begin_segment(self) -> None:
        self._before = self._thread_times()
        self._start_ns = time.monotonic_ns()
        self._seen_cpu_ns, self._ran_at_s = 0, time.monotonic()
        self._launch(self._folder / f"segment-{self._start_ns}.folded")

    def check(self) -> None:
        """Let the target go if py-spy has died or holds it stopped: this segment is lost."""
        popen = self._popen
        assert popen is not None, "begin first"
        if popen.poll() is not None:
            self._end()
        cpu_ns, now_s = self._cpu_ns(), time.monotonic()
        if not self._is_stuck() or cpu_ns != self._seen_cpu_ns:
            self._seen_cpu_ns, self._ran_at_s = cpu_ns, now_s
        elif now_s - self._ran_at_s > _FROZEN_FOR_S:
            self.close()
            raise ProfilerError(
                f"py-spy held the target stopped for {_FROZEN_FOR_S:g} s and was killed; the "
                "target was woken; that segment is missing"
            )

    def end_segment(self) -> None:
        after, end_ns = self._thread_times(), time.monotonic_ns()
        self._end()
        used = {
            thread: ThreadTime(
                name=now.name,
                cpu_ns=now.cpu_ns - (self._before[thread].cpu_ns if thread in self._before else 0),
            )
            for thread, now in after.items()
        }
        self._segments.append(
            _Segment(start_ns=self._start_ns, end_ns=end_ns, path=self._path, cpu_ns=used)
        )

    def rest(self, wait: Callable[[int], object]) -> None:
        """Nothing: a service at rest uses no CPU time to speak of."""

    def close(self) -> None:
        popen, self._popen = self._popen, None
        if popen is not None:
            popen.kill()
            popen.communicate()
            guardian().forget(popen.pid)
        if self._pid:
            self._wake()

    def profiles(self, window: Window, count_operations: CountOperations) -> Sequence[Profile]:
        """One profile of CPU time; none without a segment."""
        if not self._segments:
            return ()
        table = StackTable()
        segments = []
        for segment in self._segments:
            counts = count_operations(segment.start_ns, segment.end_ns)
            try:
                segments.append(_read(segment, table, window, counts))
            except (OSError, ValueError) as error:
                self._notes.append(f"The segment {segment.path.name} can't be read: {error}")
        if not segments:
            return ()
        return (
            Profile(
                metric=Metric.CPU_NS,
                profiler={
                    "name": "py-spy",
                    "version": _version(),
                    "settings": " ".join([f"{self._options.rate_per_s}/s", *self._options.flags]),
                },
                frames=table.frames,
                stacks=table.stacks,
                segments=tuple(segments),
                notes=tuple(self._notes),
            ),
        )

    def _thread_times(self) -> Mapping[int, ThreadTime]:
        is_tree = self._options.subprocesses
        return thread_times(process_tree(self._pid) if is_tree else (self._pid,))

    def _cpu_ns(self) -> int:
        return sum(thread.cpu_ns for thread in thread_times((self._pid,)).values())

    def _launch(self, path: Path) -> None:
        self._path = path
        argv = [
            _program(),
            *("record", "--pid", str(self._pid), "--format", "raw", "--function", "--threads"),
            *("--rate", str(self._options.rate_per_s), "--output", str(path)),
            *self._options.flags,
        ]
        self._popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "RUST_BACKTRACE": "0"},
            start_new_session=True,  # Ctrl-C in the terminal is for the harness to pass on
        )
        guardian().watch(self._popen.pid)
        if self._cores:
            with suppress(OSError):
                os.sched_setaffinity(self._popen.pid, self._cores)

    def _end(self) -> None:
        """SIGINT to py-spy, which then writes what it has; raises ProfilerError if it had ended."""
        popen, self._popen = self._popen, None
        assert popen is not None, "begin first"
        has_died = popen.poll() is not None
        if not has_died:
            _await_sampling(popen)
            popen.send_signal(signal.SIGINT)
        try:
            said, _ = popen.communicate(timeout=_ENDED_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            popen.kill()
            popen.communicate()
            raise ProfilerError(
                f"py-spy did not end within {_ENDED_WITHIN_S:g} s and was killed; the target was "
                "woken; that segment is missing"
            ) from error
        finally:
            guardian().forget(popen.pid)
            self._wake()
        if has_died or popen.returncode != 0 or not self._path.exists():
            raise ProfilerError(_explain(said, popen.returncode))

    def _is_stuck(self) -> bool:
        """Stopped, and not by the run itself, whose freezes are part of what is measured."""
        return is_stopped(self._pid) and not (self._target is not None and self._target.is_frozen)

    def _wake(self) -> None:
        """SIGCONT to a target that stays stopped: py-spy died between stopping and waking it."""
        deadline_s = time.monotonic() + _STOPPED_FOR_S
        while self._is_stuck():
            if time.monotonic() > deadline_s:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self._pid, signal.SIGCONT)
                self._notes.append("The target was found stopped after a segment, and woken.")
                return
            time.sleep(0.01)


def _await_sampling(popen: subprocess.Popen[str]) -> None:
    """Wait until py-spy catches SIGINT, which is when it begins to sample, or has ended."""
    deadline_s = time.monotonic() + _STARTED_WITHIN_S
    while popen.poll() is None and not catches(popen.pid, signal.SIGINT):
        if time.monotonic() > deadline_s:
            return
        time.sleep(0.01)


def _read(
    segment: _Segment, table: StackTable, window: Window, operation_counts: Mapping[str, int]
) -> ProfileSegment:
    """The samples of each thread, scaled to what the kernel says that it ran."""
    samples: dict[int, dict[int, int]] = defaultdict(dict)
    with segment.path.open(encoding="utf-8", errors="replace") as lines:
        for texts, count in parse_folded(lines):
            thread, frames = _split_thread(texts)
            stack = table.number(frames)
            samples[thread][stack] = samples[thread].get(stack, 0) + count
    weights: dict[int, int] = defaultdict(int)
    for thread, time_used in segment.cpu_ns.items():
        seen = samples.get(thread)
        if time_used.cpu_ns <= 0:
            continue
        if not seen:
            weights[table.number((_unseen(time_used.name),))] += time_used.cpu_ns
            continue
        seen_count = sum(seen.values())
        for stack, count in seen.items():
            weights[stack] += round(time_used.cpu_ns * count / seen_count)
    return ProfileSegment(
        start_ns=segment.start_ns - window.start_ns,
        end_ns=segment.end_ns - window.start_ns,
        operation_counts=operation_counts,
        cpu_ns=sum(used.cpu_ns for used in segment.cpu_ns.values()),
        sample_count=sum(sum(seen.values()) for seen in samples.values()),
        weights=dict(weights),
        samples=_by_stack(samples, weights),
    )


def _by_stack(samples: Mapping[int, Mapping[int, int]], kept: Collection[int]) -> dict[int, int]:
    """The samples of all threads, of the stacks in *kept*."""
    sums: dict[int, int] = defaultdict(int)
    for seen in samples.values():
        for stack, count in seen.items():
            if stack in kept:
                sums[stack] += count
    return dict(sums)


def _split_thread(texts: list[str]) -> tuple[int, tuple[Frame, ...]]:
    """The thread that a stack's root names, and the frames above it."""
    at = 1 if texts[0].startswith(_PROCESS) else 0
    found = _THREAD.match(texts[at]) if at < len(texts) else None
    if found is None:
        return 0, tuple(frame_of(text) for text in texts[at:])
    base = 16 if found[1] else 10
    return int(found["id"], base), tuple(frame_of(text) for text in texts[at + 1 :])


def _unseen(name: str) -> Frame:
    return Frame(function=f"<no Python frame: thread {name}>", module="", package="native")


def _program() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise ProfilerError("py-spy is not installed; pip install py-spy")
    return found


def _version() -> str:
    try:
        return version("py-spy")
    except PackageNotFoundError:
        return "unknown"


def _explain(said: str, code: int | None) -> str:
    """py-spy's own words, and what to do where that is known."""
    lines = [line.strip() for line in said.partition("Stack backtrace")[0].splitlines()]
    error = next((line for line in lines if line.startswith("Error: ")), "")
    words = error.removeprefix("Error: ") or next(
        filter(None, reversed(lines)), f"exit code {code}"
    )
    if "Caused by:" in lines[:-1]:
        cause = lines[lines.index("Caused by:") + 1]
        words = f"{words.rstrip('.')}: {cause.removeprefix('0: ')}"
    remedy = ""
    if "ermission" in said:
        remedy = (
            "; run as root or as the target's user, give the container SYS_PTRACE, or set "
            "kernel.yama.ptrace_scope to 0"
        )
    elif "version" in said and "python" in said.lower():
        remedy = "; the target's Python may be newer than this py-spy knows"
    return f"py-spy: {words}{remedy}"
