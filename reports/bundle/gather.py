"""
Run folders as evidence for a release: what is read of each, and which are looked at.

Reads run folders and copies of them in a bundle alike. A run that could not be finished is evidence
with a fault; a damaged one that was given stops the sign-off.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RecordError
from harness.model.record import RunRecord
from harness.model.release_file import MICRO, ReleasePolicy
from harness.model.text import plain
from harness.storage.run_folder import INCOMPLETE_SUFFIX, StoredRun, load_run, run_folders
from reports.release.candidates import Circumstances, Evidence, Expected, demand_of
from reports.release.contradictions import contradictions
from reports.release.identity import build_of, harness_of

FAILURE_NAME = "failure.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run folder to look at; *is_collected* is False for one that only has its audit counted."""

    folder: Path
    is_collected: bool = True


def read_run_evidence(found: Found) -> Evidence:
    """
    What the run folder is evidence of.

    Raises:
        RecordError: it is damaged, or its verdicts contradict its own figures.
    """
    folder = found.folder
    fault = ""
    if folder.name.endswith(INCOMPLETE_SUFFIX):
        fault = _failure(folder)
        if not (folder / "record.json").is_file():
            return Evidence(
                name=folder.name, record=None, fault=fault, is_collected=found.is_collected
            )
    run = load_run(folder)
    twins = run.twins()
    if not fault:
        _reject_contradictions(folder, run.record)
    fault = fault or next(filter(None, map(_other_verdict, (run, *twins.values()))), "")
    return Evidence(
        name=folder.name,
        record=run.record,
        fault=fault,
        twins={name: twin.record for name, twin in twins.items()},
        damaged_profiles=frozenset(name for name, twin in twins.items() if not _has_profiles(twin)),
        is_collected=found.is_collected,
    )


def chosen_runs(
    policy: ReleasePolicy,
    given: Sequence[Path],
    runs_folder: Path,
    circumstances: Circumstances,
) -> tuple[Found, ...]:
    """
    The runs to look at, oldest first.

    Runs that are *given* are collected, whatever they are; those of the same build that the policy
    asks about and that lie in the runs folder are looked at too, as left out. Without any given all
    of the newest build are collected, or of the build that the circumstances name; those that
    another harness measured are left out, and their audits count. A damaged run that nobody gave is
    of no build that is known, so it is passed over.

    Raises:
        RecordError: a run that is given is damaged.
    """
    known = _known(policy, runs_folder, circumstances.expected)
    if given:
        folders = list(dict.fromkeys(path.resolve() for path in given))
        builds = {
            label
            for folder in folders
            if (record := read_run_evidence(Found(folder=folder)).record) is not None
            if (label := build_of(record).label)
        }
        others = [
            Found(folder=folder, is_collected=False)
            for folder, record in known
            if folder.resolve() not in folders and build_of(record).label in builds
        ]
        return (*(Found(folder=folder) for folder in folders), *others)
    newest = _newest(known, circumstances.build)
    if newest is None:
        return ()
    label, harness = build_of(newest).label, harness_of(newest)
    of_build = [(folder, record) for folder, record in known if build_of(record).label == label]
    kernels = [(f, record) for f, record in known if record.scenario.get("name") == MICRO]
    same = [f for f, record in (*of_build, *kernels) if harness_of(record) == harness]
    unlike = [folder for folder, record in of_build if harness_of(record) != harness]
    broken = _incomplete(circumstances.expected, runs_folder, after=min(same).name)
    return (
        *(Found(folder=folder) for folder in (*sorted(same), *broken)),
        *(Found(folder=folder, is_collected=False) for folder in unlike),
    )


def _known(
    policy: ReleasePolicy, runs_folder: Path, expected: Mapping[str, Expected]
) -> list[tuple[Path, RunRecord]]:
    """Every complete run in the folder that a demand is about; what can't be read is not."""
    found = []
    for folder in run_folders(runs_folder):
        try:
            record = load_run(folder).record
        except HarnessError:
            continue  # nobody gave it; `acctbench list runs` shows it
        if demand_of(policy, record, expected) is not None:
            found.append((folder, record))
    return found


def _newest(known: Sequence[tuple[Path, RunRecord]], build: str) -> RunRecord | None:
    services = [record for _, record in known if record.scenario.get("name") != MICRO]
    if build:
        services = [record for record in services if build_of(record).label.startswith(build)]
    return max(services, key=lambda record: record.created_at, default=None)


def _incomplete(expected: Mapping[str, Expected], runs_folder: Path, *, after: str) -> list[Path]:
    """Runs of demanded scenarios that were not finished since; their names begin with a date."""
    names = {item.scenario for item in expected.values()}
    return [
        folder
        for folder in sorted(runs_folder.glob(f"*{INCOMPLETE_SUFFIX}"))
        if folder.name > after and any(f"-{name}-" in folder.name for name in names)
    ]


def _failure(folder: Path) -> str:
    """Why a run could not be finished, by its own words."""
    try:
        document = json.loads((folder / FAILURE_NAME).read_text(encoding="utf-8"))
        return plain(str(document["message"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "it was not finished, and no file says why"


def _reject_contradictions(folder: Path, record: RunRecord) -> None:
    found = list(_bounded(contradictions(record)))
    if found:
        raise RecordError(f"{folder.name}: the record contradicts itself: {'; '.join(found)}")


def _other_verdict(run: StoredRun) -> str:
    """What lies beside a record for readers and does not say what that says; empty if nothing."""
    folder = run.folder
    record = read_json(folder / "record.json")
    expected = {
        "verdict.json": {
            "run_id": record["run_id"],
            "exit_code": record["exit_code"],
            "validity": record["validity"]["status"],
            "correctness": record["correctness"]["status"],
            "performance": record["performance"]["status"],
        },
        "audit.json": record["correctness"],
    }
    for name, document in expected.items():
        path = folder / name
        try:
            is_same = not path.is_file() or read_json(path) == document
        except RecordError:
            is_same = False
        if not is_same:
            return f"{run.folder.name}/{name} does not say what record.json beside it says"
    return ""


def read_json(path: Path) -> Any:
    """
    What the file holds.

    Raises:
        RecordError: it can't be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path.name}: can't be read: {error}") from error


def _has_profiles(twin: StoredRun) -> bool:
    """Whether every profile that the record names is there, as it was written."""
    try:
        twin.profiles()
    except RecordError:
        return False
    return True


def _bounded(faults: Sequence[str], count_max: int = 3) -> Iterator[str]:
    yield from (plain(fault) for fault in faults[:count_max])
    if len(faults) > count_max:
        yield f"and {len(faults) - count_max} more"
