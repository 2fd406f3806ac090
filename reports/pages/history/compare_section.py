"""
The history of a comparison's metrics, a section of its page: the trend that the change stands in.

The series is that of the candidate's newest run that is a
point of one; baseline and candidate are marked in it. Without three points there is no history, and
the page has no such section.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from reports.compare.comparison import Dossier
from reports.history.events import Gathered, SettingHistory, history_of
from reports.pages.history.page import trend_set
from reports.pages.model import Section, Tone, Trend, TrendMark
from reports.text import counted

_POINT_COUNT_MIN = 3
_RUN_COUNT_MAX = 60
_METRIC_COUNT_MAX = 6


def history_section(dossier: Dossier, gathered: Gathered) -> tuple[Section, ...]:
    candidate = [run.record.run_id for run in dossier.candidate.runs]
    baseline = [run.record.run_id for run in dossier.baseline.runs]
    metrics = sorted(dossier.comparison.metrics, key=lambda item: -abs(item.worse_ratio))
    names = [item.name for item in metrics]
    found = history_of(gathered, names, last_count=_RUN_COUNT_MAX)
    setting = next(
        (item for item in found.settings if {run.run_id for run in item.runs} & set(candidate)),
        None,
    )
    if setting is None or len(setting.runs) - len(setting.gaps) < _POINT_COUNT_MIN:
        return ()
    chosen = sorted(
        (item for item in setting.series if not item.is_zero), key=lambda s: names.index(s.metric)
    )[:_METRIC_COUNT_MAX]
    trends = trend_set(setting, chosen)
    sides = tuple(_side_marks(setting, baseline, candidate))
    return (
        Section(
            id="history",
            title="History",
            lead=f"The same metrics over {counted(len(setting.runs), 'stored run')} of"
            f" {setting.setting.title}: the level of every stretch, what changed it, and where both"
            " sides stand.",
            trends=replace(trends, trends=tuple(_marked(trend, sides) for trend in trends.trends)),
        ),
    )


def _side_marks(
    setting: SettingHistory, baseline: Sequence[str], candidate: Sequence[str]
) -> Iterator[TrendMark]:
    for name, run_ids in (("baseline", set(baseline)), ("candidate", set(candidate))):
        places = [place for place, run in enumerate(setting.runs) if run.run_id in run_ids]
        if places:
            text = name if len(places) == 1 else f"{name}, {len(places)} runs from here"
            yield TrendMark(index=places[0], tone=Tone.UNKNOWN, text=text)


def _marked(trend: Trend, marks: Collection[TrendMark]) -> Trend:
    """A change of the level keeps its own mark."""
    taken = {mark.index for mark in trend.marks}
    added = tuple(mark for mark in marks if mark.index not in taken)
    return replace(trend, marks=(*trend.marks, *added))
