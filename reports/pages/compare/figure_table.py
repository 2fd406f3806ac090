"""Every figure of two sets of runs side by side, judged or not; claims nothing. Pure."""

import math
import statistics
from collections.abc import Sequence

from harness.model.text import plain, quantity
from reports.figures.run_evidence import RunEvidence
from reports.pages.cells import NO_DATA, number_columns, text_columns
from reports.pages.compare.metric_table import ratio_text
from reports.pages.model import Cell, Table
from reports.text import DASH

_Column = dict[str, list[float]]


def figures_table(baseline: Sequence[RunEvidence], candidate: Sequence[RunEvidence]) -> Table:
    """The median of each figure over the runs of a side; one that not all runs have says so."""
    units = {f.name: f.unit for run in (*baseline, *candidate) for f in run.figures}
    sides = _values(baseline), _values(candidate)
    rows = []
    for name, unit in units.items():
        cells = [
            _middle(side.get(name, []), len(runs), unit)
            for side, runs in zip(sides, (baseline, candidate), strict=True)
        ]
        rows.append((Cell(text=plain(name)), *cells, _ratio(*(side.get(name) for side in sides))))
    return Table(
        id="figures-table",
        title="All figures",
        columns=(*text_columns("figure"), *number_columns("baseline", "candidate", "change")),
        rows=tuple(rows),
    )


def _values(runs: Sequence[RunEvidence]) -> _Column:
    found: _Column = {}
    for run in runs:
        for figure in run.figures:
            found.setdefault(figure.name, []).append(figure.value)
    return found


def _middle(values: Sequence[float], run_count: int, unit: str) -> Cell:
    if not values:
        return NO_DATA
    middle = statistics.median(values)
    detail = "" if len(values) == run_count else f"{len(values)} of {run_count} runs"
    if not math.isfinite(middle):
        return Cell(text="never answered", is_missing=True, detail=detail)
    return Cell(text=quantity(middle, unit), detail=detail)


def _ratio(a: Sequence[float] | None, b: Sequence[float] | None) -> Cell:
    if not a or not b:
        return Cell(text=DASH)
    before, after = statistics.median(a), statistics.median(b)
    if not before or not math.isfinite(before) or not math.isfinite(after):
        return Cell(text=DASH)
    return Cell(text=ratio_text(after / before))
