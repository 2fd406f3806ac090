"""Whatever becomes of a profiler, the process that it looked at runs on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.errors import ProfilerError
from harness.model.profile import Profile
from harness.model.window import Window
from harness.profilers.agent_link import AgentLink
from harness.profilers.memray_profiler import MemrayProfiler
from harness.profilers.profiler import SegmentClock, segment_count
from harness.profilers.py_spy import _FROZEN_FOR_S, PySpyOptions, PySpyProfiler, _explain
from harness.profilers.threads import catches
from tests.targets.programs import WAIT_S_MAX, state, wait_for_state

BUSY = "import sys; print('up', flush=True)\nwhile True: sum(range(10_000))"


@dataclass
class Looked:
    """A target that somebody started."""

    pid: int | None
    is_frozen: bool = False


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


@dataclass
class FakeClock:
    """In place of the module `time`: it goes on when somebody sleeps, or as the test says."""

    now_s: float = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return int(self.now_s * 1e9)

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def is_running(process: subprocess.Popen[str]) -> bool:
    """Whether it uses CPU time, as soon as it is let."""
    watched = psutil.Process(process.pid)
    before_s = watched.cpu_times().user
    return came(lambda: watched.cpu_times().user > before_s)


def came(condition: Callable[[], bool]) -> bool:
    """Whether *condition* is met before long."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def children(name: str) -> list[psutil.Process]:
    """Our own child processes of that name."""
    return [child for child in psutil.Process().children() if child.name() == name]


def sampling_spy() -> psutil.Process:
    """The py-spy that was just started, once it samples."""
    assert came(lambda: any(catches(spy.pid, signal.SIGINT) for spy in children("py-spy")))
    (spy,) = children("py-spy")
    return spy


def test_no_python_process(profiler: PySpyProfiler) -> None:
    """Says what can be done instead."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        with pytest.raises(ProfilerError, match=r"is not Python.*--stacks"):
            profiler.prepare(Looked(pid=process.pid))
        process.kill()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            (
                "Error: Failed to open process.\n\nCaused by:\n    0: Permission denied\n"
                "\nStack backtrace:\n   0: anyhow::error\n"
            ),
            "py-spy: Failed to open process: Permission denied; run as root",
        ),
        ("Error: Unsupported python version 3.99\n", "may be newer than this py-spy knows"),
        ("", "py-spy: exit code 1"),
        ("thread main panicked", "py-spy: thread main panicked"),
        ("Caused by:", "py-spy: Caused by:"),
    ],
)
def test_what_py_spy_says_is_one_sentence(said: str, sentence: str) -> None:
    """Its error with the cause, never its backtrace, and what can be done."""
    explained = _explain(said, 1)

    assert sentence in explained
    assert "\n" not in explained
    assert "backtrace" not in explained


def test_process_that_is_gone(profiler: PySpyProfiler) -> None:
    """No traceback, no zombie."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()

    with pytest.raises(ProfilerError):
        profiler.prepare(Looked(pid=process.pid))


def test_target_dies_in_a_segment(profiler: PySpyProfiler, busy: subprocess.Popen[str]) -> None:
    """The segment is lost, those before it are kept."""
    profiler.prepare(Looked(pid=busy.pid))
    profiler.begin_segment()
    profiler.end_segment()
    profiler.begin_segment()
    spy = sampling_spy()
    busy.kill()
    busy.wait()
    assert wait_for_state(spy.pid, "") == ""
    with pytest.raises(ProfilerError):
        profiler.end_segment()
    profiler.close()

    (profile,) = profiler.profiles(Window(start_ns=0, end_ns=1), lambda _a, _b: {"any": 1})
    assert len(profile.segments) == 1


def test_killed_py_spy_leaves_the_target_running(
    profiler: PySpyProfiler, busy: subprocess.Popen[str]
) -> None:
    """Killed between stopping and waking it, in the worst case: the target is woken."""
    profiler.prepare(Looked(pid=busy.pid))
    profiler.begin_segment()
    spy = sampling_spy()
    spy.kill()
    assert wait_for_state(spy.pid, "") == ""
    os.kill(busy.pid, signal.SIGSTOP)  # as py-spy may have left it
    assert wait_for_state(busy.pid, "T") == "T"
    with pytest.raises(ProfilerError):
        profiler.end_segment()
    profiler.close()

    assert is_running(busy)


