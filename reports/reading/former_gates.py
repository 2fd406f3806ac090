"""
What gates said before, from the verdicts beside a gate.

A gate's figures are ratios of two sides that were alive together, so they make no series with those
of single runs; what they can be held against is what gates of the same settings found. A folder
that can't be read as a gate is passed over: nothing is judged by it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GATE_COUNT_MAX = 20
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
    """The newest gates in *runs_folder* that ran with the same *settings*, oldest first."""
    found: list[FormerGate] = []
    for path in sorted(runs_folder.glob("gate-*/verdict.json"), reverse=True):
        gate = _read(path, settings)
        if gate is not None:
            found.append(gate)
        if len(found) == _GATE_COUNT_MAX:
            break
    return tuple(reversed(found))


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
