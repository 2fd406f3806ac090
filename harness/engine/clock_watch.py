"""Whether the clock ran at one speed during a run, and how much the hypervisor took."""

import time
from dataclasses import dataclass
from pathlib import Path

_STEAL_FIELD = 8  # of the cpu line in /proc/stat (man 5 proc)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Over the watched time: drift of monotonic against raw time, share of stolen time."""

    drift: float
    steal_share: float | None


class ClockWatch:
    """Starts watching when made."""

    def __init__(self) -> None:
        self._monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        self._ticks = _cpu_ticks()

    def facts(self) -> ClockFacts:
        """What was seen since it was made."""
        monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self._monotonic_ns
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - self._raw_ns
        ticks = _cpu_ticks()
        steal_share = None
        if ticks is not None and self._ticks is not None and ticks[0] > self._ticks[0]:
            steal_share = (ticks[1] - self._ticks[1]) / (ticks[0] - self._ticks[0])
        return ClockFacts(drift=(monotonic_ns - raw_ns) / max(1, raw_ns), steal_share=steal_share)


def _cpu_ticks() -> tuple[int, int] | None:
    """(all, stolen) ticks of all processors since boot."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        return sum(map(int, fields[1:9])), int(fields[_STEAL_FIELD])
    except (OSError, ValueError, IndexError):
        return None
