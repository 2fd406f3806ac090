"""Sums by group are what a dictionary would make of them, and exact."""

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.account.audit.grouped import Groups, Numbering, exact, exact_together

ROWS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 4), st.integers(0, 2**62)), st.integers(-(2**40), 2**40)
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=ROWS)
def test_groups_sum_in_the_rows_own_order(rows: list[tuple[int, int]]) -> None:
    """Running sums, totals and last rows, by key."""
    keys = np.array([key for key, _ in rows], np.int64)
    values = np.array([value for _, value in rows], np.int64)
    groups = Groups(keys)
    total: dict[int, int] = defaultdict(int)
    last, running = {}, []
    for place, (key, value) in enumerate(rows):
        total[key] += value
        last[key] = place
        running.append(total[key])

    assert groups.running(values).tolist() == running
    assert dict(zip(groups.key.tolist(), groups.sums(values).tolist(), strict=True)) == total
    assert dict(zip(groups.key.tolist(), groups.last.tolist(), strict=True)) == last


def test_sums_that_could_pass_63_bits_are_exact() -> None:
    """Three amounts of 2^62 sum to what they sum to."""
    amounts = exact(np.array([2**62, 2**62, 2**62]))

    assert Groups(np.zeros(3, np.int64)).sums(amounts).tolist() == [3 * 2**62]
    assert exact(np.array([1, 2])).dtype == np.int64
    assert exact_together(np.array([2**64], object), np.array([1])).tolist() == [2**64, 1]
    assert exact_together(np.array([5], object), np.array([1])).dtype == np.int64


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    batches=st.lists(
        st.lists(
            st.one_of(
                st.integers(0, 9), st.integers(0, 2**23), st.integers(2**63 - 5, 2**64 - 1)
            ),
            max_size=8,
        ),
        max_size=6,
    )
)  # fmt: skip
def test_a_number_is_for_good(batches: list[list[int]]) -> None:
    """Small ids and huge ones: one number each, whenever they come again."""
    numbering = Numbering(np.zeros(0, np.uint64))
    given_before: dict[int, int] = {}
    for batch in batches:
        ids = np.array(batch, np.uint64)
        before = [given_before.get(identity, -1) for identity in batch]
        assert numbering.known(ids).tolist() == before
        numbers = numbering.of(ids).tolist()
        for identity, number in zip(batch, numbers, strict=True):
            assert given_before.setdefault(identity, number) == number

    assert sorted(given_before.values()) == list(range(len(numbering)))
    assert all(int(numbering.ids[number]) == identity for identity, number in given_before.items())
