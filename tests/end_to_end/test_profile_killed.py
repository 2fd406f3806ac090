"""A target that is killed while it is profiled: what was collected before is there to be read."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

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
measure = "30s"
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
command = ["{python}", "-c", '''
import os, signal, sys, threading
from harness.targets import null_service
threading.Timer(11.0, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
sys.argv = ["null", "--port", "0"]
null_service.main()
''']
[ready]
line = "ready "
timeout = "20s"
"""


def test_a_kill_loses_one_segment_at_most(tmp_path: Path) -> None:
    """The run fails (6); every segment before the kill is stored, with its operations."""
    (tmp_path / "killed.toml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "doomed.toml").write_text(TARGET, encoding="utf-8")
    done = acctbench(
        *("run", str(tmp_path / "killed.toml"), "--target", str(tmp_path / "doomed.toml")),
        *("--runs", str(tmp_path / "runs"), "--profiler", "memory", "--quiet"),
    )
    (folder,) = (tmp_path / "runs").iterdir()
    failure = json.loads((folder / "failure.json").read_text(encoding="utf-8"))
    kept = {
        profile.metric: profile
        for name in failure["profiles"]
        for profile in [
            profile_from_json(json.loads(gzip.decompress((folder / name).read_bytes())))
        ]
    }

    assert done.returncode == 6, done.stderr
    assert folder.name.endswith(".incomplete")
    inside = [one for one in kept[Metric.SURVIVING_BYTES].segments if one.start_ns >= 0]
    assert len(inside) >= 2
    assert all(segment.operation_count > 0 for segment in inside)
    assert (folder / "profile" / "surviving_bytes.folded").stat().st_size > 0

    shown = acctbench("report", str(folder))
    page = Path(shown.stdout.strip())
    assert page.name == "profiles.html", shown.stderr
    assert "killed by signal 9" in page.read_text(encoding="utf-8")


def acctbench(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, done."""
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
