"""Counts against a baseline: what is red, what is green, and what can't be compared at all."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.model.record import PLAIN, Better, KernelSamples, RunRecord
from harness.model.verdict import Performance, Validity
from workloads.micro import micro_run
from workloads.micro.against import judge_counts, judge_validity
from workloads.micro.timing import Timing

BUILD: dict[str, Any] = {
    "python": "3.11.7",
    "machine": "x86_64",
    "features": ["avx2"],
    "valgrind": "valgrind-3.19.0",
    "modules": ["libpython.so 11", "libc.so.6 22"],
}
REQUEST = micro_run.MicroRequest(
    pattern="",
    timing=Timing(process_count=1, round_count=1),
    counts=True,
    against=None,
    runs_folder=Path(),
    command="acctbench micro --instructions",
)


def kernel(name: str, count: int, **changes: Any) -> KernelSamples:
    """A counted kernel of 1,024 operations."""
    made = KernelSamples(
        name=name,
        title=name,
        unit="instructions",
        better=Better.LESS,
        digest="d",
        operation_count=1024,
        processes=((count / 1024,),),
    )
    return replace(made, **changes)


def baseline(*kernels: KernelSamples, build: Any = BUILD, **changes: Any) -> RunRecord:
    """A stored run of counts."""
    made = micro_run._record(
        REQUEST,
        "before",
        datetime(2026, 1, 1, tzinfo=UTC),
        {"load_average": 0.0, "cores_given": (0,)},
        micro_run._Measured(kernels=kernels, build=build),
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1_000_000, Performance.UNCHANGED),
        (1_009_999, Performance.UNCHANGED),
        (1_010_001, Performance.REGRESSED),
        (990_100, Performance.UNCHANGED),
        (990_000, Performance.IMPROVED),
    ],
)
def test_margin(count: int, expected: Performance) -> None:
    """A count may grow by the margin; the same way down it is an improvement."""
    section = judge_counts(
        baseline(kernel("a", 1_000_000)), [kernel("a", count)], margin_ratio=0.01
    )

    assert section.status is expected
    assert section.objectives[0].value == pytest.approx(count / 1_000_000)
    assert f"{count:,}" in section.objectives[0].sentence


def test_one_that_grew_is_not_hidden_by_one_that_shrank() -> None:
    """The worst kernel is the verdict."""
    before = baseline(kernel("a", 1_000), kernel("b", 1_000))
    section = judge_counts(before, [kernel("a", 500), kernel("b", 1_500)], margin_ratio=0.01)

    assert section.status is Performance.REGRESSED


def test_a_new_kernel_is_not_judged() -> None:
    """Without a count before there is no ratio, and nothing judged is not a pass."""
    section = judge_counts(baseline(kernel("a", 1_000)), [kernel("b", 1)], margin_ratio=0.01)

    assert section.objectives == ()
    assert section.status is Performance.INCONCLUSIVE


def test_equal_sides_are_valid() -> None:
    """One build, the same work, all kernels there."""
    before = baseline(kernel("a", 1_000))

    assert judge_validity(before, [kernel("a", 2_000)], BUILD, []).status is Validity.VALID


@pytest.mark.parametrize(
    ("before", "now", "build", "missing", "said"),
    [
        (baseline(kernel("a", 1), instrumentation=PLAIN), kernel("a", 1), BUILD, [], "no instruc"),
        (baseline(kernel("a", 1), complete=False), kernel("a", 1), BUILD, [], "no instruction"),
        (baseline(kernel("a", 1)), kernel("a", 1), BUILD | {"python": "3.12"}, [], "3.12"),
        (baseline(kernel("a", 1)), kernel("a", 1), BUILD | {"modules": ["x 1"]}, [], "libpython"),
        (baseline(kernel("a", 1)), kernel("a", 1), {}, [], "not known"),
        (baseline(kernel("a", 1), build=None), kernel("a", 1), BUILD, [], "does not say"),
        (baseline(kernel("a", 1, digest="e")), kernel("a", 1), BUILD, [], "definition changed: a"),
        (baseline(kernel("a", 1)), kernel("a", 1), BUILD, ["gone"], "gone"),
        (baseline(kernel("b", 1)), kernel("a", 1), BUILD, [], "none of them"),
        (baseline(), kernel("a", 1), BUILD, [], "none of them"),
    ],
)
def test_what_can_not_be_compared(
    before: RunRecord, now: KernelSamples, build: Any, missing: list[str], said: str
) -> None:
    """Each makes the comparison INVALID, and the check says which."""
    section = judge_validity(before, [now], build, missing)

    assert section.status is Validity.INVALID
    assert said in " ".join(
        check.sentence for check in section.checks if check.status is Validity.INVALID
    )
