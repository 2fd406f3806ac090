"""The history of a gate's metrics: what gates of the same settings found before, as a section."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.model.text import plain
from reports.compare.verdicts import Change, Comparison
from reports.figures.samples import Compared
from reports.pages.cells import number_columns, table_section, text_columns
from reports.pages.compare.metric_table import ratio_text
from reports.pages.model import Cell, Section
from reports.pages.run.verdict_section import TONES
from reports.reading.former_gates import FormerGate
from reports.text import DASH

_METRIC_COUNT_MAX = 4


def former_gates_section(
    gates: Sequence[FormerGate], comparison: Comparison
) -> tuple[Section, ...]:
    """A row a gate, the metrics of *comparison* that can change; none without former gates."""
    if not gates:
        return ()
    names = [item.name for item in comparison.metrics if item.estimate is not None]
    names = [name for name in names if any(gate.changes.get(name, 1.0) != 1.0 for gate in gates)]
    shown = names[:_METRIC_COUNT_MAX]
    kinds = {item.name: item.compared for item in comparison.metrics}
    return (
        table_section(
            id="former-gates",
            title="Former gates",
            lead="What gates of the same scenario and policy found before, the newest last: whether"
            " this one's changes are out of the ordinary.",
            columns=(
                *text_columns("gate", "base", "candidate", "verdict"),
                *number_columns(*(plain(name) for name in shown)),
            ),
            rows=tuple(_row(gate, shown, kinds) for gate in gates),
        ),
    )


def former_gates_to_json(gates: Sequence[FormerGate]) -> list[dict[str, Any]]:
    """What the section shows, and the metrics that it has no room for."""
    return [asdict(gate) for gate in gates]


def _row(gate: FormerGate, names: Sequence[str], kinds: Mapping[str, Compared]) -> tuple[Cell, ...]:
    known = gate.status in {change.value for change in Change}
    return (
        Cell(text=plain(gate.gate_id)),
        Cell(text=plain(gate.base)),
        Cell(text=plain(gate.candidate)),
        Cell(text=plain(gate.status), tone=TONES[Change(gate.status)] if known else None),
        *(
            Cell(text=ratio_text(gate.changes[name], kinds[name]) if name in gate.changes else DASH)
            for name in names
        ),
    )
