"""The command line as a user meets it: help, results on stdout, messages, exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from harness.cli import main as main_module
from harness.cli.main import exit_code_of
from harness.errors import (
    BrokerError,
    EngineError,
    RecordError,
    ScenarioError,
    TargetError,
    TransportError,
    UsageError,
)
from harness.model.verdict import EXIT_SENTENCES, ExitCode
from tests.reports.synthetic import Shape, write_synthetic_run

COMMANDS = tuple(main_module.COMMANDS)
SMALL = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two complete runs and one that is not."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("20261122-100000-a-0001", "20261122-110000-b-0002"):
        write_synthetic_run(folder / name, SMALL)
    (folder / "20261122-120000-c-0003.incomplete").mkdir()
    return folder


@pytest.fixture
def boom(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `acctbench boom` raise."""

    def install(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setitem(sys.modules, "boom_module", SimpleNamespace(command=command))
        monkeypatch.setitem(main_module.COMMANDS, "boom", "boom_module:command")

    return install


def test_help_lists_commands_and_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the program has every command, and what every exit code says."""
    assert exit_code_of(["--help"]) == 0
    text = capsys.readouterr().out

    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(f"{code.value}  {EXIT_SENTENCES[code]}" in text for code in ExitCode)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "spot-stedy"], "spot-steady"),
        (["plan", "--rate", "5"], "--rate"),
        (["plan", "--duration", "soon"], "--duration"),
        (["plan", "--rate", "0/s"], "sends nothing; write e.g."),
        (["plan", "--duration", "0s"], "is nothing; write e.g."),
        (["run", "--timeout", "0s"], "is nothing; write e.g."),
        (["plan", "--profile", "huge"], "smoke"),
        (["report", "nothing"], "20261122-110000-b-0002"),
        (["report", "2026"], "several runs match"),
        (["nonsense"], "nonsense"),
        (["comparr"], "Did you mean 'compare'?"),
        (["spot-steady"], "acctbench run spot-steady"),
        (["mine.toml"], "acctbench run mine.toml"),
        (["--duration", "8s"], "acctbench run --duration 8s"),
        (["--versio"], "--version"),
        (["list", "everything"], "scenarios"),
        (["run", "--target", "my-service.toml"], "my-service.toml"),
    ],
)
def test_misuse_is_exit_2_and_says_what_to_write(
    arguments: list[str],
    said: str,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad flag, name or file ends with code 2 and a message with the remedy; stdout is empty."""
    monkeypatch.setenv("ACCTBENCH_RUNS", str(runs))
    code = exit_code_of(arguments)
    captured = capsys.readouterr()

    assert code == ExitCode.USAGE
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x [red]"), ExitCode.USAGE),
        (ScenarioError(()), ExitCode.USAGE),
        (TargetError("x"), ExitCode.TARGET_FAILED),
        (BrokerError("x"), ExitCode.TARGET_FAILED),
        (TransportError("x"), ExitCode.TARGET_FAILED),
        (EngineError("x"), ExitCode.INVALID),
        (RecordError("x"), ExitCode.INVALID),
        (KeyboardInterrupt(), ExitCode.INVALID),
    ],
)
def test_every_failure_has_its_code(
    error: BaseException,
    code: ExitCode,
    boom: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each error of the tree ends with the code of the table, its text printed as it is."""
    boom(error)

    assert exit_code_of(["boom"]) == code
    assert str(error) in capsys.readouterr().err


def test_what_a_service_says_cannot_drive_the_terminal(
    boom: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences in an error's text are shown, not obeyed."""
    boom(TargetError("it said \x1b]0;owned\x07 and \u202enone"))
    exit_code_of(["boom"])

    assert r"it said \x1b]0;owned\x07 and \u202enone" in capsys.readouterr().err


def test_own_fault_keeps_its_traceback(
    boom: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unexpected exception is one line for people, and a file with the traceback."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    boom(ZeroDivisionError("by nothing"))
    code = exit_code_of(["boom"])
    (traceback,) = tmp_path.glob("acctbench-*.traceback")

    assert code == ExitCode.INVALID
    assert "by nothing" in traceback.read_text()
    assert "Traceback" not in capsys.readouterr().err


def test_debug_shows_the_traceback(
    boom: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With --debug the traceback is on the terminal."""
    boom(ZeroDivisionError("by nothing"))

    assert exit_code_of(["--debug", "boom"]) == ExitCode.INVALID
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_ends_in_order() -> None:
    """SIGTERM unwinds a command as Ctrl-C does, and ends with 4."""
    program = (
        "import sys, types, click\n"
        "import harness.cli.main as m\n"
        "@click.command()\n"
        "def command():\n"
        "    try:\n"
        "        print('up', flush=True); sys.stdin.read()\n"
        "    finally:\n"
        "        print('down', flush=True)\n"
        "sys.modules['boom'] = types.SimpleNamespace(command=command)\n"
        "m.COMMANDS['boom'] = 'boom:command'\n"
        "sys.argv = ['acctbench', 'boom']\n"
        "m.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert (out, process.returncode) == ("down\n", ExitCode.INVALID)
    assert "interrupted" in err


def test_plan_is_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """Plan prints one JSON document that a seed repeats and another seed changes."""
    flags = ["--rate", "500/s", "--duration", "2s", "--warmup", "0s", "--json"]
    printed = []
    for seed in ("7", "7", "8"):
        assert exit_code_of(["plan", "null-poisson", *flags, "--seed", seed]) == 0
        printed.append(json.loads(capsys.readouterr().out))

    assert printed[0] == printed[1] != printed[2]
    assert printed[0]["scenario"] == "null-poisson"


def test_plan_tells_what_is_traded(capsys: pytest.CaptureFixture[str]) -> None:
    """For a service that can't be told over gRPC: every asset and instrument, and nothing else."""
    assert exit_code_of(["plan", "spot-steady", "--reference-data"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert len(document["instruments"]) == 50
    assert {asset["asset_id"] for asset in document["assets"]} == set(range(1, 54))


def test_plan_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json plan prints the same keys as text."""
    assert exit_code_of(["plan", "null-poisson", "--duration", "1s"]) == 0
    text = capsys.readouterr().out

    assert "scenario" in text
    assert "null-poisson" in text


def test_list_runs_shows_complete_ones(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted run is no run: it is not listed."""
    assert exit_code_of(["list", "runs", "--json", "--runs", str(runs)]) == 0
    listed = json.loads(capsys.readouterr().out)

    assert [row["run"] for row in listed] == ["20261122-100000-a-0001", "20261122-110000-b-0002"]
    assert set(listed[0]) >= {"scenario", "target", "validity", "correctness", "performance"}


@pytest.mark.parametrize(("what", "name"), [("scenarios", "spot-steady"), ("targets", "reference")])
def test_list_for_people(what: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The packaged scenarios and targets are listed by name."""
    assert exit_code_of(["list", what]) == 0
    assert name in capsys.readouterr().out


def test_list_of_no_runs_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing on stdout, which is for results; a sentence on stderr."""
    assert exit_code_of(["list", "runs", "--runs", str(tmp_path)]) == 0
    captured = capsys.readouterr()

    assert captured.out == ""
    assert f"no runs in {tmp_path} yet; acctbench run makes one" in captured.err


def test_report_is_drawn_again(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Report prints the path of the page; --output puts it elsewhere."""
    assert exit_code_of(["report", "latest", "--runs", str(runs)]) == 0
    first = Path(capsys.readouterr().out.strip())
    other = tmp_path / "other.html"
    code = exit_code_of(["report", "20261122-11", "--runs", str(runs), "--output", str(other)])

    assert code == 0
    assert first == runs / "20261122-110000-b-0002" / "report.html"
    assert other.read_bytes() == first.read_bytes()


def test_report_says_where_it_cannot_write(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that can't be written is a message with its path, not a traceback."""
    nowhere = tmp_path / "nowhere" / "page.html"
    code = exit_code_of(["report", "latest", "--runs", str(runs), "--output", str(nowhere)])

    assert code == ExitCode.INVALID
    assert f"{nowhere}: can't be written" in capsys.readouterr().err


def test_compare_prints_a_page_and_rows(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compare writes the page, prints its path alone, and the table for people."""
    folder = tmp_path / "both"
    names = ["20261122-10", "20261122-11"]
    more = ["--junit", str(tmp_path / "ci" / "j.xml"), "--markdown", str(tmp_path / "ci" / "m.md")]
    code = exit_code_of(["compare", *names, "--runs", str(runs), "--output", str(folder), *more])
    captured = capsys.readouterr()

    assert code == ExitCode.INCONCLUSIVE  # a run a side
    assert captured.out.strip() == str(folder / "compare.html")
    assert {path.name for path in folder.iterdir()} == {
        "compare.html",
        "compare.json",
        "verdict.json",
    }
    assert {path.name for path in (tmp_path / "ci").iterdir()} == {"j.xml", "m.md"}
    assert "rate.achieved_per_s" in captured.err
    assert "INCONCLUSIVE: Nothing is shown to be worse" in captured.err


def test_compare_as_json(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every metric has its unit, both sides and a verdict."""
    arguments = ["compare", "--baseline", "20261122-10", "--candidate", "latest", "--json"]
    code = exit_code_of([*arguments, "--runs", str(runs), "--output", str(tmp_path)])
    document = json.loads(capsys.readouterr().out)

    assert code == document["exit_code"] == ExitCode.INCONCLUSIVE
    assert all({"name", "unit", "status", "baseline"} <= set(row) for row in document["metrics"])


@pytest.mark.parametrize(
    ("sides", "code", "said"),
    [
        ([], 2, "no sides given"),
        (["latest"], 2, "1 side given"),
        (["latest", "20261122-10", "--baseline", "latest"], 2, "not both"),
        (["nobody", "latest"], 2, "no run of that name"),
        (["x*", "latest"], 2, 'no run or file fits "x*"'),
        (["pyproject.toml", "latest"], 2, "can't be compared with runs"),
        (["pyproject.toml", "README.md"], 2, "can't be read as JSON"),
        (["latest", "latest"], 4, "is a run of the baseline too"),
        (["latest", "20261122-10", "--policy", "nowhere.toml"], 2, "can't be read"),
    ],
)
def test_compare_says_what_is_wrong(
    sides: list[str],
    code: int,
    said: str,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sides that mean nothing, mixed sides, one run on both."""
    arguments = ["compare", *sides, "--runs", str(runs), "--output", str(runs.with_name("out"))]

    assert exit_code_of(arguments) == code
    assert said in capsys.readouterr().err


def test_compare_refuses_half_a_run(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A truncated record or table is exit code 4, with the file or the run named."""
    torn = tmp_path / "runs"
    shutil.copytree(runs, torn)
    names = sorted(path.name for path in torn.iterdir() if not path.name.endswith(".incomplete"))
    table = torn / names[0] / "operations.parquet"
    table.write_bytes(table.read_bytes()[:1_000])
    arguments = ["compare", *names, "--runs", str(torn), "--output", str(tmp_path / "out")]

    assert exit_code_of(arguments) == ExitCode.INVALID
    assert f"{names[0]}: operations.parquet is missing or can't be read" in capsys.readouterr().err

    record = torn / names[1] / "record.json"
    record.write_text(record.read_text()[:500])
    assert exit_code_of(arguments) == ExitCode.INVALID
    assert "record.json: can't be read" in capsys.readouterr().err


def test_doctor_measures_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Doctor makes every finding, with figures, and finds that runs are possible here."""
    assert exit_code_of(["doctor", "--json", "--runs", str(tmp_path / "runs")]) == 0
    findings = {item["id"]: item for item in json.loads(capsys.readouterr().out)}

    assert {"python", "cores", "realtime", "timer", "disk-sync", "broker", "roofline"} <= set(
        findings
    )
    assert findings["timer"]["figures"]["p50_ns"] > 0
    assert findings["roofline"]["figures"]["wire_per_cpu_s"] > 0
    assert not (tmp_path / "runs").exists()
