"""One plan with each broker: nothing is lost on either, and both ledgers say the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "ci" / "brokers.py"


@pytest.fixture(scope="module")
def said(apache_installed: None, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the program says, a line each."""
    folder = tmp_path_factory.mktemp("brokers")
    arguments = (str(folder), "--profile", "smoke", "--duration", "2s")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_both_runs_are_right(said: list[dict[str, Any]]) -> None:
    """The same plan, every invariant holds; how fast it was is not the point on a busy machine."""
    runs = said[:-1]

    assert [run["kafka"] for run in runs] == ["embedded", "apache"]
    assert {run["correctness"] for run in runs} == {"PASSED"}
    assert len({run["schedule_digest"] for run in runs}) == 1
    assert len({run["transaction_count"] for run in runs}) == 1


def test_their_ledgers_fold_to_the_same_balances(said: list[dict[str, Any]]) -> None:
    """Every operation ended alike, and so every account has the same of every asset."""
    comparison = said[-1]

    assert comparison["is_same"], comparison["first"]
    assert comparison["operation_count"] > 400
    assert comparison["balance_count"] > 1_000


def test_a_difference_is_seen(said: list[dict[str, Any]]) -> None:
    """One event less on one side is a balance that differs, named."""
    log = Path(said[0]["run"]) / "events.log"
    whole = log.read_bytes()
    program = (
        "import sys; from pathlib import Path; "
        f"sys.path.insert(0, {str(PROGRAM.parent)!r}); import brokers; "
        "from harness.storage.run_folder import load_run; "
        "from harness.engine.event_log import EventLogWriter, read_chunks\n"
        f"log = Path({str(log)!r})\n"
        "values = [c.values.value(i) for c in read_chunks(log) for i in range(len(c.values))]\n"
        "with EventLogWriter(log) as writer: writer.append(1, values[:-1])\n"
        f"one, other = load_run(log.parent), load_run(Path({said[1]['run']!r}))\n"
        "found = brokers.compared(one, other)\n"
        "print(found.differing_balance_count, found.is_same, found.first)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    log.write_bytes(whole)

    assert done.returncode == 0, done.stderr
    count, is_same, *first = done.stdout.split(maxsplit=2)
    assert int(count) >= 1
    assert is_same == "False"
    assert "account, asset, bucket" in first[0]
