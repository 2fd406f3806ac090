"""`acctbench baseline` as a user meets it."""

import json
from pathlib import Path

import pytest

from harness.cli import completions
from harness.cli.main import exit_code_of
from harness.cli.signature_options import signed
from harness.errors import UsageError
from harness.storage.baselines import FOLDER_NAME, load_baseline
from tests.cli.test_completion import offered
from tests.reports.synthetic import Shape, write_synthetic_run

SMALL = Shape(rate_per_s=100.0, measure_s=2, warmup_s=1, freeze_ns=0)
RUN = "20261122-100000-spot-steady-0001"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with one run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCTBENCH_RUNS", raising=False)
    monkeypatch.setenv("ACCTBENCH_BY", "ada")
    write_synthetic_run(Path("runs") / RUN, SMALL)
    return Path("runs")


def test_the_life_of_a_name(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Promoted, pinned, listed, shown, removed by force; the history tells all of it."""
    assert exit_code_of(["baseline", "promote", "main", "2026", "--why", "quiet"]) == 0
    assert load_baseline("main", runs) == (runs / RUN,)
    assert exit_code_of(["baseline", "pin", "main", "--by", "bob"]) == 0
    assert exit_code_of(["baseline", "promote", "main", "latest"]) == 2
    capsys.readouterr()
    assert exit_code_of(["baseline", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["baseline"], row["runs"], row["pinned"], row["by"]) == ("main", 1, "yes", "ada")
    assert exit_code_of(["baseline", "show", "main"]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(runs / RUN)
    assert "pinned by bob" in shown.err
    assert exit_code_of(["baseline", "remove", "main"]) == 2
    assert exit_code_of(["baseline", "remove", "main", "--force"]) == 0
    capsys.readouterr()
    assert exit_code_of(["baseline", "list", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == []


def test_a_small_baseline_is_told_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run can be promoted, with a word about what it can't carry; stdout is the file."""
    assert exit_code_of(["baseline", "promote", "main", "latest"]) == 0
    said = capsys.readouterr()

    assert said.out.strip() == str(runs / FOLDER_NAME / "main.json")
    assert "1 of the 5 runs a side" in said.err


def test_a_damaged_baseline_is_listed_as_such(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken file doesn't hide the others."""
    assert exit_code_of(["baseline", "promote", "main", "latest"]) == 0
    (runs / FOLDER_NAME / "torn.json").write_text("{")
    capsys.readouterr()
    assert exit_code_of(["baseline", "list", "--json"]) == 0
    main, torn = json.loads(capsys.readouterr().out)

    assert main["runs"] == 1
    assert "can't be read" in torn["why"]
    assert exit_code_of(["baseline", "show", "torn"]) == 4


def test_names_complete(runs: Path) -> None:
    """Tab offers the names there are, without loading what reads them."""
    assert exit_code_of(["baseline", "promote", "main", "latest"]) == 0
    assert (runs / FOLDER_NAME / "main.json").is_file()

    assert offered(["baseline", "pin"], "m") == ["main"]
    assert completions._BASELINES == FOLDER_NAME


def test_nobody_signs_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine knows no user, one must be named."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)

    with pytest.raises(UsageError, match="--by ada"):
        signed(None, "")
    with pytest.raises(UsageError, match="--by ada"):
        signed("  ", "")
    assert signed("eve", " why ").why == "why"
