"""
What the processes of a run used: charts of the samples over time, and a table of the whole phase.

A subject or metric that was not sampled has no line; a value that could not be read is no data.
"""

import pandas as pd

from harness.model.record import ProcessResources, RunRecord
from reports.view.model import Axis, Cell, Chart, Column, Series, Table, Unit
from reports.view.timeline import NANOS_PER_SECOND, TIME_AXIS, TIME_LINK, phase_bands
from reports.view.words import NO_DATA, cell, plain

SUBJECT_NAMES = {
    "target": "service",
    "generator": "generator",
    "observer": "observer",
    "subscriber": "subscriber",
    "broker": "broker",
}
OPTIONAL_SUBJECTS = frozenset({"subscriber"})  # where there is none there is nothing to miss
_POINT_COUNT_MAX = 600
_NOT_SAMPLED = "no data: not sampled in this run"

_METRICS = (
    (
        "cpu_cores",
        "CPU",
        Axis(title="cores in use", unit=Unit.CORES),
        "Processor time each process used, in cores; 1 is one core kept busy.",
    ),
    (
        "rss_bytes",
        "Memory",
        Axis(title="resident memory", unit=Unit.BYTES),
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
    """CPU, memory and context switches over time, a line a process."""
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
        y_axis=Axis(title="resident memory", unit=Unit.BYTES),
        series=(line,) if line.x else (),
        bands=phase_bands(record),
        absence=_NOT_SAMPLED,
    )


def in_flight_chart(record: RunRecord, samples: pd.DataFrame) -> Chart:
    """Operations sent and not yet answered, sampled while the run went on."""
    line = _sampled(samples, "load", "in_flight", "in flight", "in-flight")
    sampled_count = int((samples["metric"] == "in_flight").sum())
    return Chart(
        id="in-flight-over-time",
        title="In flight over time",
        explanation="Operations sent and not yet answered. It jumps when the service stands still.",
        x_axis=TIME_AXIS,
        y_axis=Axis(title="operations in flight", unit=Unit.COUNT),
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
    """What each process used over the measured phase."""
    return Table(
        id="resources-table",
        title="Use over the measured phase",
        columns=(
            Column(title="process", is_number=False),
            Column(title="CPU mean"),
            Column(title="CPU max"),
            Column(title="memory max"),
            Column(title="voluntary switches"),
            Column(title="involuntary switches"),
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
    chosen = samples[(samples["subject"] == subject) & (samples["metric"] == metric)]
    chosen = chosen[chosen["value"].notna()].sort_values("offset_ns")
    stride = -(-len(chosen) // _POINT_COUNT_MAX) or 1
    groups = chosen.iloc[::stride] if stride == 1 else _peaks(chosen, stride)
    return Series(
        name=name,
        colour=colour,
        x=tuple(round(float(at) / NANOS_PER_SECOND, 3) for at in groups["offset_ns"]),
        y=tuple(float(f"{value:.5g}") for value in groups["value"]),
    )


def _peaks(chosen: pd.DataFrame, stride: int) -> pd.DataFrame:
    """The highest of every *stride* samples: thinning a line must not hide its peaks."""
    group = pd.Series(range(len(chosen)), index=chosen.index) // stride
    return chosen.loc[chosen["value"].groupby(group).idxmax()]
