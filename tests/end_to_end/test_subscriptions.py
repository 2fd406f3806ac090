"""A run whose subscriptions nobody listens to any more: no verdict without what they told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SCENARIO = """
name = "watched"
title = "Accounts that somebody watches"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "constant"
rate = "100/s"
[phases]
warmup = "200ms"
measure = "10s"
drain = "5s"
[limits]
lateness_p99 = "1s"    # not what is tested, on machines that are busy
generator_cpu = "99%"
[workload]
accounts = { count = 20, kind = "uniform" }
instruments = 2
mix = { transfer = "100%" }
subscriptions = 4
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A run of ten seconds against the reference."""
    scenario = tmp_path / "watched.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    program = [sys.executable, "-m", "harness.cli.main", "run", str(scenario)]
    return [*program, "--target", "reference", "--runs", str(tmp_path / "runs")]


def test_killed_subscriber_is_no_result(command: list[str], tmp_path: Path) -> None:
    """Exit 4 at once, the subscriber named, the folder marked as incomplete."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.startswith("warm-up") for line in process.stderr), "the load never started"
    (subscriber,) = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "harness.engine.subscriber" in child.cmdline()
    ]

    os.kill(subscriber.pid, signal.SIGKILL)
    _, words = process.communicate(timeout=60)

    assert process.returncode == 4
    assert "harness.engine.subscriber ended with code -9" in words
    assert [path.suffix for path in (tmp_path / "runs").iterdir()] == [".incomplete"]
