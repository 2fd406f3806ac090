"""A target that is killed while it is profiled: what was collected before is there to be read."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

from harness.model.profile import Metric, profile_from_json

SCENARIO = """
name = "killed"
title = "A service that is killed in its soak"
system = "workloads.null:SYSTEM"
[arrivals]
kind = "constant"
rate = "100/s"
[phases]
warmup = "1s"
measure = "12s"
drain = "2s"
[load]
timeout = "2s"
[limits]
lateness_p99 = "50ms"
generator_cpu = "95%"
"""
TARGET = """
name = "doomed"
[launch]
command = ["{python}", "-m", "harness.targets.null_service", "--port", "0"]
[ready]
line = "ready "
timeout = "20s"
"""
ACCTBENCH = (sys.executable, "-m", "harness.cli.main")
TIMEOUT_S = 90


def test_a_kill_loses_one_segment_at_most(tmp_path: Path) -> None:
    """The run fails (6); every segment before the kill is stored, with its operations."""
    (tmp_path / "killed.toml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "doomed.toml").write_text(TARGET, encoding="utf-8")
    with subprocess.Popen(
        [
            *(*ACCTBENCH, "run", str(tmp_path / "killed.toml"), "--profiler", "memory", "--quiet"),
            *("--target", str(tmp_path / "doomed.toml"), "--runs", str(tmp_path / "runs")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        kill_in_third_segment(run.pid, tmp_path / "runs")
        _, said = run.communicate(timeout=TIMEOUT_S)
    (folder,) = (tmp_path / "runs").iterdir()
    failure = json.loads((folder / "failure.json").read_text(encoding="utf-8"))
    kept = {
        profile.metric: profile
        for name in failure["profiles"]
        for profile in [
            profile_from_json(json.loads(gzip.decompress((folder / name).read_bytes())))
        ]
    }

    assert run.returncode == 6, said
    assert folder.name.endswith(".incomplete")
    inside = [one for one in kept[Metric.SURVIVING_BYTES].segments if one.start_ns >= 0]
    assert len(inside) >= 2
    assert all(segment.operation_count > 0 for segment in inside)
    assert (folder / "profile" / "surviving_bytes.folded").stat().st_size > 0

    shown = subprocess.run(
        [*ACCTBENCH, "report", str(folder)], capture_output=True, text=True, check=False
    )
    page = Path(shown.stdout.strip())
    assert page.name == "profiles.html", shown.stderr
    assert "killed by signal 9" in page.read_text(encoding="utf-8")


def kill_in_third_segment(harness_pid: int, runs: Path) -> None:
    """SIGKILL to the service, once the third segment is being written."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not list(runs.glob("*/profile/raw/segment-002.bin")):
        assert time.monotonic() < deadline_s, "no third segment"
        time.sleep(0.05)
    (service,) = (
        child
        for child in psutil.Process(harness_pid).children()
        if "harness.targets.null_service" in child.cmdline()
    )
    service.kill()
