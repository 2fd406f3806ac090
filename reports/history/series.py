"""
Series of stored results, their levels, and what changed in them.

Pure. A series is one metric over the runs of one setting, oldest first. Runs that can't carry a
figure (INVALID, incomplete, audit failed) are gaps. The detector judges each point with what was
known when it came; reports.history.alerts says which of its shifts somebody must look at.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import pairwise

from harness.model.metrics import is_visible
from harness.model.record import Better
from harness.model.text import signed_share, significant
from reports.history.alerts import Acceptance, Alert, AlertState, accepted_shifts, alerts_of
from reports.history.disturbance import disturbances
from reports.history.runs import HistoryRun, RunSetting
from reports.statistics.change_points import WARM_UP_COUNT, Timeline, timeline

_SUSPECT_SIGMAS, _SUSPECT_SHARE = 3.0, 0.02  # from which the newest point is pointed out
_ZERO_SHARE_MAX = 0.1  # of the points; with more a metric is one that is mostly zero


class Trust(StrEnum):
    """Why a series is judged, or why it is not."""

    JUDGED = "judged"
    TOO_FEW = "too few points"
    NO_RATIO = "mostly zero, to which nothing has a ratio"
    BROKER = "mostly the embedded broker's own polling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stretch without a change: indices of its first and last run, and its level."""

    start_index: int
    end_index: int
    level_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryColumn:
    """
    One metric of the runs of a setting, before anything is judged.

    Attributes:
        read: As the runs have it; *values* without what is no point.
    """

    metric: str
    unit: str
    better: Better
    read: tuple[float | None, ...]
    values: tuple[float | None, ...]
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySeries:
    """
    One metric over the runs of one setting.

    Attributes:
        values: One for each run of the setting; None where a run is no point or lacks the metric.
        missing: Why the newest run has no point though there were some; empty: it has.
    """

    metric: str
    unit: str
    better: Better
    values: tuple[float | None, ...]
    trust: Trust
    timeline: Timeline
    alerts: tuple[Alert, ...]
    levels: tuple[Level, ...]
    missing: str

    @property
    def point_count(self) -> int:
        return sum(value is not None for value in self.values)

    @property
    def last_value(self) -> float | None:
        return next((value for value in reversed(self.values) if value is not None), None)

    @property
    def is_zero(self) -> bool:
        """There is nothing to draw: nobody has seen anything else."""
        return not any(self.values)

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        return tuple(alert for alert in self.alerts if alert.state is AlertState.OPEN)

    @property
    def worst_ratio(self) -> float:
        return max((alert.worse_ratio for alert in self.open_alerts), default=1.0)

    @property
    def trend_ratio(self) -> float | None:
        """The level now / the first level."""
        if not self.levels or self.levels[0].level_value <= 0.0:
            return None
        return self.levels[-1].level_value / self.levels[0].level_value

    @property
    def suspicion(self) -> str:
        """What the newest point hints at, and one point can't prove; empty: nothing."""
        last, level, sigma = self.last_value, self.timeline.level_value, self.timeline.sigma_ratio
        if self.trust is not Trust.JUDGED or not last or not level or not sigma or last <= 0.0:
            return ""
        far = math.log(last / level)
        is_new = self.alerts and self.alerts[-1].after_count == 0
        if is_new or abs(far) < max(_SUSPECT_SIGMAS * sigma, _SUSPECT_SHARE):
            return ""
        return (
            f"the newest point is {signed_share(math.expm1(far))} off its level"
            f" ({significant(abs(far) / sigma)} sigma); the next run tells"
        )


def series_of(
    setting: RunSetting,
    runs: Sequence[HistoryRun],
    patterns: Sequence[str],
    acceptances: Sequence[Acceptance],
) -> tuple[HistorySeries, ...]:
    columns = columns_of(setting, runs)
    found = timelines(columns)
    made = [
        _series(column, one, runs, acceptances)
        for column, one in zip(columns, found, strict=True)
        if any(fnmatchcase(column.metric, pattern) for pattern in patterns)
    ]
    return tuple(series for series in made if series.point_count)


