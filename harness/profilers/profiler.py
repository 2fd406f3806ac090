"""
The seam between a run and whatever profiles its target.

A profiler is prepared while the load warms up, so that what it costs to begin stays out of the
measured phase, and then takes one segment after the other. It may fail at any moment: the run goes
on, and the record says what is missing and why. Whatever happens, the target is left running.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from harness.errors import ProfilerError
from harness.model.profile import Profile
from harness.model.units import NANOS_PER_SECOND
from harness.model.window import Window

_SEGMENT_COUNT = 12  # of a run of minutes: enough to see the noise from one to the next
_SEGMENT_NS_MIN = NANOS_PER_SECOND
_SEGMENT_NS_MAX = 240 * NANOS_PER_SECOND  # what a kill may cost a run of hours
_CHECK_NS = NANOS_PER_SECOND // 4
_FAILURE_COUNT_MAX = 3  # then it is not chance, and the target is left alone
_PREPARE_LEAD_NS = NANOS_PER_SECOND // 4  # after the load has begun: the target is warm by then

CountOperations = Callable[[int, int], Mapping[str, int]]
"""Operations answered between two times of CLOCK_MONOTONIC, by kind."""


class ProfiledTarget(Protocol):
    """What is looked into."""

    @property
    def pid(self) -> int | None:
        """Its process; None where not known."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether the run itself stopped it: then nobody here may wake it."""
        ...


class Profiler(Protocol):
    instrumentation: str  # what the record says of the run: "cpu", "memory"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a target that is launched for this profiler finds in its environment."""
        ...

    def segment_shares(self, length_ns: int) -> Sequence[float]:
        """How long each of the segments is, as shares of a measured phase of *length_ns*."""
        ...

    def prepare(self, target: ProfiledTarget) -> None:
        """
        Get ready for *target*; may disturb it.

        Raises:
            ProfilerError: it can't be profiled; the message says why, and what to do.
        """
        ...

    def begin_segment(self) -> None:
        """Begin to collect; raises ProfilerError."""
        ...

    def check(self) -> None:
        """See, a few times a second, that the target runs on; raises ProfilerError if not."""
        ...

    def end_segment(self) -> None:
        """End what begin_segment began, and keep it; raises ProfilerError."""
        ...

    def rest(self, wait: Callable[[int], object]) -> None:
        """
        Collect what the target does at rest, its load over; harmless where that tells nothing.

        *wait* takes nanoseconds, and returns early where the run is stopped. Raises ProfilerError.
        """
        ...

    def close(self) -> None:
        """Leave the target alone and running; harmless twice."""
        ...

    def profiles(self, window: Window, count_operations: CountOperations) -> Sequence[Profile]:
        """What was collected; the segments' times count from the start of *window*."""
        ...


def pid_of(target: ProfiledTarget) -> int:
    """Its process; raises ProfilerError if it is not known."""
    pid = target.pid
    if pid is None:
        raise ProfilerError(
            "the target's process is not known; write its pid in the target file: [attach] pid"
        )
    return pid


def segment_count(length_ns: int) -> int:
    """How many segments of one length: _SEGMENT_COUNT, but neither very short nor very long."""
    most = min(_SEGMENT_COUNT, length_ns // _SEGMENT_NS_MIN)
    return max(1, most, -(-length_ns // _SEGMENT_NS_MAX))


class SegmentClock:
    """Takes a run's segments from a thread of its own, at their instants."""

    def __init__(self, profiler: Profiler, target: ProfiledTarget) -> None:
        self._profiler = profiler
        self._target = target
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure_count = 0
        self.failures: list[str] = []

    def start(self, window: Window) -> None:
        """Prepare now, and take segments all over *window*."""
        self._thread = threading.Thread(target=self._run, args=(window,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the segment that is being taken; harmless twice."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._profiler.close()

    def rest(self) -> None:
        """After the window, with nothing left to be done: see what the target does all the same."""
        if self._thread is None:
            return
        self._thread.join()
        if self._failure_count < _FAILURE_COUNT_MAX and not self._stopped.is_set():
            with self._noted():
                self._profiler.rest(lambda ns: self._wait_until(time.monotonic_ns() + ns))

    def _run(self, window: Window) -> None:
        with self._noted():
            self._take(window)
        if self._failure_count >= _FAILURE_COUNT_MAX:
            self._profiler.close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """A failure here is the last one."""
        try:
            yield
        except ProfilerError as error:
            self.failures.append(str(error))
            self._failure_count = _FAILURE_COUNT_MAX

    def _take(self, window: Window) -> None:
        profiler = self._profiler
        if self._wait_until(time.monotonic_ns() + _PREPARE_LEAD_NS):
            return
        profiler.prepare(self._target)
        if self._wait_until(window.start_ns):
            return
        for end_ns in _boundaries_ns(window, profiler):
            try:
                profiler.begin_segment()
                is_over = self._watch_until(end_ns)
                profiler.end_segment()
            except ProfilerError as error:
                if self._is_enough(str(error)) or self._wait_until(end_ns):
                    return
                continue
            if is_over:
                return

    def _is_enough(self, failure: str) -> bool:
        """Whether after *failure* no other segment should be tried."""
        self._failure_count += 1
        if failure not in self.failures:
            self.failures.append(failure)
        return self._failure_count >= _FAILURE_COUNT_MAX or self._stopped.is_set()

    def _watch_until(self, instant_ns: int) -> bool:
        """As _wait_until, while the profiler sees to the target."""
        while (now_ns := time.monotonic_ns()) < instant_ns:
            if self._wait_until(min(instant_ns, now_ns + _CHECK_NS)):
                return True
            self._profiler.check()
        return self._stopped.is_set()

    def _wait_until(self, instant_ns: int) -> bool:
        """Whether the run was stopped before *instant_ns*."""
        return self._stopped.wait(max(0, instant_ns - time.monotonic_ns()) / NANOS_PER_SECOND)


def _boundaries_ns(window: Window, profiler: Profiler) -> list[int]:
    """The ends of the segments, CLOCK_MONOTONIC."""
    length_ns = window.end_ns - window.start_ns
    ends, sum_so_far = [], 0.0
    for share in profiler.segment_shares(length_ns):
        sum_so_far += share
        ends.append(window.start_ns + int(length_ns * min(1.0, sum_so_far)))
    return ends
