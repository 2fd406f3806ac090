"""`acctbench history` as a user meets it: exit codes, acceptance, export, misuse."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.cli.main import exit_code_of
from harness.model.record import RunRecord
from tests.reports.history.stored import base_record, nights, write_records

STEP = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """What all runs are made from."""
    return base_record(tmp_path_factory.mktemp("base") / "run")


@pytest.fixture
def user(base: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunRecord]:
    """A user's folder: 24 nights, from the 17th on everything is 10 % slower."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCTBENCH_RUNS", raising=False)
    monkeypatch.setenv("ACCTBENCH_BY", "ada")
    records = nights(base, 24, steps={STEP: 1.1}, noise=0.005)
    write_records(records, Path("runs"))
    return records


def test_from_open_to_accepted(user: list[RunRecord], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 until somebody accepts the change with a reason; then 0."""
    assert exit_code_of(["history"]) == 1
    said = capsys.readouterr()
    assert said.out.strip() == "runs/history.html"
    assert f"between {user[STEP - 1].run_id} and {user[STEP].run_id}" in said.err
    assert "1 event made something worse" in said.err
    assert Path("runs/history.html").is_file()
    assert json.loads(Path("runs/history.json").read_text())["exit_code"] == 1
    assert exit_code_of(["history", "accept", "*", user[STEP].run_id]) == 2
    assert exit_code_of(["history", "accept", "*", user[2].run_id, "--why", "x"]) == 2
    assert "has no open change at" in capsys.readouterr().err
    assert exit_code_of(["history", "accept", "*", user[STEP].run_id, "--why", "durable"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()
    assert exit_code_of(["history", "show", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert [event["state"] for event in document["settings"][0]["events"]] == ["accepted"]


def test_what_is_still_open_is_said(
    user: list[RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the run that accepts it; the command that it names leaves nothing open."""
    words = ["history", "accept", "target.*", user[STEP].run_id, "--why", "durable"]
    assert exit_code_of(words) == 0
    said = capsys.readouterr().err
    seen = user[STEP + 1].run_id

    assert f" at {seen}; " in " ".join(said.split()).partition("still open: ")[2]
    assert exit_code_of(["history"]) == 1
    assert exit_code_of(["history", "accept", "*", seen, "--why", "durable"]) == 0
    assert exit_code_of(["history"]) == 0


def test_commits_between(
    user: list[RunRecord], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The subjects of the commits after the last good run, and of no others."""
    repository = tmp_path / "service"
    git = ["git", "-C", str(repository), "-c", "user.name=ada", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    shas = []
    for subject in ("first", "sync each write", "count again"):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        shas.append(head.stdout.decode().strip())
    records = [
        replace(
            record,
            target={**record.target, "revision": {"git_sha": shas[0 if i < STEP else 2]}},
        )
        for i, record in enumerate(user)
    ]
    write_records(records, tmp_path / "known")
    assert exit_code_of(["history", "known", "--commits", "service", "--json"]) == 1
    (event,) = json.loads(capsys.readouterr().out)["settings"][0]["events"]

    assert [line.partition(" ")[2] for line in event["commits"]] == [
        "count again",
        "sync each write",
    ]
    assert event["commits_sentence"] == "2 commits"
    assert exit_code_of(["history", "known", "--commits", "runs"]) == 2


def test_too_few_runs_are_exit_3(
    user: list[RunRecord], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five nights prove nothing, and an empty folder less."""
    write_records(user[:5], tmp_path / "few")
    (tmp_path / "empty").mkdir()

    assert exit_code_of(["history", "few"]) == 3
    assert "not enough" in capsys.readouterr().err
    assert exit_code_of(["history", "empty"]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["history", "nowhere"], "can't be read as a folder of runs"),
        (["history", "--scenario", "spot"], "there are runs of: spot-steady"),
        (["history", "--metric", "p99"], "there are: all.response_ns"),
        (["history", "--last", "0"], "--last"),
        (["history", "--commits", "nowhere"], "no git repository"),
        (["history", "accept", "*", "2031", "--why", "x"], "no run of that name"),
        (["history", "accept", "*", "latest", "--why", " "], "nothing is accepted without"),
    ],
)
def test_misuse(
    arguments: list[str], said: str, user: list[RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, with what to write instead."""
    assert user
    assert exit_code_of(arguments) == 2
    assert said in capsys.readouterr().err


def test_export(user: list[RunRecord], capsys: pytest.CaptureFixture[str]) -> None:
    """One table that pandas reads; an existing file is not replaced unasked."""
    assert exit_code_of(["history", "export", "all.parquet"]) == 0
    assert capsys.readouterr().out.strip() == "all.parquet"
    assert exit_code_of(["history", "export", "all.parquet"]) == 2
    assert exit_code_of(["history", "export", "all.parquet", "runs", "runs", "--force"]) == 0
    frame = pd.read_parquet("all.parquet")

    assert frame["run_id"].nunique() == len(user)
    assert "target.cpu_ns_per_operation" in set(frame["metric"])
