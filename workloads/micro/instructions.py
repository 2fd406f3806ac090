"""
Kernels counted: instructions of one round under callgrind, the same in every run of one build.

What varies from run to run of a Python program is taken away: the hash seed is fixed, address
space layout is not randomised where that is allowed, the collector of cyclic garbage is off, the
environment is that of processes.py, all bytecode is compiled before, and nothing but the work
itself is counted (see counting.py).
"""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import EngineError, InstallError
from workloads.micro.counting import CHOSEN, GATE, NOTHING
from workloads.micro.processes import ROOT, environment, python, run

_PROGRAM = "workloads.micro.counting"
_HASH_SEED = 0
_TIMEOUT_S = 1_200.0
_ASK_S = 10.0
_WORKER_COUNT_MAX = 8
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """
    What was counted, and by what.

    Attributes:
        counts: Instructions of one round, by kernel.
        build: What has to be equal for counts to be comparable: interpreter, compiled modules,
            valgrind, features of the processor.
        has_fixed_layout: Address space layout was not randomised.
    """

    counts: Mapping[str, int]
    build: Mapping[str, Any]
    has_fixed_layout: bool


def count_instructions(names: Sequence[str], folder: Path, *, root: Path = ROOT) -> Counting:
    """
    Count a round of each kernel; callgrind's files are left in *folder*.

    Args:
        names: Of the kernels.
        folder: An existing folder.
        root: Holds the copy of harness and workloads to count.

    Raises:
        InstallError: there is no valgrind.
        EngineError: a kernel failed, or was not counted.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise InstallError(
            "instructions are counted by valgrind, which is not on PATH: install it "
            "(apt-get install valgrind), or leave --instructions out"
        )
    layout = _fixed_layout()
    fixed = environment(root, hash_seed=_HASH_SEED)
    workers = _shares(names, folder)
    rehearsed = _program("rehearse", [], _chosen(names, folder / "rehearsal"), fixed)
    callgrind = [
        *(*layout, valgrind, "--quiet", "--tool=callgrind", "--callgrind-out-file=callgrind.%p"),
        *("--collect-atstart=no", f"--toggle-collect={GATE}"),
    ]
    with ThreadPoolExecutor(len(workers)) as threads:
        counted = list(threads.map(lambda item: _count(callgrind, item, fixed), workers.items()))
    version = run([valgrind, "--version"], folder=folder, environment=fixed, timeout_s=_ASK_S)
    counts = {name: count for part in counted for name, count in part.items()}
    return Counting(
        counts={name: counts[name] for name in names},
        build={**json.loads(rehearsed), "valgrind": version.strip()},
        has_fixed_layout=bool(layout),
    )


def _shares(names: Sequence[str], folder: Path) -> dict[Path, Sequence[str]]:
    """Which names are counted side by side, in which folder; a count does not mind company."""
    worker_count = min(len(os.sched_getaffinity(0)), len(names), _WORKER_COUNT_MAX)
    return {
        folder / f"callgrind-{worker + 1}": names[worker::worker_count]
        for worker in range(worker_count)
    }


def _count(
    callgrind: Sequence[str], share: tuple[Path, Sequence[str]], fixed: Mapping[str, str]
) -> dict[str, int]:
    folder, names = share
    said = _program("count", callgrind, _chosen([NOTHING, *names], folder), fixed)
    processes = json.loads(said)
    totals = {name: _total(folder / f"callgrind.{processes[name]}", name) for name in names}
    overhead = _total(folder / f"callgrind.{processes[NOTHING]}", NOTHING)
    return {name: total - overhead for name, total in totals.items()}


def _chosen(names: Sequence[str], folder: Path) -> Path:
    """*folder*, made, with the files that say what is chosen."""
    (folder / CHOSEN).mkdir(parents=True)
    for name in names:
        (folder / CHOSEN / name).touch()
    return folder


def _program(mode: str, launcher: Sequence[str], folder: Path, fixed: Mapping[str, str]) -> str:
    command = [*launcher, *python("-m", _PROGRAM, mode)]
    return run(command, folder=folder, environment=fixed, timeout_s=_TIMEOUT_S)


def _fixed_layout() -> list[str]:
    """What to put before a command so that its addresses are the same every time; [] if refused."""
    command = ["setarch", platform.machine(), "-R"]
    try:
        subprocess.run([*command, "true"], capture_output=True, check=True, timeout=_ASK_S)
    except (OSError, subprocess.SubprocessError):
        return []
    return command


def _total(path: Path, name: str) -> int:
    try:
        match = _TOTALS.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise EngineError(f"{name}: callgrind left no counts: {error}") from error
    if match is None or not int(match[1]):
        raise EngineError(
            f"{name}: callgrind counted nothing; this interpreter may have no symbol {GATE}"
        )
    return int(match[1])
