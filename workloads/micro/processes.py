"""
The processes that kernels run in: what they inherit is fixed, so that they all do the same work.

Hash seed, locale, threads of numerical libraries and the path of modules are set; of the rest of
the environment only what starting a program needs is left. PYTHONPATH names the copy of this
project that the caller runs, and -P keeps the current folder out of it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EngineError

ROOT = Path(__file__).parents[2]
"""The folder that holds harness and workloads."""
_KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_SAID_LINE_COUNT = 15
_OUT, _ERROR = "stdout.txt", "stderr.txt"


def environment(root: Path, *, hash_seed: int) -> Mapping[str, str]:
    """The environment of a process of kernels that imports from *root*."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        **dict.fromkeys(_THREADS, "1"),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": str(root),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-P", *arguments]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command, and the existing folder that it runs in and leaves its output in."""

    command: Sequence[str]
    folder: Path


def run(
    programs: Sequence[Program], environment: Mapping[str, str], *, timeout_s: float
) -> list[str]:
    """
    Run *programs* side by side; what each wrote to stdout. None is left running.

    Raises:
        EngineError: one failed or took longer than *timeout_s*; the message ends with its output.
    """
    with ExitStack() as stack:
        started = [(item, stack.enter_context(_running(item, environment))) for item in programs]
        end_s = time.monotonic() + timeout_s
        for item, process in started:
            _await(item, process, timeout_s=max(0.0, end_s - time.monotonic()))
    return [_text(item.folder / _OUT) for item in programs]


@contextmanager
def _running(program: Program, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (program.folder / _OUT).open("wb") as out, (program.folder / _ERROR).open("wb") as error:
        process = subprocess.Popen(
            program.command,
            cwd=program.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _await(program: Program, process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    name = Path(program.command[0]).name
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{name}: not done in time") from error
    if code:
        lines = [
            *_text(program.folder / _OUT).splitlines(),
            *_text(program.folder / _ERROR).splitlines(),
        ]
        said = "\n".join(lines[-_SAID_LINE_COUNT:])
        raise EngineError(f"{name} ended with {code}:\n{said}")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
