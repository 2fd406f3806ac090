"""Whatever becomes of a profiler, the process that it looked at runs on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import ProfilerError
from harness.model.validity import Window
from harness.profilers.agent_link import AgentLink
from harness.profilers.profiler import SegmentClock
from harness.profilers.py_spy import PySpyOptions, PySpyProfiler

BUSY = "import sys; print('up', flush=True)\nwhile True: sum(range(10_000))"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    """A Python process that computes."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


@pytest.fixture
def profiler(tmp_path: Path) -> PySpyProfiler:
    """py-spy with its defaults."""
    return PySpyProfiler(tmp_path / "raw", PySpyOptions())


def is_running(process: subprocess.Popen[str]) -> bool:
    """Whether it uses CPU time."""
    watched = psutil.Process(process.pid)
    before_s = watched.cpu_times().user
    time.sleep(0.3)
    return watched.cpu_times().user > before_s


def children(name: str) -> list[psutil.Process]:
    """Our own child processes of that name."""
    return [child for child in psutil.Process().children() if child.name() == name]


def test_no_python_process(profiler: PySpyProfiler) -> None:
    """Says what can be done instead."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        with pytest.raises(ProfilerError, match=r"is not Python.*--stacks"):
            profiler.prepare(process.pid)
        process.kill()


def test_process_that_is_gone(profiler: PySpyProfiler) -> None:
    """No traceback, no zombie."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()

    with pytest.raises(ProfilerError):
        profiler.prepare(process.pid)


def test_target_dies_in_a_segment(profiler: PySpyProfiler, busy: subprocess.Popen[str]) -> None:
    """The segment is lost, those before it are kept."""
    profiler.prepare(busy.pid)
    profiler.begin_segment()
    time.sleep(0.3)
    profiler.end_segment()
    profiler.begin_segment()
    time.sleep(0.3)
    busy.kill()
    busy.wait()
    time.sleep(0.3)
    with pytest.raises(ProfilerError):
        profiler.end_segment()
    profiler.close()

    (profile,) = profiler.profiles(Window(start_ns=0, end_ns=1), lambda _a, _b: {"any": 1})
    assert len(profile.segments) == 1


def test_killed_py_spy_leaves_the_target_running(
    profiler: PySpyProfiler, busy: subprocess.Popen[str]
) -> None:
    """Killed between stopping and waking it, in the worst case: the target is woken."""
    profiler.prepare(busy.pid)
    profiler.begin_segment()
    time.sleep(0.3)
    (spy,) = children("py-spy")
    spy.kill()
    os.kill(busy.pid, signal.SIGSTOP)  # as py-spy may have left it
    time.sleep(0.2)
    with pytest.raises(ProfilerError):
        profiler.end_segment()
    profiler.close()

    assert is_running(busy)


def test_stuck_py_spy_is_killed(
    profiler: PySpyProfiler, busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not end when asked: the run does not wait for it, the target runs on."""
    monkeypatch.setattr("harness.profilers.py_spy._ENDED_WITHIN_S", 0.5)
    profiler.prepare(busy.pid)
    profiler.begin_segment()
    time.sleep(0.3)
    (spy,) = children("py-spy")
    spy.suspend()
    with pytest.raises(ProfilerError, match="killed"):
        profiler.end_segment()
    profiler.close()

    assert children("py-spy") == []
    assert is_running(busy)


def test_a_failed_profiler_is_a_sentence_of_the_clock(profiler: PySpyProfiler) -> None:
    """The run goes on; what failed is kept for the record."""
    clock = SegmentClock(profiler, lambda: None)
    now_ns = time.monotonic_ns()
    clock.start(Window(start_ns=now_ns + 10**9, end_ns=now_ns + 2 * 10**9))
    time.sleep(0.6)
    clock.stop()

    assert len(clock.failures) == 1
    assert "[attach] pid" in clock.failures[0]


def test_no_agent_in_a_service_that_cleared_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python -I never sees the agent: said at once, nothing waits for it for long."""
    monkeypatch.setattr("harness.profilers.agent_link._ACCEPT_TIMEOUT_S", 0.5)
    link = AgentLink(tmp_path)
    environment = {**os.environ, **link.environment}
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "import time; time.sleep(30)"], env=environment
    ) as process:
        try:
            with pytest.raises(ProfilerError, match="python -I"):
                link.choose((process.pid,))
        finally:
            process.kill()
            link.close()


def test_agent_leaves_the_users_own_sitecustomize_in_place(tmp_path: Path) -> None:
    """A service with one of its own still runs it."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins; builtins.own_was_here = 1\n")
    link = AgentLink(tmp_path)
    path = f"{link.environment['PYTHONPATH']}{os.pathsep}{own}"
    done = subprocess.run(
        [sys.executable, "-c", "print(own_was_here)"],
        env={**os.environ, **link.environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    link.close()

    assert done.stdout == "1\n", done.stderr
