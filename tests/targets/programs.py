"""Small real programs to launch, and whether a process still runs."""

import time
from collections.abc import Callable
from pathlib import Path

SERVICE = """
import json, os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
with open("starts", "a") as file:
    file.write("started\\n")
print("ready", json.dumps({"grpc_port": listener.getsockname()[1]}), flush=True)
sys.stdin.read()
"""
WAIT_S_MAX = 60.0


def write_service(folder: Path) -> Path:
    """A program that listens, says so, counts its starts and ends with its stdin."""
    path = folder / "service.py"
    path.write_text(SERVICE, encoding="utf-8")
    return path


def state(pid: int) -> str:
    """The kernel's letter for the state of a process; empty when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    letter = text.rpartition(") ")[2][0]
    return "" if letter in "ZX" else letter


def wait_for_state(pid: int, letters: str) -> str:
    """The state of *pid* once it is one of *letters* ("" : gone), or when it took too long."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline_s:
        now = state(pid)
        if (now in letters) if letters else not now:
            return now
        time.sleep(0.01)
    return state(pid)


def repeat(check: Callable[[], object]) -> None:
    """Call *check* until it raises, or for too long; a killed process takes a while to end."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline_s:
        check()
        time.sleep(0.01)
