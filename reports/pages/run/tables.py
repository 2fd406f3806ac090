"""
The tables of a run's page, each from the record alone, so that every number equals record.json.

Rows that say something is wrong come first. A percentile with too few samples reads
"insufficient samples (needs 6,636)", a value that was never measured "no data".
"""

from collections.abc import Mapping
from dataclasses import replace

from harness.model.metrics import ALL_KINDS
from harness.model.quantiles import HEADLINE_QUANTILES, Distribution, Quantile
from harness.model.record import (
    Check,
    Invariant,
    Latency,
    Objective,
    Operations,
    OutcomeCount,
    RunRecord,
)
from harness.model.text import Unit, count, duration, exact, plain, quantities_apart
from harness.model.units import NANOS_PER_SECOND
from harness.model.verdict import badness
from reports.pages.cells import NO_DATA, cell, number_columns, text_columns
from reports.pages.model import Cell, Table, Tone
from reports.pages.run.verdict_section import TONES
from reports.text import DASH

_SHOWN_QUANTILES = (0.5, 0.9, 0.99, 0.999)
_GOOD_OUTCOMES = ("acknowledged",)
_BAD_OUTCOMES = ("failed", "timed_out", "dropped", "stranded")


def quantile_name(q: float) -> str:
    """0.999 as p99.9."""
    return f"p{exact(100 * q)}"


def quantile_cell(of: Distribution | None, q: float, *, missing: str = "answer") -> Cell:
    """The quantile *q* with its 95 % interval, or why there is none; *missing*: of what."""
    item = None if of is None else next((one for one in of.quantiles if one.q == q), None)
    if of is None or item is None or of.count + of.unanswered_count == 0:
        return NO_DATA
    if item.is_unanswered:
        return Cell(text=f"no {missing} ({of.unanswered_count:,} had none)", is_missing=True)
    if item.value is None:
        return Cell(text=f"insufficient samples (needs {item.needed_count:,})", is_missing=True)
    return Cell(text=duration(item.value), detail=_interval(item))


def max_cell(of: Distribution | None) -> Cell:
    """The largest sample; where some had no answer, that of the others."""
    if of is None or of.count == 0:
        return NO_DATA
    shown = cell(of.max, Unit.NS)
    if not of.unanswered_count:
        return shown
    return replace(shown, detail=f"of those answered; {count(of.unanswered_count)} were not")


def kinds_table(record: RunRecord) -> Table:
    return Table(
        id="kinds-table",
        title="Latency by kind of operation",
        columns=(
            *text_columns("kind"),
            *number_columns("answered", "rate"),
            *number_columns(*map(quantile_name, _SHOWN_QUANTILES), "max", group="response"),
            *number_columns("p50", "p99", group="service"),
        ),
        rows=tuple(
            _kind_row(kind, latency, _measure_s(record))
            for kind, latency in _all_last(record.latency).items()
        ),
        note="Under each figure its 95 % interval.",
    )


def lateness_table(record: RunRecord) -> Table:
    waits = (
        (f"wait of {plain(kind)}", latency.wait_ns)
        for kind, latency in _all_last(record.latency).items()
        if latency.wait_ns.max or kind == ALL_KINDS
    )
    return _distributions_table(
        "lateness-table",
        "Lateness, and waiting for other operations",
        (("lateness of the generator", record.lateness_ns), *waits),
    )


def visible_table(record: RunRecord) -> Table:
    table = _distributions_table(
        "visible-table",
        "Visible by kind, and the broker baseline",
        tuple(
            (plain(kind), latency.visible_ns)
            for kind, latency in _all_last(record.latency).items()
            if latency.visible_ns.count + latency.visible_ns.unanswered_count
        ),
        missing="event",
    )
    floor = record.broker.get("floor_ns")
    floor = floor if isinstance(floor, Mapping) else {}
    row = (
        Cell(text="broker baseline", detail=plain(str(record.broker.get("kind", "")))),
        cell(_number(floor.get("count")), Unit.COUNT),
        *(cell(_number(floor.get(quantile_name(q))), Unit.NS) for q in HEADLINE_QUANTILES),
        cell(_number(floor.get("max")), Unit.NS),
    )
    return Table(id=table.id, title=table.title, columns=table.columns, rows=(*table.rows, row))


def conservation_table(record: RunRecord) -> Table:
    rows: dict[str, Operations] = {**dict(sorted(record.operations_by_kind.items()))}
    rows[ALL_KINDS] = record.operations
    names = (
        "scheduled",
        "admitted",
        "dropped",
        "cancelled",
        "stranded",
        "acknowledged",
        "rejected",
        "failed",
        "timed_out",
    )
    return Table(
        id="operations-table",
        title="Where every operation ended",
        columns=(
            *text_columns("kind"),
            *number_columns(*(name.replace("_", " ") for name in names)),
        ),
        rows=tuple(
            (
                Cell(text=plain(kind)),
                *(_outcome_cell(name, getattr(counts, name)) for name in names),
            )
            for kind, counts in rows.items()
        ),
        note="scheduled = admitted + dropped + cancelled + stranded;"
        " admitted = acknowledged + rejected + failed + timed out.",
    )


def outcomes_table(record: RunRecord) -> Table:
    ordered = sorted(
        record.outcomes, key=lambda item: (_outcome_rank(item.outcome), -item.count, item.kind)
    )
    total = sum(item.count for item in record.outcomes)
    return Table(
        id="outcomes-table",
        title="Outcomes by code",
        columns=(
            *text_columns("outcome", "kind"),
            *number_columns("code"),
            *text_columns("name"),
            *number_columns("count", "share"),
            *text_columns("the service's own words, one example"),
        ),
        rows=tuple(_outcome_row(item, total) for item in ordered),
    )


