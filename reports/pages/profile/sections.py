"""
The profiles' part of a run's page: what each pass saw and disturbed, then where the cost went.

The order is that of the questions: may I trust it, what did it cost to look, what is hot, what
grows. A run without profiles has no such part; a profile that is missing is said, with why.
"""

from harness.model.overhead import overhead
from harness.model.record import RunRecord
from harness.model.text import Unit, count, plain, significant
from harness.model.verdict import Correctness
from reports.figures.rest import measured
from reports.figures.run_tables import ProfiledPass, RunTables
from reports.pages.cells import NO_DATA, cell, number_columns, text_columns
from reports.pages.model import Cell, Section, Table, Tone
from reports.pages.profile.cpu import cpu_sections
from reports.pages.profile.memory import memory_section
from reports.pages.run.verdict_section import TONES
from reports.text import DASH, sentence

_REPLAY_LAW = "I20"  # the journal, replayed into a fresh instance, makes the same state


def profile_sections(tables: RunTables) -> tuple[Section, ...]:
    if not tables.passes:
        return ()
    return (
        _passes_section(tables),
        *cpu_sections(tables),
        *memory_section(tables),
    )


def _passes_section(tables: RunTables) -> Section:
    passes = tables.passes
    is_twin = any(one.is_twin for one in passes)
    lead = (
        "The same operations once more under each profiler. All timings on this page are the plain"
        " run's; what a profiler did to the service stands here."
        if is_twin
        else "The service was profiled in this very run: its timings are those of a disturbed"
        " service, and without an unprofiled run nobody can say by how much."
    )
    return Section(
        id="profiles",
        title="Profiles",
        lead=lead,
        tables=(
            _seen_table(passes),
            *((_disturbance_table(tables.record, passes),) if is_twin else ()),
        ),
        remarks=tuple(sentence(f"{one.name}: {text}") for one in passes for text in _remarks(one)),
    )


def _remarks(one: ProfiledPass) -> tuple[str, ...]:
    notes = dict.fromkeys(note for profile in one.profiles for note in profile.notes)
    return (*one.missing, *notes)


def _seen_table(passes: tuple[ProfiledPass, ...]) -> Table:
    return Table(
        id="passes-table",
        title="What was seen",
        columns=(
            *text_columns("pass", "profiler"),
            *number_columns("segments", "samples", "operations in them", "CPU time, by the kernel"),
            *text_columns("correctness", "journal replayed"),
        ),
        rows=tuple(_seen_row(one) for one in passes),
        note="CPU samples are scaled to the CPU time that the kernel accounts to the service:"
        " what was not sampled is shown as such, never left out.",
    )


def _seen_row(one: ProfiledPass) -> tuple[Cell, ...]:
    if not one.profiles:
        empty = Cell(text="no profile", tone=Tone.BAD)
        return (Cell(text=plain(one.name)), empty, *(NO_DATA,) * 4, *_audit_cells(one.record))
    first = one.profiles[0]
    inside = measured(first)
    sample_count = sum(segment.sample_count for segment in inside)
    cpu_ns = sum(segment.cpu_ns for segment in inside)
    profiler = first.profiler
    name = f"{profiler.get('name', 'unnamed')} {profiler.get('version', '')}".strip()
    return (
        Cell(text=plain(one.name)),
        Cell(text=plain(name), detail=plain(profiler.get("settings", ""))),
        Cell(text=count(len(inside))),
        Cell(text=count(sample_count)) if sample_count else Cell(text=DASH),
        Cell(text=count(sum(segment.operation_count for segment in inside))),
        cell(cpu_ns, Unit.NS) if cpu_ns else Cell(text=DASH),
        *_audit_cells(one.record),
    )


def _audit_cells(record: RunRecord) -> tuple[Cell, Cell]:
    status = record.correctness.status
    replay = next((law for law in record.correctness.invariants if law.id == _REPLAY_LAW), None)
    whole = Cell(text=status, tone=TONES[status])
    if replay is None:
        return whole, Cell(text="not checked", detail="the target file has no [replay]")
    is_unknown = replay.status is Correctness.UNKNOWN
    detail = plain(replay.sentence) if is_unknown else ""
    return whole, Cell(text=replay.status, tone=TONES[replay.status], detail=detail)


def _disturbance_table(plain_record: RunRecord, passes: tuple[ProfiledPass, ...]) -> Table:
    columns = ("response p50", "response p99", "CPU an operation", "answered rate")
    return Table(
        id="disturbance-table",
        title="What it cost to look",
        columns=(
            *text_columns("pass"),
            *number_columns(*columns, group="against the plain run"),
            *number_columns("sent slower than planned"),
        ),
        rows=tuple(_disturbance_row(plain_record, one) for one in passes if one.is_twin),
        note="A pass that would saturate the service sends the same operations over a longer"
        " time: its answered rate and latencies belong to that slower schedule.",
    )


def _disturbance_row(plain_record: RunRecord, one: ProfiledPass) -> tuple[Cell, ...]:
    found = overhead(plain_record, one.record)
    ratios = (found.response_p50_ratio, found.response_p99_ratio, found.cpu_ratio, found.rate_ratio)
    return (
        Cell(text=plain(one.name)),
        *(
            NO_DATA if ratio is None else Cell(text=f"{significant(ratio)} times")
            for ratio in ratios
        ),
        Cell(
            text=f"{significant(found.stretch_ratio, 2)} times" if found.stretch_ratio > 1 else "no"
        ),
    )
