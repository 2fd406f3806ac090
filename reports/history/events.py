"""
The history of all stored runs: settings with their series, and one event for what happened at once.

Pure. A slower commit moves a dozen metrics; what starts within a few runs of each other is one
event, told once with everything it moved, worst first. The exit code asks about the present: an
earlier setting, from before the machine or the scenario changed, is shown and asks nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.verdict import ExitCode
from reports.history.alerts import TOGETHER_COUNT, Acceptance, Alert, AlertState
from reports.history.runs import HistoryRun, RunSetting, Skipped
from reports.history.series import HistorySeries, Trust, series_of
from reports.text import told

_ABSENT = "not recorded"
_STATE_ORDER = (AlertState.OPEN, AlertState.ACCEPTED, AlertState.OVER, AlertState.BETTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """
    Everything that changed at about the same run, worst first.

    Attributes:
        first_index, last_index: Of the runs between which it happened: the last one before, and
            the latest first one after.
        other_changes: What else is not the same in these two runs, such as the kernel.
    """

    id: str
    alerts: tuple[Alert, ...]
    before: HistoryRun
    after: HistoryRun
    first_index: int
    last_index: int
    other_changes: tuple[str, ...]

    @property
    def state(self) -> AlertState:
        """Open while anything of it is."""
        states = {alert.state for alert in self.alerts}
        return next(state for state in _STATE_ORDER if state in states)

    @property
    def worst_ratio(self) -> float:
        return max(alert.worse_ratio for alert in self.alerts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """
    What could have caused an event.

    Attributes:
        lines: "short name, subject", newest first; no more than are shown.
        sentence: How many there are, or why they can't be listed.
    """

    lines: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingHistory:
    """
    The series of one setting.

    Attributes:
        is_current: Its family's newest run is one of its runs.
        changes: What made it another setting than the one before, as sentences; none for the first.
        series: Worst first.
        events: Newest first.
    """

    setting: RunSetting
    runs: tuple[HistoryRun, ...]
    is_current: bool
    changes: tuple[str, ...]
    series: tuple[HistorySeries, ...]
    events: tuple[HistoryEvent, ...]

    @property
    def gaps(self) -> tuple[HistoryRun, ...]:
        return tuple(run for run in self.runs if run.unfit)

    @property
    def open_events(self) -> tuple[HistoryEvent, ...]:
        return tuple(event for event in self.events if event.state is AlertState.OPEN)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why nothing can be said about the present, in sentences; none: it can."""
        found = []
        newest = self.runs[-1]
        if newest.unfit:
            found.append(f"the newest run, {newest.run_id}, is no point: {', '.join(newest.unfit)}")
        judged = [series for series in self.series if series.trust is Trust.JUDGED]
        if not judged:
            count = sum(not run.unfit for run in self.runs)
            found.append(f"no metric has enough points to be judged: there are {count} good runs")
        found += [f"{series.metric}: {series.missing}" for series in judged if series.missing]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that the stored runs say; *settings* current ones first, worst first."""

    settings: tuple[SettingHistory, ...]
    skipped: tuple[Skipped, ...]
    interrupted_count: int
    acceptances: tuple[Acceptance, ...]

    @property
    def run_count(self) -> int:
        return sum(len(item.runs) for item in self.settings)

    @property
    def current(self) -> tuple[SettingHistory, ...]:
        return tuple(item for item in self.settings if item.is_current)

    @property
    def exit_code(self) -> ExitCode:
        """What `acctbench history` ends with."""
        if any(item.open_events for item in self.current):
            return ExitCode.OBJECTIVE_MISSED
        if not self.current or any(item.doubts for item in self.current):
            return ExitCode.INCONCLUSIVE
        return ExitCode.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What lies in the runs folders."""

    runs: tuple[HistoryRun, ...]
    skipped: tuple[Skipped, ...] = ()
    interrupted_count: int = 0
    acceptances: tuple[Acceptance, ...] = ()


def history_of(
    gathered: Gathered, patterns: Sequence[str], *, last_count: int | None = None
) -> History:
    """
    The history of *gathered*.

    Args:
        gathered: Runs in any order.
        patterns: Of the metrics that are looked at.
        last_count: Only so many of the newest runs of each setting; None: all.
    """
    ordered = sorted(gathered.runs, key=lambda run: (run.started_at, run.run_id))
    by_setting: dict[RunSetting, list[HistoryRun]] = defaultdict(list)
    for run in ordered:
        by_setting[run.setting].append(run)
    current = {run.setting.family: run.setting for run in ordered}  # the newest one remains
    earlier: dict[tuple[str, ...], RunSetting] = {}
    settings = []
    for setting, runs in by_setting.items():  # in the order of their first runs
        kept = runs if last_count is None else runs[-last_count:]
        series = series_of(setting, kept, patterns, gathered.acceptances)
        before = earlier.get(setting.family)
        settings.append(
            SettingHistory(
                setting=setting,
                runs=tuple(kept),
                is_current=current[setting.family] == setting,
                changes=() if before is None else _changes(before, setting),
                series=tuple(sorted(series, key=_worst_first)),
                events=_events(series, kept),
            )
        )
        earlier[setting.family] = setting
    return History(
        settings=tuple(sorted(settings, key=_place)),
        skipped=gathered.skipped,
        interrupted_count=gathered.interrupted_count,
        acceptances=gathered.acceptances,
    )


def _place(item: SettingHistory) -> tuple[bool, float, str, float]:
    worst = max((series.worst_ratio for series in item.series), default=1.0)
    return not item.is_current, -worst, item.setting.title, -item.runs[-1].started_at.timestamp()


def _worst_first(series: HistorySeries) -> tuple[float, int, bool]:
    changes = sum(alert.is_worse for alert in series.alerts)
    return -series.worst_ratio, -changes, series.trust is not Trust.JUDGED


def _changes(before: RunSetting, after: RunSetting) -> tuple[str, ...]:
    old, new = dict(before.facts), dict(after.facts)
    return tuple(
        f"{name} was {told(old.get(name, _ABSENT))}, is {told(new.get(name, _ABSENT))}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    )


def _events(
    series: Sequence[HistorySeries], runs: Sequence[HistoryRun]
) -> tuple[HistoryEvent, ...]:
    alerts = sorted(
        (alert for one in series for alert in one.alerts), key=lambda item: item.shift.start_index
    )
    groups: list[list[Alert]] = []
    for alert in alerts:
        start = alert.shift.start_index
        if groups and start - groups[-1][0].shift.start_index <= TOGETHER_COUNT:
            groups[-1].append(alert)
        else:
            groups.append([alert])
    return tuple(_event(group, runs) for group in reversed(groups))


def _event(alerts: Sequence[Alert], runs: Sequence[HistoryRun]) -> HistoryEvent:
    starts = [alert.shift.start_index for alert in alerts]
    last = max(starts)
    good = [i for i in range(min(starts)) if not runs[i].unfit]
    first = good[-1] if good else min(starts)
    before, after = runs[first], runs[last]
    return HistoryEvent(
        id=runs[min(starts)].run_id,
        alerts=tuple(
            sorted(alerts, key=lambda item: (_STATE_ORDER.index(item.state), -item.worse_ratio))
        ),
        before=before,
        after=after,
        first_index=first,
        last_index=last,
        other_changes=tuple(
            f"{name} was {told(before.facts.get(name, _ABSENT))}, is {told(text)}"
            for name, text in after.facts.items()
            if before.facts.get(name, _ABSENT) != text
        ),
    )
