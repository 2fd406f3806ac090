"""A real shell on a pseudo-terminal: what it writes while somebody types."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x07\x08\r]")
_STEP_S = 0.2


class Shell:
    """An interactive shell; closed at the end of a `with` block."""

    def __init__(self, *argv: str, cwd: Path, environment: Mapping[str, str]) -> None:
        self._terminal, child_end = pty.openpty()
        self._process = subprocess.Popen(
            argv,
            stdin=child_end,
            stdout=child_end,
            stderr=child_end,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(child_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def type(self, keys: str, *, until: str, timeout_s: float = 60) -> str:
        """Send *keys*, and read until *until* (a pattern) has come; all that came."""
        os.write(self._terminal, keys.encode())
        text, end = "", time.monotonic() + timeout_s
        while re.search(until, text, re.DOTALL) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"typed {keys!r}, awaited {until!r}, saw {text!r}")
            if select.select([self._terminal], [], [], _STEP_S)[0]:
                text += _ESCAPES.sub("", os.read(self._terminal, 65_536).decode(errors="replace"))
        return text
