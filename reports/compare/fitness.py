"""
What differs between two runs besides what was measured: scenario, schedule, machine, settings.

Pure. A difference in what was asked or on what it ran makes a ratio mean something else than "the
service became slower"; those come first and are warnings. Others are facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.record import RunRecord
from reports.view.words import NO_DATA, flattened

_NOT_SETTINGS = frozenset(
    {
        # environment
        "load_average",
        "load_average_1min",
        "steal_share",
        # load
        "driver_stats",
        "invisible_count",
        "observer",
        "resolved_count",
        "sent_per_cpu_second",
        "subscriber",
        # broker
        "floor_ns",
        # target
        "address",
        "ended",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same in both runs. *is_obstacle*: the ratios are in doubt."""

    name: str
    a: str
    b: str
    is_obstacle: bool


def differences(a: RunRecord, b: RunRecord) -> tuple[Difference, ...]:
    """Everything that differs, obstacles first; the same in both is not listed."""
    found = (
        *_compared(_asked(a), _asked(b), is_obstacle=True),
        *_compared(
            _flat("environment", a.environment),
            _flat("environment", b.environment),
            is_obstacle=True,
        ),
        *_compared(_flat("load", a.load), _flat("load", b.load), is_obstacle=True),
        *_compared(_flat("broker", a.broker), _flat("broker", b.broker), is_obstacle=True),
        *_compared(_flat("target", a.target), _flat("target", b.target), is_obstacle=False),
    )
    return tuple(sorted(found, key=lambda item: not item.is_obstacle))


def _asked(record: RunRecord) -> dict[str, str]:
    """What must be the same for two runs to have been asked the same."""
    asked = {
        "scenario": record.scenario.get("name"),
        "scenario digest": record.scenario.get("digest"),
        "schedule digest": record.schedule_digest,
        "seed": record.seed,
        "instrumentation": record.instrumentation,
        "complete": record.complete,
        "warmup_ns": record.phases.get("warmup_ns"),
        "measure_ns": record.phases.get("measure_ns"),
    }
    return dict(flattened(asked))


def _flat(prefix: str, mapping: Mapping[str, Any]) -> dict[str, str]:
    """The settings in *mapping*: not what was measured, nor what no two runs can share."""
    settings = {key: value for key, value in mapping.items() if key not in _NOT_SETTINGS}
    facts = dict(flattened(settings, f"{prefix}."))
    return {name: text for name, text in facts.items() if not name.endswith(".pid")}


def _compared(a: dict[str, str], b: dict[str, str], *, is_obstacle: bool) -> list[Difference]:
    return [
        Difference(
            name=name,
            a=a.get(name, NO_DATA.text),
            b=b.get(name, NO_DATA.text),
            is_obstacle=is_obstacle,
        )
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name)
    ]
