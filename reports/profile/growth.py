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
from reports.profile.costs import CostTable, cost_table
from reports.profile.diff import (
    FunctionChange,
    ProfileDiff,
    Vector,
    detectable_at,
    holm,
    p_two_sided,
    ranked,
)

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
    fit = _fit([profile])
    if fit is None:
        return ()
    tested = np.flatnonzero(fit.is_seen)
    p_values = holm(_p_above(fit.slopes[tested], fit.errors[tested], fit.freedom))
    quantile = float(stats.t.ppf(0.975, fit.freedom))
    found = [
        Growth(
            function=fit.functions[number],
            bytes_per_operation=float(fit.slopes[number]),
            half_width_bytes=quantile * float(fit.errors[number]),
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
    freedom = np.full_like(change, a.freedom + b.freedom)
    p_values = np.ones_like(change)
    p_values[is_seen] = holm(p_two_sided(change, error, freedom)[is_seen])
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
    """A slope for each function, its standard error, and the degrees of freedom of all."""

    functions: tuple[Frame, ...]
    slopes: Vector
    errors: Vector
    is_seen: Vector  # above 0: something survived
    freedom: float


def _fit(profiles: Sequence[Profile]) -> _Fit | None:
    """
    Least squares, one slope over all starts, an intercept for each; None where it can't be told.

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
    counts = _centred(table, table.operation_counts[:, None].astype(np.float64))
    spread = float((counts**2).sum())
    if spread == 0:
        return None
    survivors = _centred(table, table.charged)
    slopes = (counts * survivors).sum(axis=0) / spread
    residual = survivors - counts * slopes
    return _Fit(
        functions=table.functions,
        slopes=slopes,
        errors=np.sqrt((residual**2).sum(axis=0) / freedom / spread),
        is_seen=np.asarray(table.charged.any(axis=0), np.float64),
        freedom=float(freedom),
    )


def _centred(table: CostTable, values: Vector) -> Vector:
    """Without the mean of each start."""
    found = values.copy()
    for start in np.unique(table.starts):
        found[table.starts == start] -= values[table.starts == start].mean(axis=0)
    return found


def _in_order(fit: _Fit, values: Vector, functions: tuple[Frame, ...]) -> Vector:
    """*values* by function; 0 for one that the fit does not know: nothing of it survived."""
    known = dict(zip(fit.functions, values.tolist(), strict=True))
    return np.array([known.get(function, 0.0) for function in functions])


def _p_above(slopes: Vector, errors: Vector, freedom: float) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(errors > 0, slopes / errors, np.where(slopes > 0, np.inf, 0.0))
    found: Vector = np.where(slopes > 0, stats.t.sf(score, freedom), 1.0)
    return found
