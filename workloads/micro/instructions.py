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
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import EngineError, InstallError
from workloads.micro.counting import CHOSEN, GATE, NOTHING
from workloads.micro.processes import ROOT, Program, environment, python, run

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


def find_valgrind() -> str:
    """The path of valgrind; InstallError if it is not on PATH."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise InstallError(
            "instructions are counted by valgrind, which is not on PATH: install it "
            "(apt-get install valgrind), or leave --instructions out"
        )
    return valgrind


def count_instructions(names: Sequence[str], *, root: Path = ROOT) -> Counting:
    """
    Count a round of each kernel.

    Args:
        names: Of the kernels.
        root: Holds the copy of harness and workloads to count.

    Raises:
        InstallError: there is no valgrind.
        EngineError: a kernel failed, or was not counted.
    """
    valgrind = find_valgrind()
    layout = _fixed_layout()
    callgrind = [
        *(*layout, valgrind, "--quiet", "--tool=callgrind", "--callgrind-out-file=callgrind.%p"),
        *("--collect-atstart=no", f"--toggle-collect={GATE}"),
    ]
    # The length of the current folder's path can be seen in the counts (by 0.01 %): these have one.
    with tempfile.TemporaryDirectory(prefix="acctbench-") as folder:
        build = _rehearse(names, Path(folder), root)
        counts = _count(callgrind, names, Path(folder), root)
    version = subprocess.run(
        [valgrind, "--version"], capture_output=True, text=True, check=True, timeout=_ASK_S
    )
    return Counting(
        counts={name: counts[name] for name in names},
        build={**build, "valgrind": version.stdout.strip()},
        has_fixed_layout=bool(layout),
    )


def _rehearse(names: Sequence[str], folder: Path, root: Path) -> dict[str, Any]:
    """Run them once without valgrind; what the interpreter consists of."""
    program = _program([], "rehearse", names, folder / "rehearsal")
    (said,) = run([program], environment(root, hash_seed=_HASH_SEED), timeout_s=_TIMEOUT_S)
    build: dict[str, Any] = json.loads(said)
    return build


def _count(
    callgrind: Sequence[str], names: Sequence[str], folder: Path, root: Path
) -> dict[str, int]:
    shares = _shares(names)
    programs = [
        _program(callgrind, "count", [NOTHING, *share], folder / f"callgrind-{number}")
        for number, share in enumerate(shares, 1)
    ]
    said = run(programs, environment(root, hash_seed=_HASH_SEED), timeout_s=_TIMEOUT_S)
    counts: dict[str, int] = {}
    for share, program, text in zip(shares, programs, said, strict=True):
        counts |= _counts(share, program.folder, json.loads(text))
    return counts


def _shares(names: Sequence[str]) -> list[Sequence[str]]:
    """Which kernels are counted side by side; a count does not mind company."""
    worker_count = min(len(os.sched_getaffinity(0)), len(names), _WORKER_COUNT_MAX)
    return [names[worker::worker_count] for worker in range(worker_count)]


def _counts(names: Sequence[str], folder: Path, process_of: Mapping[str, int]) -> dict[str, int]:
    overhead = _total(folder / f"callgrind.{process_of[NOTHING]}", NOTHING)
    return {
        name: _total(folder / f"callgrind.{process_of[name]}", name) - overhead for name in names
    }


def _program(launcher: Sequence[str], mode: str, names: Sequence[str], folder: Path) -> Program:
    """counting.py in *mode*, in *folder*, which is made and says what is chosen."""
    (folder / CHOSEN).mkdir(parents=True)
    for name in names:
        (folder / CHOSEN / name).touch()
    return Program(command=[*launcher, *python("-m", _PROGRAM, mode)], folder=folder)


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