def test_stuck_py_spy_is_killed(
    profiler: PySpyProfiler, busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not end when asked: the run does not wait for it, the target runs on."""
    monkeypatch.setattr("harness.profilers.py_spy._ENDED_WITHIN_S", 0.5)
    profiler.prepare(Looked(pid=busy.pid))
    profiler.begin_segment()
    sampling_spy().suspend()
    with pytest.raises(ProfilerError, match="killed"):
        profiler.end_segment()
    profiler.close()

    assert children("py-spy") == []
    assert is_running(busy)


def test_a_failed_profiler_is_a_sentence_of_the_clock(profiler: PySpyProfiler) -> None:
    """The run goes on; what failed is kept for the record."""
    clock = SegmentClock(profiler, Looked(pid=None))
    now_ns = time.monotonic_ns()
    clock.start(Window(start_ns=now_ns + 10**9, end_ns=now_ns + 2 * 10**9))
    assert came(lambda: clock.failures != [])
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


def test_target_held_stopped_is_let_go(
    profiler: PySpyProfiler, busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A py-spy that hangs with the target stopped is seen within a segment, not at its end."""
    profiler.prepare(Looked(pid=busy.pid))
    profiler.begin_segment()
    sampling_spy().suspend()
    os.kill(busy.pid, signal.SIGSTOP)  # where a sample may have been when it hung
    assert wait_for_state(busy.pid, "Tt") in "Tt"
    clock = FakeClock()
    monkeypatch.setattr("harness.profilers.py_spy.time", clock)
    profiler.check()
    clock.sleep(_FROZEN_FOR_S)
    profiler.check()  # stopped, but not for long
    clock.sleep(0.1)
    with pytest.raises(ProfilerError, match="held the target stopped"):
        profiler.check()

    assert children("py-spy") == []
    assert is_running(busy)


def test_a_freeze_of_the_run_itself_is_left_alone(
    profiler: PySpyProfiler, busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken early, a scenario's freeze would be a lie."""
    target = Looked(pid=busy.pid)
    profiler.prepare(target)
    profiler.begin_segment()
    sampling_spy()
    target.is_frozen = True
    os.kill(busy.pid, signal.SIGSTOP)
    assert wait_for_state(busy.pid, "T") == "T"
    clock = FakeClock()
    monkeypatch.setattr("harness.profilers.py_spy.time", clock)
    for _ in range(5):
        clock.sleep(_FROZEN_FOR_S)
        profiler.check()
    profiler.close()

    assert state(busy.pid) == "T"


def test_damaged_segment_is_a_note(profiler: PySpyProfiler, busy: subprocess.Popen[str]) -> None:
    """The disk was full while it was written: the others are there, and it is said."""
    profiler.prepare(Looked(pid=busy.pid))
    for _ in range(2):
        profiler.begin_segment()
        profiler.end_segment()
    first = min(profiler._folder.glob("segment-*"))
    first.write_text("main (app.py:1);half", encoding="utf-8")
    (profile,) = profiler.profiles(Window(start_ns=0, end_ns=1), lambda _a, _b: {"any": 1})

    assert len(profile.segments) == 1
    assert any("can't be read: line 1" in note for note in profile.notes)


class Flaky:
    """A profiler of which one segment or all fail."""

    instrumentation = "cpu"
    environment: Mapping[str, str] = {}

    def __init__(self, *, failing: Collection[int]) -> None:
        self.failing, self.begun, self.taken, self.is_closed = failing, 0, 0, False
        self.rested_after = -1

    def segment_shares(self, length_ns: int) -> Sequence[float]:
        return [0.1] * 10

    def prepare(self, target: object) -> None:
        pass

    def begin_segment(self) -> None:
        self.begun += 1

    def check(self) -> None:
        pass

    def end_segment(self) -> None:
        if self.begun in self.failing:
            raise ProfilerError("it was killed")
        self.taken += 1

    def rest(self, wait: object) -> None:
        self.rested_after = self.taken

    def close(self) -> None:
        self.is_closed = True

    def profiles(self, window: Window, count_operations: object) -> Sequence[Profile]:
        return ()


@pytest.mark.parametrize(("failing", "taken"), [((2,), 9), ((2, 3), 8), (range(1, 11), 0)])
def test_one_lost_segment_is_not_the_end(failing: Collection[int], taken: int) -> None:
    """A soak goes on being profiled; what fails three times is given up; each failure once."""
    flaky = Flaky(failing=failing)
    clock = SegmentClock(flaky, Looked(pid=os.getpid()))
    now_ns = time.monotonic_ns()
    clock.start(Window(start_ns=now_ns + 3 * 10**8, end_ns=now_ns + 5 * 10**8))
    clock.rest()
    clock.stop()

    assert flaky.taken == taken
    assert flaky.begun == (10 if taken else 3)
    assert clock.failures == ["it was killed"]
    assert flaky.is_closed


@pytest.mark.parametrize(("failing", "rested_after"), [((), 10), (range(1, 11), -1)])
def test_rest_comes_after_the_window(failing: Collection[int], rested_after: int) -> None:
    """Once every segment is taken, with the agent still there; not of what was given up."""
    flaky = Flaky(failing=failing)
    clock = SegmentClock(flaky, Looked(pid=os.getpid()))
    now_ns = time.monotonic_ns()
    clock.start(Window(start_ns=now_ns + 3 * 10**8, end_ns=now_ns + 4 * 10**8))
    clock.rest()

    assert flaky.rested_after == rested_after
    assert flaky.is_closed is bool(failing)
    clock.stop()
    assert flaky.is_closed


@pytest.mark.parametrize(
    ("length_s", "count"), [(1, 1), (4, 4), (12, 12), (60, 12), (2_880, 12), (12 * 3_600, 180)]
)
def test_segments_of_a_soak(length_s: int, count: int) -> None:
    """However long a run is, a kill costs it minutes of its profile."""
    assert segment_count(length_s * 10**9) == count


@pytest.mark.parametrize("length_s", [1, 4, 12, 600, 12 * 3_600])
def test_memory_segments(tmp_path: Path, length_s: int) -> None:
    """They fill the phase; only seconds of it keep every allocation; lengths differ."""
    profiler = MemrayProfiler(tmp_path)
    shares = profiler.segment_shares(length_s * 10**9)
    profiler.close()

    assert sum(shares) == pytest.approx(1)
    assert len(shares) >= 6
    assert sum(shares[:3]) * length_s <= 25 or length_s <= 30
    assert max(shares[-2:]) == pytest.approx(2 * min(shares[-2:]))
    assert max(shares) * length_s <= max(6 * 60, length_s / 2)


def test_memory_in_one_piece(tmp_path: Path) -> None:
    """Where nobody asks for growth nothing is missed between segments, however long it takes."""
    profiler = MemrayProfiler(tmp_path, is_split=False)
    shares = profiler.segment_shares(600 * 10**9)
    profiler.close()

    assert list(shares) == [1.0]


def test_other_processes_of_the_target_run_free(tmp_path: Path) -> None:
    """Only the one that is looked into is tracked: its workers are told that nobody asks."""
    link = AgentLink(tmp_path)
    program = (
        "import subprocess, sys, threading, time\n"
        "def has_agent():\n"
        "    return 'acctbench-agent' in [thread.name for thread in threading.enumerate()]\n"
        "if len(sys.argv) == 1:\n"
        "    subprocess.Popen([sys.executable, __file__, 'worker'], stdin=subprocess.DEVNULL)\n"
        "    sys.stdin.readline()\n"
        "until_s = time.monotonic() + 20 * len(sys.argv[1:])\n"
        "while has_agent() and time.monotonic() < until_s:\n"
        "    time.sleep(0.01)\n"
        "print(sys.argv[1:], has_agent(), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    (tmp_path / "service.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "service.py")],
        env={**os.environ, **link.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        link.choose((process.pid,))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        said = sorted(process.stdout.readline().strip() for _ in range(2))
        process.stdin.close()
        link.close()

    assert said == ["['worker'] False", "[] True"]
