"""
Named baselines: a name for a set of runs, kept as one small JSON file beside them.

    runs/baselines/main.json    {"schema_version": 1, "name": "main", "events": [...]}

A file is the list of what was done to the name, oldest first; the last promotion is what the name
means. Nothing is ever deleted from it: a removed name keeps its history and can be promoted again.
Each run is held by its place in the runs folder and by digests of its files, so that one that was
changed, swapped or lost is noticed where the name is used. Paths are relative: the folder can be
copied or synchronised whole. Writers take turns by a lock on this machine; a file is replaced
whole. The values, and the history of their format, are in harness.model.baseline.

Raised are UsageError for a name that can't be one, or has no baseline, and RecordError for a file
that is damaged, too new, or can't be written.
"""

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from harness.errors import RecordError, UsageError
from harness.model.baseline import (
    Baseline,
    BaselineEvent,
    BaselineRun,
    EventKind,
    Signature,
    baseline_from_json,
    baseline_to_json,
    faults_of_runs,
)
from harness.storage.run_folder import StoredRun, load_run, write_json

FOLDER_NAME = "baselines"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")  # a letter first: no run's id begins so
_RESERVED_NAMES = frozenset({"latest"})
_DIGESTED = ("record.json", "operations.parquet")  # what figures are taken from


def load_baseline(name: str, runs_folder: Path) -> tuple[Path, ...]:
    """The run folders that *name* means; RecordError if one is not what was promoted."""
    baseline = read_baseline(name, runs_folder)
    if not baseline.runs:
        raise UsageError(_unknown(name, runs_folder))
    faults = [fault for run in baseline.runs if (fault := _changed(run, runs_folder))]
    if faults:
        raise RecordError(
            f"baseline {name}: {'; '.join(faults)}. Bring back what was promoted, or promote anew"
        )
    return tuple(runs_folder / run.folder for run in baseline.runs)


def read_baseline(name: str, runs_folder: Path) -> Baseline:
    """Everything that is known of *name*; its runs are not looked at."""
    path = baseline_path(name, runs_folder)
    try:
        baseline = baseline_from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UsageError(_unknown(name, runs_folder)) from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: can't be read as a baseline: {error}") from error
    if baseline.name != name:
        raise RecordError(f'{path}: it says that its name is "{baseline.name}"; was it renamed?')
    return baseline


def baseline_path(name: str, runs_folder: Path) -> Path:
    """The file that holds *name*, whether there is one or not."""
    if not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
        raise UsageError(
            f'baseline: "{name}" can\'t be a name; begin with a letter, then letters, digits and '
            '". _ -", at most 64, e.g. "main" or "release-1.4"'
        )
    return runs_folder / FOLDER_NAME / f"{name}.json"


def baseline_names(runs_folder: Path) -> tuple[str, ...]:
    """Every name that has a file, removed ones too, sorted."""
    folder = runs_folder / FOLDER_NAME
    return tuple(sorted(path.stem for path in folder.glob("*.json"))) if folder.is_dir() else ()


def promote(
    name: str,
    folders: Sequence[Path],
    runs_folder: Path,
    signature: Signature,
    *,
    is_forced: bool = False,
) -> Baseline:
    """
    Make the runs in *folders* what *name* means.

    Raises UsageError if it is pinned and *is_forced* is not set, or the runs can't be a baseline:
    one is not complete, valid, correct and unprofiled, two are the same or not of the same thing.
    """
    path = baseline_path(name, runs_folder)
    if not folders:
        raise UsageError(f"baseline {name}: no run given; name at least one")
    stored = [load_run(folder) for folder in folders]
    faults = faults_of_runs([run.record for run in stored])
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise UsageError(f"baseline {name}: these runs can't be one:\n{listed}")
    runs = tuple(_held(name, run, runs_folder) for run in stored)
    event = BaselineEvent(
        kind=EventKind.PROMOTED, signature=signature, runs=runs, is_forced=is_forced
    )
    with _locked(path.parent):
        earlier = read_baseline(name, runs_folder) if path.is_file() else None
        _check_pin(earlier, is_forced=is_forced)
        return _write(path, name, (*(earlier.events if earlier else ()), event))


