"""
The harness's end of the agent inside a profiled Python service (agent/sitecustomize.py).

It listens on an abstract Unix socket, whose name only the launched target is told, and takes
commands to the agent of the process that is profiled. Every wait has a bound.
"""

import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import ProfilerError

_AGENT_FOLDER = Path(__file__).with_name("agent")
_ACCEPT_TIMEOUT_S = 3.0
_ANSWER_TIMEOUT_S = 60.0  # starting memray imports it; stopping it writes the file


class AgentLink:
    """One listening socket, then one agent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"acctbench-{secrets.token_hex(8)}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("\0" + self._name)
        self._listener.listen(16)
        self._peers: list[socket.socket] = []
        self._buffered = b""
        self._chosen: socket.socket | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What puts the agent into a Python service; PYTHONPATH goes before what is there."""
        return {
            "PYTHONPATH": str(_AGENT_FOLDER),
            "ACCTBENCH_AGENT": self._name,
            "ACCTBENCH_AGENT_FOLDER": str(self._folder.resolve()),
        }

    def choose(self, pids: tuple[int, ...]) -> int:
        """Talk to the agent of the first of *pids* that has one; its pid, or ProfilerError."""
        agents: dict[int, tuple[socket.socket, str]] = {}
        deadline_s = time.monotonic() + _ACCEPT_TIMEOUT_S
        while not any(pid in agents for pid in pids):
            self._listener.settimeout(max(0.01, deadline_s - time.monotonic()))
            try:
                peer, _ = self._listener.accept()
            except TimeoutError:
                raise ProfilerError(_no_agent(bool(agents))) from None
            self._peers.append(peer)
            peer.settimeout(_ANSWER_TIMEOUT_S)
            hello = self._read_line(peer)
            agents[int(hello["pid"])] = peer, str(hello["error"])
        pid = next(pid for pid in pids if pid in agents)
        self._chosen, error = agents[pid]
        self._leave_others()
        if error:
            raise ProfilerError(
                f"memray can't be used inside the target: {error}; install memray in the target's "
                "own environment"
            )
        return pid

    def command(self, **words: Any) -> int:
        """Have the agent do something; when it began or ended (CLOCK_MONOTONIC) in the target."""
        if self._chosen is None:
            raise ProfilerError("the target's agent was never reached")
        try:
            self._chosen.sendall(json.dumps(words).encode() + b"\n")
            answer = self._read_line(self._chosen)
        except (OSError, ValueError) as error:
            raise ProfilerError(f"the agent inside the target is gone: {error}") from error
        if answer["error"]:
            raise ProfilerError(f"memray: {answer['error']}")
        return int(answer["at_ns"])

    def close(self) -> None:
        """Hang up: the agent stops tracking, the service goes on. Harmless twice."""
        for connection in (*self._peers, self._listener):
            with suppress(OSError):
                connection.close()

    def _leave_others(self) -> None:
        """The target's other processes, and those to come, hear that nobody asks: they run free."""
        for connection in (*self._peers, self._listener):
            if connection is not self._chosen:
                with suppress(OSError):
                    connection.close()

    def _read_line(self, peer: socket.socket) -> dict[str, Any]:
        while b"\n" not in self._buffered:
            received = peer.recv(65536)
            if not received:
                raise ProfilerError("the agent inside the target hung up")
            self._buffered += received
        line, _, self._buffered = self._buffered.partition(b"\n")
        document: dict[str, Any] = json.loads(line)
        return document


def with_agent(environment: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """*environment* of a target with *added*; a PYTHONPATH of either stays on the path."""
    merged = {**environment, **added}
    if "PYTHONPATH" in added:
        before = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        merged["PYTHONPATH"] = os.pathsep.join(
            part for part in (added["PYTHONPATH"], before) if part
        )
    return merged


def _no_agent(is_other: bool) -> str:
    if is_other:
        return "only other processes of the target have an agent; is its main process Python?"
    return (
        "no Python process of the target has the agent: memory is profiled in a Python service "
        "that is launched by a target file, and its command must not clear PYTHONPATH or use "
        "python -I, -E or -S"
    )
