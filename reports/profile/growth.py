"""
What is never freed: bytes that survive a segment, against how many operations it had. Pure.

Whatever is in flight or in a cache survives a short segment as much as a long one; what leaks
survives in proportion to the operations. So a line is fitted to each function's survivors over
segments of different lengths (see harness.profilers.memray_profiler): its slope is the leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.model.profile import Frame, Metric, Profile
from reports.profile.costs import cost_table

ERROR_SHARE_MAX = 0.01  # a false leak costs somebody days
SEGMENT_COUNT_MIN = 4
NAMED_BYTES_MIN = 8.0  # an operation: less would take a billion operations to matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """
    One function's survivors.

    Attributes:
        bytes_per_operation: The slope.
        half_width_bytes: Of its 95 % interval.
        p_value: Of no growth, one-sided, corrected for all functions tested (Holm).
        is_named: Sure, and large enough to matter.
    """

    function: Frame
    bytes_per_operation: float
    half_width_bytes: float
    p_value: float
    is_named: bool


def growth_of(profile: Profile) -> tuple[Growth, ...]:
    """
    The growth of every function that has any, the largest first; none where it can't be told.

    Raises:
        ValueError: it is no profile of survivors.
    """
    if profile.metric is not Metric.SURVIVING_BYTES:
        raise ValueError(f"{profile.metric} does not say what survives")
    table = cost_table([profile])
    counts = table.operation_counts.astype(np.float64)
    if len(counts) < SEGMENT_COUNT_MIN or np.ptp(counts) == 0:
        return ()
    fits = [_fit(counts, column) for column in table.charged.T]
    tested = [number for number, column in enumerate(table.charged.T) if column.any()]
    p_values = _holm([fits[number].p_value for number in tested])
    freedom = len(counts) - 2
    found = [
        Growth(
            function=table.functions[number],
            bytes_per_operation=fits[number].slope,
            half_width_bytes=float(stats.t.ppf(0.975, freedom)) * fits[number].error,
            p_value=p_value,
            is_named=p_value <= ERROR_SHARE_MAX and fits[number].slope >= NAMED_BYTES_MIN,
        )
        for number, p_value in zip(tested, p_values, strict=True)
        if fits[number].slope > 0
    ]
    return tuple(sorted(found, key=lambda item: (not item.is_named, -item.bytes_per_operation)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthChange:
    """A function's growth on two sides; *is_named*: sure, and large enough to matter."""

    function: Frame
    base_bytes: float  # an operation
    candidate_bytes: float
    p_value: float
    is_named: bool

    @property
    def change_bytes(self) -> float:
        """Of the growth an operation."""
        return self.candidate_bytes - self.base_bytes


def diff_growth(base: Profile, candidate: Profile) -> tuple[GrowthChange, ...]:
    """What grows more in *candidate*, named ones first, the most first; see growth_of."""
    sides = [{item.function: item for item in growth_of(one)} for one in (base, candidate)]
    functions = list(dict.fromkeys([*sides[1], *sides[0]]))
    freedom = max(1, len(base.segments) + len(candidate.segments) - 4)
    quantile = float(stats.t.ppf(0.975, freedom))
    slopes = [[_slope(side, function) for function in functions] for side in sides]
    changes = [b[0] - a[0] for a, b in zip(*slopes, strict=True)]
    errors = [np.hypot(a[1], b[1]) / quantile for a, b in zip(*slopes, strict=True)]
    p_values = _holm([_p_above(c, float(e), freedom) for c, e in zip(changes, errors, strict=True)])
    found = [
        GrowthChange(
            function=function,
            base_bytes=slopes[0][i][0],
            candidate_bytes=slopes[1][i][0],
            p_value=p_values[i],
            is_named=p_values[i] <= ERROR_SHARE_MAX and changes[i] >= NAMED_BYTES_MIN,
        )
        for i, function in enumerate(functions)
    ]
    return tuple(sorted(found, key=lambda item: (not item.is_named, -item.change_bytes)))


def _slope(side: dict[Frame, Growth], function: Frame) -> tuple[float, float]:
    found = side.get(function)
    return (found.bytes_per_operation, found.half_width_bytes) if found else (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    slope: float  # bytes an operation
    error: float  # standard error of the slope
    p_value: float


def _fit(counts: np.ndarray, survivors: np.ndarray) -> _Fit:
    """Least squares; the first segments' warm caches are in the intercept."""
    freedom = len(counts) - 2
    centred = counts - counts.mean()
    spread = float((centred**2).sum())
    slope = float((centred * (survivors - survivors.mean())).sum() / spread)
    residual = survivors - survivors.mean() - slope * centred
    error = float(np.sqrt((residual**2).sum() / freedom / spread))
    return _Fit(slope=slope, error=error, p_value=_p_above(slope, error, freedom))


def _p_above(value: float, error: float, freedom: int) -> float:
    if error == 0:
        return 0.0 if value > 0 else 1.0
    return float(stats.t.sf(value / error, freedom))


def _holm(p_values: Sequence[float]) -> list[float]:
    order = np.argsort(p_values)
    corrected, reached = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        reached = max(reached, p_values[index] * (len(p_values) - rank))
        corrected[index] = min(1.0, reached)
    return corrected
