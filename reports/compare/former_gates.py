"""
What gates said before: the history of a gate's metrics, from the verdicts beside it.

A gate's figures are ratios of two sides that were alive together, so they make no series with those
of single runs; what they can be held against is what gates of the same settings found. A folder
that can't be read as a gate is passed over: nothing is judged by it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports.compare.metric_table import ratio_text
from reports.compare.samples import Compared
from reports.compare.verdicts import Change, Comparison
from reports.view.model import Cell, Column, Section, Table
from reports.view.verdicts import TONES
from reports.view.words import DASH, plain

_SHOWN_COUNT = 20
_METRIC_COUNT_MAX = 4
_SAME = (
    *("target", "machine", "scenario", "warm-up of a side", "measured of a side", "turns"),
    *("broker", "policy"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerGate:
    """
    One gate.

    Attributes:
        changes: Candidate over base by metric, where there was an estimate.
    """

    gate_id: str
    base: str
    candidate: str
    status: str
    changes: Mapping[str, float]


def read_former_gates(runs_folder: Path, settings: Mapping[str, str]) -> tuple[FormerGate, ...]:
    """The newest gates in *runs_folder* that were led by the same *settings*, oldest first."""
    found: list[FormerGate] = []
    for path in sorted(runs_folder.glob("gate-*/verdict.json"), reverse=True):
        gate = _read(path, settings)
        if gate is not None:
            found.append(gate)
        if len(found) == _SHOWN_COUNT:
            break
    return tuple(reversed(found))


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
        Section(
            id="former-gates",
            title="Former gates",
            lead="What gates of the same scenario and policy found before, the newest last: whether"
            " this one's changes are out of the ordinary.",
            tables=(
                Table(
                    id="former-gates-table",
                    title="Former gates",
                    columns=(
                        *(Column(title=t, is_number=False) for t in ("gate", "base", "candidate")),
                        Column(title="verdict", is_number=False),
                        *(Column(title=plain(name)) for name in shown),
                    ),
                    rows=tuple(_row(gate, shown, kinds) for gate in gates),
                ),
            ),
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


def _ratio(value: Any) -> float:
    ratio = float(value)
    if not math.isfinite(ratio):
        raise ValueError(f"{value} is no ratio")
    return ratio


def _read(path: Path, settings: Mapping[str, str]) -> FormerGate | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        gate = document["gate"]
        if any(gate["settings"].get(name) != settings.get(name) for name in _SAME):
            return None
        return FormerGate(
            gate_id=str(gate["gate_id"]),
            base=str(document["baseline"]),
            candidate=str(document["candidate"]),
            status=str(document["status"]),
            changes={str(name): _ratio(value) for name, value in document["changes"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
