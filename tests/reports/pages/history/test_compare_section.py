"""The history of a metric inside the page of a comparison, and of gates inside a gate's."""

import json
from pathlib import Path

import pytest

from harness.storage.run_folder import load_run
from reports.compare.comparison import Dossier, SideInput, compared_sides, rules_of
from reports.pages.compare.metric_table import ratio_text
from reports.pages.gate.former_gates_section import former_gates_section
from reports.reading.former_gates import read_former_gates
from reports.reading.history_runs import gather
from reports.reading.run_folder import read_evidence
from reports.writing import read_history_section, write_comparison
from tests.reports.history.stored import base_record, nights, write_records

COST = "target.cpu_ns_per_operation"
SETTINGS = {"scenario": "spot-steady pair", "policy": "none"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty nights, 10 % slower since the thirteenth."""
    folder = tmp_path_factory.mktemp("section")
    base = base_record(folder / "base")
    write_records(nights(base, 20, steps={12: 1.1}), folder / "runs")
    return folder / "runs"


def dossier_of(runs: Path, baseline: slice, candidate: slice) -> Dossier:
    """Of some nights against some others."""
    folders = sorted(runs.glob("2026*"))
    a, b = (
        SideInput(name=name, runs=tuple(read_evidence(load_run(path)) for path in folders[part]))
        for name, part in (("before", baseline), ("after", candidate))
    )
    return compared_sides(a, b, rules_of(None))


def test_trends_stand_in_the_page_with_both_sides_marked(runs: Path, tmp_path: Path) -> None:
    """The trend, where it changed, and where the sides are; every number in compare.json."""
    dossier = dossier_of(runs, slice(2, 7), slice(13, 18))
    (section,) = read_history_section(dossier, runs)
    page = write_comparison(dossier, tmp_path, (section,)).read_text(encoding="utf-8")
    (trends,) = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))["trends"]
    cost = next(item for item in trends["trends"] if item["title"] == COST)
    marks = {mark["index"]: mark["text"] for mark in cost["marks"]}

    assert 'id="history"' in page
    assert len(trends["names"]) == len(cost["values"]) == 20
    assert marks[2] == "baseline, 5 runs from here"
    assert marks[13] == "candidate, 5 runs from here"
    assert "worse" in marks[12]


@pytest.mark.parametrize("kept", [0, 2])
def test_too_few_runs_are_no_history(runs: Path, kept: int, tmp_path: Path) -> None:
    """Nor is a folder that is not there."""
    base = base_record(tmp_path / "base")
    dossier = dossier_of(runs, slice(0, 1), slice(1, 2))
    write_records(nights(base, kept, steps={}), tmp_path / "runs")

    assert read_history_section(dossier, tmp_path / "runs") == ()
    assert read_history_section(dossier, tmp_path / "nowhere") == ()


def write_gate(runs: Path, name: str, change: float | None, **settings: str) -> None:
    """A gate's verdict as `acctbench gate` leaves it."""
    folder = runs / name
    folder.mkdir(parents=True)
    document = {
        "status": "UNCHANGED",
        "baseline": "main (0a)",
        "candidate": "HEAD (0b)",
        "changes": {COST: change},
        "gate": {"gate_id": name, "settings": {**SETTINGS, **settings}},
    }
    (folder / "verdict.json").write_text(json.dumps(document), encoding="utf-8")


def test_gates_of_the_same_settings_are_told(runs: Path, tmp_path: Path) -> None:
    """Oldest first; another scenario's, and what can't be read, are passed over."""
    write_gate(tmp_path, "gate-20260902-1", 1.04)
    write_gate(tmp_path, "gate-20260901-1", 0.99)
    write_gate(tmp_path, "gate-20260903-1", 1.5, scenario="mm-churn")
    (tmp_path / "gate-20260904-1").mkdir()
    (tmp_path / "gate-20260904-1" / "verdict.json").write_text("{", encoding="utf-8")
    gates = read_former_gates(tmp_path, SETTINGS)
    (section,) = former_gates_section(gates, dossier_of(runs, slice(0, 5), slice(5, 8)).comparison)
    rows = [[cell.text for cell in row] for row in section.tables[0].rows]

    assert [gate.gate_id for gate in gates] == ["gate-20260901-1", "gate-20260902-1"]
    assert [row[-1] for row in rows] == [ratio_text(0.99), ratio_text(1.04)]
    assert former_gates_section((), dossier_of(runs, slice(0, 5), slice(5, 8)).comparison) == ()


def test_gates_and_comparisons_are_not_damaged_runs(runs: Path, tmp_path: Path) -> None:
    """They lie among the runs, and a history does not complain of them."""
    base = base_record(tmp_path / "base")
    write_records(nights(base, 3, steps={}), tmp_path / "runs")
    write_gate(tmp_path / "runs", "gate-20260901-1", 0.99)
    (tmp_path / "runs" / "compared" / "a--b").mkdir(parents=True)
    gathered = gather([tmp_path / "runs"])

    assert len(gathered.runs) == 3
    assert gathered.skipped == ()
    assert len(gather([runs]).runs) == 20