def checks_table(record: RunRecord) -> Table:
    return _limits_table("checks-table", "Validity checks", record.validity.checks)


def objectives_table(record: RunRecord) -> Table:
    return _limits_table("objectives-table", "Objectives", record.performance.objectives)


def invariants_table(record: RunRecord) -> Table:
    ordered = sorted(record.correctness.invariants, key=lambda item: -badness(TONES[item.status]))
    return Table(
        id="invariants-table",
        title="Invariants",
        columns=(
            *text_columns("id", "status", "invariant"),
            *number_columns("checks performed", "violations"),
            *text_columns("first", "worst"),
        ),
        rows=tuple(_invariant_row(item) for item in ordered),
        absence="no data: no invariant was checked",
    )


def _kind_row(kind: str, latency: Latency, measure_s: float) -> tuple[Cell, ...]:
    response = latency.response_ns
    rate_per_s = response.count / measure_s if measure_s and response.count else None
    return (
        Cell(text=plain(kind)),
        _answered_cell(response),
        cell(rate_per_s, Unit.PER_S),
        *(quantile_cell(response, q) for q in _SHOWN_QUANTILES),
        max_cell(response),
        quantile_cell(latency.service_ns, 0.5),
        quantile_cell(latency.service_ns, 0.99),
    )


def _answered_cell(of: Distribution) -> Cell:
    """How many were answered (or seen), and how many should have been."""
    if of.count + of.unanswered_count == 0:
        return NO_DATA
    missing = of.unanswered_count
    return Cell(text=count(of.count), detail=f"{count(missing)} were not" if missing else "")


def _distributions_table(
    table_id: str,
    title: str,
    named: tuple[tuple[str, Distribution], ...],
    *,
    missing: str = "answer",
) -> Table:
    return Table(
        id=table_id,
        title=title,
        columns=(
            *text_columns(""),
            *number_columns("count", *map(quantile_name, HEADLINE_QUANTILES), "max"),
        ),
        rows=tuple(
            (
                Cell(text=name),
                _answered_cell(of),
                *(quantile_cell(of, q, missing=missing) for q in HEADLINE_QUANTILES),
                max_cell(of),
            )
            for name, of in named
        ),
    )


def _limits_table(table_id: str, title: str, items: tuple[Check | Objective, ...]) -> Table:
    ordered = sorted(items, key=lambda item: -badness(TONES[item.status]))
    return Table(
        id=table_id,
        title=title,
        columns=(*text_columns("id", "status", "what"), *number_columns("measured", "limit")),
        rows=tuple(
            (
                Cell(text=plain(item.id)),
                Cell(text=item.status, tone=TONES[item.status]),
                Cell(text=plain(item.title), detail=plain(item.sentence)),
                *_limit_cells(item),
            )
            for item in ordered
        ),
        absence="no data: nothing was checked",
    )


def _limit_cells(item: Check | Objective) -> tuple[Cell, Cell]:
    if item.value is None or item.limit is None:
        return cell(item.value, item.unit), cell(item.limit, item.unit)
    value, limit = quantities_apart(item.value, item.limit, item.unit)
    return Cell(text=value), Cell(text=limit)


def _invariant_row(item: Invariant) -> tuple[Cell, ...]:
    return (
        Cell(text=plain(item.id)),
        Cell(text=item.status, tone=TONES[item.status]),
        Cell(text=plain(item.title), detail=plain(item.sentence)),
        Cell(text=count(item.checked_count)) if item.checked_count else NO_DATA,
        Cell(
            text=count(item.violation_count) if item.checked_count else "no data",
            tone=Tone.BAD if item.violation_count else None,
            is_missing=not item.checked_count,
        ),
        Cell(text=plain(item.first) or DASH),
        Cell(text=plain(item.worst) or DASH),
    )


def _outcome_row(item: OutcomeCount, total: int) -> tuple[Cell, ...]:
    return (
        Cell(text=plain(item.outcome.replace("_", " ")), tone=_outcome_tone(item.outcome)),
        Cell(text=plain(item.kind)),
        Cell(text=str(item.code)),
        Cell(text=plain(item.code_name) or DASH),
        Cell(text=count(item.count)),
        cell(item.count / total if total else None, Unit.SHARE),
        Cell(text=plain(item.detail) or DASH),
    )


def _outcome_tone(outcome: str) -> Tone | None:
    if outcome in _GOOD_OUTCOMES:
        return Tone.GOOD
    return Tone.BAD if outcome in _BAD_OUTCOMES else Tone.UNKNOWN


def _outcome_rank(outcome: str) -> int:
    return -badness(_outcome_tone(outcome) or Tone.UNKNOWN)


def _outcome_cell(name: str, number: int) -> Cell:
    is_bad = name in _BAD_OUTCOMES and number > 0
    return Cell(text=count(number), tone=Tone.BAD if is_bad else None)


def _interval(item: Quantile) -> str:
    if item.low is not None and item.high is None:
        return f"{duration(item.low)} {DASH} no answer"
    if item.low is None or item.high is None or item.low == item.high:
        return ""
    return f"{duration(item.low)} {DASH} {duration(item.high)}"


def _all_last(latency: Mapping[str, Latency]) -> dict[str, Latency]:
    """By kind in the order of the alphabet, the sum of all at the end."""
    ordered = {kind: latency[kind] for kind in sorted(latency) if kind != ALL_KINDS}
    return {**ordered, **({ALL_KINDS: latency[ALL_KINDS]} if ALL_KINDS in latency else {})}


def _measure_s(record: RunRecord) -> float:
    return int(record.phases.get("measure_ns", 0)) / NANOS_PER_SECOND


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
