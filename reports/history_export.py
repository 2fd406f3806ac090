"""
All figures of all stored runs as one tidy table: a row for each run and metric, in Parquet.

For DuckDB, pandas, Spark and whatever else reads Parquet; nothing of it is ever read back here.

    run_id string, place string, started_at timestamp[s, UTC]
    setting string          id of what it was a run of: rows of one setting can be compared
    scenario, profile, target, instrumentation, broker, machine string, core_count int32
    git_sha string, git_dirty bool      of the target; empty, false where not known
    validity, correctness, performance string; is_point bool (fit for a history), unfit string (why)
    metric, unit string, better string ("less" or "more"), value float64

Infinite: the value falls among operations that were never answered. A metric that a run doesn't
have, or has on too few samples, has no row.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.storage.run_folder import whole_file
from reports.history.events import Gathered
from reports.text import told

_NO_TEXT = {
    "started_at": pa.timestamp("s", tz="UTC"),
    "core_count": pa.int32(),
    "git_dirty": pa.bool_(),
    "is_point": pa.bool_(),
    "value": pa.float64(),
}
_NAMES = (
    *("run_id", "place", "started_at", "setting", "scenario", "profile", "target"),
    *("instrumentation", "broker", "machine", "core_count", "git_sha", "git_dirty", "validity"),
    *("correctness", "performance", "is_point", "unfit", "metric", "unit", "better", "value"),
)
SCHEMA = pa.schema([(name, _NO_TEXT.get(name, pa.string())) for name in _NAMES])


def export_table(gathered: Gathered) -> pa.Table:
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for run in sorted(gathered.runs, key=lambda item: (item.started_at, item.run_id)):
        scenario, profile, target, instrumentation, broker, machine, cores = run.setting.family
        same = {
            "run_id": run.run_id,
            "place": run.place,
            "started_at": run.started_at,
            "setting": run.setting.id,
            "scenario": scenario,
            "profile": profile,
            "target": target,
            "instrumentation": instrumentation,
            "broker": broker,
            "machine": told(machine),
            "core_count": int(cores) if cores.isdecimal() else None,
            "git_sha": run.git_sha,
            "git_dirty": run.is_dirty,
            **run.verdicts,
            "is_point": not run.unfit,
            "unfit": ", ".join(run.unfit),
        }
        figures = run.figures.values()
        for name, value in same.items():
            columns[name] += [value] * len(figures)
        columns["metric"] += [figure.name for figure in figures]
        columns["unit"] += [str(figure.unit) for figure in figures]
        columns["better"] += [str(figure.better) for figure in figures]
        columns["value"] += [figure.value for figure in figures]
    return pa.table(columns, schema=SCHEMA)


def write_export(gathered: Gathered, path: Path) -> int:
    """
    Write the table of *gathered* to *path*, whole or not at all, and return its number of rows.

    Raises:
        RecordError: it can't be written.
    """
    table = export_table(gathered)
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")
    return int(table.num_rows)
