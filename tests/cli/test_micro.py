"""`acctbench micro`: a timed run is stored like any other; what it refuses, it refuses at once."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from harness.model.record import PLAIN
from harness.model.record_json import record_from_json
from harness.storage.run_folder import load_run
from workloads.micro import micro_run
from workloads.micro.instructions import Counting
from workloads.micro.suite import BY_NAME, kernel_digests

KERNEL = "harness.seal-fill"
BUILD = {"python": "p", "machine": "m", "features": [], "valgrind": "v", "modules": ["m 1"]}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of runs after one of two starts of three rounds, and what was printed."""
    runs = tmp_path_factory.mktemp("runs")
    flags = ["--only", KERNEL, "--rounds", "3", "--processes", "2", "--runs", str(runs)]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert exit_code_of(["micro", *flags]) == 0
    return runs, printed.getvalue()


def test_a_timed_run_is_stored(timed: tuple[Path, str]) -> None:
    """Every round of every start is in the record, with what it needs to be compared."""
    *table, folder = timed[1].splitlines()
    run = load_run(Path(folder))
    (kernel,) = run.record.kernels

    assert any(KERNEL in line for line in table)
    assert run.record.complete
    assert run.record.instrumentation == PLAIN
    assert run.record.environment["cpu_model"]
    assert (kernel.name, kernel.unit, kernel.better) == (KERNEL, "ns", "less")
    assert kernel.digest == kernel_digests()[KERNEL]
    assert [len(rounds) for rounds in kernel.processes] == [3, 3]
    assert all(0 < value < 1e6 for rounds in kernel.processes for value in rounds)


def test_no_name_of_the_machine_is_stored(timed: tuple[Path, str]) -> None:
    """What pytest-benchmark stores beside the record does not name the host."""
    stored = [json.loads(path.read_text()) for path in timed[0].glob("*/pytest-benchmark-*.json")]

    assert [document["machine_info"]["node"] for document in stored] == ["", ""]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "no such kernel"], KERNEL),
        (["--against", "latest"], "--instructions"),
        (["--margin", "1%"], "--instructions"),
        (["--instructions", "--margin", "1%"], "--against"),
        (["--instructions", "--against", "nothing"], "nothing"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_what_can_not_be_used(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, what to write instead, and no folder."""
    assert exit_code_of(["micro", *flags, "--runs", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_without_counts(
    timed: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A timed run is refused as the baseline of counts before anything is counted."""
    runs = timed[0]
    before = list(runs.iterdir())
    flags = ["--instructions", "--against", "latest", "--runs", str(runs)]

    assert exit_code_of(["micro", *flags]) == 2
    assert "has no instruction counts" in capsys.readouterr().err
    assert list(runs.iterdir()) == before


def test_without_valgrind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counting needs valgrind: without it exit 2 and a sentence, and no folder."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert exit_code_of(["micro", "--instructions", "--runs", str(tmp_path / "runs")]) == 2
    assert "install valgrind" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("grown", "build", "expected"),
    [(1.0, BUILD, 0), (1.02, BUILD, 1), (0.9, BUILD, 0), (1.02, BUILD | {"valgrind": "w"}, 4)],
)
def test_against(  # noqa: PLR0917 - fixtures
    grown: float,
    build: dict[str, object],
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A count that grew is exit 1, one of another build exit 4; the counter itself is replaced."""

    def count(factor: float, of: object) -> None:
        def counted(names: list[str]) -> Counting:
            counts = {name: round(1_000_000 * factor) for name in names}
            return Counting(counts=counts, build=of, has_fixed_layout=True)  # type: ignore[arg-type]

        monkeypatch.setattr(micro_run, "count_instructions", counted)

    flags = ["micro", "--instructions", "--json", "--runs", str(tmp_path)]
    count(1.0, BUILD)
    assert exit_code_of(flags) == 0
    before = Path(json.loads(capsys.readouterr().out)["folder"]).name
    count(grown, build)

    assert exit_code_of([*flags, "--against", before]) == expected
    document = json.loads(capsys.readouterr().out)
    stored = json.loads((Path(document["folder"]) / "record.json").read_text())
    assert len(document["kernels"]) == len(BY_NAME)
    assert document["exit_code"] == expected == record_from_json(stored).exit_code
