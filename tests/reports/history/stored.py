"""Stored runs of a history: records of one shape whose figures are scaled, written to disk."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.model.quantiles import Distribution
from harness.model.record import Latency, RunRecord
from harness.storage.run_folder import write_record
from tests.reports.synthetic import Shape, write_synthetic_run

FIRST = datetime(2026, 9, 1, 2, 30, tzinfo=UTC)
SMALL = Shape(rate_per_s=100.0, measure_s=8, warmup_s=1, freeze_ns=0)
ENVIRONMENT = {
    "cpu_model": "AMD EPYC 9R14",
    "core_count": 2,
    "kernel": "6.1.0",
    "python": "CPython 3.11.9",
    "packages": {"grpcio": "1.75.0"},
    "harness_version": "0.1.0",
    "harness_digest": "aa",
}


def base_record(folder: Path) -> RunRecord:
    """The record that all are made from; *folder* is made."""
    record = write_synthetic_run(folder, SMALL).record
    return replace(
        record,
        environment=ENVIRONMENT,
        target={"name": "reference", "kind": "launched"},
        broker={**record.broker, "kind": "apache"},
    )


def scaled(
    base: RunRecord, index: int, factors: Mapping[str, float], *, sha: str = ""
) -> RunRecord:
    """
    Run number *index*, a night each.

    *factors*: of "cpu", and of latencies by kind; "all" is for kinds that are not named.
    """
    moment = FIRST + timedelta(days=index)
    everything = factors.get("all", 1.0)
    latency = {
        kind: _latency(item, factors.get(kind, everything)) for kind, item in base.latency.items()
    }
    used = base.resources["target"]
    assert used.cpu_cores_mean is not None
    cpu_cores = used.cpu_cores_mean * factors.get("cpu", 1.0)
    return replace(
        base,
        run_id=f"{moment:%Y%m%d-%H%M%S}-spot-steady-{index:04x}",
        created_at=moment.isoformat(),
        latency=latency,
        resources={**base.resources, "target": replace(used, cpu_cores_mean=cpu_cores)},
        target={**base.target, "revision": {"git_sha": sha, "git_dirty": False}},
    )


def write_records(records: Sequence[RunRecord], runs: Path) -> None:
    """Each in its folder."""
    for record in records:
        folder = runs / record.run_id
        folder.mkdir(parents=True)
        write_record(folder, record)


def nights(
    base: RunRecord, count: int, *, steps: Mapping[int, float], noise: float = 0.01, seed: int = 1
) -> list[RunRecord]:
    """*count* runs with *noise*; CPU and latencies change by a factor from each of *steps* on."""
    chance = random.Random(seed)
    level, records = 1.0, []
    for index in range(count):
        level *= steps.get(index, 1.0)
        factors = {name: level * chance.gauss(1.0, noise) for name in ("cpu", *base.latency)}
        records.append(scaled(base, index, factors, sha=f"{index:040x}"))
    return records


def _latency(item: Latency, factor: float) -> Latency:
    return Latency(
        response_ns=_stretched(item.response_ns, factor),
        service_ns=_stretched(item.service_ns, factor),
        visible_ns=_stretched(item.visible_ns, factor),
        wait_ns=item.wait_ns,
    )


def _stretched(of: Distribution, factor: float) -> Distribution:
    return replace(
        of,
        mean=None if of.mean is None else of.mean * factor,
        max=None if of.max is None else int(of.max * factor),
        quantiles=tuple(
            replace(q, value=None if q.value is None else int(q.value * factor))
            for q in of.quantiles
        ),
    )
