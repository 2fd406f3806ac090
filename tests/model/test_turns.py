"""Turns: which side has which slot, and when planned operations are due in them."""

import numpy as np
import pytest

from harness.model.turns import Turns
from harness.model.window import Window

WINDOW_NS, GUARD_NS = 1_000, 50
SLOT_NS = WINDOW_NS + GUARD_NS
A, B = (Turns(begins=begins, window_ns=WINDOW_NS, guard_ns=GUARD_NS) for begins in (True, False))


def test_slots_go_abba() -> None:
    """Of eight slots A has 0, 3, 4 and 7, B the others."""
    length_ns = 8 * SLOT_NS

    assert [own for _, own in A.slots(length_ns)] == [
        *(True, False, False, True),
        *(True, False, False, True),
    ]
    assert [own for _, own in B.slots(length_ns)] == [not own for _, own in A.slots(length_ns)]


def test_a_steady_drift_weighs_on_both_alike() -> None:
    """The slots of a round have the same mean time on both sides."""
    a, b = ([start_ns for start_ns, own in side.slots(side.round_ns) if own] for side in (A, B))

    assert sum(a) == sum(b)


def test_operations_fall_into_their_sides_windows() -> None:
    """Every planned time is due in an own slot, before its guard, in the planned order."""
    planned_ns = np.arange(0, 20 * WINDOW_NS, 7, dtype=np.int64)

    for turns in (A, B):
        due_ns = turns.driven_ns(planned_ns)

        assert turns.is_own(due_ns).all()
        assert (due_ns % SLOT_NS < WINDOW_NS).all()
        assert (np.diff(due_ns) >= np.diff(planned_ns)).all()


def test_within_a_window_the_plan_is_kept() -> None:
    """Third window of A, which is its first slot of the second round."""
    planned_ns = np.array([2 * WINDOW_NS, 2 * WINDOW_NS + 999], dtype=np.int64)

    assert A.driven_ns(planned_ns).tolist() == [4 * SLOT_NS, 4 * SLOT_NS + 999]
    assert B.driven_ns(planned_ns).tolist() == [5 * SLOT_NS, 5 * SLOT_NS + 999]


def test_no_instant_is_both_sides() -> None:
    """At every time one side has its turn, and both own half of whole rounds."""
    instants_ns = np.arange(0, 3 * A.round_ns, dtype=np.int64)

    assert (A.is_own(instants_ns) != B.is_own(instants_ns)).all()
    end_ns = np.array([3 * A.round_ns])
    assert A.own_ns_before(end_ns) == B.own_ns_before(end_ns) == 6 * SLOT_NS


@pytest.mark.parametrize("turns", [A, B])
def test_own_time_grows_in_own_slots_only(turns: Turns) -> None:
    """Its derivative is 1 where a slot is its own, else 0."""
    instants_ns = np.arange(0, 2 * turns.round_ns + 1, dtype=np.int64)

    grown = np.diff(turns.own_ns_before(instants_ns))

    assert (grown == turns.is_own(instants_ns[:-1])).all()


def test_a_phase_is_whole_rounds() -> None:
    """Two windows of each side take four slots; half a round would leave the sides unequal."""
    assert A.driven_length_ns(2 * WINDOW_NS) == 4 * SLOT_NS
    with pytest.raises(AssertionError, match="whole rounds"):
        A.driven_length_ns(3 * WINDOW_NS)


def test_a_window_of_turns_counts_offered_seconds() -> None:
    """Rates are per second of load: guards and the other side's turns are not in it."""
    window = Window(start_ns=10, end_ns=10 + 2 * A.round_ns, turns=A)

    assert window.length_s * 1e9 == pytest.approx(4 * WINDOW_NS)
    assert window.own_ns == 4 * SLOT_NS
    assert window.holds(np.array([9, 10, 10 + SLOT_NS, 10 + 3 * SLOT_NS])).tolist() == [
        *(False, True, False, True)
    ]


def test_a_plain_window_is_all_its_own() -> None:
    """Without turns nothing changes."""
    window = Window(start_ns=10, end_ns=110)

    assert window.length_s * 1e9 == pytest.approx(100)
    assert window.own_ns_before(np.array([0, 60, 200])).tolist() == [0, 50, 100]
