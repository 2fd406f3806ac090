"""
The page of one run: which sections, in which order, with what in them.

Pure: a record and two tables in, a Page out. The order is that of the questions a reader has: may I
trust it, is the money right, what was it, how fast, where did the time go, what proves it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from statistics import median

from harness.model.metrics import ALL_KINDS, kernel_values
from harness.model.record import RunRecord
from harness.model.text import Unit, count, plain, quantity, significant
from harness.model.units import NANOS_PER_SECOND
from reports.figures.latencies import latencies_by_kind, lateness_ns
from reports.figures.run_tables import RunTables
from reports.pages import glossary
from reports.pages.cells import NO_DATA, cell, fact, number_columns, table_section, text_columns
from reports.pages.model import Cell, Fact, Notice, Page, Section, Tone
from reports.pages.profile.sections import profile_sections
from reports.pages.run.curves import (
    lateness_curve,
    response_by_kind,
    response_curves,
    visible_curves,
)
from reports.pages.run.leak import leak_sentence, slope_of
from reports.pages.run.tables import (
    checks_table,
    conservation_table,
    invariants_table,
    kinds_table,
    lateness_table,
    max_cell,
    objectives_table,
    outcomes_table,
    quantile_cell,
    visible_table,
)
from reports.pages.run.timeline import rate_chart, response_chart
from reports.pages.run.usage import in_flight_chart, resource_charts, resource_table
from reports.pages.run.verdict_section import verdict_group
from reports.text import flattened


def view_run(tables: RunTables) -> Page:
    """The page of the run in *tables*; one of a micro suite has kernels, and no operations."""
    record = tables.record
    return Page(
        title=f"{_scenario_name(record)} · {plain(record.run_id)}",
        subtitle=_subtitle(record),
        verdict_groups=(verdict_group(record),),
        notices=notices(tables),
        sections=(
            _identity(record),
            *([_kernels(record)] if record.kernels else _of_operations(tables)),
            Section(
                id="validity",
                title="Validity checks",
                lead="Was the generator honest? A slow service fails none of these.",
                tables=(checks_table(record),),
            ),
            Section(
                id="correctness",
                title="Invariants",
                lead="Is every cent accounted for? Checked after the load, on what the service said"
                " and what it published.",
                tables=(invariants_table(record),),
                terms=(glossary.INVARIANT, glossary.FACTS_CHECKED),
            ),
            Section(
                id="performance",
                title="Objectives",
                lead="What the scenario demands of the service.",
                tables=(objectives_table(record),),
            ),
            _environment(record),
            _repeat(record),
        ),
    )


def _of_operations(tables: RunTables) -> Iterator[Section]:
    record, by_kind = tables.record, latencies_by_kind(tables.operations)
    yield _rate(record)
    yield Section(
        id="latency",
        title="Latency",
        charts=(response_curves(by_kind[ALL_KINDS]), response_by_kind(by_kind)),
        terms=(glossary.RESPONSE, glossary.SERVICE, glossary.PERCENTILE),
    )
    yield _time(tables)
    yield Section(
        id="kinds",
        title="By kind",
        tables=(kinds_table(record),),
        terms=(glossary.RESPONSE, glossary.SERVICE, glossary.INTERVAL, glossary.WITHHELD),
    )
    yield Section(
        id="lateness-section",
        title="Lateness",
        lead="What the generator itself caused.",
        charts=(lateness_curve(lateness_ns(tables.record, tables.operations)),),
        tables=(lateness_table(tables.record),),
        terms=(glossary.LATENESS, glossary.WAIT),
    )
    yield Section(
        id="visible-section",
        title="Visible",
        lead="When others could see the effect.",
        charts=(visible_curves(record, by_kind),),
        tables=(visible_table(record),),
        terms=(glossary.VISIBLE, glossary.FLOOR),
    )
    yield Section(
        id="outcomes",
        title="Outcomes",
        tables=(outcomes_table(record),),
        terms=(
            glossary.REJECTED,
            glossary.FAILED,
            glossary.DROPPED,
            glossary.CANCELLED,
            glossary.STRANDED,
        ),
    )
    yield Section(
        id="resources",
        title="Resources",
        lead=leak_sentence(tables.record, slope_of(tables.record, tables.samples)),
        charts=resource_charts(tables.record, tables.samples),
        tables=(resource_table(tables.record),),
    )
    yield from profile_sections(tables)


def _kernels(record: RunRecord) -> Section:
    rows = []
    for kernel in record.kernels:
        starts = kernel_values(kernel)
        ends = [quantity(end, kernel.unit) for end in (min(starts), max(starts))] if starts else []
        rows.append(
            (
                Cell(text=plain(kernel.name), detail=plain(kernel.title)),
                cell(median(starts) if starts else None, kernel.unit, " to ".join(ends)),
                Cell(text=count(len(starts))),
            )
        )
    return table_section(
        id="kernels",
        title="Kernels",
        lead="What one operation of each hot function costs: the median over process starts of the"
        " median of their rounds, and from the least to the most of a start.",
        columns=(*text_columns("kernel"), *number_columns("an operation", "process starts")),
        rows=tuple(rows),
    )


def notices(tables: RunTables) -> tuple[Notice, ...]:
    record = tables.record
    found: list[Notice] = []
    if not record.complete:
        reason = plain(record.incomplete_reason) or "no reason was recorded"
        found.append(
            Notice(
                tone=Tone.BAD,
                text=f"This run is incomplete: {reason}. It is kept as evidence and can never be"
                " a baseline.",
            )
        )
    if record.instrumentation != "plain":
        found.append(
            Notice(
                tone=Tone.WARNING,
                text=f"The service ran under {plain(record.instrumentation)}, which slows it down:"
                " compare these latencies with no plain run.",
            )
        )
    found.extend(Notice(tone=Tone.WARNING, text=f"{fault}.") for fault in tables.faults)
    return tuple(found)


def _scenario_name(record: RunRecord) -> str:
    return plain(str(record.scenario.get("name") or "unnamed scenario"))


def _subtitle(record: RunRecord) -> str:
    title = plain(str(record.scenario.get("title") or ""))
    target = plain(str(record.target.get("name") or "unnamed target"))
    rate = f"{significant(record.rate.offered_per_s)} operations/s offered"
    seconds = int(record.phases.get("measure_ns", 0)) / NANOS_PER_SECOND
    parts = (title, f"target {target}", rate, f"{significant(seconds)} s measured")
    return " · ".join(part for part in parts if part)


def _identity(record: RunRecord) -> Section:
    scenario, target = record.scenario, record.target
    capabilities = target.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, Mapping) else {}
    build = target.get("build") if isinstance(target.get("build"), str) else ""
    facts = (
        ("run", record.run_id),
        ("scenario", scenario.get("name")),
        ("title", scenario.get("title")),
        ("profile", scenario.get("profile")),
        ("scenario digest", scenario.get("digest")),
        ("schedule digest", record.schedule_digest),
        ("target", target.get("name")),
        ("target's build", build or capabilities.get("build")),
        ("broker", record.broker.get("kind")),
        ("instrumentation", record.instrumentation),
        ("started", _moment(record.created_at)),
        ("seed", record.seed),
    )
    phases = tuple(
        Fact(name=name, cell=cell(record.phases.get(key), Unit.NS))
        for name, key in (
            ("warm-up", "warmup_ns"),
            ("measured", "measure_ns"),
            ("drain", "drain_ns"),
        )
    )
    return Section(
        id="run", title="Run", facts=(*(_fact(name, value) for name, value in facts), *phases)
    )


def _rate(record: RunRecord) -> Section:
    rate, operations = record.rate, record.operations
    response = record.latency[ALL_KINDS].response_ns if ALL_KINDS in record.latency else None
    unanswered = operations.failed + operations.timed_out + operations.dropped
    unanswered += operations.stranded
    is_measured = operations.scheduled > 0
    return Section(
        id="rate",
        title="Rate",
        lead="What was asked for, what left the generator, and what was answered.",
        headlines=(
            _headline("offered", rate.offered_per_s, is_measured),
            _headline("sent", rate.sent_per_s, is_measured),
            _headline("achieved", rate.achieved_per_s, is_measured),
            Fact(name="response p50", cell=quantile_cell(response, 0.5)),
            Fact(name="response p99", cell=quantile_cell(response, 0.99)),
            Fact(name="response max", cell=max_cell(response)),
            Fact(
                name="without an answer",
                cell=Cell(text=count(unanswered), tone=Tone.BAD if unanswered else None)
                if is_measured
                else NO_DATA,
            ),
        ),
        tables=(conservation_table(record),),
        terms=(
            glossary.OFFERED,
            glossary.SENT,
            glossary.ACHIEVED,
            glossary.REJECTED,
            glossary.FAILED,
            glossary.DROPPED,
            glossary.CANCELLED,
            glossary.STRANDED,
        ),
    )


def _time(tables: RunTables) -> Section:
    record, operations = tables.record, tables.operations
    return Section(
        id="time",
        title="Over time",
        lead="Zoom one of these charts and the others follow.",
        charts=(
            response_chart(record, operations),
            rate_chart(record, operations),
            in_flight_chart(record, tables.samples),
        ),
        terms=(glossary.RESPONSE, glossary.IN_FLIGHT),
    )


def _environment(record: RunRecord) -> Section:
    parts = (
        ("", record.environment),
        ("target.", record.target),
        ("broker.", {key: value for key, value in record.broker.items() if key != "floor_ns"}),
        ("load.", record.load),
    )
    return Section(
        id="environment",
        title="Environment",
        facts=tuple(
            _fact(name, value)
            for prefix, mapping in parts
            for name, value in flattened(mapping, prefix)
        ),
    )


def _repeat(record: RunRecord) -> Section:
    return Section(
        id="repeat",
        title="Repeat this run",
        lead=f"Seed {record.seed}: the same seed and scenario give the same operations at the same"
        " intended times.",
        command=plain(record.command),
        remarks=tuple(plain(note) for note in record.notes),
    )


def _moment(iso_text: str) -> str:
    try:
        return f"{datetime.fromisoformat(iso_text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return iso_text


def _fact(name: str, value: object) -> Fact:
    return fact(name, "" if value is None else plain(str(value)))


def _headline(name: str, rate_per_s: float, is_measured: bool) -> Fact:
    return Fact(name=name, cell=cell(rate_per_s, Unit.PER_S) if is_measured else NO_DATA)
