"""A real gate: both sides alive, taking turns; and whatever is wrong with one of them is not 0."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from harness.model.profile import Metric
from harness.model.record import RunRecord
from harness.model.verdict import ExitCode
from harness.storage.run_folder import load_run
from harness.targets.target_file import target_files
from harness.workflows.scenarios import scenario_folder

pytestmark = pytest.mark.timeout(400)  # two pairs, one under memray, also on a busy machine
SIDES = ("base", "candidate")
BYTES = "profile.allocated_bytes_per_operation"
POLICY = f"""
name = "quick"
metrics = ["all.response_ns.p50", "target.rss_bytes_max", "{BYTES}"]
[[objectives]]
metric = "{BYTES}"
at_most = "1MiB"
[gate]
scenario = "patient.toml"
profile = "pair"
budget = "20s"
rate = "120/s"
warmup = "500ms"
measure = "3s"
window = "500ms"
guard = "50ms"
"""
DIES = """
name = "dies"
[launch]
command = ["{python}", "-c", "import sys; print('no memory left'); sys.exit(3)", "{grpc_port}"]
[ready]
line = "ready "
"""
CAN_NOT_BE_BUILT = """
name = "unbuilt"
[build]
steps = [["{python}", "-c", "import sys; sys.exit('no compiler')"]]
[launch]
command = ["{workdir}/service", "{grpc_port}"]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policy, scenario and targets of a user, who doesn't mind how late a busy machine is."""
    folder = tmp_path_factory.mktemp("gate")
    steady = (scenario_folder() / "spot-steady.toml").read_text(encoding="utf-8")
    patient = steady.replace('lateness_p99 = "1ms"', 'lateness_p99 = "10s"')
    assert patient != steady
    patient = patient.replace('rate_error = "1%"', 'rate_error = "50%"')
    (folder / "patient.toml").write_text(patient, encoding="utf-8")
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    (folder / "dies.toml").write_text(DIES, encoding="utf-8")
    (folder / "unbuilt.toml").write_text(CAN_NOT_BE_BUILT, encoding="utf-8")
    for side in SIDES:
        shutil.copy(target_files()["reference"], folder / f"{side}.toml")
    return folder


def gate(files: Path, candidate: str, *options: str) -> int:
    """The exit code of a gate against the reference."""
    return exit_code_of(
        [
            "gate",
            *("--base-target", str(files / "base.toml")),
            *("--candidate-target", str(files / candidate)),
            *("--policy", str(files / "policy.toml"), "--runs", str(files / "runs"), "--quiet"),
            *options,
        ]
    )


@pytest.fixture(scope="module")
def played(files: Path) -> Path:
    """The folder of a gate of one pair, whose budget is too small for any verdict."""
    junit, markdown = files / "gate.xml", files / "gate.md"
    code = gate(
        files, "candidate.toml", *("--budget", "1s"), *("--junit", str(junit)),
        *("--markdown", str(markdown)),
    )  # fmt: skip
    (folder,) = (files / "runs").glob("gate-*")
    assert code in {ExitCode.INCONCLUSIVE, ExitCode.INVALID}  # 4: the machine was not fit
    return folder


def records(folder: Path) -> dict[str, RunRecord]:
    """Of the first pair."""
    return {side: load_run(folder / "pairs" / "1" / side).record for side in SIDES}


def test_both_sides_are_whole_runs_of_the_same_operations(played: Path) -> None:
    """One plan, one broker, two processes, turns that are each other's complement, both audited."""
    base, candidate = records(played).values()

    assert base.schedule_digest == candidate.schedule_digest
    assert base.operations.scheduled == candidate.operations.scheduled > 0
    assert base.resources["target"].pid != candidate.resources["target"].pid
    assert base.resources["broker"].pid == candidate.resources["broker"].pid
    assert base.load["turns"]["begins"] is not candidate.load["turns"]["begins"]
    assert base.correctness.status == candidate.correctness.status == "PASSED"


def test_the_plain_scenario_has_the_same_digest(played: Path) -> None:
    """Turns change when operations are due, not which there are: 3 s in windows of 500 ms."""
    for record in records(played).values():
        assert "turns" not in record.scenario["parameters"]
        assert record.phases["measure_ns"] == 12 * 550_000_000
        assert record.rate.offered_per_s == pytest.approx(120.0, rel=0.25)


