"""A token goes with every call of a run, and is found nowhere afterwards."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from harness.cli.main import exit_code_of

TOKEN = "t0ken-9f8e7d6c5b4a"
PROGRAM = Path(__file__).with_name("guarded_reference.py")
ROOT = Path(__file__).parents[2]
READ_EVERY_S = 0.05
SCENARIO = """
name = "guarded"
title = "A short run with a token"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "150/s"
[phases]
warmup = "300ms"
measure = "1500ms"
drain = "5s"
[load]
driver = "{driver}"
[limits]
lateness_p99 = "50ms"
generator_cpu = "95%"
[workload]
accounts = {{ count = 40, kind = "uniform" }}
instruments = 4
mix = {{ reserve = "40%", release = "38%", fill = "2%", transfer = "20%" }}
"""
TARGET = """
name = "guarded"
[launch]
command = [
    "{{python}}", "{program}", "--grpc-port", "{{grpc_port}}", "--kafka", "{{kafka}}",
    "--topic-prefix", "{{topic_prefix}}", "--workdir", "{{workdir}}",
]
environment = {{ PYTHONPATH = "{root}" }}
[ready]
line = "ready "
[metadata]
authorization = {{ env = "ACCTBENCH_TEST_TOKEN", prefix = "Bearer " }}
"""


class Bench:
    """A folder with the two files, and what a run in it said and started."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        (folder / "scenario.toml").write_text(SCENARIO.format(driver=driver))
        (folder / "target.toml").write_text(TARGET.format(program=PROGRAM, root=ROOT))
        self.command_lines = ""

    def run(self, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
        """The exit code and all that was printed; command lines are read while it runs."""
        ended = threading.Event()
        reader = threading.Thread(target=self._read_command_lines, args=(ended,))
        reader.start()
        try:
            files = [
                str(self.folder / "scenario.toml"),
                "--target",
                str(self.folder / "target.toml"),
            ]
            code = exit_code_of(["run", *files, "--json", "--runs", str(self.folder / "runs")])
        finally:
            ended.set()
            reader.join()
        return code, "".join(capfd.readouterr())

    def files_with(self, token: str) -> list[str]:
        """Every file below the folder that holds the token anywhere, tables included."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "target.log" for path in files)
        return [path.name for path in files if token.encode() in _plain(path)]

    def _read_command_lines(self, ended: threading.Event) -> None:
        harness = psutil.Process()
        while not ended.wait(READ_EVERY_S):
            for child in harness.children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    self.command_lines += " ".join(child.cmdline()) + "\n"


def _plain(path: Path) -> bytes:
    """The bytes of a file, a compressed table as text."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    return pd.read_parquet(path).to_csv().encode()


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Set what the harness sends, and what the service wants."""

    def set_them(sent: str, wanted: str) -> None:
        monkeypatch.setenv("ACCTBENCH_TEST_TOKEN", sent)
        monkeypatch.setenv("GUARD_TOKEN", wanted)

    return set_them


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_token_goes_with_every_call_and_is_found_nowhere(
    driver: str,
    tmp_path: Path,
    tokens: Callable[[str, str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The guard lets load and control calls pass; record, logs, output and processes don't tell."""
    bench = Bench(tmp_path, driver)
    tokens(TOKEN, TOKEN)

    _, said = bench.run(capfd)

    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert record["correctness"]["status"] == "PASSED"
    assert record["operations"]["acknowledged"] > 100
    assert "Bearer [secret] may not" in json.dumps(record["outcomes"])
    assert "Bearer [secret]" in (folder / "target.log").read_text()
    assert "load_process" in bench.command_lines
    assert TOKEN not in said + bench.command_lines
    assert bench.files_with(TOKEN) == []


def test_refused_token_is_not_in_the_failure(
    tmp_path: Path, tokens: Callable[[str, str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """A service that refuses the token and repeats both: exit 6, and neither is shown."""
    bench = Bench(tmp_path, "wire")

    tokens(TOKEN, "another")

    code, said = bench.run(capfd)

    assert code == 6, said
    assert "UNAUTHENTICATED: wanted Bearer another, got Bearer [secret]" in said
    assert TOKEN not in said + bench.command_lines
    assert bench.files_with(TOKEN) == []


def test_missing_token_is_refused_before_anything_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the key and what to do; no run folder is made."""
    bench = Bench(tmp_path, "wire")

    code, said = bench.run(capfd)

    assert code == 2, said
    assert "target.toml: metadata.authorization: ACCTBENCH_TEST_TOKEN is not set: export" in said
    assert not (tmp_path / "runs").exists()
