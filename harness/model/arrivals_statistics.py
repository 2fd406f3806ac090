"""
Are offsets the arrivals that a scenario asks for? Their statistics, each beside its target.

Tolerances are the wider of the contract's (1 % of the rate) and what chance alone explains at this
number of arrivals: a short schedule isn't wrong for being short. Chance is told by the process's
own law, so a bursty process may scatter as much as it must, and no more.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals import (
    Arrivals,
    DiurnalArrivals,
    HawkesArrivals,
    Process,
    RecordedArrivals,
    expected_before,
    fano_factor,
    process_of,
)
from harness.model.arrivals_hawkes import (
    hawkes_count_correlations,
    hawkes_count_kurtosis,
    view_hawkes,
)
from harness.model.text import trimmed
from harness.model.units import NANOS_PER_SECOND

RATE_TOLERANCE = 0.01
SIGMAS = 4.0  # beyond what chance explains once in 16,000 times
_BIN_NS = 100_000_000
_BIN_EXPECTED_COUNT_MIN = 10
_HAWKES_BIN_COUNT_MIN = 8
_KS_COEFFICIENT = 1.95  # Kolmogorov's limit at one in a thousand, times 1 / sqrt(n)
_KS_COUNT_MIN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One number of a plan; met if within *tolerance* of *target*, and not above *at_most*."""

    name: str
    value: float
    target: float | None = None
    tolerance: float | None = None
    at_most: float | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether there is anything to meet."""
        return self.target is not None or self.at_most is not None

    @property
    def demand(self) -> str:
        """What it must be, in words."""
        if self.at_most is not None:
            return f"at most {trimmed(self.at_most, 4)}"
        return f"{trimmed(self.target or 0, 4)} within {trimmed(self.tolerance or 0)}"

    @property
    def is_met(self) -> bool:
        """Whether it is what the scenario asks for."""
        if self.at_most is not None and self.value > self.at_most:
            return False
        if self.target is None or self.tolerance is None:
            return True
        return bool(abs(self.value - self.target) <= self.tolerance)

    def shown(self) -> dict[str, Any]:
        """For people: to four digits, with `ok` where there is a target."""
        shown: dict[str, Any] = {"value": round(float(self.value), 4)}
        if self.target is not None and self.tolerance is not None:
            shown |= {
                "target": round(self.target, 4),
                "tolerance": round(self.tolerance, 4),
            }
        if self.at_most is not None:
            shown["at_most"] = round(self.at_most, 4)
        if self.is_asked_for:
            shown["ok"] = self.is_met
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """What is judged: all offsets, warm-up included, and those of the measured phase."""

    arrivals: Arrivals
    offset_ns: NDArray[np.int64]
    warmup_ns: int
    measure_ns: int

    @property
    def measured_ns(self) -> NDArray[np.int64]:
        return self.offset_ns[self.offset_ns >= self.warmup_ns]

    def expected_before(self, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        return expected_before(
            self.arrivals, offsets, warmup_ns=self.warmup_ns, measure_ns=self.measure_ns
        )


def arrival_statistics(
    arrivals: Arrivals, offset_ns: NDArray[np.int64], *, warmup_ns: int, measure_ns: int
) -> tuple[Statistic, ...]:
    """Of ascending offsets from the start of warm-up; of the measured phase where it matters."""
    if not len(offset_ns):
        return ()
    schedule = _Schedule(
        arrivals=arrivals, offset_ns=offset_ns, warmup_ns=warmup_ns, measure_ns=measure_ns
    )
    found = [_rate(schedule)]
    if isinstance(arrivals, HawkesArrivals):
        return (*found, *_bursts(schedule, arrivals), *_excitation(schedule, arrivals))
    if isinstance(arrivals, RecordedArrivals):
        return (*found, *_recording(schedule))
    if isinstance(arrivals, DiurnalArrivals):
        found += _day(schedule, arrivals)
    return (*found, *_dispersion(schedule), *_gaps(schedule))


def _rate(schedule: _Schedule) -> Statistic:
    edges = np.array([schedule.warmup_ns, schedule.warmup_ns + schedule.measure_ns])
    expected = float(np.diff(schedule.expected_before(edges))[0])
    seconds = schedule.measure_ns / NANOS_PER_SECOND
    fano = fano_factor(schedule.arrivals, schedule.measure_ns) or 0.0
    by_chance = SIGMAS * (fano * expected) ** 0.5
    return Statistic(
        name="rate_per_s",
        value=len(schedule.measured_ns) / seconds,
        target=expected / seconds,
        tolerance=max(RATE_TOLERANCE * expected, by_chance, 1.0) / seconds,
    )


def _counts(schedule: _Schedule, width_ns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Arrivals in each whole window of the measured phase, and how many there should be."""
    first, last = schedule.warmup_ns, schedule.warmup_ns + schedule.measure_ns
    edges = np.arange(first, last + 1, width_ns, dtype=np.int64)
    counts = np.diff(np.searchsorted(schedule.offset_ns, edges))
    return counts, np.diff(schedule.expected_before(edges))


