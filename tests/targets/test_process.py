"""Children are real processes here: what must hold is that every one of them ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.targets.process import ChildFailedError, ChildProcess, Command
from tests.targets.programs import repeat, state, wait_for_state

GRACE_S = 10.0
TIMEOUT_S = 60.0


def command(folder: Path, *argv: str, cores: tuple[int, ...] = ()) -> Command:
    """A child that logs into *folder*."""
    return Command(
        name="the child",
        argv=argv,
        environment={},
        cwd=folder,
        log=folder / "child.log",
        cores=cores,
    )


def python(folder: Path, code: str, *, cores: tuple[int, ...] = ()) -> ChildProcess:
    """A Python child."""
    return ChildProcess(command(folder, sys.executable, "-c", code, cores=cores))


def test_stops_at_the_end_of_its_stdin(tmp_path: Path) -> None:
    """A child that ignores SIGTERM but reads its stdin ends by itself."""
    child = python(
        tmp_path,
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n",
    )
    child.wait_for_line("ready", timeout_s=TIMEOUT_S)

    assert child.stop(grace_s=GRACE_S) == "exited 0"
    assert child.stop(grace_s=GRACE_S) == "exited 0"


def test_stubborn_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    """A child that ignores both the end of stdin and SIGTERM gets SIGKILL."""
    child = python(
        tmp_path,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n",
    )
    child.wait_for_line("ready", timeout_s=TIMEOUT_S)

    assert child.stop(grace_s=0.05) == "killed by signal 9"


def test_frozen_child_is_thawed_to_stop(tmp_path: Path) -> None:
    """A child under SIGSTOP ends within its grace instead of being killed."""
    child = python(tmp_path, "import sys; print('ready', flush=True); sys.stdin.read()")
    child.wait_for_line("ready", timeout_s=TIMEOUT_S)
    child.freeze()
    frozen = wait_for_state(child.pid, "T")

    assert frozen == "T"
    assert child.stop(grace_s=GRACE_S) in {"exited 0", "killed by signal 15"}


def test_death_ends_the_wait_at_once(tmp_path: Path) -> None:
    """A child that dies before it is ready is reported at once, with its last words."""
    child = python(tmp_path, "import sys; print('no money left'); sys.exit(3)")
    begin_s = time.monotonic()

    with pytest.raises(ChildFailedError, match=r"(?s)the child exited 3.*child\.log.*no money"):
        child.wait_for_line("ready", timeout_s=180.0)
    assert time.monotonic() - begin_s < 90.0


def test_slow_child_is_reported_with_its_log(tmp_path: Path) -> None:
    """A child that lives but never gets ready is reported when its time is up."""
    child = python(tmp_path, "import sys; print('thinking', flush=True); sys.stdin.read()")
    child.wait_for_line("thinking", timeout_s=TIMEOUT_S)

    with pytest.raises(ChildFailedError, match=r'(?s)the line "ready" did not come.*thinking'):
        child.wait_for_line("ready ", timeout_s=0.05)
    child.stop(grace_s=GRACE_S)


def test_signal_that_ended_it_is_named(tmp_path: Path) -> None:
    """check_alive says which signal killed a child."""
    child = python(tmp_path, "import sys; sys.stdin.read()")
    child.check_alive()
    os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ChildFailedError, match="the child killed by signal 9"):
        repeat(child.check_alive)


def test_unknown_program_is_named(tmp_path: Path) -> None:
    """A command that does not exist fails with its name."""
    with pytest.raises(ChildFailedError, match="no-such-program"):
        ChildProcess(command(tmp_path, "no-such-program"))


def test_grandchildren_end_with_the_child(tmp_path: Path) -> None:
    """What a child left behind in its group is killed when it ends."""
    child = ChildProcess(
        command(tmp_path, "sh", "-c", "sleep 1000 & echo ready $!; exec sleep 1000")
    )
    grandchild = int(child.wait_for_line("ready ", timeout_s=TIMEOUT_S))
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ChildFailedError):
        repeat(child.check_alive)

    assert wait_for_state(grandchild, "") == ""


def test_sigkill_of_the_harness_leaves_no_orphan(tmp_path: Path) -> None:
    """When the harness is killed, so is every process of the groups it started."""
    program = (
        "import sys, pathlib\n"
        "from harness.targets.process import ChildProcess, Command\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "script = 'trap \"\" TERM; sleep 1000 & echo ready $!; wait'\n"
        "child = ChildProcess(Command(name='c', argv=('sh', '-c', script), environment={},\n"
        "    cwd=folder, log=folder / 'log'))\n"
        "print(child.pid, child.wait_for_line('ready ', timeout_s=20), flush=True)\n"
        "sys.stdin.read()\n"
    )
    harness = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with harness:
        assert harness.stdout is not None
        pids = [int(pid) for pid in harness.stdout.readline().split()]
        alive = [state(pid) != "" for pid in pids]
        harness.kill()

    assert alive == [True, True]
    assert [wait_for_state(pid, "") for pid in pids] == ["", ""]


def test_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """A child belongs to the process, not to the thread (PR_SET_PDEATHSIG would kill it)."""
    children: list[ChildProcess] = []
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    thread = threading.Thread(target=lambda: children.append(python(tmp_path, code)))
    thread.start()
    thread.join()
    children[0].wait_for_line("ready", timeout_s=TIMEOUT_S)

    assert children[0].exit_words() == ""
    children[0].stop(grace_s=GRACE_S)


def test_child_is_kept_on_its_cores(tmp_path: Path) -> None:
    """A child has the cores it was given from its first instruction; the caller keeps its own."""
    before = os.sched_getaffinity(0)
    core = max(before)
    code = "import os, sys; print('on', os.sched_getaffinity(0), flush=True); sys.stdin.read()"
    child = python(tmp_path, code, cores=(core,))
    said = child.wait_for_line("on ", timeout_s=TIMEOUT_S)
    child.stop(grace_s=GRACE_S)

    assert said == str({core})
    assert os.sched_getaffinity(0) == before
