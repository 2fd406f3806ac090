"""`ci/run`: what it hands to the program, with an environment that is there already."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ci" / "run"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The real script in a repository whose program prints its arguments, one a line."""
    (tmp_path / "ci").mkdir()
    copy = Path(shutil.copy(SCRIPT, tmp_path / "ci"))
    (tmp_path / "ci" / "environment.sh").write_text("make_environment() { :; }\n")
    program = tmp_path / ".venv" / "bin" / "acctbench"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return copy


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ([], ["run"]),
        (["--duration", "8s"], ["run", "--duration", "8s"]),
        (["--seed", "7", "null-poisson"], ["run", "--seed", "7", "null-poisson"]),
        (["plan", "spot-steady"], ["plan", "spot-steady"]),
        (["list", "runs"], ["list", "runs"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["--version"], ["--version"]),
        (["--debug", "run"], ["--debug", "run"]),
        (["report", "a run"], ["report", "a run"]),
    ],
)
def test_arguments(given: list[str], handed: list[str], script: Path) -> None:
    """Options without a command are those of a run; everything else goes on as it came."""
    done = subprocess.run(["bash", script, *given], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == handed
