"""The exit code: one table, one place."""

from itertools import product

import pytest

from harness.model.verdict import (
    Correctness,
    ExitCode,
    Performance,
    Validity,
    badness,
    exit_code,
    worst,
    worst_exit_code,
)


@pytest.mark.parametrize(
    ("validity", "correctness", "performance", "is_required_unknown", "code"),
    [
        ("VALID", "PASSED", "PASSED", False, 0),
        ("WARN", "UNKNOWN", "IMPROVED", False, 0),
        ("VALID", "PASSED", "UNCHANGED", False, 0),
        ("VALID", "PASSED", "FAILED", False, 1),
        ("VALID", "PASSED", "REGRESSED", False, 1),
        ("VALID", "PASSED", "INCONCLUSIVE", False, 3),
        ("VALID", "UNKNOWN", "PASSED", True, 3),
        ("VALID", "UNKNOWN", "FAILED", True, 1),
        ("INVALID", "PASSED", "FAILED", False, 4),
        ("INVALID", "UNKNOWN", "PASSED", True, 4),
        ("INVALID", "FAILED", "FAILED", True, 5),
        ("VALID", "FAILED", "PASSED", False, 5),
    ],
)
def test_exit_code_of_a_run(
    validity: str, correctness: str, performance: str, *, is_required_unknown: bool, code: int
) -> None:
    """The worst verdict is the code; a lost cent outranks an unfit generator."""
    verdicts = Validity(validity), Correctness(correctness), Performance(performance)

    assert exit_code(*verdicts, is_required_unknown=is_required_unknown) == code


def test_zero_needs_every_verdict_to_be_good() -> None:
    """No combination with a bad or an open verdict ends with 0."""
    good = [
        verdicts
        for verdicts in product(Validity, Correctness, Performance)
        if exit_code(*verdicts, is_required_unknown=False) is ExitCode.OK
    ]

    assert len(good) == 2 * 2 * 3
    assert not {Validity.INVALID, Correctness.FAILED, Performance.FAILED} & {
        item for verdicts in good for item in verdicts
    }


def test_precedence() -> None:
    """Where several apply the first of 2, 6, 5, 4, 1, 3, 0 wins; none at all is no pass."""
    order = [ExitCode(code) for code in (2, 6, 5, 4, 1, 3, 0)]

    assert [worst_exit_code(order[start:]) for start in range(7)] == order
    assert worst_exit_code([]) is ExitCode.INVALID


def test_the_worst_of_some_statuses() -> None:
    """Each class lists its better words first; without any status there is a word for that."""
    assert worst([Validity.WARN, Validity.INVALID, Validity.VALID], Validity.VALID) == "INVALID"
    assert worst([Correctness.UNKNOWN, Correctness.PASSED], Correctness.PASSED) == "UNKNOWN"
    assert worst([Performance.PASSED, Performance.REGRESSED], Performance.PASSED) == "REGRESSED"
    assert worst([], Correctness.UNKNOWN) == "UNKNOWN"
    assert [badness(item) for item in Validity] == [0, 1, 2]