def pin(name: str, runs_folder: Path, signature: Signature) -> Baseline:
    """Keep *name* from being moved or removed."""
    return _done(name, runs_folder, BaselineEvent(kind=EventKind.PINNED, signature=signature))


def unpin(name: str, runs_folder: Path, signature: Signature) -> Baseline:
    """Let *name* be moved and removed again."""
    return _done(name, runs_folder, BaselineEvent(kind=EventKind.UNPINNED, signature=signature))


def remove(
    name: str, runs_folder: Path, signature: Signature, *, is_forced: bool = False
) -> Baseline:
    """Make *name* mean nothing any more (a pinned one only if *is_forced*); its history stays."""
    event = BaselineEvent(kind=EventKind.REMOVED, signature=signature, is_forced=is_forced)
    return _done(name, runs_folder, event)


def _done(name: str, runs_folder: Path, event: BaselineEvent) -> Baseline:
    path = baseline_path(name, runs_folder)
    if not path.is_file():
        raise UsageError(_unknown(name, runs_folder))
    with _locked(path.parent):
        earlier = read_baseline(name, runs_folder)
        if not earlier.runs:
            raise UsageError(_unknown(name, runs_folder))
        if event.kind is EventKind.REMOVED:
            _check_pin(earlier, is_forced=event.is_forced)
        return _write(path, name, (*earlier.events, event))


def _unknown(name: str, runs_folder: Path) -> str:
    known = ", ".join(baseline_names(runs_folder)) or "none yet"
    return (
        f'baseline: "{name}": none of that name in {runs_folder}; there are: {known}. '
        f"Make it with: acctbench baseline promote {name} RUN..."
    )


def _check_pin(baseline: Baseline | None, *, is_forced: bool) -> None:
    if baseline is None or not baseline.is_pinned or is_forced:
        return
    (*_, by) = (e.signature for e in baseline.events if e.kind is EventKind.PINNED)
    reason = f" ({by.why})" if by.why else ""
    raise UsageError(
        f"baseline {baseline.name}: pinned by {by.who} at {by.at}{reason}; unpin it, or say --force"
    )


def _held(name: str, run: StoredRun, runs_folder: Path) -> BaselineRun:
    try:
        place = run.folder.resolve().relative_to(runs_folder.resolve())
    except ValueError as error:
        raise UsageError(
            f"baseline {name}: {run.folder} does not lie in {runs_folder}, whose baseline it would "
            "be; copy it there, or name its own folder by --runs"
        ) from error
    digests = _digests(run.folder)
    if run.record.operations.scheduled and "operations.parquet" not in digests:
        raise UsageError(
            f"baseline {name}: {run.record.run_id}: its operations.parquet is missing, without "
            "which no percentile can be compared"
        )
    return BaselineRun(folder=place.as_posix(), run_id=run.record.run_id, blake2b=digests)


def _changed(run: BaselineRun, runs_folder: Path) -> str:
    """What is wrong with a run that was promoted; empty if nothing."""
    place = PurePosixPath(run.folder)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        return f'{run.run_id}: its place "{run.folder}" is outside the runs folder'
    folder = runs_folder / place
    if not (folder / "record.json").is_file():
        return f"{run.run_id} is missing in {runs_folder}"
    now = _digests(folder)
    differing = [name for name in {**run.blake2b, **now} if run.blake2b.get(name) != now.get(name)]
    return f"{run.run_id} was changed since: {', '.join(differing)}" if differing else ""


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    profiled = sorted(folder.glob("passes/*/record.json"))  # these hold their profiles' digests
    for name in (*_DIGESTED, *(path.relative_to(folder).as_posix() for path in profiled)):
        path = folder / name
        if path.is_file():
            try:
                with path.open("rb") as file:
                    digests[name] = hashlib.file_digest(file, "blake2b").hexdigest()
            except OSError as error:
                raise RecordError(f"{path}: can't be read: {error}") from error
    return digests


def _write(path: Path, name: str, events: tuple[BaselineEvent, ...]) -> Baseline:
    baseline = Baseline(name=name, events=events)
    write_json(path, baseline_to_json(baseline))
    return baseline


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time, so that no promotion is lost under another's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise RecordError(f"{folder}: can't be written: {error}") from error
