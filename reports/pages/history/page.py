"""
The page of a history: what got worse and nobody accepted, then every setting, worst first.

Pure: a History in, a Page out. Says what was skipped, what is no point, and what is not judged:
a reader must not take silence for health.
"""

from collections.abc import Mapping, Sequence

from harness.model.text import count, quantity, share, signed_share
from harness.model.verdict import EXIT_SENTENCES, ExitCode
from reports.history.alerts import Alert, AlertState
from reports.history.events import Commits, History, HistoryEvent, SettingHistory
from reports.history.series import HistorySeries, Trust
from reports.pages.cells import NO_DATA, number_columns, table_section, text_columns
from reports.pages.model import (
    Cell,
    Notice,
    Page,
    Section,
    Table,
    Term,
    Tone,
    Trend,
    TrendMark,
    TrendSet,
    VerdictGroup,
    VerdictView,
)
from reports.text import DASH, counted

_STATE_TONES = {
    AlertState.OPEN: Tone.BAD,
    AlertState.ACCEPTED: Tone.UNKNOWN,
    AlertState.OVER: Tone.WARNING,
    AlertState.BETTER: Tone.GOOD,
}
_REASON_COUNT_MAX = 6
_METRICS_SHOWN_MAX = 8
_TERMS = (
    Term(
        name="level",
        sentence="The median of the points of a stretch without a change; the line in a chart.",
    ),
    Term(
        name="noise",
        sentence="The standard deviation of a point from its level, as a share of it. A change is "
        "called one only if it is large against this and stays for two points at least.",
    ),
    Term(
        name="event",
        sentence="All metrics whose level changed within a few runs of each other, told once.",
    ),
    Term(
        name="over",
        sentence="It got worse and came back: to the level before, or a better one.",
    ),
    Term(
        name="a gain is lost",
        sentence="It had become better, and is back at the level before.",
    ),
    Term(
        name="accepted",
        sentence="Somebody said that it is meant to be so (acctbench history accept).",
    ),
)


def view_history(history: History, commits: Mapping[str, Commits]) -> Page:
    """The page of *history*; *commits* by the id of an event."""
    return Page(
        title="History",
        subtitle=" in ".join(
            (counted(history.run_count, "run"), counted(len(history.settings), "setting"))
        ),
        verdict_groups=(_verdict(history),),
        notices=_notices(history),
        sections=(
            *_events_section(history, commits),
            *(_setting_section(item, commits) for item in history.settings),
            *_skipped_section(history),
        ),
    )


def change_text(alert: Alert) -> str:
    """How much, and which way: "6.2 % worse"."""
    ratio = alert.worse_ratio if alert.is_worse else 1.0 / alert.worse_ratio
    lost = " (a gain is lost)" if alert.is_gain_lost else ""
    return f"{share(ratio - 1.0)} {'worse' if alert.is_worse else 'better'}{lost}"


def event_sentence(event: HistoryEvent) -> str:
    first, more = event.alerts[0], len(event.alerts) - 1
    others = f" and {counted(more, 'more metric')}" if more else ""
    where = f"between {event.before.run_id} and {event.after.run_id}"
    revisions = [item.revision for item in (event.before, event.after)]
    named = f" ({revisions[0]} to {revisions[1]})" if all(revisions) else ""
    return f"{first.metric} {change_text(first)}{others}, {where}{named}"


def verdict_sentence(history: History) -> str:
    open_count = sum(len(item.open_events) for item in history.current)
    match history.exit_code:
        case ExitCode.OBJECTIVE_MISSED:
            return (
                f"{counted(open_count, 'event')} made something worse, and nobody has accepted it."
            )
        case ExitCode.OK:
            return "Nothing is worse than the level before, or somebody has accepted it."
        case _:
            return "There is not enough to say how things are now."


