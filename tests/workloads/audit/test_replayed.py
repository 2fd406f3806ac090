"""I20: equal digests pass, others fail, and what could not be compared is never a pass."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.journal_replay import Replay
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import run
from workloads.account.audit.replayed import check_replay
from workloads.account.audit.target_state import TargetState
from workloads.account.system import SYSTEM

DIGEST, OTHER = "ab" * 32, "cd" * 32


@pytest.mark.parametrize(
    ("replay", "closing", "status", "words"),
    [
        (Replay(digest=DIGEST), TargetState(digest=DIGEST), Correctness.PASSED, "(1 replays)"),
        (Replay(digest=DIGEST), TargetState(digest=DIGEST.upper()), Correctness.PASSED, ""),
        (Replay(digest=OTHER), TargetState(digest=DIGEST), Correctness.FAILED, f"digest {OTHER}"),
        (Replay(digest=DIGEST), TargetState(), Correctness.UNKNOWN, "has no digest"),
        (Replay(failure="it hung"), TargetState(digest=DIGEST), Correctness.UNKNOWN, "it hung"),
        (None, TargetState(digest=DIGEST), Correctness.UNKNOWN, "has no [replay] command"),
        (
            Replay(digest=OTHER),
            TargetState(digest=DIGEST, unrest="it was still at it"),
            Correctness.UNKNOWN,
            "still at it",
        ),
    ],
)
def test_a_replay_is_held_to_the_state(
    replay: Replay | None, closing: TargetState, status: Correctness, words: str
) -> None:
    """The verdict, and why."""
    found = check_replay(closing, replay).result()

    assert found.status is status
    assert words in found.sentence
    assert bool(found.missing) == (status is Correctness.UNKNOWN)


@pytest.mark.parametrize(
    ("replay", "required", "is_shown"),
    [
        (None, None, False),
        (None, ("I1",), False),
        (None, ("I20",), True),
        (Replay(digest=DIGEST), None, True),
    ],
)
def test_shown_where_it_was_asked_for(
    replay: Replay | None,
    required: tuple[str, ...] | None,
    is_shown: bool,
    scenario: Scenario,
    tmp_path: Path,
) -> None:
    """By the target file, or by a scenario that requires it."""
    ran = run(replace(scenario, required_invariants=required))
    found = {
        item.id for item in SYSTEM.auditor.audit(replace(ran.evidence(tmp_path), replay=replay))
    }

    assert ("I20" in found) == is_shown
