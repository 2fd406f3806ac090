"""
The parent's side of its own children: load processes and the observer.

One JSON line each way (see child.py). A reader thread a child turns its lines into events, so that
the parent can wait for several children at once and still notice a death.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engine import child
from harness.errors import EngineError, TransportError

_TAIL_LINE_COUNT = 20
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEvent:
    """Something a child said; "exited" when its output ended."""

    worker: "Worker"
    name: str
    values: dict[str, Any]


class Worker:
    """One child of ours: `python -m module`, told its specification at once."""

    def __init__(
        self,
        module: str,
        specification: object,
        *,
        log: Path,
        events: "queue.Queue[ChildEvent]",
        descriptors: Sequence[int] = (),
    ) -> None:
        self.module = module
        self._log = log
        self._events = events
        with log.open("ab") as log_file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent to pass on
                pass_fds=tuple(descriptors),
            )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(child.specification_line(specification))

    def tell(self, command: str, **values: Any) -> None:
        """Send a command; a child that is gone shows as its "exited" event."""
        self._write(json.dumps({"command": command, **values}).encode() + b"\n")

    def log_tail(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINE_COUNT:])

    def stop(self) -> None:
        """End it, if it has not ended: close its stdin, then kill its group."""
        assert self._process.stdin is not None, "started with a pipe"
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None, "started with a pipe"
        self._process.stdout.close()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None, "started with a pipe"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return

    def _read(self) -> None:
        assert self._process.stdout is not None, "started with a pipe"
        for line in self._process.stdout:
            try:
                values = json.loads(line)
                name = values.pop("event")
            except (ValueError, KeyError):
                continue  # a library's own print
            self._events.put(ChildEvent(worker=self, name=name, values=values))
        code = self._process.wait()
        self._events.put(ChildEvent(worker=self, name="exited", values={"code": code}))


class Crew:
    """All children of a run; waits for what each of them has to say."""

    def __init__(self) -> None:
        self.events: queue.Queue[ChildEvent] = queue.Queue()
        self.workers: list[Worker] = []
        self._finished: set[Worker] = set()

    def add(
        self,
        module: str,
        specification: object,
        *,
        log: Path,
        descriptors: Sequence[int] = (),
    ) -> Worker:
        worker = Worker(module, specification, log=log, events=self.events, descriptors=descriptors)
        self.workers.append(worker)
        return worker

    def poll(self, timeout_s: float) -> ChildEvent | None:
        """
        The next event, or None after *timeout_s*.

        Raises:
            TransportError: a child could not reach the target or the broker.
            EngineError: a child failed or died.
        """
        try:
            event = self.events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if event.name == "finished":
            self._finished.add(event.worker)
        if event.name == "failed":
            message = f"{event.worker.module}: {event.values['message']}"
            if event.values["error"] == "TransportError":
                raise TransportError(message)
            raise EngineError(message)
        if event.name == "exited" and event.worker not in self._finished:
            raise EngineError(
                f"{event.worker.module} ended with code {event.values['code']}:\n"
                f"{event.worker.log_tail()}"
            )
        return event

    def wait_for(
        self, name: str, workers: Sequence[Worker], timeout_s: float
    ) -> list[dict[str, Any]]:
        """
        What each of *workers* says with the event *name*, in their order.

        Raises as `poll`, and EngineError after *timeout_s*.
        """
        said: dict[Worker, dict[str, Any]] = {}
        step_s = 0.1
        for _ in range(int(timeout_s / step_s) + 1):
            event = self.poll(step_s)
            while event is not None:
                if event.name == name:
                    said[event.worker] = event.values
                event = self.poll(0.0) if len(said) < len(workers) else None
            if all(worker in said for worker in workers):
                return [said[worker] for worker in workers]
        silent = [worker.module for worker in workers if worker not in said]
        raise EngineError(f"{', '.join(silent)}: not {name} within {timeout_s:g} s")

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
