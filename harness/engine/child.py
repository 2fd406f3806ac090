"""
How the parent and its own children (load processes, observer) speak: a JSON line each way.

The first line is the child's specification, a frozen value, pickled. After it the parent writes
commands to the child's stdin, and the child answers on stdout. End of file on stdin
means that the parent is gone: the child leaves at once, so that no orphan goes on loading a target.
"""

import asyncio
import base64
import ctypes
import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from harness.errors import HarnessError

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_EXIT_PARENT_GONE = 4
_EXIT_CALLBACK_ERROR = 1


def specification_line(specification: object) -> bytes:
    """*specification* as the first line that a child reads: exact for every frozen value."""
    return base64.b64encode(pickle.dumps(specification)) + b"\n"


def read_specification(kind: type[T]) -> T:
    """The child's specification, its first line on stdin; blocking."""
    end_with_parent()
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(_EXIT_PARENT_GONE)
    specification = pickle.loads(base64.b64decode(line))  # noqa: S301 - our own parent wrote it
    assert isinstance(specification, kind), "parent and child are of one version"
    return specification


def end_with_parent() -> None:
    """
    Let the kernel kill this process when the thread that started it ends, however that ends.

    Whoever is busy for long, making a plan say, does not look at stdin meanwhile.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def say(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def fail_on_callback_errors() -> None:
    """
    End this program, saying why, when a callback of the running loop raises what nobody foresaw.

    The loop would only log it, and the run wait for replies that are never counted. An OSError is
    the peer's or the network's: whom it concerns hears of it by the loss of the connection. What a
    task raises is told by whoever awaits it, or by harness.drivers.background_task.
    """

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        is_awaited = "task" in context or "future" in context
        if error is None or is_awaited or isinstance(error, OSError):
            loop.default_exception_handler(context)
            return
        traceback.print_exception(error)
        sys.stderr.flush()
        words = (
            str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        )
        say("failed", error="EngineError", message=words)
        os._exit(_EXIT_CALLBACK_ERROR)

    asyncio.get_running_loop().set_exception_handler(fail)


def listen(on_command: Callable[[dict[str, Any]], None]) -> None:
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    os.set_blocking(descriptor, False)
    received = bytearray()

    def readable() -> None:
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            os._exit(_EXIT_PARENT_GONE)
        received.extend(chunk)
        while (end := received.find(b"\n")) >= 0:
            line = bytes(received[:end])
            del received[: end + 1]
            on_command(json.loads(line))

    loop.add_reader(descriptor, readable)