def _fano_of(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Corrected for the planned rate: mean of (count - expected)^2 / expected."""
    return float(np.mean((counts - expected) ** 2 / expected))


def _dispersion(schedule: _Schedule) -> Iterator[Statistic]:
    counts, expected = _counts(schedule, _BIN_NS)
    dense = expected >= _BIN_EXPECTED_COUNT_MIN
    bin_count = int(np.count_nonzero(dense))
    target = fano_factor(schedule.arrivals, _BIN_NS)
    if not bin_count or target is None:
        return
    tolerance = 0.1
    if target:
        tolerance = SIGMAS * (2 / bin_count) ** 0.5 + 1 / _BIN_EXPECTED_COUNT_MIN
    yield Statistic(
        name="fano_factor",
        value=_fano_of(counts[dense], expected[dense]),
        target=target,
        tolerance=tolerance,
    )


def _bursts(schedule: _Schedule, arrivals: HawkesArrivals) -> Iterator[Statistic]:
    """The Fano factor in windows as wide as the process is long, if there are enough of them."""
    forgets_per_s = arrivals.decay_per_s * (1 - arrivals.branching_ratio)
    width_ns = min(
        round(NANOS_PER_SECOND / forgets_per_s), schedule.measure_ns // _HAWKES_BIN_COUNT_MIN
    )
    if arrivals.rate_per_s * width_ns < _BIN_EXPECTED_COUNT_MIN * NANOS_PER_SECOND:
        return
    target = fano_factor(arrivals, width_ns) or 0.0
    yield Statistic(
        name="fano_factor",
        value=_fano_of(*_counts(schedule, width_ns)),
        target=target,
        tolerance=target * _burst_error(arrivals, width_ns, schedule.measure_ns // width_ns),
    )
    yield Statistic(name="fano_window_s", value=width_ns / NANOS_PER_SECOND)


def _burst_error(arrivals: HawkesArrivals, width_ns: int, bin_count: int) -> float:
    """How far chance alone may raise a Fano factor, as a share of it; it lowers it by less."""
    width_s = width_ns / NANOS_PER_SECOND
    correlations = hawkes_count_correlations(
        branching_ratio=arrivals.branching_ratio,
        decay_per_s=arrivals.decay_per_s,
        width_s=width_s,
        lag_count=bin_count,
    )
    kurtosis = hawkes_count_kurtosis(
        rate_per_s=arrivals.rate_per_s,
        branching_ratio=arrivals.branching_ratio,
        width_s=width_s,
    )
    # A sum of squares of correlated, not quite normal values, as one of fewer independent ones.
    freedom = bin_count / (1 + 2 * float(np.sum(correlations**2)) + kurtosis / 2)
    spread = 2 / (9 * freedom)
    # Wilson and Hilferty, The Distribution of Chi-Square, 1931.
    return float((1 - spread + SIGMAS * spread**0.5) ** 3) - 1


def _excitation(schedule: _Schedule, arrivals: HawkesArrivals) -> Iterator[Statistic]:
    view = view_hawkes(
        schedule.offset_ns / NANOS_PER_SECOND,
        rate_per_s=arrivals.rate_per_s,
        branching_ratio=arrivals.branching_ratio,
        decay_per_s=arrivals.decay_per_s,
    )
    if view is None:
        return
    yield Statistic(
        name="branching_ratio",
        value=view.branching_ratio,
        target=arrivals.branching_ratio,
        tolerance=SIGMAS * view.branching_error,
    )
    yield from _ks(view.gaps)


def _gaps(schedule: _Schedule) -> Iterator[Statistic]:
    arrivals = schedule.arrivals
    assert not isinstance(arrivals, HawkesArrivals | RecordedArrivals)
    if process_of(arrivals) is Process.POISSON:
        yield from _ks(np.diff(schedule.expected_before(schedule.offset_ns)))


def _ks(gaps: NDArray[np.float64]) -> Iterator[Statistic]:
    """Kolmogorov-Smirnov distance of gaps in units of the mean to the exponential distribution."""
    count = len(gaps)
    if count < _KS_COUNT_MIN:
        return
    theory = -np.expm1(-np.sort(gaps))
    ranks = np.arange(1, count + 1) / count
    distance = float(max(np.max(ranks - theory), np.max(theory - ranks + 1 / count)))
    limit = _KS_COEFFICIENT / count**0.5
    yield Statistic(name="gaps_ks_distance", value=distance, target=0.0, tolerance=limit)


def _day(schedule: _Schedule, arrivals: DiurnalArrivals) -> Iterator[Statistic]:
    """Peak over trough, from the first harmonic over whole days: 2 / N * sum of cos."""
    day_count = schedule.measure_ns // arrivals.day_ns
    since_ns = schedule.measured_ns - schedule.warmup_ns
    since_ns = since_ns[since_ns < day_count * arrivals.day_ns]
    if not len(since_ns):
        return
    peak = arrivals.peak_share - arrivals.start_share
    wave = np.cos(2 * math.pi * (since_ns / arrivals.day_ns - peak))
    amplitude = min(0.999, 2 * float(np.mean(wave)))
    by_chance = SIGMAS * (2 / len(since_ns)) ** 0.5
    target = arrivals.amplitude_share
    far = min(0.999, target + by_chance)
    yield Statistic(
        name="peak_to_trough",
        value=_peak_to_trough(amplitude),
        target=_peak_to_trough(target),
        tolerance=_peak_to_trough(far) - _peak_to_trough(target),
    )


def _peak_to_trough(amplitude: float) -> float:
    return (1 + amplitude) / (1 - amplitude)


def _recording(schedule: _Schedule) -> Sequence[Statistic]:
    """Nothing was asked for, so there is nothing to miss: how bursty it is, for the reader."""
    counts, _ = _counts(schedule, _BIN_NS)
    mean = float(np.mean(counts)) if len(counts) else 0.0
    if not mean:
        return ()
    return (
        Statistic(name="fano_factor", value=float(np.var(counts)) / mean),
        Statistic(name="rate_per_s_max", value=float(np.max(counts)) * NANOS_PER_SECOND / _BIN_NS),
    )
