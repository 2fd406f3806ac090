"""
The agent inside a profiled Python service: starts and stops memray when the harness says so.

The harness puts this folder first on PYTHONPATH of a service that it launches; Python imports
`sitecustomize` before the service's own code, so the service needs no change. A sitecustomize of
the user's own is found and run all the same. It needs the standard library and memray, knows
nothing of the harness, and does nothing at all unless ACCTBENCH_AGENT is set.

It says one JSON line, {"pid", "argv", "error"}, on the abstract Unix socket that ACCTBENCH_AGENT
names, and then answers each line {"do": "start", "path", "native", "every"} or {"do": "stop"} with
{"error": "", "at_ns"}: when tracking began or ended, since to begin it imports memray, and to end
it writes a file. From its first moment until the first "stop" it tracks what start-up leaves alive.
"""

import json
import os
import socket
import sys
import threading
import time
from importlib import machinery, util
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - before any import of weight


def _run_users_own() -> None:
    """Import the sitecustomize that this one hides."""
    others = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]  # noqa: PTH100
    spec = machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


class _Agent:
    """One tracker at a time."""

    def __init__(self, name: str, folder: str) -> None:
        self._tracker: Any = None
        self._at_ns = time.monotonic_ns()
        self._name = name
        error = self._start(os.path.join(folder, f"start-{os.getpid()}.bin"))  # noqa: PTH118
        self._hello = {"pid": os.getpid(), "argv": sys.orig_argv, "error": error}

    def serve(self) -> None:
        """Answer the harness until it hangs up; then the service goes on alone."""
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect("\0" + self._name)
                with peer.makefile("rw", encoding="utf-8") as lines:
                    _say(lines, self._hello)
                    for line in lines:
                        error = self._do(json.loads(line))
                        _say(lines, {"error": error, "at_ns": self._at_ns})
        except (OSError, ValueError):
            pass  # nobody listens: a child of a child, or the harness has gone
        finally:
            self._stop()

    def _do(self, command: dict[str, Any]) -> str:
        if command["do"] == "stop":
            return self._stop()
        return self._start(command["path"], native=command["native"], every=command["every"])

    def _start(self, path: str, *, native: bool = False, every: bool = False) -> str:
        """Track into *path*: what survives and peaks, or with *every* each allocation."""
        try:
            import memray  # noqa: PLC0415 - only a service that is profiled pays for it

            kind = memray.FileFormat
            self._tracker = memray.Tracker(
                path,
                native_traces=native,
                trace_python_allocators=True,
                file_format=kind.ALL_ALLOCATIONS if every else kind.AGGREGATED_ALLOCATIONS,
            )
            self._tracker.__enter__()
            self._at_ns = time.monotonic_ns()
        except Exception as error:  # noqa: BLE001 - the service must never fail for this
            self._tracker = None
            return f"{type(error).__name__}: {error}"
        return ""

    def _stop(self) -> str:
        tracker, self._tracker = self._tracker, None
        self._at_ns = time.monotonic_ns()
        try:
            if tracker is not None:
                tracker.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - as above
            return f"{type(error).__name__}: {error}"
        return ""


def _say(lines: Any, document: dict[str, Any]) -> None:
    lines.write(json.dumps(document) + "\n")
    lines.flush()


def _begin() -> None:
    name, folder = os.environ.get("ACCTBENCH_AGENT"), os.environ.get("ACCTBENCH_AGENT_FOLDER")
    if name and folder:
        agent = _Agent(name, folder)
        threading.Thread(target=agent.serve, name="acctbench-agent", daemon=True).start()


_run_users_own()
_begin()
