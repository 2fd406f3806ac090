"""
A stored run as the pages need it: the record and its two tables in memory.

The only module of reports that reads a run folder. A table that is missing or damaged is a fact
to show, not a reason for having no report at all: an interrupted run is evidence too.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.errors import RecordError
from harness.model.profile import MISSING
from harness.model.record import PLAIN
from harness.storage.run_folder import INCOMPLETE_SUFFIX, StoredRun, load_run, pass_folder
from reports.figures.run_evidence import RunEvidence, evidence_of, evidence_without_tables
from reports.figures.run_tables import ProfiledPass, ProfiledStart, RunTables
from reports.profile.against import ProfileSide

_ELSEWHERE = "stacks"  # of a run that nothing of ours looked into
_OPERATION_COLUMNS = (
    "kind",
    "measured",
    "intended_ns",
    "eligible_ns",
    "sent_ns",
    "done_ns",
    "visible_ns",
    "outcome",
)
_SAMPLE_COLUMNS = ("offset_ns", "subject", "metric", "value")


def read_run(run: StoredRun) -> RunTables:
    """The record and the tables of *run*; faults are told without the folder, which may move."""
    # What came before, the audit of a large run say, leaves mapped columns in cycles and free pages
    # in pools: as much again as the tables that come now.
    gc.collect()
    pa.default_memory_pool().release_unused()
    faults: list[str] = []
    operations = _table(
        "operations.parquet",
        lambda: run.operations(_OPERATION_COLUMNS),
        _OPERATION_COLUMNS,
        faults,
    )
    samples = _table("samples.parquet", run.samples, _SAMPLE_COLUMNS, faults)
    if run.record.kernels:  # a micro suite sends no operations and samples no process
        faults = []
    return RunTables(
        record=run.record, operations=operations, samples=samples, faults=tuple(faults)
    )


def read_profile_side(runs: Sequence[StoredRun]) -> ProfileSide:
    """
    Every profiled start of *runs*: their own profiles, and those of their profiled runs.

    Raises:
        RecordError: one is missing or damaged.
    """
    starts = [start for run in runs for start in (run, *run.profiled_runs().values())]
    return ProfileSide(
        name=", ".join(run.record.run_id for run in runs),
        starts=tuple(
            ProfiledStart(record=start.record, profiles=start.profiles())
            for start in starts
            if start.record.profiles
        ),
    )


def read_profiled_run(run: StoredRun) -> RunTables:
    """As read_run, with the profiles of the run's profiled runs, or its own."""
    tables = read_run(run)
    passes: list[ProfiledPass] = []
    faults: list[str] = []
    if run.record.profiles or _missing(run):
        attached = run.record.instrumentation
        name = attached if attached != PLAIN else _ELSEWHERE
        passes.append(_pass(name, run, tables, is_twin=False))
    for folder in sorted(pass_folder(run.folder, "x").parent.glob("*")):
        if folder.name.endswith(INCOMPLETE_SUFFIX):
            faults.append(f"A profiled pass, {folder.name}, was not finished: it shows nothing")
            continue
        try:
            twin = load_run(folder)
        except RecordError:
            faults.append(f"The profiled pass {folder.name} can't be read: it shows nothing")
            continue
        passes.append(_pass(folder.name, twin, read_run(twin), is_twin=True))
    return replace(tables, faults=(*tables.faults, *faults), passes=tuple(passes))


def _pass(name: str, run: StoredRun, tables: RunTables, *, is_twin: bool) -> ProfiledPass:
    missing = list(_missing(run))
    try:
        profiles = run.profiles()
    except RecordError:
        profiles = ()
        named = ", ".join(Path(entry.file).name for entry in run.record.profiles)
        missing.append(f"{MISSING} can't be read: one of {named} is damaged or gone.")
    return ProfiledPass(
        name=name,
        record=run.record,
        profiles=profiles,
        samples=tables.samples,
        is_twin=is_twin,
        missing=tuple(missing),
    )


def _missing(run: StoredRun) -> tuple[str, ...]:
    return tuple(note for note in run.record.notes if note.startswith(MISSING))


def read_evidence(run: StoredRun) -> RunEvidence:
    """
    What a comparison keeps of *run*: its tables are read, distilled and let go.

    Profiles are its own or its profiled runs'; damaged ones are a fault of the run.
    """
    if run.record.kernels:
        return evidence_without_tables(run.record)
    try:
        starts = read_profile_side((run,)).starts
    except RecordError:
        evidence = evidence_of(read_run(run))
        fault = "a profile of it is missing or can't be read"
        return replace(evidence, faults=(*evidence.faults, fault))
    return evidence_of(read_run(run), starts)


def _table(
    name: str, read: Callable[[], pd.DataFrame], columns: tuple[str, ...], faults: list[str]
) -> pd.DataFrame:
    try:
        table = read()
    except RecordError:
        faults.append(f"{name} is missing or can't be read: what is drawn from it has no data")
        return pd.DataFrame(columns=list(columns))
    missing = [column for column in columns if column not in table.columns]
    if missing:
        faults.append(f"{name} lacks {', '.join(missing)}: what is drawn from it has no data")
        return pd.DataFrame(columns=list(columns))
    return table if tuple(table.columns) == columns else table[list(columns)]
