"""
Change points of one metric over its stored results, found as the results come in.

Pure, online: each point is judged with what was known when it came, so that a replay says what
users would have been told. Everything is done on logarithms. Two detectors look at the same points:

- a jump: two points in a row far on the same side. One far point is an outlier and says nothing;
  the second one confirms it. Finds a step of 5 % at its second point. Two runs of which one was
  disturbed (reports.history.disturbance) confirm each other by as much less.
- a cumulative sum of the distances from the level (Page, Biometrika 41, 1954, p. 100), each clipped
  so that no single point can carry it: the fastest way to find a small change that stays
  (Moustakides, Ann. Stat. 14, 1986, p. 1379). Finds 2 % in about five points.

Distances are in standard deviations of the current level's own points
(reports.statistics.series_noise), widened while there are few of them, and for noise that carries
over from point to point: the variance of a sum grows by (1 + r) / (1 - r) then, and n points say as
much as fewer by that factor (Bayley and Hammersley, J. R. Stat. Soc. Suppl. 8, 1946, p. 184). One
event, one alert: after a shift its first point starts a new baseline, and the noise is kept until
the new one has its own. A shift back to the level before, soon after, is the end of the same event
(RETURN); it is another alert only where a gain is lost (reports.history.alerts). Constants were
chosen on every other benchmark of public measurements of unchanged code, and on made noise; what
they do on the others: ci/evidence/history.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reports.statistics.series_noise import correlation, median, spread, step_spread

WARM_UP_COUNT = 10  # points before anything is judged
_RESTART_COUNT = 4  # points of a new level before it is judged
_WINDOW_COUNT = 80  # points that level and noise are taken from
SIGMA_MIN = 0.0015  # what differs from session to session even where a metric repeats exactly
_WIDENING = 6.0  # noise from n points is taken as (1 + 6 / n) times as large
_LEVEL_WIDENING = 0.5  # likewise for the level

_JUMP_SIGMAS = 3.25  # of the mean of two points
_JUMP_SIGMAS_EACH = 2.0
_JUMP_CLIP = 0.5  # a point counts for this much more than the threshold, and no more
_JUMP_FLOOR = 0.03  # of the mean of two points
_JUMP_FLOOR_EACH = 0.02  # so that one wild point and a slightly high one are not a step

_SUM_ALLOWANCE = 0.75  # tuned to shifts of 1.5 standard deviations
_SUM_LIMIT = 10.0
_SUM_CLIP = 3.0
_SUM_COUNT_MIN = 3  # points
_SUM_FLOOR = 0.01

_RETURN_COUNT_MAX = 30  # points after which a shift back is an event of its own
_RETURN_PART = 0.35  # of the shift: closer than this to the old level is the old level


class ShiftKind(StrEnum):
    """What a shift means."""

    CHANGE = "change"
    RETURN = "return"  # to the level before the last change


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """
    The level of a series changed.

    Attributes:
        start_index: The first point of the new level.
        seen_index: The point at which it was found.
        before, after: The levels, in the metric's unit; *after* as known at seen_index.
    """

    kind: ShiftKind
    start_index: int
    seen_index: int
    before_value: float
    after_value: float

    @property
    def ratio(self) -> float:
        return self.after_value / self.before_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """
    What a series shows.

    Attributes:
        shifts: In order.
        skipped: Indices of points that are no positive number; they were not judged.
        level_value: The current level, None before there is a point.
        sigma_ratio: The noise of a point, as a log ratio; None before warm-up is over.
        judged_count: Points that were held against a level.
    """

    shifts: tuple[Shift, ...]
    skipped: tuple[int, ...]
    level_value: float | None
    sigma_ratio: float | None
    judged_count: int

    @property
    def alerts(self) -> tuple[Shift, ...]:
        """The changes: what somebody should be told of, whichever way is worse."""
        return tuple(shift for shift in self.shifts if shift.kind is ShiftKind.CHANGE)


def timeline(values: Sequence[float | None], disturbed: Sequence[float]) -> Timeline:
    """
    Replay *values*, oldest first; None, zero, negative and NaN are skipped and listed.

    *disturbed* is how disturbed each run is (reports.history.disturbance), 1 for not at all.
    """
    detector = Detector()
    shifts = [
        shift
        for index, (value, ratio) in enumerate(zip(values, disturbed, strict=True))
        if (shift := detector.add(index, value, ratio))
    ]
    return Timeline(
        shifts=tuple(shifts),
        skipped=tuple(detector.skipped),
        level_value=detector.level_value,
        sigma_ratio=detector.sigma_ratio,
        judged_count=detector.judged_count,
    )


@dataclass(slots=True)
class _Level:
    """The current level and noise; *sum_sigma* and *jump_share* allow for carried-over noise."""

    middle: float
    sigma: float
    sum_sigma: float
    jump_share: float


class Detector:
    """The detector, one point at a time; see the module's words."""

    def __init__(self) -> None:
        self._points: list[float] = []  # logarithms of the current level's points
        self._indices: list[int] = []
        self._earlier: list[float] = []  # residuals of levels before
        self._level: _Level | None = None
        self._next_fit_count = WARM_UP_COUNT
        self._last = 0.0  # the point before, in standard deviations
        self._sum_up = self._sum_down = 0.0
        self._zero_up = self._zero_down = 0  # where in _points each sum left zero
        self._before_change: tuple[float, int] | None = None  # level and index of the last change
        self.skipped: list[int] = []
        self.judged_count = 0

    @property
    def level_value(self) -> float | None:
        if self._level is not None:
            return math.exp(self._level.middle)
        return math.exp(median(self._points)) if self._points else None

    @property
    def sigma_ratio(self) -> float | None:
        """The noise of a point, as a log ratio."""
        return self._level.sigma if self._level is not None else None

    def add(self, index: int, value: float | None, disturbed: float) -> Shift | None:
        """Take the next point, and how disturbed its run is; the shift that it shows, if any."""
        if value is None or not 0.0 < value < math.inf:
            self.skipped.append(index)
            return None
        self._points.append(math.log(value))
        self._indices.append(index)
        start = self._judged(disturbed) if self._level is not None else None
        shift = self._restarted(start) if start is not None else None
        if len(self._points) >= self._next_fit_count:
            self._fit()
        return shift

    def _judged(self, disturbed: float) -> int | None:
        """Where in _points a new level starts, if the newest point shows one."""
        level = self._level
        assert level is not None
        self.judged_count += 1
        points = self._points
        distance = points[-1] - level.middle
        far = distance / level.sigma
        last, self._last = self._last, far
        pair = last / disturbed, far / disturbed
        if self._is_jump(pair, level):
            return len(points) - 2
        place = len(points) - 1
        clipped = distance / level.sum_sigma
        clipped = min(_SUM_CLIP, max(-_SUM_CLIP, clipped))
        if self._sum_up <= 0.0:
            self._zero_up = place
        if self._sum_down <= 0.0:
            self._zero_down = place
        self._sum_up = max(0.0, self._sum_up + clipped - _SUM_ALLOWANCE)
        self._sum_down = max(0.0, self._sum_down - clipped - _SUM_ALLOWANCE)
        if self._sum_up > _SUM_LIMIT and self._is_shift(self._zero_up, level):
            return self._zero_up
        if self._sum_down > _SUM_LIMIT and self._is_shift(self._zero_down, level):
            return self._zero_down
        return None

    def _is_jump(self, pair: tuple[float, float], level: _Level) -> bool:
        sign = 1.0 if pair[1] > 0.0 else -1.0
        if min(sign * value for value in pair) <= _JUMP_SIGMAS_EACH:
            return False
        limit = _JUMP_SIGMAS * level.jump_share
        both = sum(min(sign * value, limit + _JUMP_CLIP) for value in pair)
        distances = [abs(point - level.middle) for point in self._points[-2:]]
        is_large = sum(distances) > 2.0 * _JUMP_FLOOR and min(distances) > _JUMP_FLOOR_EACH
        return is_large and both > 2.0 * limit

    def _is_shift(self, start: int, level: _Level) -> bool:
        since = self._points[start:]
        is_large = abs(median(since) - level.middle) > _SUM_FLOOR
        return is_large and len(since) >= _SUM_COUNT_MIN

    def _restarted(self, start: int) -> Shift:
        """Make the points from *start* the new baseline, and say what happened."""
        level = self._level
        assert level is not None
        before, since = self._points[:start][-_WINDOW_COUNT:], self._points[start:]
        middle = median(before) if before else level.middle
        after = median(since)
        start_index, seen_index = self._indices[start], self._indices[-1]
        kind = self._kind(after, after - middle, start_index)
        self._before_change = (middle, start_index) if kind is ShiftKind.CHANGE else None
        self._earlier = (self._earlier + [value - middle for value in before])[-_WINDOW_COUNT:]
        self._points, self._indices = since, self._indices[start:]
        self._level, self._last = None, 0.0
        self._sum_up = self._sum_down = 0.0
        self._next_fit_count = _RESTART_COUNT
        return Shift(
            kind=kind,
            start_index=start_index,
            seen_index=seen_index,
            before_value=math.exp(middle),
            after_value=math.exp(after),
        )

    def _kind(self, after: float, size: float, start_index: int) -> ShiftKind:
        if self._before_change is None:
            return ShiftKind.CHANGE
        middle, changed_index = self._before_change
        is_soon = start_index - changed_index <= _RETURN_COUNT_MAX
        is_back = abs(after - middle) <= _RETURN_PART * abs(size)
        return ShiftKind.RETURN if is_soon and is_back else ShiftKind.CHANGE

    def _fit(self) -> None:
        window = self._points[-_WINDOW_COUNT:]
        middle = median(window)
        residuals = [value - middle for value in window]
        pool = (self._earlier + residuals)[-_WINDOW_COUNT:]
        sigma = max(spread(pool), SIGMA_MIN)
        inherited = 0.0
        if len(window) >= WARM_UP_COUNT:
            sigma = max(sigma, step_spread(window))
            inherited = correlation(residuals, sigma)
        growth = (1.0 + inherited) / (1.0 - inherited)  # n such points say as much as n / growth
        sigma *= 1.0 + growth * (_WIDENING / len(pool) + _LEVEL_WIDENING / len(window))
        self._level = _Level(
            middle=middle,
            sigma=sigma,
            sum_sigma=sigma * math.sqrt(growth),
            jump_share=math.sqrt((1.0 + inherited) / 2.0),
        )
        count = len(self._points)
        self._next_fit_count = count + max(1, min(10, count // 6))
