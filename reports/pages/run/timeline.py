"""Charts of a run over time: response, and the rate of operations, with what happened beside it."""

import pandas as pd

from harness.model.quantiles import needed_count
from harness.model.record import RunRecord
from harness.model.text import Unit
from harness.model.units import NANOS_PER_SECOND
from reports.figures.timelines import Bins, rate_lines, response_lines
from reports.pages.model import Axis, Band, Chart, Scale, Series

TIME_LINK = "time"
TIME_AXIS = Axis(title="time since the measured phase began", unit=Unit.SECONDS)
RESPONSE_AXIS = Axis(title="response", unit=Unit.NS, scale=Scale.LOG)
RATE_AXIS = Axis(title="operations", unit=Unit.PER_S)


def phase_bands(record: RunRecord) -> tuple[Band, ...]:
    """Warm-up, drain and planned disturbances, to be told at a glance."""
    warmup_s, measure_s, drain_s = (
        int(record.phases.get(name, 0)) / NANOS_PER_SECOND
        for name in ("warmup_ns", "measure_ns", "drain_ns")
    )
    bands = (
        Band(name="warm-up", start=-warmup_s, end=0.0),
        Band(name="drain", start=measure_s, end=measure_s + drain_s),
        *(
            Band(
                name=item.action.removesuffix("-target"),
                start=item.start_ns / NANOS_PER_SECOND,
                end=item.end_ns / NANOS_PER_SECOND,
            )
            for item in record.disturbances
        ),
    )
    return tuple(band for band in bands if band.end > band.start)


def response_chart(record: RunRecord, operations: pd.DataFrame) -> Chart:
    found = response_lines(record, operations)
    notes = []
    withheld = sorted({"p50", "p99"} - set(found.lines))
    if found.lines and withheld:
        notes.append(
            f"{' and '.join(withheld)} withheld: insufficient samples, at most"
            f" {found.answer_count_max:,} answers in a bin (p99 needs {needed_count(0.99):,})"
        )
    if found.lost_count:
        notes.append(
            f"{found.lost_count:,} operations had no answer: where a line would show one of them"
            " it has a gap"
        )
    return Chart(
        id="response-over-time",
        title="Response over time",
        explanation=f"Of the operations due in {_each(found.bins)}: the median, the slowest of"
        " the fastest 99 %, and the slowest of all.",
        x_axis=TIME_AXIS,
        y_axis=RESPONSE_AXIS,
        series=tuple(
            Series(name=name, colour=name, x=line.x, y=line.y) for name, line in found.lines.items()
        ),
        bands=phase_bands(record),
        link=TIME_LINK,
        note="; ".join(notes),
    )


def rate_chart(record: RunRecord, operations: pd.DataFrame) -> Chart:
    return Chart(
        id="rate-over-time",
        title="Rate over time",
        explanation="Operations that were due, that left the generator, and that were answered."
        " Between offered and sent lie those that were dropped, cancelled or stranded, or that wait"
        " for another's answer: what the generator itself caused is in Lateness. Between sent and"
        " done lies the service.",
        x_axis=TIME_AXIS,
        y_axis=RATE_AXIS,
        series=tuple(
            Series(name=name, colour=name, x=line.x, y=line.y)
            for name, line in rate_lines(record, operations).items()
        ),
        bands=phase_bands(record),
        link=TIME_LINK,
    )


def _each(bins: Bins) -> str:
    width_s = float(bins.width_s.max()) if len(bins) else 1.0
    return "each second" if width_s == 1 else f"each {width_s:g} seconds"
