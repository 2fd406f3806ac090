"""What can be seen of a run while it goes, read from the columns of its load processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns, Counter

_WINDOW_NS = 2_000_000_000  # percentiles of the last two seconds
_BACKLOG_NS = 60_000_000_000  # operations older than this are not looked for: looks stay cheap
_SAMPLE_COUNT_MIN = 20
_LOOK_S_MIN = 0.05  # the first look may come before the start: it has no rate yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One look at a running load; rates are over the time since the look before."""

    phase: str
    elapsed_ns: int
    total_ns: int
    offered_per_s: float
    achieved_per_s: float
    in_flight_count: int
    response_ns_p50: int | None
    response_ns_p99: int | None
    failed_count: int
    rejected_count: int
    dropped_count: int
    target_cpu_cores: float | None
    generator_cpu_cores: float


class ProgressReader:
    """Looks at the columns of all shards; keeps only the counters of the look before."""

    def __init__(
        self, columns: Sequence[Columns], *, start_ns: int, warmup_ns: int, total_ns: int
    ) -> None:
        self._columns = columns
        self._start_ns, self._warmup_ns, self._total_ns = start_ns, warmup_ns, total_ns
        self._last_ns = start_ns
        self._last: NDArray[np.int64] | None = None

    def look(self, now_ns: int, target_cpu_cores: float | None) -> Progress:
        totals = self._totals()
        change = totals - (self._last if self._last is not None else totals)
        passed_s = max(_LOOK_S_MIN, (now_ns - self._last_ns) / 1e9)
        self._last, self._last_ns = totals, now_ns
        elapsed_ns = now_ns - self._start_ns
        p50_ns, p99_ns = self._recent_response_ns(now_ns)
        return Progress(
            phase=self._phase(elapsed_ns),
            elapsed_ns=max(0, elapsed_ns),
            total_ns=self._total_ns,
            offered_per_s=float(change[Counter.DUE]) / passed_s,
            achieved_per_s=float(change[Counter.ACKNOWLEDGED] + change[Counter.REJECTED])
            / passed_s,
            in_flight_count=int(totals[Counter.IN_FLIGHT]),
            response_ns_p50=p50_ns,
            response_ns_p99=p99_ns,
            failed_count=int(totals[Counter.FAILED] + totals[Counter.TIMED_OUT]),
            rejected_count=int(totals[Counter.REJECTED]),
            dropped_count=int(totals[Counter.DROPPED]),
            target_cpu_cores=target_cpu_cores,
            generator_cpu_cores=float(change[Counter.CPU_NS]) / 1e9 / passed_s,
        )

    def _totals(self) -> NDArray[np.int64]:
        stacked = np.stack([columns.counters for columns in self._columns])
        totals: NDArray[np.int64] = stacked.sum(axis=0)
        return totals

    def _phase(self, elapsed_ns: int) -> str:
        if elapsed_ns < self._warmup_ns:
            return "warm-up"
        return "measure" if elapsed_ns < self._total_ns else "drain"

    def _recent_response_ns(self, now_ns: int) -> tuple[int | None, int | None]:
        """Of what was answered of late, however long ago it was meant to be sent."""
        recent = []
        for columns in self._columns:
            first, last = np.searchsorted(columns.intended_ns, (now_ns - _BACKLOG_NS, now_ns))
            done_ns = columns.done_ns[first:last]
            is_recent = done_ns > now_ns - _WINDOW_NS
            recent.append((done_ns - columns.intended_ns[first:last])[is_recent])
        response_ns = np.concatenate(recent)
        if len(response_ns) < _SAMPLE_COUNT_MIN:
            return None, None
        p50_ns, p99_ns = np.quantile(response_ns, (0.5, 0.99))
        return int(p50_ns), int(p99_ns)
