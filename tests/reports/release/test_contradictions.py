"""A record whose verdicts its own parts don't bear out is seen for what it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.model.record import RunRecord
from harness.model.verdict import Correctness, Performance, Validity
from reports.release.contradictions import contradictions
from tests.reports.release.made import broken, fit, good_record, with_law


def objective(record: RunRecord, **changes: object) -> RunRecord:
    """*record* with its first objective changed."""
    first, *rest = record.performance.objectives
    changed = (replace(first, **changes), *rest)
    return replace(record, performance=replace(record.performance, objectives=changed))


SPOILT: dict[str, tuple[Callable[[RunRecord], RunRecord], str]] = {
    "validity": (
        lambda record: replace(record, validity=replace(record.validity, status=Validity.INVALID)),
        "validity says INVALID",
    ),
    "correctness": (
        lambda record: replace(
            record, correctness=replace(broken(record).correctness, status=Correctness.PASSED)
        ),
        "correctness says PASSED, its invariants FAILED",
    ),
    "performance": (
        lambda record: replace(
            record, performance=replace(record.performance, status=Performance.FAILED)
        ),
        "performance says FAILED, objectives missed: none",
    ),
    "value": (lambda record: objective(record, value=1.0), "says PASSED (1.0"),
    "limit": (lambda record: objective(record, limit=1.0), "against 1.0"),
    "status": (lambda record: objective(record, status=Performance.INCONCLUSIVE), "INCONCLUSIVE"),
    "an objective less": (
        lambda record: replace(
            record,
            performance=replace(record.performance, objectives=record.performance.objectives[1:]),
        ),
        "is not among those judged",
    ),
    "a scenario without it": (
        lambda record: replace(record, scenario={**record.scenario, "parameters": {}}),
        "is not in its scenario",
    ),
    "no scenario": (
        lambda record: replace(record, scenario={"name": "spot-steady"}),
        "can't be read",
    ),
    "exit code": (lambda record: replace(record, exit_code=1), "the exit code is 1"),
    "figures": (
        lambda record: replace(record, operations=replace(record.operations, failed=900)),
        "operations.failed_share says PASSED",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_is_seen(what: str) -> None:
    """Each part against what it follows from."""
    spoil, said = SPOILT[what]

    assert said in "; ".join(contradictions(spoil(good_record())))


def test_records_as_they_are_written_have_none() -> None:
    """Good, missed, of failed audit, and undecided."""
    for record in (
        good_record(),
        fit(good_record(), at_most="1ns"),
        broken(good_record()),
    ):
        assert contradictions(record) == ()
    unknown = with_law(good_record(), "I1", Correctness.UNKNOWN, "no topic")
    assert contradictions(unknown) == ("the exit code is 0, its verdicts make 3",)
