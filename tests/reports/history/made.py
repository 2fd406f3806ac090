"""Runs of a history as values: figures as given, everything else alike."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.model.metrics import Figure
from harness.model.record import Better
from reports.history.alerts import Acceptance
from reports.history.events import Gathered, History, history_of
from reports.history.runs import HistoryRun, RunSetting

FIRST = datetime(2026, 9, 1, 2, 30, tzinfo=UTC)
CPU, P50, RATE, VISIBLE = (
    "target.cpu_ns_per_operation",
    "all.response_ns.p50",
    "rate.achieved_per_s",
    "all.visible_ns.p99",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a run was a run of."""

    scenario: str = "spot-steady"
    digest: str = "aaaa"
    broker: str = "apache"
    cores: str = "2"


def setting(kind: Kind) -> RunSetting:
    """The setting of that kind."""
    family = (kind.scenario, "gate", "reference", "plain", kind.broker, "EPYC", kind.cores)
    return RunSetting(facts=(("scenario.digest", kind.digest),), family=family)


def run(
    index: int,
    values: Mapping[str, float],
    *,
    kind: Kind | None = None,
    unfit: tuple[str, ...] = (),
    facts: Mapping[str, str] | None = None,
) -> HistoryRun:
    """The run of night *index*."""
    return HistoryRun(
        run_id=f"run-{index:03d}",
        place=f"runs/run-{index:03d}",
        started_at=FIRST + timedelta(days=index),
        setting=setting(kind or Kind()),
        git_sha=f"{index:040x}"[::-1],
        is_dirty=False,
        unfit=unfit,
        verdicts={"validity": "VALID", "correctness": "PASSED", "performance": "PASSED"},
        facts=facts or {"environment.kernel": "6.1"},
        figures={name: figure(name, value) for name, value in values.items()},
        works={},
    )


def figure(name: str, value: float) -> Figure:
    """A figure in nanoseconds, or a rate."""
    is_rate = name == RATE
    return Figure(
        name=name,
        unit="per_s" if is_rate else "ns",
        better=Better.MORE if is_rate else Better.LESS,
        value=value,
    )


def nights(
    levels: Sequence[float], *, names: Sequence[str] = (CPU,), noise: float = 0.01, seed: int = 5
) -> list[HistoryRun]:
    """A run each night, every metric at that night's level with *noise*."""
    chance = random.Random(seed)
    return [
        run(index, {name: level * chance.gauss(1.0, noise) for name in names})
        for index, level in enumerate(levels)
    ]


def stepped(before_count: int, after_count: int, ratio: float, level: float = 1e6) -> list[float]:
    """Levels with one step."""
    return [level] * before_count + [level * ratio] * after_count


def history(
    runs: Sequence[HistoryRun], *acceptances: Acceptance, last_count: int | None = None
) -> History:
    """Of these runs, in any order, every metric."""
    gathered = Gathered(runs=tuple(runs), acceptances=acceptances)
    return history_of(gathered, ("*",), last_count=last_count)


def accepted(run_id: str, pattern: str = "*") -> Acceptance:
    """Accepted by somebody."""
    return Acceptance(pattern=pattern, run_id=run_id, who="ada", at="2026-11-25", why="durable")
