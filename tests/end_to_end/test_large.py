"""A large run: recorded, audited and reported whole, and one lost unit in it is found."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent.parent.parent / "ci" / "large.py"
OPERATION_COUNT = 200_000


def large(*arguments: str) -> list[dict[str, Any]]:
    """What the program says, a line each."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def judged(folder: Path) -> dict[str, Any]:
    """The verdicts of the run in *folder*."""
    return large("judge", str(folder))[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsed run."""
    made = tmp_path_factory.mktemp("large")
    large("make", str(made), str(OPERATION_COUNT))
    return made


def test_every_invariant_of_a_large_run_is_checked_and_holds(folder: Path) -> None:
    """Nothing is UNKNOWN, nothing is FAILED, and the generator's part is VALID."""
    found = judged(folder)

    assert {status for status, _ in found["invariants"].values()} == {"PASSED"}
    assert (found["validity"], found["correctness"]) == ("VALID", "PASSED")
    assert found["operations"] == pytest.approx(OPERATION_COUNT, rel=0.02)
    assert (folder / "report.html").stat().st_size == found["report_bytes"]


def test_a_cent_lost_in_the_middle_turns_it_red(folder: Path) -> None:
    """One unit of one posting among hundreds of thousands."""
    large("lose-a-cent", str(folder))
    found = judged(folder)

    failed = {key for key, (status, _) in found["invariants"].items() if status == "FAILED"}
    assert found["correctness"] == "FAILED"
    assert "I1" in failed
    assert "sums to {" in found["invariants"]["I1"][1]
