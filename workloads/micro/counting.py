"""
The program that runs kernels under callgrind: `python -m workloads.micro.counting MODE`.

It runs those that have an (empty) file of their name in the folder CHOSEN. Mode `count`: each in a
process of its own, forked from one that has imported everything, so that imports are paid once.
There is a fork for every kernel, chosen or not, and only the child looks: the parent's memory, and
with it the counts (by 0.1 %), is the same whatever is chosen. Written to stdout: JSON, the process
id of each. Mode `rehearse` runs them without counting, so that all bytecode is on disk before
anything is counted, and writes what the interpreter consists of (see `_build`).

The one idea: callgrind counts while a C function that it was told of (--toggle-collect) is on the
stack. GATE is one that calls back into Python (it asks an object for its file descriptor) and that
nothing else here calls, so the work is done in that call. Nothing outside it is counted.
"""

import gc
import hashlib
import json
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads.micro.suite import BY_NAME

GATE = "PyObject_AsFileDescriptor"
CHOSEN = Path("chosen")
NOTHING = "nothing"
"""A name for the gate itself, counted around no work."""
_WARMUP_ROUND_COUNT = 2  # the interpreter specialises its bytecode within the first
_DIGEST_BYTES = 8
_FEATURES = ("sse4_2", "avx", "avx2")  # that valgrind passes on, and libraries choose code by


class _Gate:
    """What pretends to have a file descriptor."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.result: Any = None

    def fileno(self) -> int:
        self.result = self._work()
        return 0


def _through_gate(work: Callable[[], Any]) -> Any:
    gate = _Gate(work)
    select.poll().register(gate)
    return gate.result


def _run(name: str) -> str:
    """Warm up, do one round inside the gate; what is wrong with its result."""
    if name == NOTHING:
        _through_gate(lambda: None)
        return ""
    kernel = BY_NAME[name]
    for _ in range(_WARMUP_ROUND_COUNT):
        warmup = kernel.prepare()
        warmup.work()
        warmup.close()
    fresh = kernel.prepare()
    try:
        return fresh.fault(_through_gate(fresh.work))
    finally:
        fresh.close()


def _forked(name: str) -> int:
    """Run a kernel in a child, if it is chosen; the child's process id."""
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        if status:
            raise SystemExit(f"{name}: its process ended with {os.waitstatus_to_exitcode(status)}")
        return process
    code = 1
    try:
        if not (CHOSEN / name).exists():
            code = 0
        elif fault := _run(name):
            sys.stderr.write(f"{name}: {fault}\n")
        else:
            code = 0
    except Exception:  # noqa: BLE001 - the child ends here, and the parent must not go on twice
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _build() -> dict[str, Any]:
    """The interpreter, every compiled module that is loaded now, and what the processor offers."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    lines = [line.split(maxsplit=5) for line in maps]
    files = {Path(line[5]) for line in lines if len(line) == 6 and "x" in line[1]}
    found = sorted((path.name, _digest(path)) for path in files if path.is_file())
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\nflags")[2].split("\n")[0]
    return {
        "python": sys.version,
        "machine": os.uname().machine,
        "features": [name for name in _FEATURES if name in flags.split()],
        "modules": [f"{name} {digest}" for name, digest in found],
    }


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()


def _rehearse() -> dict[str, Any]:
    for name in BY_NAME:
        if (CHOSEN / name).exists() and (fault := _run(name)):
            raise SystemExit(f"{name}: {fault}")
    return _build()


def main(mode: str) -> None:
    gc.disable()
    gc.freeze()
    if mode == "rehearse":
        document = _rehearse()
    else:
        document = {name: _forked(name) for name in (NOTHING, *BY_NAME)}
    sys.stdout.write(json.dumps(document))
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
