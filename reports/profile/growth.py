"""
What is never freed: bytes that survive a segment, against how many operations it had. Pure.

Whatever is in flight or in a cache survives a short segment as much as a long one; what leaks
survives in proportion to the operations. So a line is fitted to each function's survivors over
segments of different lengths (see harness.profilers.memray_profiler): its slope is the leak.

A list or a dict that grows is moved now and then as a whole, and survives as a whole in the one
segment where that happened. Such a segment would hide any slope: it is set aside for that function,
as in reweighted least squares (Rousseeuw and Leroy, Robust Regression and Outlier Detection, 1987),
after a first line by medians (Theil, 1950; Sen, Journal of the American Statistical Association 63,
1968).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.model.profile import Frame, Metric, Profile
from reports.profile.costs import cost_table
from reports.profile.diff import (
    FunctionChange,
    ProfileDiff,
    Vector,
    corrected,
    detectable_at,
    p_two_sided,
    ranked,
)

ERROR_SHARE_MAX = 0.01  # a false leak costs somebody days
SEGMENT_COUNT_MIN = 4
_SET_ASIDE = 5.0  # times the scatter of the others: chance does that to no segment
_SET_ASIDE_SHARE_MAX = 0.25  # of the segments; more are no exceptions
_MAD_TO_SIGMA = 1.4826  # of normal noise
NAMED_BYTES_MIN = 8.0  # an operation: less would take a billion operations to matter
Starts = NDArray[np.int64]


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
    fit = _fit([profile])
    if fit is None:
        return ()
    tested = np.flatnonzero(fit.is_seen)
    p_values = corrected(_p_above(fit.slopes[tested], fit.errors[tested], fit.freedoms[tested]))
    quantiles = stats.t.ppf(0.975, fit.freedoms)
    found = [
        Growth(
            function=fit.functions[number],
            bytes_per_operation=float(fit.slopes[number]),
            half_width_bytes=float(quantiles[number] * fit.errors[number]),
            p_value=float(p_value),
            is_named=bool(p_value <= ERROR_SHARE_MAX and fit.slopes[number] >= NAMED_BYTES_MIN),
        )
        for number, p_value in zip(tested, p_values, strict=True)
        if fit.slopes[number] > 0
    ]
    return tuple(sorted(found, key=lambda item: (not item.is_named, -item.bytes_per_operation)))


def diff_growth(base: Sequence[Profile], candidate: Sequence[Profile]) -> ProfileDiff:
    """
    What grows more, or less, in *candidate*: survivors of one process start each.

    Costs are the bytes that an operation leaves behind.

    Raises:
        ValueError: they are no profiles of survivors, or have too few segments to tell.
    """
    fits = []
    for name, side in (("base", base), ("candidate", candidate)):
        fit = _fit(side)
        if fit is None:
            raise ValueError(
                f"the {name} has too few segments of survivors: {SEGMENT_COUNT_MIN} of different "
                "lengths tell growth from caches"
            )
        fits.append(fit)
    a, b = fits
    functions = tuple(dict.fromkeys([*b.functions, *a.functions]))
    slopes = [_in_order(fit, fit.slopes, functions) for fit in fits]
    errors = [_in_order(fit, fit.errors, functions) for fit in fits]
    is_seen = np.maximum.reduce([_in_order(fit, fit.is_seen, functions) for fit in fits]) > 0
    change, error = slopes[1] - slopes[0], np.hypot(*errors)
    freedom = sum(
        (_in_order(fit, fit.freedoms, functions, fit.freedom) for fit in fits),
        np.zeros_like(change),
    )
    p_values = np.ones_like(change)
    p_values[is_seen] = corrected(p_two_sided(change, error, freedom)[is_seen])
    detectable = detectable_at(error, freedom, int(is_seen.sum()), ERROR_SHARE_MAX)
    half_width = stats.t.ppf(0.975, freedom) * error
    changes = [
        FunctionChange(
            function=functions[i],
            base_cost=float(slopes[0][i]),
            candidate_cost=float(slopes[1][i]),
            own_change=float(change[i]),
            half_width=float(half_width[i]),
            p_value=float(p_values[i]),
            detectable_change=max(NAMED_BYTES_MIN, float(detectable[i])),
            is_tested=True,
            is_named=bool(p_values[i] <= ERROR_SHARE_MAX and abs(change[i]) >= NAMED_BYTES_MIN),
        )
        for i in np.flatnonzero(is_seen).tolist()
    ]
    return ProfileDiff(
        metric=Metric.SURVIVING_BYTES,
        base_cost=float(slopes[0].sum()),
        candidate_cost=float(slopes[1].sum()),
        common_ratio=1.0,
        changes=ranked(changes),
        start_counts=(len(base), len(candidate)),
        start_ratio=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """
    A slope for each function, its standard error and its degrees of freedom.

    *freedom* is that of a function of which nothing survived.
    """

    functions: tuple[Frame, ...]
    slopes: Vector
    errors: Vector
    freedoms: Vector
    is_seen: Vector  # above 0: something survived
    freedom: float


def _fit(profiles: Sequence[Profile]) -> _Fit | None:
    """
    A line for each function, one slope over all starts; None where none can be told.

    The warm caches of a start are in its intercept.
    """
    for profile in profiles:
        if profile.metric is not Metric.SURVIVING_BYTES:
            raise ValueError(f"{profile.metric} does not say what survives")
    table = cost_table(profiles)
    starts = np.unique(table.starts)
    freedom = len(table.operation_counts) - len(starts) - 1
    if freedom < SEGMENT_COUNT_MIN - 2:
        return None
    counts = table.operation_counts.astype(np.float64)
    if not _centred(counts, table.starts).any():
        return None
    fits = [_line(counts, column, table.starts) for column in table.charged.T]
    slopes, errors, freedoms = (np.array(column, np.float64) for column in zip(*fits, strict=True))
    return _Fit(
        functions=table.functions,
        slopes=slopes,
        errors=errors,
        freedoms=freedoms,
        is_seen=np.asarray(table.charged.any(axis=0), np.float64),
        freedom=float(freedom),
    )


def _line(counts: Vector, survivors: Vector, starts: Starts) -> tuple[float, float, float]:
    is_kept = _ordinary(counts, survivors, starts)
    x, y = (_centred(values[is_kept], starts[is_kept]) for values in (counts, survivors))
    spread = float((x**2).sum())
    freedom = float(is_kept.sum() - len(np.unique(starts[is_kept])) - 1)
    if spread == 0:
        return 0.0, float("inf"), freedom
    slope = float((x * y).sum() / spread)
    residual = y - x * slope
    return slope, float(np.sqrt((residual**2).sum() / freedom / spread)), freedom


def _ordinary(counts: Vector, survivors: Vector, starts: Starts) -> NDArray[np.bool_]:
    """Which segments are not far off the line of all others; all, where too many are."""
    all_of_them = np.ones(len(counts), np.bool_)
    i, j = np.triu_indices(len(counts), 1)
    is_pair = (starts[i] == starts[j]) & (counts[i] != counts[j])
    i, j = i[is_pair], j[is_pair]
    steepness = (survivors[i] - survivors[j]) / (counts[i] - counts[j])
    residual = survivors - counts * np.median(steepness)
    for start in np.unique(starts):
        residual[starts == start] -= np.median(residual[starts == start])
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(residual)))
    is_kept: NDArray[np.bool_] = np.abs(residual) <= _SET_ASIDE * sigma
    is_few = (~is_kept).sum() <= _SET_ASIDE_SHARE_MAX * len(counts)
    return is_kept if sigma > 0 and is_few else all_of_them


def _centred(values: Vector, starts: Starts) -> Vector:
    found = values.copy()
    for start in np.unique(starts):
        found[starts == start] -= values[starts == start].mean()
    return found


def _in_order(
    fit: _Fit, values: Vector, functions: tuple[Frame, ...], unknown: float = 0.0
) -> Vector:
    """*values* by function; *unknown* for one that the fit does not know: nothing survived."""
    known = dict(zip(fit.functions, values.tolist(), strict=True))
    return np.array([known.get(function, unknown) for function in functions])


def _p_above(slopes: Vector, errors: Vector, freedom: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(errors > 0, slopes / errors, np.where(slopes > 0, np.inf, 0.0))
    found: Vector = np.where(slopes > 0, stats.t.sf(score, freedom), 1.0)
    return found
