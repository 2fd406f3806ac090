"""
What the processes of a run used: charts of the samples over time, and a table of the whole phase.

A subject or metric that was not sampled has no line; a value that could not be read is no data.
"""

import pandas as pd

from harness.model.record import ProcessResources, RunRecord
from harness.model.text import Unit, plain
from reports.figures.timelines import sampled_line
from reports.pages.cells import NO_DATA, cell, number_columns, text_columns
from reports.pages.model import Axis, Cell, Chart, Series, Table
from reports.pages.run.timeline import TIME_AXIS, TIME_LINK, phase_bands

SUBJECT_NAMES = {
    "target": "service",
    "generator": "generator",
    "observer": "observer",
    "subscriber": "subscriber",
    "broker": "broker",
}
OPTIONAL_SUBJECTS = frozenset({"subscriber"})  # where there is none there is nothing to miss
_NOT_SAMPLED = "no data: not sampled in this run"

CPU_AXIS = Axis(title="cores in use", unit=Unit.CORES)
MEMORY_AXIS = Axis(title="resident memory", unit=Unit.BYTES)
IN_FLIGHT_AXIS = Axis(title="operations in flight", unit=Unit.COUNT)

_METRICS = (
    (
        "cpu_cores",
        "CPU",
        CPU_AXIS,
        "Processor time each process used, in cores; 1 is one core kept busy.",
    ),
    (
        "rss_bytes",
        "Memory",
        MEMORY_AXIS,
        "Memory each process held. A line that keeps rising is a leak or a growing backlog.",
    ),
    (
        "context_switches_voluntary_per_s",
        "Context switches, voluntary",
        Axis(title="switches", unit=Unit.PER_S),
        "How often a process gave up its core to wait for something.",
    ),
    (
        "context_switches_involuntary_per_s",
        "Context switches, involuntary",
        Axis(title="switches", unit=Unit.PER_S),
        "How often a process was taken off its core: a sign that the machine is short of cores.",
    ),
)


def resource_charts(record: RunRecord, samples: pd.DataFrame) -> tuple[Chart, ...]:
    return tuple(
        Chart(
            id=metric.replace("_", "-"),
            title=title,
            explanation=explanation,
            x_axis=TIME_AXIS,
            y_axis=axis,
            series=tuple(
                line
                for subject, name in SUBJECT_NAMES.items()
                if (line := _sampled(samples, subject, metric, name, f"process-{name}")).x
            ),
            bands=phase_bands(record),
            link=TIME_LINK,
            absence=_NOT_SAMPLED,
        )
        for metric, title, axis, explanation in _METRICS
    )


def service_memory_chart(
    record: RunRecord, samples: pd.DataFrame, *, chart_id: str, title: str
) -> Chart:
    """Resident memory of the service alone: its course fills the chart, and nothing zooms it."""
    line = _sampled(samples, "target", "rss_bytes", "service", "process-service")
    return Chart(
        id=chart_id,
        title=title,
        explanation="What the service held, from its warm-up to the end of the drain.",
        x_axis=TIME_AXIS,
        y_axis=MEMORY_AXIS,
        series=(line,) if line.x else (),
        bands=phase_bands(record),
        absence=_NOT_SAMPLED,
    )


def in_flight_chart(record: RunRecord, samples: pd.DataFrame) -> Chart:
    line = _sampled(samples, "load", "in_flight", "in flight", "in-flight")
    sampled_count = int((samples["metric"] == "in_flight").sum())
    return Chart(
        id="in-flight-over-time",
        title="In flight over time",
        explanation="Operations sent and not yet answered. It jumps when the service stands still.",
        x_axis=TIME_AXIS,
        y_axis=IN_FLIGHT_AXIS,
        series=(line,) if line.x else (),
        note=f"Each point is the highest of its neighbours: {sampled_count:,} samples thinned to"
        f" {len(line.x):,}."
        if sampled_count > len(line.x)
        else "",
        bands=phase_bands(record),
        link=TIME_LINK,
        absence=_NOT_SAMPLED,
    )


def resource_table(record: RunRecord) -> Table:
    return Table(
        id="resources-table",
        title="Use over the measured phase",
        columns=(
            *text_columns("process"),
            *number_columns(
                "CPU mean", "CPU max", "memory max", "voluntary switches", "involuntary switches"
            ),
        ),
        rows=tuple(
            _resource_row(name, record.resources.get(subject))
            for subject, name in SUBJECT_NAMES.items()
            if subject in record.resources or subject not in OPTIONAL_SUBJECTS
        ),
        note="CPU in cores; its maximum is of one-second samples.",
    )


def _resource_row(name: str, used: ProcessResources | None) -> tuple[Cell, ...]:
    if used is None:
        return (Cell(text=name), *(NO_DATA for _ in range(5)))
    return (
        Cell(text=name, detail="" if used.pid is None else f"pid {plain(str(used.pid))}"),
        cell(used.cpu_cores_mean, Unit.CORES),
        cell(used.cpu_cores_max, Unit.CORES),
        cell(used.rss_bytes_max, Unit.BYTES),
        cell(used.context_switches_voluntary_per_s, Unit.PER_S),
        cell(used.context_switches_involuntary_per_s, Unit.PER_S),
    )


def _sampled(samples: pd.DataFrame, subject: str, metric: str, name: str, colour: str) -> Series:
    line = sampled_line(samples, subject, metric)
    return Series(name=name, colour=colour, x=line.x, y=line.y)
