"""`acctbench signoff` and `verify`: exit codes, what is printed, and what is refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import ExitCode
from harness.storage.run_folder import load_run, write_record
from harness.workflows.scenarios import checked_scenario
from tests.reports.release.made import LIMIT, REFUSED, broken, fit, judged, p99, specs, write_run

POLICY = """
name = "core"
[[runs]]
scenario = "spot-steady"
profile = "gate"
objectives = [{ metric = "operations.rejected_share", at_most = "5%" }]
"""
RUN = "20261124-1-spot-steady-a"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a policy, and a run of today that meets it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCTBENCH_RUNS", raising=False)
    (tmp_path / "release.toml").write_text(POLICY, encoding="utf-8")
    digest = checked_scenario("spot-steady", ScenarioOverrides(profile="gate")).digest
    folder = write_run(tmp_path / "runs" / RUN, run_id=RUN, created_at=now())
    change(folder, scenario={**load_run(folder).record.scenario, "digest": digest})
    return tmp_path


def now() -> str:
    """The wall clock, as a run's record has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def change(folder: Path, **changes: object) -> None:
    """Change the record of a run."""
    write_record(folder, replace(load_run(folder).record, **changes))  # type: ignore[arg-type]


def signoff(*options: str) -> int:
    """The exit code of a sign-off, which replaces the one before."""
    words = ["signoff", "--release", "1.4", "--policy", "release.toml", "--force", *options]
    return exit_code_of(words)


def test_go_is_zero_and_can_be_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle's folder is the result; its hash is what verify prints, and accepts."""
    assert signoff() == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out == "release-1.4\n"
    assert "GO" in captured.err

    assert exit_code_of(["verify", "release-1.4"]) == ExitCode.OK
    sha256 = capsys.readouterr().out.strip()
    assert exit_code_of(["verify", "release-1.4", "--hash", sha256.upper()]) == ExitCode.OK
    assert exit_code_of(["verify", "release-1.4", "--hash", "0" * 64]) == ExitCode.INVALID


def test_verdicts_are_exit_codes(here: Path) -> None:
    """NO-GO 1, money lost 5, not proven 3."""
    folder = here / "runs" / RUN
    good = load_run(folder).record

    write_record(folder, replace(fit(good, at_most="1ns"), created_at=now()))
    assert signoff() == ExitCode.OBJECTIVE_MISSED
    write_record(folder, broken(good))
    assert signoff() == ExitCode.AUDIT_FAILED
    write_record(folder, good)
    change(folder, created_at="2020-01-01T00:00:00+00:00")
    assert signoff() == ExitCode.INCONCLUSIVE
    assert signoff("--runs", "elsewhere") == ExitCode.INCONCLUSIVE


