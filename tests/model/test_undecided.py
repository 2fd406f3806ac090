"""Which invariants keep an exit code from 0 because nobody could check them."""

from harness.model.record import Invariant, undecided
from harness.model.verdict import Correctness


def law(identity: str, status: Correctness, *missing: str) -> Invariant:
    """An invariant of a record."""
    return Invariant(
        id=identity,
        title=identity,
        status=status,
        checked_count=0,
        violation_count=0,
        first="",
        worst="",
        sentence="",
        missing=missing,
    )


FOUND = (
    law("I1", Correctness.PASSED),
    law("I5", Correctness.UNKNOWN, "no lists"),
    law("I7", Correctness.FAILED, "half of it"),
    law("I19", Correctness.UNKNOWN),
)


def test_all_is_what_lacks_evidence() -> None:
    """Not what passed, not what failed (it has its own code), not what had nothing to judge."""
    assert undecided(FOUND, None) == ("I5",)


def test_named_ones_must_be_decided() -> None:
    """For whatever reason they are not; one that no system knows is not decided either."""
    assert undecided(FOUND, ("I1", "I7", "I19", "I99")) == ("I19", "I99")
    assert undecided(FOUND, ()) == ()


def test_no_invariants_are_no_pass() -> None:
    """A run that nobody audited has decided nothing."""
    assert undecided((), None) == ("any",)
