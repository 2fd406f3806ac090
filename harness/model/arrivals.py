"""
When operations arrive: a pure, seeded value, made before any clock starts.

The one idea is time rescaling (Cox and Lewis, The Statistical Analysis of Series of Events, 1966):
a process of rate r(t) is a process of rate 1 seen through the cumulated rate R(t), so every shape
is one unit process (evenly spaced, or memoryless) and the inverse of its cumulated rate. Two kinds
have no planned rate to rescale: Hawkes arrivals, which excite each other, and recorded ones.
Offsets count from the start of warm-up and are all fixed beforehand: a slow reply moves nothing.

It knows neither what arrives nor who sends it; waiting for the offsets is the engine's.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from harness.model.arrivals_hawkes import hawkes_fano_factor, hawkes_offsets_ns
from harness.model.arrivals_stretch import DailyStretch, LinearStretch, Stretch
from harness.model.units import NANOS_PER_SECOND


class Process(StrEnum):
    """How arrivals scatter around their rate."""

    CONSTANT = "constant"  # evenly spaced
    POISSON = "poisson"  # memoryless


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantArrivals:
    rate_per_s: float

    def __post_init__(self) -> None:
        assert self.rate_per_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonArrivals:
    rate_per_s: float

    def __post_init__(self) -> None:
        assert self.rate_per_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RampArrivals:
    """A rate that changes linearly over the measured phase; warm-up is at the first rate."""

    process: Process
    from_per_s: float
    to_per_s: float

    def __post_init__(self) -> None:
        assert self.from_per_s >= 0
        assert self.to_per_s >= 0
        assert self.from_per_s + self.to_per_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStep:
    """From *at_ns* of the measured phase on, *rate_per_s*."""

    at_ns: int
    rate_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepArrivals:
    """Rates that change at once; warm-up is at the first. The first step is at 0, times ascend."""

    process: Process
    steps: tuple[RateStep, ...]

    def __post_init__(self) -> None:
        times = [step.at_ns for step in self.steps]
        assert times[:1] == [0]
        assert times == sorted(set(times))
        assert all(step.rate_per_s >= 0 for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiurnalArrivals:
    """
    A rate that goes round once a day; the busiest and the idlest moment are half a day apart.

    The measured phase begins at *start_share* of a day (0 = midnight); warm-up is at that rate.

    Attributes:
        amplitude_share: Peak over mean, less 1; peak / trough is (1 + it) / (1 - it).
        peak_share: When the rate is highest, as a share of the day.
        day_ns: How long a day lasts here: 24 h fit into any length.
    """

    process: Process
    mean_per_s: float
    amplitude_share: float
    peak_share: float
    start_share: float
    day_ns: int

    def __post_init__(self) -> None:
        assert self.mean_per_s > 0
        assert 0 <= self.amplitude_share < 1
        assert 0 <= self.peak_share < 1
        assert 0 <= self.start_share < 1
        assert self.day_ns > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HawkesArrivals:
    """
    Arrivals that excite each other: bursts (see harness.model.arrivals_hawkes).

    Attributes:
        rate_per_s: The mean rate, children included.
        branching_ratio: Mean number of direct children; below 1.
        decay_per_s: How fast an arrival is forgotten: delays of children are Exp(decay_per_s).
    """

    rate_per_s: float
    branching_ratio: float
    decay_per_s: float

    def __post_init__(self) -> None:
        assert self.rate_per_s > 0
        assert 0 <= self.branching_ratio < 1
        assert self.decay_per_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedArrivals:
    """
    Arrivals as they were recorded; the recording begins with warm-up.

    Attributes:
        file: Where they were read from; not part of what they are.
        file_digest: BLAKE2b of that file's bytes.
        speed_ratio: 4 plays four times as fast.
        offsets: int64, native byte order, ns at speed 1, ascending: bytes, so that the value stays
            immutable, comparable and cheap to hand to the load processes.
    """

    file: str
    file_digest: str
    speed_ratio: float
    offsets: bytes

    def __post_init__(self) -> None:
        assert self.speed_ratio > 0
        assert self.offsets

    @property
    def offset_ns(self) -> NDArray[np.int64]:
        """At its speed."""
        recorded = np.frombuffer(self.offsets, dtype=np.int64)
        played: NDArray[np.int64] = np.floor(recorded / self.speed_ratio).astype(np.int64)
        return played if self.speed_ratio != 1 else recorded


Shaped = ConstantArrivals | PoissonArrivals | RampArrivals | StepArrivals | DiurnalArrivals
"""Those with a planned rate."""
Arrivals = Shaped | HawkesArrivals | RecordedArrivals


def offsets_ns(
    arrivals: Arrivals, *, warmup_ns: int, measure_ns: int, seed: int
) -> NDArray[np.int64]:
    """Ascending offsets in [0, warmup_ns + measure_ns); the same for the same arguments."""
    end_ns = warmup_ns + measure_ns
    if isinstance(arrivals, RecordedArrivals):
        played = arrivals.offset_ns
        return played[played < end_ns].copy()
    if isinstance(arrivals, HawkesArrivals):
        return hawkes_offsets_ns(
            rate_per_s=arrivals.rate_per_s,
            branching_ratio=arrivals.branching_ratio,
            decay_per_s=arrivals.decay_per_s,
            duration_ns=end_ns,
            seed=seed,
        )
    stretches = _stretches(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns)
    expected = sum(stretch.expected_count for stretch in stretches)
    units = _unit_process(process_of(arrivals), expected, seed)
    parts, passed = [], 0.0
    for stretch in stretches:
        count = stretch.expected_count
        first, last = np.searchsorted(units, [passed, passed + count])
        elapsed_s = stretch.elapsed_s_of(units[first:last] - passed)
        within = np.clip(elapsed_s * NANOS_PER_SECOND, 0, stretch.end_ns - stretch.start_ns - 1)
        parts.append(stretch.start_ns + within.astype(np.int64))
        passed += count
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def rate_at(arrivals: Arrivals, offset_ns: int, *, warmup_ns: int, measure_ns: int) -> float:
    """The planned rate per second at *offset_ns* from the start of warm-up; 0 outside."""
    for stretch in _stretches(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns):
        if stretch.start_ns <= offset_ns < stretch.end_ns:
            return stretch.rate_per_s_at((offset_ns - stretch.start_ns) / NANOS_PER_SECOND)
    return 0.0


def rate_per_s_max(arrivals: Arrivals) -> float:
    """The highest planned rate per second; of Hawkes and recorded arrivals the mean."""
    match arrivals:
        case ConstantArrivals() | PoissonArrivals() | HawkesArrivals():
            return arrivals.rate_per_s
        case RampArrivals():
            return max(arrivals.from_per_s, arrivals.to_per_s)
        case StepArrivals():
            return max(step.rate_per_s for step in arrivals.steps)
        case DiurnalArrivals():
            return arrivals.mean_per_s * (1 + arrivals.amplitude_share)
        case RecordedArrivals():
            played = arrivals.offset_ns
            return len(played) / max(1, int(played[-1])) * NANOS_PER_SECOND
        case _:
            assert_never(arrivals)


def expected_count(arrivals: Arrivals, *, warmup_ns: int, measure_ns: int) -> float:
    """The mean number of arrivals of both phases together."""
    end = np.array([warmup_ns + measure_ns])
    return float(expected_before(arrivals, end, warmup_ns=warmup_ns, measure_ns=measure_ns)[0])


def expected_before(
    arrivals: Arrivals, offsets: NDArray[np.int64], *, warmup_ns: int, measure_ns: int
) -> NDArray[np.float64]:
    """The mean number of arrivals before each of *offsets* (ns from the start of warm-up)."""
    if isinstance(arrivals, RecordedArrivals):
        return np.searchsorted(arrivals.offset_ns, offsets).astype(np.float64)
    counts = np.zeros(len(offsets), dtype=np.float64)
    for stretch in _stretches(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns):
        elapsed_ns = np.clip(offsets - stretch.start_ns, 0, stretch.end_ns - stretch.start_ns)
        counts += stretch.count_before(elapsed_ns / NANOS_PER_SECOND)
    return counts


def process_of(arrivals: Shaped) -> Process:
    match arrivals:
        case ConstantArrivals():
            return Process.CONSTANT
        case PoissonArrivals():
            return Process.POISSON
        case RampArrivals() | StepArrivals() | DiurnalArrivals():
            return arrivals.process
        case _:
            assert_never(arrivals)


def fano_factor(arrivals: Arrivals, width_ns: int) -> float | None:
    """
    Variance over mean of the counts in windows of *width_ns*, the planned rate's own changes aside.

    None for recorded arrivals: they are what they are.
    """
    if isinstance(arrivals, RecordedArrivals):
        return None
    if isinstance(arrivals, HawkesArrivals):
        return hawkes_fano_factor(
            branching_ratio=arrivals.branching_ratio,
            decay_per_s=arrivals.decay_per_s,
            width_s=width_ns / NANOS_PER_SECOND,
        )
    return 1.0 if process_of(arrivals) is Process.POISSON else 0.0


def scaled_to(arrivals: Arrivals, rate_per_s: float) -> Arrivals:
    """*arrivals* of the same shape whose rate_per_s_max is *rate_per_s* (> 0)."""
    factor = rate_per_s / rate_per_s_max(arrivals)
    match arrivals:
        case ConstantArrivals() | PoissonArrivals() | HawkesArrivals():
            return replace(arrivals, rate_per_s=rate_per_s)
        case RampArrivals():
            return replace(
                arrivals,
                from_per_s=arrivals.from_per_s * factor,
                to_per_s=arrivals.to_per_s * factor,
            )
        case StepArrivals():
            steps = tuple(replace(s, rate_per_s=s.rate_per_s * factor) for s in arrivals.steps)
            return replace(arrivals, steps=steps)
        case DiurnalArrivals():
            return replace(arrivals, mean_per_s=arrivals.mean_per_s * factor)
        case RecordedArrivals():
            return replace(arrivals, speed_ratio=arrivals.speed_ratio * factor)
        case _:
            assert_never(arrivals)


def _stretches(arrivals: Arrivals, *, warmup_ns: int, measure_ns: int) -> tuple[Stretch, ...]:
    """The mean rate over both phases; of recorded arrivals the mean of the whole recording."""
    end_ns = warmup_ns + measure_ns
    match arrivals:
        case ConstantArrivals() | PoissonArrivals() | HawkesArrivals() | RecordedArrivals():
            rate_per_s = rate_per_s_max(arrivals)
            knots = [(0, end_ns, rate_per_s, rate_per_s)]
        case RampArrivals():
            first, last = arrivals.from_per_s, arrivals.to_per_s
            knots = [(0, warmup_ns, first, first), (warmup_ns, end_ns, first, last)]
        case StepArrivals():
            rates = [step.rate_per_s for step in arrivals.steps]
            # The first step starts with warm-up; the others count from the measured phase.
            starts = [0, *(warmup_ns + step.at_ns for step in arrivals.steps[1:])]
            ends = [*starts[1:], end_ns]
            knots = [
                (start, min(end, end_ns), rate, rate)
                for start, end, rate in zip(starts, ends, rates, strict=True)
            ]
        case DiurnalArrivals():
            day = _day(arrivals, start_ns=warmup_ns, end_ns=end_ns)
            first = day.rate_per_s_at(0.0)
            return (*_linear([(0, warmup_ns, first, first)]), day)
        case _:
            assert_never(arrivals)
    return _linear(knots)


def _linear(knots: list[tuple[int, int, float, float]]) -> tuple[LinearStretch, ...]:
    return tuple(
        LinearStretch(start_ns=start, end_ns=end, start_per_s=first, end_per_s=last)
        for start, end, first, last in knots
        if start < end
    )


def _day(arrivals: DiurnalArrivals, *, start_ns: int, end_ns: int) -> DailyStretch:
    day_s = arrivals.day_ns / NANOS_PER_SECOND
    return DailyStretch(
        start_ns=start_ns,
        end_ns=end_ns,
        mean_per_s=arrivals.mean_per_s,
        amplitude_share=arrivals.amplitude_share,
        day_s=day_s,
        peak_s=(arrivals.peak_share - arrivals.start_share) * day_s,
    )


def _unit_process(process: Process, expected: float, seed: int) -> NDArray[np.float64]:
    """Ascending points of a process of rate 1 that cover [0, expected)."""
    if process is Process.CONSTANT:
        return np.arange(np.ceil(expected), dtype=np.float64)
    generator = np.random.Generator(np.random.PCG64(seed))
    # Six standard deviations above the mean; the rest is drawn in the rare case that it is needed.
    points = np.cumsum(generator.standard_exponential(int(expected + 6 * expected**0.5) + 16))
    while points[-1] < expected:
        more = np.cumsum(generator.standard_exponential(1_024))
        points = np.concatenate([points, points[-1] + more])
    return points
