"""
When operations arrive: a pure, seeded value, made before any clock starts.

The one idea is time rescaling (Cox and Lewis, The Statistical Analysis of Series of Events, 1966):
a process of rate r(t) is a process of rate 1 seen through the cumulated rate R(t), so every kind of
arrivals is one unit process (evenly spaced, or memoryless) and the inverse of piecewise quadratics.
Offsets count from the start of warm-up and are all fixed beforehand: a slow reply moves nothing.

It knows neither what arrives nor who sends it; waiting for the offsets is the engine's.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from harness.model.units import NANOS_PER_SECOND


class Process(StrEnum):
    """How arrivals scatter around their rate."""

    CONSTANT = "constant"  # evenly spaced
    POISSON = "poisson"  # memoryless


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantArrivals:
    """Evenly spaced arrivals."""

    rate_per_s: float

    def __post_init__(self) -> None:
        assert self.rate_per_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonArrivals:
    """Memoryless arrivals."""

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


Arrivals = ConstantArrivals | PoissonArrivals | RampArrivals | StepArrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """A stretch over which the rate is linear in time."""

    start_ns: int
    end_ns: int
    start_per_s: float
    end_per_s: float

    @property
    def expected_count(self) -> float:
        return (
            (self.start_per_s + self.end_per_s)
            / 2
            * (self.end_ns - self.start_ns)
            / NANOS_PER_SECOND
        )


def offsets_ns(
    arrivals: Arrivals, *, warmup_ns: int, measure_ns: int, seed: int
) -> NDArray[np.int64]:
    """Ascending offsets in [0, warmup_ns + measure_ns); the same for the same arguments."""
    segments = _segments(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns)
    expected = sum(segment.expected_count for segment in segments)
    units = _unit_process(process_of(arrivals), expected, seed)
    parts, passed = [], 0.0
    for segment in segments:
        count = segment.expected_count
        inside = units[(units >= passed) & (units < passed + count)] - passed
        parts.append(segment.start_ns + _time_ns_of(segment, inside))
        passed += count
    offsets = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return offsets[offsets < warmup_ns + measure_ns]


def rate_at(arrivals: Arrivals, offset_ns: int, *, warmup_ns: int, measure_ns: int) -> float:
    """The planned rate per second at *offset_ns* from the start of warm-up; 0 outside."""
    for segment in _segments(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns):
        if segment.start_ns <= offset_ns < segment.end_ns:
            share = (offset_ns - segment.start_ns) / (segment.end_ns - segment.start_ns)
            return segment.start_per_s + share * (segment.end_per_s - segment.start_per_s)
    return 0.0


def rate_per_s_max(arrivals: Arrivals) -> float:
    """The highest planned rate per second."""
    match arrivals:
        case ConstantArrivals() | PoissonArrivals():
            return arrivals.rate_per_s
        case RampArrivals():
            return max(arrivals.from_per_s, arrivals.to_per_s)
        case StepArrivals():
            return max(step.rate_per_s for step in arrivals.steps)
        case _:
            assert_never(arrivals)


def expected_count(arrivals: Arrivals, *, warmup_ns: int, measure_ns: int) -> float:
    """The mean number of arrivals of both phases together."""
    segments = _segments(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns)
    return sum(segment.expected_count for segment in segments)


def expected_before(
    arrivals: Arrivals, offsets: NDArray[np.int64], *, warmup_ns: int, measure_ns: int
) -> NDArray[np.float64]:
    """The mean number of arrivals before each of *offsets* (ns from the start of warm-up)."""
    counts = np.zeros(len(offsets), dtype=np.float64)
    for segment in _segments(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns):
        length_ns = segment.end_ns - segment.start_ns
        passed = np.clip((offsets - segment.start_ns) / length_ns, 0.0, 1.0)
        rate_now_per_s = segment.start_per_s + passed * (segment.end_per_s - segment.start_per_s)
        mean_per_s = (segment.start_per_s + rate_now_per_s) / 2
        counts += mean_per_s * passed * length_ns / NANOS_PER_SECOND
    return counts


def process_of(arrivals: Arrivals) -> Process:
    """How *arrivals* scatter around their rate."""
    match arrivals:
        case ConstantArrivals():
            return Process.CONSTANT
        case PoissonArrivals():
            return Process.POISSON
        case RampArrivals() | StepArrivals():
            return arrivals.process
        case _:
            assert_never(arrivals)


def scaled_to(arrivals: Arrivals, rate_per_s: float) -> Arrivals:
    """*arrivals* of the same shape whose highest rate is *rate_per_s* (> 0)."""
    factor = rate_per_s / rate_per_s_max(arrivals)
    match arrivals:
        case ConstantArrivals() | PoissonArrivals():
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
        case _:
            assert_never(arrivals)


def _segments(arrivals: Arrivals, *, warmup_ns: int, measure_ns: int) -> tuple[_Segment, ...]:
    end_ns = warmup_ns + measure_ns
    match arrivals:
        case ConstantArrivals() | PoissonArrivals():
            knots = [(0, end_ns, arrivals.rate_per_s, arrivals.rate_per_s)]
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
        case _:
            assert_never(arrivals)
    return tuple(
        _Segment(start_ns=start, end_ns=end, start_per_s=first, end_per_s=last)
        for start, end, first, last in knots
        if start < end
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


def _time_ns_of(segment: _Segment, counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    When, from the segment's start, the cumulated rate reaches *counts*.

    The positive root of r0 t + slope t^2 / 2 = y, in the form that doesn't cancel for small slopes:
    t = 2 y / (r0 + sqrt(r0^2 + 2 slope y)).
    """
    duration_s = (segment.end_ns - segment.start_ns) / NANOS_PER_SECOND
    slope = (segment.end_per_s - segment.start_per_s) / duration_s
    root = np.sqrt(np.maximum(0.0, segment.start_per_s**2 + 2 * slope * counts))
    denominator = segment.start_per_s + root
    seconds = np.divide(2 * counts, denominator, out=np.zeros_like(counts), where=denominator > 0)
    within = np.minimum(np.floor(seconds * NANOS_PER_SECOND), segment.end_ns - segment.start_ns - 1)
    offsets: NDArray[np.int64] = within.astype(np.int64)
    return offsets
