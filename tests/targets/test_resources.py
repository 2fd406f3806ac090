"""Resources are checked against work of a known amount of CPU time."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.turns import Turns
from harness.model.window import Window
from harness.targets.resources import (
    ResourceReading,
    ResourceSampler,
    _summary,
    sample_instants_ns,
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
        at_ns=at_ns,
        cpu_ns=cpu_ns,
        rss_bytes=1,
        rss_peak_bytes=1,
        voluntary_count=0,
        involuntary_count=0,
    )


def turns_window(*, begins: bool) -> Window:
    """Two rounds."""
    turns = Turns(begins=begins, window_ns=WINDOW_NS, guard_ns=GUARD_NS)
    return Window(start_ns=10**9, end_ns=10**9 + 2 * turns.round_ns, turns=turns)


@pytest.mark.parametrize("begins", [True, False])
def test_cpu_time_is_counted_in_the_turns_of_both(begins: bool) -> None:
    """700 us in each turn of its own and 20 us, put off, in each of the other's: all its own."""
    window = turns_window(begins=begins)
    assert window.turns is not None
    cpu_ns, readings = 0, []
    instants_ns = slot_instants_ns(window)
    owns = [own for _, own in window.turns.slots(window.end_ns - window.start_ns)]
    for at_ns, own in zip(instants_ns, [*owns, False], strict=True):
        readings.append(reading(at_ns, cpu_ns))
        cpu_ns += 700_000 if own else 20_000

    found = _summary(1, readings, window)

    offered_ns = 4 * WINDOW_NS
    assert found.cpu_cores_mean == pytest.approx(4 * 720_000 / offered_ns)


def slot_instants_ns(window: Window) -> list[int]:
    """The middle of the guard before every slot, and of the last."""
    count = (window.end_ns - window.start_ns) // SLOT_NS
    return [window.start_ns + place * SLOT_NS - GUARD_NS // 2 for place in range(count + 1)]


def test_samples_are_taken_at_the_edges_and_in_guards() -> None:
    """About once a second, and never while a side has its turn."""
    turns = Turns(begins=True, window_ns=100_000_000, guard_ns=25_000_000)
    window = Window(start_ns=7, end_ns=7 + 6 * turns.round_ns, turns=turns)
    plain = Window(start_ns=7, end_ns=2_500_000_007)

    found = sample_instants_ns(window)
    assert found == [7 - 12_500_000 + at for at in (0, 10**9, 2 * 10**9, 3 * 10**9)]
    assert all((at + 12_500_000 - 7) % turns.slot_ns == 0 for at in found)
    assert sample_instants_ns(plain) == [7, 10**9 + 7, 2 * 10**9 + 7, 2_500_000_007]


def test_a_reading_far_from_the_edge_is_better_than_none() -> None:
    """The nearest ones are taken, and the mean is over the time between them."""
    window = Window(start_ns=0, end_ns=10**9)
    readings = [reading(-(10**9), 0), reading(10**8, 10**6), reading(9 * 10**8, 10**6 + 4 * 10**8)]

    assert _summary(1, readings, window).cpu_cores_mean == pytest.approx(0.5)
    assert _summary(1, readings[:1], window).cpu_cores_mean is None
    assert _summary(1, [], window).cpu_cores_mean is None


SHORT_LIVED = """
import subprocess, sys
for line in sys.stdin:
    for _ in range(4):
        subprocess.run([sys.executable, "-c", sys.argv[1], "0.15"], input=b"\\n\\n", check=True,
                       stdout=subprocess.DEVNULL)
    print("done", flush=True)
"""


def test_children_that_nobody_saw_are_counted() -> None:
    """Four workers that came, worked and went between two samples."""
    with subprocess.Popen(
        [sys.executable, "-c", SHORT_LIVED, BURN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        burn(process)  # what was waited for before it was watched is not counted
        sampler = ResourceSampler()
        used_s = cpu_s_of_work(sampler, process)

    assert 0.55 < used_s < 1.8


def cpu_s_of_work(sampler: ResourceSampler, process: subprocess.Popen[str]) -> float:
    """Let it work once more, watched as the target; then it may go."""
    sampler.watch("target", process.pid)
    sampler.sample()
    start_ns = time.monotonic_ns()
    burn(process)
    end_ns = time.monotonic_ns()
    sampler.sample()
    assert process.stdin is not None
    process.stdin.close()
    found = sampler.summary("target", Window(start_ns=start_ns, end_ns=end_ns))
    assert found.cpu_cores_mean is not None
    return found.cpu_cores_mean * (end_ns - start_ns) / 1e9


BLOAT = """
import sys
for line in sys.stdin:
    held = b"x" * 200_000_000
    del held
    print("done", flush=True)
"""


@pytest.mark.parametrize("is_allowed", [True, False])
def test_memory_between_samples_is_seen(is_allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB for a moment of the measured phase, not those of the warm-up before it."""
    with subprocess.Popen(
        [sys.executable, "-c", BLOAT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if not is_allowed:
            refuse_clear_refs(monkeypatch)
        burn(process)
        sampler = ResourceSampler()
        sampler.watch("target", process.pid)
        start_ns = time.monotonic_ns() + 200_000_000
        end_ns = start_ns + 60_000_000_000
        sampler.start(Window(start_ns=start_ns, end_ns=end_ns))
        await_samples(sampler, start_ns, 2)  # by the second it has forgotten the peak before
        before = sampler.summary("target", Window(start_ns=0, end_ns=time.monotonic_ns()))
        burn(process)
        sampler.stop()
        assert process.stdin is not None
        process.stdin.close()

    found = sampler.summary("target", Window(start_ns=start_ns, end_ns=end_ns))
    assert found.rss_bytes_max is not None
    assert before.rss_bytes_max is not None
    assert before.rss_bytes_max < 100_000_000
    assert (found.rss_bytes_max > 200_000_000) is is_allowed


def await_samples(sampler: ResourceSampler, after_ns: int, count: int) -> None:
    """Wait until it has sampled so often after *after_ns*."""
    while len({row.offset_ns for row in sampler.rows(after_ns) if row.offset_ns > 0}) < count:
        time.sleep(0.01)


def refuse_clear_refs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a service of another user."""

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise PermissionError(str(path))

    monkeypatch.setattr(Path, "write_text", refuse)


def test_a_killed_root_takes_nothing_from_the_next() -> None:
    """Workers of the first root were seen and never waited for; those of the second count all."""
    sampler = ResourceSampler()
    with subprocess.Popen(
        [sys.executable, "-c", BURN_BELOW, "0.4", BURN], stdin=subprocess.PIPE, text=True
    ) as first:
        sampler.watch("target", first.pid)
        assert first.stdin is not None
        first.stdin.write("\n")
        first.stdin.flush()
        time.sleep(0.8)
        sampler.sample()
        first.kill()
    with subprocess.Popen(
        [sys.executable, "-c", SHORT_LIVED, BURN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as second:
        assert cpu_s_of_work(sampler, second) > 0.55
