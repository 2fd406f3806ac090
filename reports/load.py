"""
A stored run as the pages need it: the record and its two tables in memory.

The only module of reports that reads a run folder. A table that is missing or damaged is a fact
to show, not a reason for having no report at all: an interrupted run is evidence too.
"""

import gc
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pyarrow as pa

from harness.errors import RecordError
from harness.store import StoredRun
from reports.compare.evidence import RunEvidence, evidence_of, evidence_without_tables
from reports.view.source import RunTables

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
    return RunTables(
        record=run.record, operations=operations, samples=samples, faults=tuple(faults)
    )


def read_evidence(run: StoredRun) -> RunEvidence:
    """
    What a comparison keeps of *run*: its tables are read, distilled and let go.

    Profiles are its own or its twins'; damaged ones are a fault of the run.
    """
    if run.record.kernels:
        return evidence_without_tables(run.record)
    try:
        profiles = [*run.profiles()]
        for twin in run.twins().values():
            profiles += twin.profiles()
    except RecordError:
        evidence = evidence_of(read_run(run))
        fault = "a profile of it is missing or can't be read"
        return replace(evidence, faults=(*evidence.faults, fault))
    return evidence_of(read_run(run), profiles)


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
