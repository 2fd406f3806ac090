"""Runs on disk: tables that were written stay readable, and are written a piece at a time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.engine.results import Results, stored_rows
from harness.errors import RecordError
from harness.model.operation import Outcome
from harness.model.window import Window
from harness.storage.run_folder import StoredRun, write_operations
from tests.reports.synthetic import Shape, write_synthetic_run

GOLDEN = Path(__file__).parents[1] / "golden"
STAMPS = ("intended_ns", "eligible_ns", "sent_ns", "done_ns", "visible_ns")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Some stored run; tests put other tables into its folder."""
    shape = Shape(rate_per_s=50.0, measure_s=2, warmup_s=1, freeze_ns=0)
    return write_synthetic_run(tmp_path_factory.mktemp("runs") / "run", shape)


def results(count: int) -> Results:
    """Operations of two kinds; of every third one nothing is known."""
    at_ns = 1_000 + np.arange(count) * 10
    is_lost = np.arange(count) % 3 == 2
    stamps = {name: np.where(is_lost & (name != "intended_ns"), 0, at_ns) for name in STAMPS}
    table = {
        "shard": np.zeros(count, np.int16),
        "index": np.arange(count, dtype=np.int32),
        "kind": pd.Categorical.from_codes(
            (np.arange(count) % 2).tolist(), pd.Index(["reserve", "release"])
        ),
        **stamps,
        "outcome": np.where(is_lost, Outcome.TIMED_OUT, Outcome.ACKNOWLEDGED).astype(np.uint8),
        "code": np.zeros(count, np.int32),
        "account": np.arange(count, dtype=np.uint32),
    }
    return Results(table=pd.DataFrame(table, copy=False), tick_samples=())


def write(run: StoredRun, of: Results, group_count: int) -> pq.ParquetFile:
    """The table of these operations in the folder of *run*, *group_count* rows at a time."""
    window = Window(start_ns=1_020, end_ns=2_000)
    groups = (
        stored_rows(of, window, slice(first, first + group_count))
        for first in range(0, max(1, len(of.table)), group_count)
    )
    path = run.folder / "operations.parquet"
    write_operations(path, groups)
    return pq.ParquetFile(path)


@pytest.mark.parametrize("group_count", [3, 7, 100])
def test_pieces_make_one_table(run: StoredRun, group_count: int) -> None:
    """However it was cut, the table has every row, null where a thing did not happen."""
    with write(run, results(7), group_count) as file:
        assert file.num_row_groups == -(-7 // group_count)
    table = run.operations()

    assert table["index"].tolist() == list(range(7))
    assert table["intended_ns"].tolist() == [-20, -10, 0, 10, 20, 30, 40]
    assert table["measured"].tolist() == [False, False, True, True, True, True, True]
    assert table["done_ns"].isna().tolist() == [False, False, True, False, False, True, False]
    assert table["outcome"].astype(str).tolist()[:3] == [
        "acknowledged",
        "acknowledged",
        "timed_out",
    ]
    assert table["kind"].astype(str).tolist()[:2] == ["reserve", "release"]
    assert str(table["done_ns"].dtype) == "Int64"


def test_a_run_without_operations_has_an_empty_table(run: StoredRun) -> None:
    """No rows are no missing table: its columns are there."""
    write(run, results(0), 10).close()

    assert set(STAMPS) < set(run.operations().columns)
    assert len(run.operations()) == 0


def test_wanted_columns_are_read_alone(run: StoredRun) -> None:
    """Who draws latencies holds no accounts; a column that is not there is left out."""
    write(run, results(4), 10).close()

    assert list(run.operations(("kind", "done_ns", "no such"))) == ["kind", "done_ns"]


@pytest.mark.parametrize("columns", [None, ("kind",)])
def test_a_damaged_table_is_a_fault_of_the_record(
    run: StoredRun, columns: tuple[str, ...] | None
) -> None:
    """What can't be read is told with its path."""
    (run.folder / "operations.parquet").write_bytes(b"PAR1 no table PAR1")

    with pytest.raises(RecordError, match=r"operations\.parquet: can't be read"):
        run.operations(columns)


def test_tables_of_every_version_stay_readable(run: StoredRun) -> None:
    """Version 1 (one row group) has the columns and the meaning that today's readers expect."""
    for number in (1,):
        golden = (GOLDEN / f"operations-{number}.parquet").read_bytes()
        (run.folder / "operations.parquet").write_bytes(golden)
        table = run.operations()

        assert len(table) == 86
        assert {"shard", "index", "kind", "measured", "outcome", "code", *STAMPS} < set(table)
        assert set(table["kind"].astype(str)) == {"reserve", "release", "fill", "transfer"}
        assert set(table["outcome"].astype(str)) == {"acknowledged"}
        measured = table[table["measured"]]
        assert (measured["intended_ns"] >= 0).all()
        assert (table["done_ns"] > table["sent_ns"]).all()
        assert (table["sent_ns"] > table["eligible_ns"]).all()
