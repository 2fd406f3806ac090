"""
A timer that wakes an event loop at an absolute instant, to some ten microseconds.

The loops' own timers have millisecond resolution, and uvloop's may fire early; a timerfd is a file
descriptor that turns readable when CLOCK_MONOTONIC reaches the instant it was armed for.
Python has it from 3.13; before that it is called through ctypes.
"""

import ctypes
import os
import time

from harness.errors import EngineError

_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_NANOS_PER_SECOND = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class AbsoluteTimer:
    """A timerfd on CLOCK_MONOTONIC: add `descriptor` to a loop as a reader."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.timerfd_create(
            time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC
        )
        if self.descriptor < 0:
            raise EngineError(
                f"timerfd_create: {os.strerror(ctypes.get_errno())}; the load process needs Linux"
            )
        self._spec = _TimerSpec()
        self._reference = ctypes.byref(self._spec)

    def arm(self, at_ns: int) -> None:
        """Turn readable at the instant *at_ns* (at once, if it has passed)."""
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(1, at_ns), _NANOS_PER_SECOND)
        self._libc.timerfd_settime(self.descriptor, _TFD_TIMER_ABSTIME, self._reference, None)

    def acknowledge(self) -> None:
        """Take the expiry, so that the descriptor is no longer readable."""
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return

    def close(self) -> None:
        os.close(self.descriptor)