def _verdict(history: History) -> VerdictGroup:
    tone, word = {
        ExitCode.OBJECTIVE_MISSED: (Tone.BAD, "WORSE"),
        ExitCode.OK: (Tone.GOOD, "NOTHING OPEN"),
    }.get(history.exit_code, (Tone.UNKNOWN, "NOT PROVEN"))
    reasons = [event_sentence(event) for item in history.current for event in item.open_events]
    reasons += [f"{item.setting.title}: {text}" for item in history.current for text in item.doubts]
    if not history.current:
        reasons.append("there is no run")
    shown = reasons[:_REASON_COUNT_MAX]
    if len(reasons) > len(shown):
        shown.append(f"and {len(reasons) - len(shown)} more, all below")
    code = history.exit_code
    return VerdictGroup(
        run_name="All stored runs",
        summary=f"Exit code {int(code)}: {EXIT_SENTENCES[code]}.",
        tone=tone,
        verdicts=(
            VerdictView(
                name="History",
                question="Did anything get worse, and stay so?",
                word=word,
                tone=tone,
                sentence=verdict_sentence(history),
                reasons=tuple(shown),
            ),
        ),
    )


def _notices(history: History) -> tuple[Notice, ...]:
    found = []
    if history.skipped:
        found.append(
            Notice(
                tone=Tone.WARNING,
                text=f"Could not be used: {counted(len(history.skipped), 'folder')}; see the end.",
            )
        )
    if history.interrupted_count:
        found.append(
            Notice(
                tone=Tone.UNKNOWN,
                text=f"{counted(history.interrupted_count, 'interrupted run')} left out.",
            )
        )
    suspicions = [
        f"{series.metric}: {series.suspicion}"
        for item in history.current
        for series in item.series
        if series.suspicion
    ]
    found += [Notice(tone=Tone.UNKNOWN, text=text) for text in suspicions[:_REASON_COUNT_MAX]]
    return tuple(found)


def _events_section(history: History, commits: Mapping[str, Commits]) -> tuple[Section, ...]:
    events = [event for item in history.current for event in item.events]
    events.sort(key=lambda event: (list(AlertState).index(event.state), -event.worst_ratio))
    return (
        Section(
            id="events",
            title="Events",
            lead="What changed, in the settings that are measured now: open ones first.",
            tables=(_events_table("events-table", events, commits),),
            terms=_TERMS,
        ),
    )


def _event_row(event: HistoryEvent, commits: Commits | None) -> tuple[Cell, ...]:
    shown = event.alerts[:_METRICS_SHOWN_MAX]
    more = len(event.alerts) - len(shown)
    metrics = "; ".join(f"{alert.metric} {change_text(alert)}" for alert in shown[1:])
    accepted = next((a.acceptance for a in event.alerts if a.acceptance), None)
    by = f"by {accepted.who}, {accepted.at}: {accepted.why}" if accepted else ""
    if by and event.state is AlertState.OPEN:
        by = f"in part accepted {by}"
    before, after = event.before, event.after
    return (
        Cell(text=str(event.state), detail=by, tone=_STATE_TONES[event.state]),
        Cell(
            text=f"{shown[0].metric} {change_text(shown[0])}",
            detail=metrics + (f"; and {more} more" if more else ""),
        ),
        Cell(
            text=f"{before.run_id} and {after.run_id}",
            detail="; ".join(event.other_changes)
            and f"also changed: {'; '.join(event.other_changes)}",
        ),
        Cell(
            text=commits.sentence if commits else NO_DATA.text,
            detail=" | ".join(commits.lines) if commits else "",
        ),
        Cell(text=event.alerts[0].confirmation),
    )


def _setting_section(item: SettingHistory, commits: Mapping[str, Commits]) -> Section:
    first, last = (f"{item.runs[place].started_at:%Y-%m-%d}" for place in (0, -1))
    state = "measured now" if item.is_current else "an earlier setting: it asks nothing any more"
    gaps = f", {count(len(item.gaps))} of them no points" if item.gaps else ""
    remarks = [f"It differs from the setting before: {text}" for text in item.changes]
    remarks += [f"{run.run_id} is no point: {', '.join(run.unfit)}" for run in item.gaps]
    remarks += list(item.doubts)
    events = _events_table(f"events-{item.setting.id}", item.events, commits)
    past = () if item.is_current else (events,)
    return Section(
        id=f"setting-{item.setting.id}",
        title=item.setting.title + ("" if item.is_current else f", until {last}"),
        lead=f"{state}; {counted(len(item.runs), 'run')} from {first} to {last}{gaps}",
        trends=trend_set(item, [series for series in item.series if not series.is_zero]),
        tables=(*past, _series_table(item)),
        remarks=tuple(remarks),
    )