def columns_of(setting: RunSetting, runs: Sequence[HistoryRun]) -> tuple[HistoryColumn, ...]:
    names = dict.fromkeys(name for run in runs for name in run.figures)
    return tuple(_column(name, setting, runs) for name in names)


def timelines(columns: Sequence[HistoryColumn]) -> tuple[Timeline, ...]:
    """
    What each column shows, held against how disturbed the others say that its runs were.

    All of them are asked, whichever are looked at: what is shown must not change what is said.
    """
    judged = [column for column in columns if column.trust is Trust.JUDGED]
    disturbed = disturbances([column.values for column in judged])
    found = {
        column.metric: timeline(column.values, ratios)
        for column, ratios in zip(judged, disturbed, strict=True)
    }
    return tuple(found.get(column.metric) or timeline((), ()) for column in columns)


def _column(name: str, setting: RunSetting, runs: Sequence[HistoryRun]) -> HistoryColumn:
    newest = next(run.figures[name] for run in reversed(runs) if name in run.figures)
    work = next((run.works[name] for run in reversed(runs) if name in run.works), "")
    read = tuple(_value(run, name, newest.unit, work) for run in runs)
    known = [value for value in read if value is not None and math.isfinite(value)]
    trust = _trust(name, setting, known)
    lowest = -math.inf if trust is Trust.NO_RATIO else 0.0
    return HistoryColumn(
        metric=name,
        unit=newest.unit,
        better=newest.better,
        read=read,
        values=tuple(
            value if value is not None and lowest < value < math.inf else None for value in read
        ),
        trust=trust,
    )


def _series(
    column: HistoryColumn,
    found: Timeline,
    runs: Sequence[HistoryRun],
    acceptances: Sequence[Acceptance],
) -> HistorySeries:
    name, better, values, trust = column.metric, column.better, column.values, column.trust
    if trust is Trust.JUDGED and not found.judged_count:
        trust = Trust.TOO_FEW
    accepted = accepted_shifts(name, better, found.shifts, runs, acceptances)
    return HistorySeries(
        metric=name,
        unit=column.unit,
        better=better,
        values=values,
        trust=trust,
        timeline=found,
        alerts=alerts_of(name, better, found.shifts, values, accepted),
        levels=_levels(values, found),
        missing=_missing(column.read, runs) if trust in {Trust.JUDGED, Trust.TOO_FEW} else "",
    )


def _value(run: HistoryRun, name: str, unit: str, work: str) -> float | None:
    """Of another unit, or of a kernel whose work was changed since, is another metric."""
    figure = run.figures.get(name)
    if run.unfit or figure is None or figure.unit != unit or run.works.get(name, "") != work:
        return None
    return figure.value


def _trust(name: str, setting: RunSetting, known: Sequence[float]) -> Trust:
    if is_visible(name) and setting.has_embedded_broker:
        return Trust.BROKER
    positive_count = sum(value > 0.0 for value in known)
    if positive_count < (1.0 - _ZERO_SHARE_MAX) * len(known):
        return Trust.NO_RATIO
    return Trust.JUDGED if positive_count > WARM_UP_COUNT else Trust.TOO_FEW


def _levels(values: Sequence[float | None], found: Timeline) -> tuple[Level, ...]:
    starts = [0, *(shift.start_index for shift in found.shifts), len(values)]
    levels = []
    for start, end in pairwise(starts):
        present = [i for i in range(start, end) if values[i] is not None]
        if present:
            middle = statistics.median(value for value in values[start:end] if value is not None)
            levels.append(Level(start_index=present[0], end_index=present[-1], level_value=middle))
    return tuple(levels)


def _missing(read: Sequence[float | None], runs: Sequence[HistoryRun]) -> str:
    last = read[-1]
    if runs[-1].unfit:
        return ""  # said of the run, once
    if last is None:
        return "the newest run doesn't have it"
    if not math.isfinite(last):
        return "in the newest run it falls among operations that were never answered"
    if last <= 0.0:
        return f"in the newest run it is {last:g}, to which nothing has a ratio"
    return ""
