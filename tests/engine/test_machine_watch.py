"""Who used the machine besides the run: a busy process is named when it is not the run's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.engine import machine_watch
from harness.engine.machine_watch import MachineFacts, MachineWatch, _process

NAME = "busy) (nob\x1b[2J"  # 15 bytes at most; brackets and an escape, as an attacker would have it
SHOWN = NAME.replace("\x1b", "?")
BUSY = f"open('/proc/self/comm', 'w').write({NAME!r})\nprint(flush=True)\nwhile True: pass"
IDLE = "print(flush=True)\nimport time\ntime.sleep(60)"
WATCHED_S = 1.0


class Started:
    """A process that says by a line on its stdout how far it is."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
        )
        self.pid = self._process.pid

    def await_line(self) -> None:
        """Wait for the next line."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"\n"

    def kill(self) -> None:
        """End it, and its children."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.communicate()


@contextmanager
def started(program: str) -> Iterator[Started]:
    """A process that has printed its first line, for as long as it is wanted."""
    process = Started(program)
    try:
        process.await_line()
        yield process
    finally:
        process.kill()


def watched(own_pid: int) -> MachineFacts:
    """A second in which *own_pid* is the run."""
    watch = MachineWatch((own_pid, None))
    time.sleep(WATCHED_S)
    return watch.facts()


def test_a_process_that_is_not_the_runs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It used a good part of a core, and its name can't reach a terminal as it is."""
    monkeypatch.setattr(machine_watch, "_NAMED_COUNT", 100)  # whatever else is busy here
    with started(IDLE) as own, started(BUSY):
        found = watched(own.pid).neighbours

    assert found is not None
    cores_by_name = dict(found.busiest)
    assert cores_by_name[SHOWN] > 0.02, "a core, shared with whatever else runs here"
    assert found.cores >= cores_by_name[SHOWN] - 0.1
    assert found.processor_count >= 1


def test_what_the_run_used_is_not_a_neighbours() -> None:
    """The same process as the run's own, and as the child of the run's own."""
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"
    for program in (BUSY, child):
        with started(program) as own:
            found = watched(own.pid).neighbours
            assert found is not None
            assert SHOWN not in dict(found.busiest)


def test_a_child_that_ended_stays_the_runs_own() -> None:
    """What it used is at its parent once that has waited for it."""
    burn = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    child = (
        "print(flush=True)\nimport subprocess, sys, time\ntime.sleep(0.2)\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ntime.sleep(60)"
    )
    with started(child) as own:
        watch = MachineWatch((own.pid,))
        began = watch._began
        own.await_line()
        ended = MachineWatch((own.pid,))._began

    assert began is not None
    assert ended is not None
    used_ticks = [moment.ticks_by(moment.own_pids([own.pid])) for moment in (began, ended)]
    assert used_ticks[1] - used_ticks[0] >= 25


def test_any_name_is_read() -> None:
    """The rest is found behind the last bracket."""
    rest = b"S 7 " + b" ".join(str(n).encode() for n in range(5, 53))
    found = _process(b"41 (a) S 1 (\n)) " + rest)

    assert (found.parent_pid, found.name) == (7, "a) S 1 (?)")
    assert found.ticks_with_ended == 14 + 15 + 16 + 17
    assert (found.started_ticks, found.processor_id) == (22, 39)


def test_a_neighbour_that_ended_is_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that runs one short program after the other, none of them there when we look."""
    monkeypatch.setattr(machine_watch, "_NAMED_COUNT", 100)
    burn = "import time\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass"
    shell = (
        f"open('/proc/self/comm', 'w').write('shell-of-it')\nprint(flush=True)\n"
        f"import subprocess, sys, time\nfor _ in range(3): subprocess.run([sys.executable, '-c', "
        f"{burn!r}])\nprint(flush=True)\ntime.sleep(60)"
    )
    with started(IDLE) as own, started(shell) as other:
        watch, began_s = MachineWatch((own.pid,)), time.monotonic()
        other.await_line()
        found = watch.facts().neighbours
        watched_s = time.monotonic() - began_s

    assert found is not None
    assert dict(found.busiest).get("shell-of-it", 0.0) * watched_s > 0.4, "of 0.6 s and more"
