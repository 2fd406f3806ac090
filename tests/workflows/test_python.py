"""What can be asked from Python: frozen requests and results, nothing printed, no signal taken."""

import ast
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from pathlib import Path

import acctbench
import pytest

from harness.engine.progress import Progress
from harness.errors import HarnessError, TargetError, UsageError
from harness.model.verdict import ExitCode
from harness.storage.run_folder import load_run, write_record
from harness.workflows.requests import Note, Phase
from harness.workflows.scenarios import checked_scenario
from tests.reports.history.stored import base_record, nights, write_records
from tests.reports.release.made import write_run
from tests.reports.synthetic import Shape, write_synthetic_run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "harness" / "workflows" / "python.md"
HANDLED = (signal.SIGINT, signal.SIGTERM)
SMALL = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)
QUICK = {"profile": "smoke", "rate_per_s": 100.0, "warmup_ns": 100_000_000}
DIES = """
name = "dies"
[launch]
command = ["{python}", "-c", "import sys; sys.exit(3)", "{grpc_port}"]
[ready]
line = "ready "
"""
RELEASE = """
name = "core"
[[runs]]
scenario = "spot-steady"
profile = "gate"
objectives = [{ metric = "operations.rejected_share", at_most = "5%" }]
"""


@pytest.fixture(autouse=True)
def silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """A folder of a user; in it nothing is printed, and every signal keeps its handler."""
    monkeypatch.chdir(tmp_path)
    before = [signal.getsignal(number) for number in HANDLED]
    yield
    printed = capfd.readouterr()

    assert (printed.out, printed.err) == ("", "")
    assert [signal.getsignal(number) for number in HANDLED] == before


def quick(measure_ns: int) -> acctbench.RunRequest:
    """A run of the reference service that takes seconds."""
    overrides = acctbench.ScenarioOverrides(measure_ns=measure_ns, **QUICK)
    return acctbench.RunRequest(scenario="spot-steady", overrides=overrides, command="mine")


def test_a_run_is_a_value() -> None:
    """The result says what the stored record says, and neither it nor its request can change."""
    request = quick(500_000_000)
    events: list[object] = []
    result = acctbench.run(request, events.append)
    record = load_run(result.folder).record

    assert result.exit_code == record.exit_code
    assert result.verdict.split()[1] == record.correctness.status == "PASSED"
    assert result.details.record.command == record.command == "mine"
    assert result.page == result.folder / "report.html"
    assert result.page.is_file()
    assert result.figures["target.cpu_ns_per_operation"] > 0
    phases = [event.name for event in events if isinstance(event, Phase)]
    assert phases[0] == "plan"
    assert phases[-1] == "report"
    assert any(isinstance(event, Progress) for event in events)
    with pytest.raises(FrozenInstanceError):
        request.command = "another"
    with pytest.raises(FrozenInstanceError):
        result.exit_code = 0


def test_a_run_is_stopped_in_order() -> None:
    """While the load goes a Stopper ends it, once; before and after there is nothing to stop."""
    stopper = acctbench.Stopper()
    answers = [stopper.stop()]

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            answers.append(stopper.stop())

    with pytest.raises(HarnessError, match="stopped"):
        acctbench.run(quick(20_000_000_000), tell, stopper)

    assert answers[:2] == [False, True]
    assert not any(answers[2:])
    assert [path.suffix for path in Path("runs").iterdir()] == [".incomplete"]


def test_what_cannot_be_asked_is_an_error() -> None:
    """Names that there are not, sides that don't go together, profilers that there are not."""
    with pytest.raises(UsageError, match="spot-steady"):
        acctbench.run(acctbench.RunRequest(scenario="spot-stedy"))
    with pytest.raises(UsageError, match="write one of cpu, memory"):
        acctbench.run(acctbench.RunRequest(profiler="gpu"))
    with pytest.raises(UsageError, match="no base is named"):
        acctbench.GateRequest()
    with pytest.raises(UsageError, match="more than one base"):
        acctbench.GateRequest(base="main", baseline="main")
    with pytest.raises(UsageError, match="leave out --collect"):
        acctbench.SignOffRequest(
            release="1", policy=Path("x"), runs_all=True, target="reference", collected=("latest",)
        )


def test_a_comparison_is_a_value() -> None:
    """Verdict, changes and the written files of two runs, one a side: not enough."""
    for name in ("20261122-100000-a-0001", "20261122-110000-b-0002"):
        write_synthetic_run(Path("runs") / name, SMALL)
    result = acctbench.compare(
        acctbench.CompareRequest(baseline=("20261122-10",), candidate=("latest",))
    )
    document = json.loads((result.folder / "verdict.json").read_text())

    assert (result.verdict, result.exit_code) == ("INCONCLUSIVE", ExitCode.INCONCLUSIVE)
    assert dict(result.figures) == document["changes"]
    assert result.details.document["exit_code"] == document["exit_code"]
    assert result.page.is_file()


