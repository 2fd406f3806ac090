"""From folders to a history: whatever lies there, every run counts once or is named."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from harness.errors import UsageError
from harness.model.baseline import Signature
from harness.model.record import RunRecord, record_to_json
from harness.storage.acceptances import FOLDER_NAME, StoredAcceptance, store_acceptance
from reports import history_export
from reports.history_export import SCHEMA, export_table
from reports.reading.history_runs import gather
from tests.reports.history.stored import base_record, nights, write_records

ADA = Signature(who="ada", at="2026-11-25T20:00:00+00:00", why="durable")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """What all runs are made from."""
    return base_record(tmp_path_factory.mktemp("base") / "run")


@pytest.fixture
def runs(base: RunRecord, tmp_path: Path) -> Path:
    """A folder of three runs."""
    write_records(nights(base, 3, steps={}), tmp_path / "runs")
    return tmp_path / "runs"


def hostile(name: str, text: str, runs: Path) -> None:
    """A folder with this record."""
    (runs / name).mkdir()
    (runs / name / "record.json").write_text(text, encoding="utf-8")


def test_every_run_is_read_with_its_figures(runs: Path) -> None:
    """Figures, revision, date and verdicts come from the record."""
    first, *_ = sorted(gather([runs]).runs, key=lambda run: run.started_at)

    assert first.figures["all.response_ns.p50"].unit == "ns"
    assert first.revision == "00000000"
    assert f"{first.started_at:%Y-%m-%d}" == "2026-09-01"
    assert first.verdicts["validity"] == "VALID"
    assert len({run.setting for run in gather([runs]).runs}) == 1


def test_damaged_and_foreign_folders_are_named_and_counted(runs: Path, base: RunRecord) -> None:
    """None of them ends the reading, none goes unsaid, and no control character gets through."""
    document = record_to_json(base)
    hostile("torn", '{"schema_version": 1, "run', runs)
    hostile("newer", json.dumps({**document, "schema_version": 99}), runs)
    hostile("list", "[]", runs)
    hostile("undated", json.dumps({**document, "run_id": "u", "created_at": "today"}), runs)
    hostile("deep", "[" * 100_000, runs)
    hostile("odd\x1b[31m", "{}", runs)
    (runs / "photos").mkdir()
    (runs / "binary").mkdir()
    (runs / "binary" / "record.json").write_bytes(b"\xff\xfe\x00")
    (runs / "20260101-000000-x-0001.incomplete").mkdir()
    (runs / "history.html").write_text("a file is no folder", encoding="utf-8")
    found = gather([runs])

    assert len(found.runs) == 3
    assert found.interrupted_count == 1
    named = {Path(item.place).name: item.reason for item in found.skipped}
    assert len(named) == 8
    assert "newer than this program's" in named["newer"]
    assert "no record.json" in named["photos"]
    assert "today" in named["undated"]
    assert "odd\\u001b[31m" in named
    assert all(named.values())


def test_a_run_in_two_folders_counts_once(runs: Path, tmp_path: Path) -> None:
    """A copy is silent; another run under the same id is named."""
    copytree(runs, tmp_path / "copy")
    assert len(gather([runs, tmp_path / "copy"]).runs) == 3
    assert gather([runs, tmp_path / "copy"]).skipped == ()
    (changed, *_) = sorted((tmp_path / "copy").iterdir())
    document = json.loads((changed / "record.json").read_text())
    document["resources"]["target"]["cpu_cores_mean"] *= 2
    (changed / "record.json").write_text(json.dumps(document))
    found = gather([runs, tmp_path / "copy"])

    assert len(found.runs) == 3
    assert "under the same id" in found.skipped[0].reason


def test_what_lies_beside_the_runs_is_known(runs: Path) -> None:
    """Baselines and acceptances are no foreign folders; a torn acceptance accepts nothing."""
    (runs / "baselines").mkdir()
    stored = StoredAcceptance(pattern="*", run_id="run-1", signature=ADA)
    store_acceptance(stored, runs)
    (runs / FOLDER_NAME / "torn.json").write_text("{")
    (runs / FOLDER_NAME / "newer.json").write_text(
        json.dumps({"schema_version": 9, "pattern": "*", "run_id": "x", "signature": {}})
    )
    found = gather([runs])

    assert [item.run_id for item in found.acceptances] == ["run-1"]
    assert sorted(Path(item.place).name for item in found.skipped) == ["newer.json", "torn.json"]


def test_no_folder_is_misuse(tmp_path: Path) -> None:
    """Exit 2 with what to name."""
    with pytest.raises(UsageError, match="can't be read as a folder of runs"):
        gather([tmp_path / "nowhere"])


def test_the_export_is_tidy(runs: Path, base: RunRecord) -> None:
    """A row for each run and metric, in the schema that its docstring promises."""
    write_records([replace(base, run_id="x", complete=False)], runs)
    found = gather([runs])
    table = export_table(found)
    frame = table.to_pandas()

    assert table.schema == SCHEMA
    assert len(frame) == sum(len(run.figures) for run in found.runs)
    assert not frame.duplicated(["run_id", "metric"]).any()
    assert set(frame.loc[frame["run_id"] == "x", "unfit"]) == {"it is incomplete"}
    assert frame.loc[frame["run_id"] != "x", "is_point"].all()
    assert frame["core_count"].unique().tolist() == [2]


def test_the_docstring_has_every_column() -> None:
    """The schema is documented in full."""
    assert history_export.__doc__ is not None
    assert [name for name in SCHEMA.names if name not in history_export.__doc__] == []
