"""
The processes that kernels run in: what they inherit is fixed, so that they all do the same work.

Hash seed, locale, threads of numerical libraries and the path of modules are set; of the rest of
the environment only what starting a program needs is left. PYTHONPATH names the copy of this
project that the caller runs, and -P keeps the current folder out of it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import EngineError

ROOT = Path(__file__).parents[2]
"""The folder that holds harness and workloads."""
_KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_SAID_LINE_COUNT = 15


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
    """A command that runs this interpreter."""
    return [sys.executable, "-P", *arguments]


def run(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_s: float
) -> str:
    """
    Run *command* in *folder*; what it wrote to stdout.

    Raises:
        EngineError: it failed or took longer than *timeout_s*; the message ends with its output.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{command[0]}: not done after {timeout_s:.0f} s") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_SAID_LINE_COUNT:])
        raise EngineError(f"{Path(command[0]).name} ended with {done.returncode}:\n{said}")
    return done.stdout
