"""
Child processes that are always ended: started, watched, stopped, never orphaned.

A child leads a session of its own, so that a signal reaches everything it started and Ctrl-C in the
terminal reaches only the harness. Its stdin stays open (ours stop at its end), stdout and stderr go
straight into one log file: no pipe can fill, nothing is lost when the harness dies, and the ready
line is read from the file. One guardian process (see guardian.py) kills the groups of a harness
that died without stopping them.
"""

import atexit
import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.01
_TAIL_BYTES = 64 * 1024
_KILL_WAIT_S = 10.0  # SIGKILL takes effect at once unless the kernel itself hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """
    How a child is started.

    Attributes:
        name: What people call it ("the target"); begins messages.
        argv: Program and arguments.
        environment: Added to this process's own.
        cwd: Where it runs.
        log: The file its output is appended to.
        cores: CPUs it may use; none given means those of this process.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    log: Path
    cores: tuple[int, ...] = ()


class ChildFailedError(Exception):
    """A child could not be started, died, or was not ready in time; the message has its log."""


class ChildProcess:
    def __init__(self, command: Command) -> None:
        self.command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            self._log_start_bytes = log.tell()
            try:
                with _only_on(command.cores):
                    self._popen = subprocess.Popen(
                        command.argv,
                        cwd=command.cwd,
                        env={**os.environ, "PYTHONUNBUFFERED": "1", **command.environment},
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except OSError as error:
                said = f"{command.name} can't be started: {error.strerror}: {error.filename}"
                raise ChildFailedError(said) from error
        self.pid = self._popen.pid
        guardian().watch(self.pid)

    def exit_words(self) -> str:
        """How it ended ("killed by signal 9", "exited 3"); empty while it runs. Cheap."""
        code = self._popen.poll()
        if code is None:
            return ""
        self._end_group()
        return f"killed by signal {-code}" if code < 0 else f"exited {code}"

    def check_alive(self) -> None:
        """Raise ChildFailedError if it has ended: how, and its last log lines."""
        if words := self.exit_words():
            raise ChildFailedError(self._with_log(f"{self.command.name} {words}"))

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float) -> None:
        """Wait until *ready* returns True; ChildFailedError at its death or after *timeout_s*."""
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline_s:
                said = f"{self.command.name}: {what} did not come within {timeout_s:g} s"
                raise ChildFailedError(self._with_log(said))
            time.sleep(_POLL_S)

    def run_to_end(self, timeout_s: float) -> None:
        """See it end by itself, its stdin open; ChildFailedError unless it exits with 0 in time."""
        try:
            self._close_stdin()
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            said = f"{self.command.name}: not done within {timeout_s:g} s"
            raise ChildFailedError(self._with_log(said)) from None
        finally:
            self.kill()  # it, or what it left running
        if (words := self.exit_words()) and words != "exited 0":
            raise ChildFailedError(self._with_log(f"{self.command.name}: {words}"))

    def wait_for_line(self, prefix: str, *, timeout_s: float) -> str:
        """The rest of the first line of output that begins with *prefix*; as `wait_until`."""
        found: list[str] = []

        def appeared() -> bool:
            found.extend(line for line in self._whole_lines() if line.startswith(prefix))
            return bool(found)

        self.wait_until(appeared, what=f'the line "{prefix.strip()}"', timeout_s=timeout_s)
        return found[0].removeprefix(prefix).strip()

    def log_tail(self, line_count: int = 20) -> str:
        """The last lines of its output since it was started."""
        return "\n".join(_tail(self.command.log, self._log_start_bytes)[-line_count:])

    def signal_group(self, number: int) -> None:
        """Send a signal to it and everything it started; nothing happens when all are gone."""
        if self._popen.returncode is None:  # not reaped: its number can't be another's yet
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def freeze(self) -> None:
        self.signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal_group(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all of the group, and wait for its end."""
        self.signal_group(signal.SIGKILL)
        self._popen.wait(_KILL_WAIT_S)
        self._end_group()

    def stop(self, *, grace_s: float, number: int = signal.SIGTERM) -> str:
        """
        End of stdin and signal *number*, then SIGKILL when *grace_s* has passed; how it ended.

        A frozen child is thawed first, or it could not end by itself. Calling it again is harmless.
        """
        if words := self.exit_words():
            return words
        self._close_stdin()
        self.signal_group(number)
        self.thaw()
        try:
            self._popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.exit_words()

    def _end_group(self) -> None:
        """Kill what outlived the leader of the group; a group in use keeps its number taken."""
        if not guardian().forget(self.pid):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._close_stdin()

    def _close_stdin(self) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()

    def _whole_lines(self) -> list[str]:
        with self.command.log.open("rb") as log:
            log.seek(self._log_start_bytes)
            *lines, _unfinished = log.read().split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _with_log(self, said: str) -> str:
        tail = self.log_tail()
        return f"{said}; the last lines of {self.command.log.name}:\n{tail}" if tail else said


class _Guardian:
    """The harness's end of guardian.py."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("guardian.py")
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        atexit.register(self._leave)

    def watch(self, group: int) -> None:
        """Have *group* killed if this process ends without forgetting it."""
        with self._lock:
            self._groups.add(group)
            self._tell(b"+%d\n" % group)

    def forget(self, group: int) -> bool:
        """*group* has ended; False if that was known."""
        with self._lock:
            known = group in self._groups
            if known:
                self._groups.remove(group)
                self._tell(b"-%d\n" % group)
            return known

    def _leave(self) -> None:
        """End it; what this process forgot to stop is killed, as if it had died."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        self._popen.wait(_KILL_WAIT_S)

    def _tell(self, line: bytes) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a killed guardian must not end the run
            self._popen.stdin.write(line)
            self._popen.stdin.flush()


@functools.cache
def guardian() -> _Guardian:
    """The one of this process: kills the groups it was told of when the process is gone."""
    return _Guardian()


@contextlib.contextmanager
def _only_on(cores: Sequence[int]) -> Iterator[None]:
    """Children started inside inherit *cores*; affinity is this thread's alone on Linux."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tail(path: Path, start_bytes: int) -> list[str]:
    with path.open("rb") as log:
        end_bytes = log.seek(0, os.SEEK_END)
        log.seek(max(start_bytes, end_bytes - _TAIL_BYTES))
        return log.read().decode(errors="replace").splitlines()