def test_a_gate_of_a_side_that_dies() -> None:
    """The error names the side; a note says where everything is kept."""
    Path("dies.toml").write_text(DIES, encoding="utf-8")
    notes: list[object] = []
    request = acctbench.GateRequest(base_target="dies.toml", candidate_target="dies.toml")
    with pytest.raises(TargetError, match=r"^(base|candidate): "):
        acctbench.gate(request, notes.append)
    (folder,) = Path("runs").glob("gate-*.incomplete")

    assert all(isinstance(note, Note) for note in notes)
    assert str(notes[-1].text) == f"kept: {folder} (all runs, failure.json)"


def test_a_sign_off_is_a_value() -> None:
    """GO with its bundle; a release that is there already is an error."""
    Path("release.toml").write_text(RELEASE, encoding="utf-8")
    overrides = acctbench.ScenarioOverrides(profile="gate")
    digest = checked_scenario("spot-steady", overrides).digest
    folder = write_run(Path("runs/20261124-1-spot-steady-a"))
    record = load_run(folder).record
    now = datetime.now(UTC).isoformat(timespec="seconds")
    scenario = {**record.scenario, "digest": digest}
    write_record(folder, replace(record, run_id=folder.name, created_at=now, scenario=scenario))
    request = acctbench.SignOffRequest(release="1.4", policy=Path("release.toml"))
    result = acctbench.sign_off(request)

    assert (result.verdict, result.exit_code) == ("GO", ExitCode.OK)
    assert result.folder == Path("release-1.4")
    assert result.page.is_file()
    with pytest.raises(UsageError, match="there already"):
        acctbench.sign_off(request)


def test_a_change_is_accepted(tmp_path: Path) -> None:
    """Of the metrics that fit, at the run that is named; without a reason nothing is."""
    records = nights(base_record(tmp_path / "one"), 24, steps={16: 1.1}, noise=0.005)
    write_records(records, Path("runs"))
    request = acctbench.AcceptRequest(
        metric="target.*", run=records[17].run_id, who="ada", why="durable"
    )
    with pytest.raises(UsageError, match="without a reason"):
        acctbench.accept(replace(request, why=" "))
    accepted = acctbench.accept(request)

    assert "target.cpu_ns_per_operation" in accepted.metrics
    assert json.loads(accepted.file.read_text())["signature"]["who"] == "ada"
    with pytest.raises(UsageError, match="has no open change"):
        acctbench.accept(request)


def test_every_name_is_there_and_comes_when_it_is_used() -> None:
    """`import acctbench` waits for nothing heavy; each of its names can be had."""
    heavy = "{'numpy', 'pandas', 'pydantic', 'pyarrow', 'grpc'}"
    program = f"import sys, acctbench; sys.exit(bool({heavy} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert all(getattr(acctbench, name) for name in acctbench.__all__)
    assert callable(acctbench.main)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = acctbench.nothing


def test_nothing_inside_uses_the_public_names() -> None:
    """Every module imports from the module itself; only `acctbench` re-exports the package."""
    users = {
        path.relative_to(ROOT).as_posix()
        for package in ("harness", "workloads", "reports")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == "harness.workflows")
        or (isinstance(node, ast.Import) and "harness.workflows" in [n.name for n in node.names])
    }

    assert users == {"harness/acctbench.py"}


def test_the_page_is_true_of_the_wheel(tmp_path: Path) -> None:
    """The example runs as it stands, outside the repository, where only the wheel is installed."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    python = tmp_path / "fresh" / "bin" / "python"
    home = Path(sys.prefix)
    dist = tmp_path / "dist"
    for words in (
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)],
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "fresh")],
    ):
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (packages,) = (tmp_path / "fresh").glob("lib/python*/site-packages")
    # What the project depends on is there already; paths in a .pth bring no other .pth with them.
    (here,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{here}\n", encoding="utf-8")
    (wheel,) = dist.glob("*.whl")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run(
        [*install, "--no-index", "--no-deps", "--no-warn-script-location", str(wheel)],
        check=True,
        capture_output=True,
    )
    where = "import acctbench, harness; print(acctbench.__file__, harness.__file__)"
    out = tmp_path / "user"
    out.mkdir()
    run = subprocess.run(
        [python, "-c", f"{example}\n{where}"], cwd=out, capture_output=True, text=True, check=True
    )
    *_, files = run.stdout.splitlines()

    assert run.stderr == ""
    assert [Path(file).parent for file in files.split()] == [packages, packages / "harness"]
    found = re.search(
        r"^([A-Z]+) ([0-9]) (runs/compared/.*)/compare.html$", run.stdout, re.MULTILINE
    )
    assert found is not None
    document = json.loads((out / found[3] / "verdict.json").read_text())
    assert (document["status"], document["exit_code"]) == (found[1], int(found[2]))
