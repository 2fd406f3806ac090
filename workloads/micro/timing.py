"""
Kernels timed: pytest-benchmark in several processes, one after the other.

Repeats are whole process starts, because what varies from start to start (layout of memory, hash
seeds) is not seen by repeating inside one process (Kalibera and Jones, ISMM 2013). Process k has
hash seed k, in every run: two runs meet the same layouts.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import EngineError
from harness.model.units import NANOS_PER_SECOND
from workloads.micro.processes import ROOT, Program, environment, python, run

_TIMEOUT_S = 600.0
_SUITE = "workloads/micro/test_kernels.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often: *process_count* starts of *round_count* rounds each."""

    process_count: int
    round_count: int


def time_kernels(
    names: Sequence[str], timing: Timing, folder: Path
) -> dict[str, list[list[float]]]:
    """
    Nanoseconds an operation, by kernel, process and round.

    pytest-benchmark's JSON is left in *folder*, a file for each process.

    Raises:
        EngineError: a kernel failed, or returned something wrong.
    """
    samples: dict[str, list[list[float]]] = {name: [] for name in names}
    for process in range(timing.process_count):
        path = folder / f"pytest-benchmark-{process + 1}.json"
        _run_suite(names, timing.round_count, path, hash_seed=process)
        for name, values in _read(path).items():
            samples[name].append(values)
    for name, processes in samples.items():
        counts = [len(rounds) for rounds in processes]
        if counts != [timing.round_count] * timing.process_count:
            raise EngineError(f"{name}: rounds of each process: {counts}; some are missing")
    return samples


def _run_suite(names: Sequence[str], round_count: int, path: Path, *, hash_seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="acctbench-") as folder:
        command = python(
            *("-m", "pytest", "-q", "--no-header", "-p", "pytest_benchmark.plugin"),
            *("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(ROOT)),
            *("--import-mode=importlib", "--benchmark-disable-gc", "--benchmark-quiet"),
            f"--benchmark-min-rounds={round_count}",
            f"--benchmark-json={path.resolve()}",
            *(f"{ROOT / _SUITE}::test_kernel[{name}]" for name in names),
        )
        program = Program(command=command, folder=Path(folder))
        run([program], environment(ROOT, hash_seed=hash_seed), timeout_s=_TIMEOUT_S)


def _read(path: Path) -> dict[str, list[float]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(_samples(item) for item in document["benchmarks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{path.name}: not what pytest-benchmark writes: {error!r}") from error


def _samples(benchmark: dict[str, Any]) -> tuple[str, list[float]]:
    scale = NANOS_PER_SECOND / benchmark["extra_info"]["operation_count"]
    return benchmark["param"], [second * scale for second in benchmark["stats"]["data"]]
