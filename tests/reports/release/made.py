"""Made runs of one build on one machine, fit to be signed; each test spoils what it is about."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.model.objectives import judge_objectives
from harness.model.record import CorrectnessSection, Invariant, RunRecord
from harness.model.release_file import ReleasePolicy, parse_release_policy
from harness.model.scenario import ObjectiveSpec
from harness.model.scenario_tables import ObjectiveTable
from harness.model.verdict import Correctness
from harness.storage.run_folder import load_run, write_record
from reports.release.candidates import Circumstances, Evidence, Expected
from tests.reports.synthetic import Shape, with_exit_code, write_synthetic_run

KEY = "spot-steady@gate"
DIGEST = "5c9f0b7e21d84a66"
NOW = "2026-11-25T12:00:00+00:00"
YESTERDAY = "2026-11-24T12:00:00+00:00"
REVISION = "4f2a" * 10
LIMIT = "250ms"
SMALL = Shape(rate_per_s=400.0, measure_s=5, warmup_s=1, freeze_ns=0)
POLICY = """
name = "core"
[[runs]]
scenario = "spot-steady"
profile = "gate"
"""
REFUSED = {"metric": "operations.rejected_share", "at_most": "5%"}


def p99(at_most: str) -> dict[str, str]:
    """A demand as a file has it."""
    return {"metric": "all.response_ns.p99", "at_most": at_most}


def specs(*tables: dict[str, str]) -> tuple[ObjectiveSpec, ...]:
    """The demands that *tables* say."""
    return tuple(ObjectiveTable.model_validate(item).to_spec() for item in tables)


CIRCUMSTANCES = Circumstances(
    release="1.4",
    judged_at=NOW,
    expected={
        KEY: Expected(scenario="spot-steady", digest=DIGEST, objectives=specs(p99(LIMIT), REFUSED))
    },
)


def policy(text: str = POLICY) -> ReleasePolicy:
    """A release policy."""
    return parse_release_policy(text, file="release.toml")


def fit(record: RunRecord, at_most: str = LIMIT) -> RunRecord:
    """*record* as a run of today's program would have it, its objectives judged."""
    parameters = {
        "objectives": [p99(at_most), REFUSED],
        "audit": {"required": ["I1"]},
        "overrides": {"profile": "gate"},
    }
    return judged(
        replace(
            record,
            created_at=YESTERDAY,
            seed=42,
            schedule_digest="b1946ac92492d234",
            scenario={**record.scenario, "parameters": parameters},
            target={
                **record.target,
                "capabilities": {"git_revision": REVISION},
                "revision": {"git_sha": REVISION, "git_dirty": False},
            },
            environment={
                **record.environment,
                "cpu_model": "AMD EPYC 9R14",
                "harness_version": "0.1.0",
                "harness_digest": "57a2",
                "memory_bytes": 8 * 2**30,
            },
        ),
        specs(p99(at_most), REFUSED),
    )


def judged(record: RunRecord, demanded: tuple[ObjectiveSpec, ...]) -> RunRecord:
    """*record* held to *demanded*, as a run is when it ends."""
    performance = judge_objectives(demanded, record)
    return with_exit_code(replace(record, performance=performance))


@cache
def good_record() -> RunRecord:
    """A run that meets everything."""
    with TemporaryDirectory() as folder:
        return fit(write_synthetic_run(Path(folder) / "run", SMALL).record)


def evidence(name: str = "one", **changes: Any) -> Evidence:
    """Of a good run with *changes* to its record."""
    return Evidence(name=name, record=replace(good_record(), run_id=name, **changes))


def broken(record: RunRecord, law: str = "I1") -> RunRecord:
    """*record* with money lost."""
    return with_law(record, law, Correctness.FAILED)


def with_law(record: RunRecord, law: str, status: Correctness, *missing: str) -> RunRecord:
    """*record* with one law of that status in the place of the one it had."""
    item = Invariant(
        id=law,
        title="money is conserved",
        status=status,
        checked_count=0 if status is Correctness.UNKNOWN else 10,
        violation_count=1 if status is Correctness.FAILED else 0,
        first="account 7 has 3 too many" if status is Correctness.FAILED else "",
        worst="",
        sentence="what it found",
        missing=missing,
    )
    laws = (item, *(one for one in record.correctness.invariants if one.id != law))
    worst = next(
        (s for s in (Correctness.FAILED, Correctness.UNKNOWN) if any(x.status is s for x in laws)),
        Correctness.PASSED,
    )
    return with_exit_code(
        replace(record, correctness=CorrectnessSection(status=worst, invariants=laws))
    )


def write_run(folder: Path, *, seed: int = 7, slowdown: float = 1.0, **changes: Any) -> Path:
    """A stored run of what was measured with that *seed*."""
    write_synthetic_run(folder, replace(SMALL, seed=seed, slowdown=slowdown))
    record = replace(fit(load_run(folder).record), **changes)
    write_record(folder, record)
    (folder / "report.html").write_text("<!doctype html><title>report</title>", encoding="utf-8")
    (folder / "target.log").write_text("not copied\n", encoding="utf-8")
    return folder


def change_json(path: Path, *keys: str | int, value: Any) -> None:
    """Write *value* at *keys* of a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
