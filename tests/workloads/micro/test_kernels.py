"""The kernels do what they say, each round alike, and their checks see a wrong result."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.model.quantiles import Distribution
from workloads.account.reference.journal import Journal
from workloads.account.reference.state import State
from workloads.micro.kernel import Kernel, chosen
from workloads.micro.suite import BY_NAME, KERNELS, kernel_digests, suite_digest

NAMES = tuple(BY_NAME)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_results_are_right(kernel: Kernel) -> None:
    """What a kernel returns is right, in the second round too."""
    assert [kernel.prepare().run_checked() for _ in range(2)] == ["", ""]


def spoiled(result: Any) -> Any:
    """Another result, wrong in one place."""
    match result:
        case State():
            account = next(reversed(result.accounts.values()))
            next(iter(account.balances.values()))[0] += 1
            next(iter(account.balances.values()))[1] += 1
            return result
        case Journal():
            result.write([(1, b"one more")], {})
            return result
        case bytes():
            return result[:-1] + bytes([result[-1] ^ 1])
        case Distribution():
            return replace(result, count=result.count + 1)
        case np.ndarray():
            return result[: len(result) // 2]
        case (table, error) if error is None:
            return (replace(table, journal_seq=table.journal_seq + 1), error)
        case list():
            return result[:-1]
    return replace(result, account_id=result.account_id + np.uint64(1))


@pytest.mark.parametrize(
    "kernel",
    [item for item in KERNELS if item.name != "reference.fill"],  # its check reads the state
    ids=lambda kernel: kernel.name,
)
def test_checks_can_fail(kernel: Kernel) -> None:
    """A result that is wrong in one place is found out."""
    fresh = kernel.prepare()
    try:
        assert fresh.fault(spoiled(fresh.work())) != ""
    finally:
        fresh.close()


def test_a_fill_that_was_refused_is_found_out() -> None:
    """Matches that are applied twice are refused, and the kernel's check says so."""
    fresh = BY_NAME["reference.fill"].prepare()
    fresh.work()

    assert "ORDER_TERMINAL" in fresh.fault(fresh.work())


def test_names_say_whose() -> None:
    """A name says whether the harness or the reference does the work."""
    assert {name.partition(".")[0] for name in NAMES} == {"harness", "reference"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", NAMES),
        ("reference.fees", ("reference.fees",)),
        ("http2", ("harness.http2-encode", "harness.http2-parse")),
        ("*.f*s", ("reference.fees",)),
        ("nothing of the kind", ()),
    ],
)
def test_choosing(pattern: str, expected: tuple[str, ...]) -> None:
    """Part of a name chooses, and so does a shell pattern."""
    assert chosen(NAMES, pattern) == expected


def test_digests() -> None:
    """Every kernel has a digest, and the suite's depends on each."""
    digests = kernel_digests()

    assert tuple(digests) == NAMES
    assert suite_digest(digests.values()) != suite_digest(list(digests.values())[:-1])