def test_cpu_is_by_the_time_of_its_own_turns(played: Path) -> None:
    """All that each side used, over the seconds in which it was offered operations."""
    for record in records(played).values():
        cpu_cores = record.resources["target"].cpu_cores_mean
        assert cpu_cores is not None
        assert 0.0 < cpu_cores < 2.0


def test_one_pair_settles_nothing(played: Path, files: Path) -> None:
    """verdict.json, JUnit XML and Markdown all say so; the folder is whole."""
    verdict = json.loads((played / "verdict.json").read_text(encoding="utf-8"))

    assert verdict["status"] in {"INCONCLUSIVE", "INVALID"}
    assert verdict["exit_code"] != 0
    assert len(verdict["gate"]["pairs"]) == 1
    assert verdict["gate"]["confirmed"] == []
    assert "<error" in (files / "gate.xml").read_text(encoding="utf-8")
    assert verdict["status"] in (files / "gate.md").read_text(encoding="utf-8")
    assert (played / "compare.html").stat().st_size > 10_000


def test_bytes_of_an_operation_are_counted_under_memray(played: Path) -> None:
    """A pair of starts of its own, audited; one tells nothing yet, and the gate says so."""
    verdict = json.loads((played / "verdict.json").read_text(encoding="utf-8"))
    compared = json.loads((played / "compare.json").read_text(encoding="utf-8"))
    (metric,) = [item for item in compared["metrics"] if item["name"] == BYTES]
    runs = [load_run(played / "memory" / "pairs" / "1" / side) for side in SIDES]
    profiles = [
        next(item for item in run.profiles() if item.metric is Metric.ALLOCATED_BYTES)
        for run in runs
    ]

    assert verdict["metrics"][BYTES] == "INCONCLUSIVE"
    assert verdict["objectives"][BYTES] == "PASSED"
    assert [look["pair_count"] for look in verdict["gate"]["memory_looks"]] == [1]
    assert any("1 of 6 pairs under memray" in doubt for doubt in compared["doubts"])
    for side, profile in zip(("baseline", "candidate"), profiles, strict=True):
        assert profile.rest is not None
        assert sum(profile.rest.weights.values()) > 0
        assert [segment.operation_count for segment in (profile.rest,)] == [0]
        assert 100.0 < metric[side]["value"] < 2**20
    assert {run.record.correctness.status for run in runs} == {"PASSED"}
    assert runs[0].record.schedule_digest == runs[1].record.schedule_digest
    assert runs[0].record.load["burst_ns"] == runs[1].record.load["burst_ns"] > 0


@pytest.mark.parametrize("candidate", ["dies.toml", "unbuilt.toml"])
def test_a_side_that_does_not_run_is_named(
    candidate: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 6, whose it was and its last words, and the folder is kept as incomplete."""
    before = set((files / "runs").glob("*.incomplete"))

    code = gate(files, candidate)

    said = capsys.readouterr().err
    (kept,) = set((files / "runs").glob("*.incomplete")) - before
    assert code == ExitCode.TARGET_FAILED
    assert "candidate: " in said
    assert "no memory left" in said or "no compiler" in said
    assert (kept / "failure.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no base is named"),
        (["--base", "HEAD", "--base-target", "x.toml"], "more than one base is named"),
        (["--base", "HEAD", "--candidate", "v1", "--candidate-target", "x"], "leave one out"),
        (["--base", "no-such-revision"], "no commit of"),
        (["--baseline", "no-such-baseline"], "baseline"),
        (["--base-target", "nope.toml", "--candidate-target", "nope.toml"], "nope.toml"),
        (["--base", "HEAD", "--policy", "nope.toml"], "nope.toml"),
        (["--base", "HEAD", "--budget", "soon"], "soon"),
    ],
)
def test_what_can_not_be_asked(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with a sentence, before anything is started."""
    code = exit_code_of(["gate", *arguments, "--runs", str(tmp_path / "runs")])

    assert code == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('budget = "5s"', "write a larger budget"),
        ('guard = "2s"', "nothing would be measured"),
        ('measure = "150ms"', "write a longer measure"),
        ('inconclusive = "maybe"', "inconclusive"),
        ("settled = []", "settled"),
        ('bugdet = "5min"', 'did you mean "budget"'),
    ],
)
def test_faults_of_the_policy(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, and what to write instead."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'name = "x"\n[gate]\n{text}\n', encoding="utf-8")

    code = exit_code_of(["gate", "--base", "HEAD", "--policy", str(policy)])

    assert code == ExitCode.USAGE
    assert said in capsys.readouterr().err
