"""
The pytest-benchmark suite: every kernel timed, and what it returned checked.

`acctbench micro` runs it, several process starts; `python -m pytest workloads/micro` does so once.
Rounds are --benchmark-min-rounds. A round is one call on fresh input, so nothing is calibrated.
"""

from typing import Any

import pytest

from workloads.micro.kernel import Kernel, Round
from workloads.micro.suite import KERNELS

_WARMUP_ROUND_COUNT = 3  # the interpreter specialises its bytecode within the first


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_kernel(kernel: Kernel, benchmark: Any, pytestconfig: pytest.Config) -> None:
    """What the kernel returned is right, in the first round and in the last."""
    round_count = pytestconfig.getoption("benchmark_min_rounds")
    checked_rounds = {1, _WARMUP_ROUND_COUNT + round_count}
    results: list[Any] = []
    faults: list[str] = []

    def work(fresh: Round[Any]) -> None:
        results.append(fresh.work())

    def finish(fresh: Round[Any]) -> None:
        if len(results) in checked_rounds:
            faults.append(fresh.fault(results[-1]))
        results[-1] = None  # its memory is free before the next round
        fresh.close()

    benchmark.extra_info["operation_count"] = kernel.operation_count
    benchmark.pedantic(
        work,
        setup=lambda: ((kernel.prepare(),), {}),
        teardown=finish,
        rounds=round_count,
        warmup_rounds=_WARMUP_ROUND_COUNT,
    )

    assert faults == [""] * (1 if benchmark.disabled else len(checked_rounds))
