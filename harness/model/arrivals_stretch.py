"""
How the mean rate goes over a stretch of the schedule, and its cumulated count both ways.

Every shape that has a planned rate is a sequence of stretches: linear ones (constant rates, ramps,
steps) and daily ones. Each knows its count up to a time, and the time of a count; the second is
what turns a process of rate 1 into arrivals (see harness.model.arrivals).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.units import NANOS_PER_SECOND

_DAILY_GRID_COUNT = 4_096  # points a day between which the first guess is a straight line
_NEWTON_STEP_COUNT = 3  # from there; each squares the error, the first is below 1e-6 of a day


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearStretch:
    """A rate that is linear in time; constant if both ends are the same."""

    start_ns: int
    end_ns: int
    start_per_s: float
    end_per_s: float

    @property
    def expected_count(self) -> float:
        mean_per_s = (self.start_per_s + self.end_per_s) / 2
        return mean_per_s * (self.end_ns - self.start_ns) / NANOS_PER_SECOND

    def rate_per_s_at(self, elapsed_s: float) -> float:
        share = elapsed_s * NANOS_PER_SECOND / (self.end_ns - self.start_ns)
        return self.start_per_s + share * (self.end_per_s - self.start_per_s)

    def count_before(self, elapsed_s: NDArray[np.float64]) -> NDArray[np.float64]:
        duration_s = (self.end_ns - self.start_ns) / NANOS_PER_SECOND
        slope = (self.end_per_s - self.start_per_s) / duration_s
        counts: NDArray[np.float64] = elapsed_s * (self.start_per_s + slope * elapsed_s / 2)
        return counts

    def elapsed_s_of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        When the cumulated rate reaches *counts*.

        The positive root of r0 t + slope t^2 / 2 = y, in the form that doesn't cancel for small
        slopes: t = 2 y / (r0 + sqrt(r0^2 + 2 slope y)).
        """
        duration_s = (self.end_ns - self.start_ns) / NANOS_PER_SECOND
        slope = (self.end_per_s - self.start_per_s) / duration_s
        root = np.sqrt(np.maximum(0.0, self.start_per_s**2 + 2 * slope * counts))
        below = self.start_per_s + root
        found: NDArray[np.float64] = np.divide(
            2 * counts, below, out=np.zeros_like(counts), where=below > 0
        )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyStretch:
    """
    The rate mean * (1 + amplitude * cos(2 pi (t - peak) / day)).

    *peak_s* is from the start of the stretch to any busiest moment; it may be negative.
    """

    start_ns: int
    end_ns: int
    mean_per_s: float
    amplitude_share: float  # below 1, so that the rate is never 0
    day_s: float
    peak_s: float

    @property
    def expected_count(self) -> float:
        duration_s = (self.end_ns - self.start_ns) / NANOS_PER_SECOND
        return float(self.count_before(np.array([duration_s]))[0])

    def rate_per_s_at(self, elapsed_s: float) -> float:
        return float(self._rates_per_s(np.array([elapsed_s]))[0])

    def count_before(self, elapsed_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean count up to *elapsed_s* after its start: the integral of the rate."""
        turns = 2 * math.pi / self.day_s
        wave = np.sin((elapsed_s - self.peak_s) * turns) + math.sin(self.peak_s * turns)
        counts: NDArray[np.float64] = self.mean_per_s * (
            elapsed_s + self.amplitude_share / turns * wave
        )
        return counts

    def elapsed_s_of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """When the cumulated rate reaches *counts*: a table's guess, then Newton's method."""
        duration_s = (self.end_ns - self.start_ns) / NANOS_PER_SECOND
        day_count = max(1.0, duration_s / self.day_s)
        grid_s = np.linspace(0.0, duration_s, math.ceil(day_count * _DAILY_GRID_COUNT) + 1)
        found = np.interp(counts, self.count_before(grid_s), grid_s)
        for _ in range(_NEWTON_STEP_COUNT):
            found -= (self.count_before(found) - counts) / self._rates_per_s(found)
        return found

    def _rates_per_s(self, elapsed_s: NDArray[np.float64]) -> NDArray[np.float64]:
        wave = np.cos((elapsed_s - self.peak_s) * (2 * math.pi / self.day_s))
        rates: NDArray[np.float64] = self.mean_per_s * (1 + self.amplitude_share * wave)
        return rates


Stretch = LinearStretch | DailyStretch