def trend_set(item: SettingHistory, chosen: Sequence[HistorySeries]) -> TrendSet:
    return TrendSet(
        names=tuple(run.run_id for run in item.runs),
        dates=tuple(f"{run.started_at:%Y-%m-%d %H:%M}" for run in item.runs),
        revisions=tuple(run.revision for run in item.runs),
        gaps=tuple(", ".join(run.unfit) for run in item.runs),
        trends=tuple(
            _trend(series, f"{item.setting.id}-{place}") for place, series in enumerate(chosen)
        ),
    )


def _events_table(
    table_id: str, events: Sequence[HistoryEvent], commits: Mapping[str, Commits]
) -> Table:
    return Table(
        id=table_id,
        title="Events",
        columns=text_columns("state", "what", "between", "commits", "since then"),
        rows=tuple(_event_row(event, commits.get(event.id)) for event in events),
        absence="Nothing changed its level.",
    )


def _trend(series: HistorySeries, identity: str) -> Trend:
    return Trend(
        id=identity,
        title=series.metric,
        note=_note(series),
        unit=series.unit,
        values=series.values,
        levels=tuple(
            (item.start_index, item.end_index, item.level_value) for item in series.levels
        ),
        marks=tuple(
            TrendMark(
                index=alert.shift.start_index,
                tone=_STATE_TONES[alert.state],
                text=change_text(alert),
            )
            for alert in series.alerts
        ),
    )


def _note(series: HistorySeries) -> str:
    if series.trust is not Trust.JUDGED:
        return f"Not judged: {series.trust}."
    level, sigma = series.timeline.level_value, series.timeline.sigma_ratio
    said = f"Level {quantity(level, series.unit)}" if level is not None else "No level yet"
    noise = f", noise {share(sigma)}" if sigma is not None else ""
    return f"{said}{noise}; {series.better} is better."


def _series_table(item: SettingHistory) -> Table:
    return Table(
        id=f"series-{item.setting.id}",
        title="Metrics",
        columns=(
            *text_columns("metric"),
            *number_columns("points", "newest", "level", "noise", "since start"),
            *text_columns("state"),
        ),
        rows=tuple(_series_row(series) for series in item.series),
        absence="No metric fits.",
    )


def _series_row(series: HistorySeries) -> tuple[Cell, ...]:
    level, sigma = series.timeline.level_value, series.timeline.sigma_ratio
    last, trend = series.last_value, series.trend_ratio
    return (
        Cell(text=series.metric),
        Cell(text=count(series.point_count)),
        NO_DATA if last is None else Cell(text=quantity(last, series.unit)),
        NO_DATA if level is None else Cell(text=quantity(level, series.unit)),
        Cell(text=DASH) if sigma is None else Cell(text=share(sigma)),
        Cell(text=DASH) if trend is None else Cell(text=signed_share(trend - 1.0)),
        state_cell(series),
    )


def state_cell(series: HistorySeries) -> Cell:
    """What a series' reader must know, in a word or two."""
    if series.open_alerts:
        worst = max(series.open_alerts, key=lambda alert: alert.worse_ratio)
        return Cell(text=change_text(worst), detail=worst.confirmation, tone=Tone.BAD)
    if series.missing:
        return Cell(text="no data now", detail=series.missing, tone=Tone.UNKNOWN)
    if series.trust is not Trust.JUDGED:
        return Cell(text="not judged", detail=str(series.trust), tone=Tone.UNKNOWN)
    if series.suspicion:
        return Cell(text="unconfirmed", detail=series.suspicion, tone=Tone.UNKNOWN)
    return Cell(text="steady", tone=Tone.GOOD)


def _skipped_section(history: History) -> tuple[Section, ...]:
    if not history.skipped:
        return ()
    return (
        table_section(
            id="skipped",
            title="Not used",
            lead="What lies in the folders and is in no series above.",
            columns=text_columns("what", "why"),
            rows=tuple((Cell(text=item.place), Cell(text=item.reason)) for item in history.skipped),
        ),
    )
