"""The table of a comparison's metrics: worst first, every run a dot beside its verdict. Pure."""

import math

from harness.model.text import plain, quantity, signed, significant
from reports.compare.verdicts import Change, Comparison, MetricVerdict, SideValues
from reports.figures.samples import Compared
from reports.pages.cells import NO_DATA, number_columns, text_columns
from reports.pages.model import Cell, Strip, Table, Tone
from reports.pages.run.verdict_section import TONES
from reports.text import DASH, counted

_ORDER = (
    Change.INVALID,
    Change.REGRESSED,
    Change.INCONCLUSIVE,
    Change.IMPROVED,
    Change.UNCHANGED,
)


def worst_first(comparison: Comparison) -> tuple[MetricVerdict, ...]:
    """The metrics of *comparison*: by status, then by how much worse each is; waived ones later."""
    return tuple(sorted(comparison.metrics, key=_badness))


def metrics_table(comparison: Comparison) -> Table:
    return Table(
        id="metrics-table",
        title="Metrics, worst first",
        columns=(
            *text_columns("verdict", "metric"),
            *number_columns("baseline", "candidate", "change", "could be seen"),
            *text_columns("every run: baseline above, candidate below"),
        ),
        rows=tuple(_row(metric) for metric in worst_first(comparison)),
        note="The interval under a change is that of the metric alone (95 %); the verdict holds for"
        f" all metrics together: where nothing changed, at most {100 * comparison.alpha:g} % of"
        " comparisons call anything changed. Could be seen: the smallest worsening that"
        " would have been found four times in five. Grey: what counts as unchanged.",
        absence="no metric is on both sides",
    )


def change_text(metric: MetricVerdict) -> str:
    """The change in a word: "+3.1 %", "+0.12 points", "2.4 times"."""
    ratio = change_ratio(metric)
    return DASH if ratio is None else ratio_text(ratio, metric.compared)


def interval_text(metric: MetricVerdict) -> str:
    """The 95 % interval of the change; empty where there is none."""
    if metric.estimate is None:
        return ""
    ends = (metric.estimate.low_ratio, metric.estimate.high_ratio)
    return " to ".join(ratio_text(end, metric.compared) for end in ends)


def change_ratio(metric: MetricVerdict) -> float | None:
    """Candidate / baseline: as estimated, or of two single values; None where it has no meaning."""
    if metric.estimate is not None:
        return metric.estimate.ratio
    a, b = metric.baseline.value, metric.candidate.value
    if a is None or b is None or not a or metric.compared is Compared.DIFFERENCE:
        return None
    return b / a


def ratio_text(ratio: float, compared: Compared = Compared.RATIO) -> str:
    change = 100.0 * (ratio - 1.0)
    if compared is Compared.DIFFERENCE:
        return f"{signed(change)} points"
    if ratio >= 3.0:
        return f"{significant(ratio)} times"
    return f"{signed(change)} %"


def side_text(metric: MetricVerdict, side: SideValues) -> str:
    if side.value is None or not math.isfinite(side.value):
        return NO_DATA.text
    return quantity(side.value, metric.unit)


def status_cell(metric: MetricVerdict) -> Cell:
    """The verdict; what is waived is no alarm."""
    if metric.waiver and metric.status is Change.REGRESSED:
        return Cell(text=metric.status, tone=Tone.WARNING, detail=plain(metric.waiver))
    return Cell(text=metric.status, tone=TONES[metric.status])


def _row(metric: MetricVerdict) -> tuple[Cell, ...]:
    return (
        status_cell(metric),
        Cell(text=plain(metric.name), detail=metric.sentence),
        _side_cell(metric, metric.baseline),
        _side_cell(metric, metric.candidate),
        Cell(
            text=change_text(metric),
            detail=interval_text(metric) or ("no interval" if change_ratio(metric) else ""),
        ),
        Cell(text=_seen_text(metric)),
        Cell(text="", strip=_strip(metric)),
    )


def _side_cell(metric: MetricVerdict, side: SideValues) -> Cell:
    runs = counted(side.run_count, "run")
    text = side_text(metric, side)
    if text == NO_DATA.text:
        return Cell(text=text, is_missing=True, detail=runs if side.run_count else "")
    return Cell(text=text, detail=runs)


def _seen_text(metric: MetricVerdict) -> str:
    if metric.estimate is None:
        return DASH
    seen = significant(100.0 * metric.estimate.mde_share, 2)
    return f"{seen} {'points' if metric.compared is Compared.DIFFERENCE else '%'}"


def _strip(metric: MetricVerdict) -> Strip | None:
    if not metric.baseline.runs and not metric.candidate.runs:
        return None
    middle = metric.baseline.value
    low = high = None
    if middle is not None and metric.compared is Compared.DIFFERENCE:
        low, high = max(0.0, middle - metric.margin_share), middle + metric.margin_share
    elif middle is not None:
        low, high = middle / (1.0 + metric.margin_share), middle * (1.0 + metric.margin_share)
    return Strip(
        a=metric.baseline.runs,
        b=metric.candidate.runs,
        low=low,
        high=high,
        label=f"{_span('baseline', metric, metric.baseline)};"
        f" {_span('candidate', metric, metric.candidate)}",
    )


def _span(name: str, metric: MetricVerdict, side: SideValues) -> str:
    known = [value for value in side.runs if value is not None]
    if not known:
        return f"{name}: no data"
    ends = [quantity(value, metric.unit) for value in (min(known), max(known))]
    return f"{name}: {len(known)} runs from {ends[0]} to {ends[1]}"


def _badness(metric: MetricVerdict) -> tuple[int, bool, float, str]:
    return _ORDER.index(metric.status), bool(metric.waiver), -metric.worse_ratio, metric.name
