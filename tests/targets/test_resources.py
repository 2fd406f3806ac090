"""Resources are checked against work of a known amount of CPU time."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.targets.resources import ResourceSampler

CPU_S = 0.3
BURN = """
import sys, time
sys.stdin.readline()
while time.process_time() < float(sys.argv[1]): pass
print("done", flush=True)
sys.stdin.readline()
"""
# The child of a child does the work.
BURN_BELOW = (
    "import subprocess, sys; "
    "subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]], check=True)"
)


@pytest.fixture
def burner() -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line; then its child uses CPU_S, and both wait again."""
    process = subprocess.Popen(
        [sys.executable, "-c", BURN_BELOW, str(CPU_S), BURN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def burn(process: subprocess.Popen[str]) -> None:
    """Let it work, and wait until it has."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


def test_cpu_of_a_grandchild_is_counted(burner: subprocess.Popen[str]) -> None:
    """CPU over a window is what the process and its descendants used, to some per cent."""
    sampler = ResourceSampler()
    sampler.watch("target", burner.pid)
    sampler.sample()
    start_ns = time.monotonic_ns()
    burn(burner)
    end_ns = time.monotonic_ns()
    sampler.sample()
    summary = sampler.summary("target", start_ns, end_ns)
    elapsed_s = (end_ns - start_ns) / 1e9

    assert summary.pid == burner.pid
    assert summary.cpu_cores_mean is not None
    # What the two interpreters used before the first sample is inside CPU_S too.
    assert 0.4 * CPU_S < summary.cpu_cores_mean * elapsed_s < 1.4 * CPU_S
    assert summary.rss_bytes_max is not None
    assert summary.rss_bytes_max > 5_000_000
    assert summary.context_switches_voluntary_per_s is not None


def test_the_dead_keep_what_they_used(burner: subprocess.Popen[str]) -> None:
    """After a restart the curve goes on: no rate is ever negative."""
    sampler = ResourceSampler()
    sampler.watch("target", burner.pid)
    burn(burner)
    sampler.sample()
    burner.kill()
    burner.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as second:
        sampler.watch("target", second.pid)
        sampler.sample()
        rows = sampler.rows(0)
        summary = sampler.summary("target", 0, time.monotonic_ns())

    assert {row.metric for row in rows} == {
        "cpu_cores",
        "rss_bytes",
        "context_switches_voluntary_per_s",
        "context_switches_involuntary_per_s",
    }
    assert all(row.value >= 0 for row in rows)
    assert summary.pid == second.pid


def test_what_is_not_known_is_absent() -> None:
    """A subject without a process has no figures, not zeros."""
    sampler = ResourceSampler()
    sampler.watch("broker", None)
    sampler.sample()
    summary = sampler.summary("broker", 0, time.monotonic_ns())

    assert summary.cpu_cores_mean is None
    assert summary.rss_bytes_max is None
    assert sampler.cpu_cores("broker") is None
    assert sampler.rows(0) == []


def test_thread_samples_by_itself(burner: subprocess.Popen[str]) -> None:
    """Between start and stop there are samples without anybody asking."""
    sampler = ResourceSampler()
    sampler.watch("target", burner.pid)
    sampler.start()
    burn(burner)
    sampler.stop()
    sampler.stop()

    assert len(sampler.rows(0)) >= 4