def test_a_looser_policy_of_a_run_signs_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run --policy` in place of the scenario's 20 ms: the run met its own, not the scenario's."""
    folder = here / "runs" / RUN
    record = load_run(folder).record
    looser = {"metric": "reserve.response_ns.p99", "at_most": "250ms"}
    parameters = {**record.scenario["parameters"], "policy": {"objectives": [looser]}}
    reserve = record.latency["reserve"]
    slow = tuple(
        replace(item, value=item.value and 30_000_000) for item in reserve.response_ns.quantiles
    )
    latency = replace(reserve, response_ns=replace(reserve.response_ns, quantiles=slow))
    record = replace(
        record,
        scenario={**record.scenario, "parameters": parameters},
        latency={**record.latency, "reserve": latency},
    )
    write_record(folder, judged(record, specs(p99(LIMIT), REFUSED, looser)))

    assert load_run(folder).record.exit_code == ExitCode.OK
    assert signoff() == ExitCode.OBJECTIVE_MISSED
    said = " ".join(capsys.readouterr().err.split())
    told = "response_ns.p99 is 30.0 ms; demanded: at most 20.0 ms; the run's own policy"
    assert told in said


def test_a_killed_run_stands_in_nobodys_way(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed, or still going on: only logs, no reason. It is listed, and proves nothing."""
    killed = here / "runs" / "20261124-2-spot-steady-b.incomplete"
    killed.mkdir()
    (killed / "target.log").write_text("started\n", encoding="utf-8")
    (here / "runs" / "20261124-3-spot-steady-c.incomplete").mkdir()
    assert signoff("--json") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert exit_code_of(["verify", "release-1.4"]) == ExitCode.OK

    unused = {run["name"]: run["why"] for run in document["runs"] if not run["is_used"]}
    assert unused == dict.fromkeys(
        (killed.name, "20261124-3-spot-steady-c.incomplete"),
        "it was not finished, and no file says why",
    )
    files = json.loads((here / "release-1.4" / "inputs.json").read_text())["files"]
    assert not files[f"runs/{killed.name}"]["target.log"]["is_copied"]


def test_json_has_verdict_and_hash(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document on stdout, of both commands."""
    assert signoff("--json") == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert exit_code_of(["verify", "release-1.4", "--json"]) == ExitCode.OK
    checked = json.loads(capsys.readouterr().out)

    assert (said["word"], said["exit_code"]) == ("GO", 0)
    assert (checked["verdict"], checked["faults"]) == ("GO", [])
    assert said["sha256"] == checked["sha256"]


def test_a_damaged_run_or_bundle_is_invalid(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that contradicts itself, a changed page; the first difference is named."""
    assert signoff() == ExitCode.OK
    page = here / "release-1.4" / "signoff.html"
    page.write_bytes(page.read_bytes().replace(b"GO", b"NO"))
    assert exit_code_of(["verify", "release-1.4"]) == ExitCode.INVALID
    assert "signoff.html was changed" in capsys.readouterr().err

    change(here / "runs" / RUN, exit_code=1)
    assert signoff() == ExitCode.INVALID
    assert "contradicts itself" in capsys.readouterr().err
    assert page.is_file()  # what was there is still there


def test_all_faults_of_a_policy_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenarios that there are not, profiles that they don't have, kinds that nobody sends."""
    (here / "release.toml").write_text(
        'name = "core"\n[[runs]]\nscenario = "spot-stedy"\n'
        '[[runs]]\nscenario = "reads"\nprofile = "hug"\n'
        '[[runs]]\nscenario = "spot-steady"\n'
        'objectives = [{ metric = "reserv.response_ns.p99", at_most = "1ms" }]\n',
        encoding="utf-8",
    )
    assert signoff() == ExitCode.USAGE
    said = capsys.readouterr().err

    for part in ("spot-stedy", "hug", "reserv.response_ns.p99"):
        assert part in said
    assert not (here / "release-1.4").exists()


def test_a_baseline_that_there_is_not_proves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first release has none to be compared with; that is said, and waived if it may be."""
    text = f'{POLICY}count = 5\nbaseline = "last"\n'
    (here / "release.toml").write_text(text, encoding="utf-8")
    for number in range(2, 6):
        folder = write_run(here / "runs" / f"20261124-{number}-spot-steady-x")
        scenario = load_run(here / "runs" / RUN).record.scenario
        change(folder, created_at=now(), run_id=folder.name, scenario=scenario)

    assert signoff() == ExitCode.INCONCLUSIVE
    assert 'baseline: "last": none of that name' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--release", "../1.4", "--policy", "release.toml"], "can't name a folder"),
        (["--release", "1.4", "--policy", "none.toml"], "acctbench init"),
        (["--release", "1.4", "--policy", "release.toml", "--collect", "x"], "no run of that name"),
        (["--release", "1.4", "--policy", "release.toml", "--target", "reference"], "for --run"),
        (["--release", "1.4", "--policy", "release.toml", "--run"], "needs --target"),
        (
            [
                *("--release", "1.4", "--policy", "release.toml", "--run"),
                *("--target", "reference", "--collect", "latest"),
            ],
            "leave out --collect",
        ),
        (["--release", "1.4", "--policy", "release.toml", "--output", "runs"], "there already"),
    ],
)
def test_what_cannot_be_done_is_said(
    here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with what to write, and code 2."""
    assert exit_code_of(["signoff", *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_verify_refuses_what_is_no_bundle(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder and no hash are usage; a folder without manifest is invalid."""
    assert exit_code_of(["verify", "none"]) == ExitCode.USAGE
    assert exit_code_of(["verify", "runs", "--hash", "beef"]) == ExitCode.USAGE
    assert "64 hexadecimal digits" in capsys.readouterr().err
    assert exit_code_of(["verify", "runs"]) == ExitCode.INVALID
