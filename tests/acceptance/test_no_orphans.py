"""
A harness that is killed leaves nothing behind: no service, no broker, no child, no memory.

The real command with all of its processes, SIGKILL to it alone. Processes are known by a mark in
their environment, so that one which changed its parent, session or name is found as well.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.brokers import KINDS

SCENARIO = """
name = "to-be-killed"
title = "A run that will not end by itself"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "constant"
rate = "100/s"
[phases]
warmup = "500ms"
measure = "120s"
drain = "5s"
[workload]
accounts = { kind = "uniform", count = 20 }
instruments = 2
mix = { reserve = "48%", release = "45%", fill = "4%", transfer = "3%" }
"""
MARK = "ACCTBENCH_ORPHAN_MARK"
# What a whole run consists of, beside the harness itself: a word of each one's command line.
PARTS = {
    "target": "workloads.account.reference",
    "load process": "harness.engine.load_process",
    "observer": "harness.engine.observer",
    "guardian": "guardian.py",
}
BROKERS = {"embedded": "tansu", "apache": "kafka.Kafka"}
GONE_WITHIN_S = 30.0  # by themselves they would go on for two minutes


def marked(value: str) -> dict[int, str]:
    """Command lines by pid of the running processes with the mark; zombies have lost theirs."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"{MARK}={value}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = words.decode(errors="replace")
        except OSError:
            continue  # it has ended, or is another user's
    return found


def shared_files() -> set[str]:
    """Ours in the memory file system, which would stay there until the machine is restarted."""
    return {path.name for path in Path("/dev/shm").glob("acctbench-*")}


def await_load(harness: subprocess.Popen[str]) -> None:
    """Wait until the load goes."""
    assert harness.stderr is not None
    said = []
    for line in harness.stderr:
        said.append(line)
        if line.startswith("warm-up"):
            return
    raise AssertionError("the load never started: " + "".join(said))


@pytest.mark.parametrize("kafka", KINDS)
def test_killed_harness_leaves_no_process(
    kafka: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """SIGKILL of the harness mid-run: all that it had started is gone within seconds."""
    if kafka == "apache":
        request.getfixturevalue("apache_installed")
    shared_before = shared_files()
    scenario = tmp_path / "to-be-killed.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    value = secrets.token_hex(8)
    harness = subprocess.Popen(
        [
            *(sys.executable, "-m", "harness.cli.main", "run", str(scenario)),
            *("--runs", str(tmp_path / "runs"), "--kafka", kafka),
        ],
        env={**os.environ, MARK: value},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await_load(harness)
        running = marked(value)
        for part, word in {**PARTS, "broker": BROKERS[kafka]}.items():
            assert any(word in line for line in running.values()), f"no {part} among {running}"
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()  # not to the end of its stderr, which an orphan would hold open
        assert harness.stderr is not None
        harness.stderr.close()

    deadline_s = time.monotonic() + GONE_WITHIN_S
    while (left := marked(value)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"still running {GONE_WITHIN_S} s after the harness was killed: {left}"
    assert not shared_files() - shared_before
