"""
A stored run as the pages need it: the record and its two tables in memory.

The only module of reports that reads a run folder. A table that is missing or damaged is a fact
to show, not a reason for having no report at all: an interrupted run is evidence too.
"""

import gc
from collections.abc import Callable, Sequence

import pandas as pd
import pyarrow as pa

from harness.errors import RecordError
from harness.store import StoredRun
from reports.profile.against import ProfiledStart, ProfileSide
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


def read_profile_side(runs: Sequence[StoredRun]) -> ProfileSide:
    """
    Every profiled start of *runs*: their own profiles, and those of their twins.

    Raises:
        RecordError: one is missing or damaged.
    """
    starts = [start for run in runs for start in (run, *run.twins().values())]
    return ProfileSide(
        name=", ".join(run.record.run_id for run in runs),
        starts=tuple(
            ProfiledStart(record=start.record, profiles=start.profiles())
            for start in starts
            if start.record.profiles
        ),
    )


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
