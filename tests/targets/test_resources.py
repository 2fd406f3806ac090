"""Resources are checked against work of a known amount of CPU time."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.model.turns import Turns
from harness.model.validity import Window
from harness.targets.resources import (
    ResourceReading,
    ResourceSampler,
    turn_instants_ns,
    turn_usage,
)

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
    summary = sampler.summary("target", Window(start_ns=start_ns, end_ns=end_ns))
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
        summary = sampler.summary("target", Window(start_ns=0, end_ns=time.monotonic_ns()))

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
    summary = sampler.summary("broker", Window(start_ns=0, end_ns=time.monotonic_ns()))

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


WINDOW_NS, GUARD_NS = 1_000_000, 100_000
SLOT_NS = WINDOW_NS + GUARD_NS


def reading(at_ns: int, cpu_ns: int) -> ResourceReading:
    """Of a clock that was read at *at_ns*."""
    return ResourceReading(
        at_ns=at_ns, cpu_ns=cpu_ns, rss_bytes=1, voluntary_count=0, involuntary_count=0
    )


def turns_window(*, begins: bool) -> Window:
    """Two rounds."""
    turns = Turns(begins=begins, window_ns=WINDOW_NS, guard_ns=GUARD_NS)
    return Window(start_ns=10**9, end_ns=10**9 + 2 * turns.round_ns, turns=turns)


@pytest.mark.parametrize("begins", [True, False])
def test_cpu_time_is_counted_in_own_turns(begins: bool) -> None:
    """A target that uses 700 us in each of its turns and 20 us in each of the other's."""
    window = turns_window(begins=begins)
    assert window.turns is not None
    used = [0]
    for _, own in window.turns.slots(window.end_ns - window.start_ns):
        used.append(used[-1] + (700_000 if own else 20_000))
    readings = [
        reading(at_ns, cpu_ns) for at_ns, cpu_ns in zip(turn_instants_ns(window), used, strict=True)
    ]

    found = turn_usage(readings, window)

    assert found is not None
    assert found.own_cpu_ns == 4 * 700_000
    assert found.own_cpu_ns_max == 700_000
    assert found.idle_cpu_cores == pytest.approx(20_000 / SLOT_NS)
    assert found.late_share == 0.0


def test_a_reading_that_lacks_is_no_figure() -> None:
    """One boundary was not read: whose CPU it was can't be told."""
    window = turns_window(begins=True)
    readings = [reading(at_ns, place) for place, at_ns in enumerate(turn_instants_ns(window))]

    assert turn_usage(readings, window) is not None
    assert turn_usage([*readings[:3], *readings[4:]], window) is None
    assert turn_usage(readings[:-1], window) is None


def test_late_readings_are_told() -> None:
    """Read 11 us after a turn began, once: so much of all eight turns' time."""
    window = turns_window(begins=True)
    instants_ns = turn_instants_ns(window)
    instants_ns[2] += GUARD_NS // 2 + 11_000
    readings = [reading(at_ns, place) for place, at_ns in enumerate(instants_ns)]

    found = turn_usage(readings, window)

    assert found is not None
    assert found.late_share == pytest.approx(11_000 / (4 * SLOT_NS))
