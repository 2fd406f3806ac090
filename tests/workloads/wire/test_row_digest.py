"""The two forms of each number agree, and a single difference always shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workloads.account.wire import row_digest as fingerprint
from workloads.account.wire.row_digest import HistoryEntry, Holding, LedgerLine

assets, buckets = st.integers(1, 2**32 - 1), st.integers(0, 3)
amounts, ids = st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1)
holdings = st.lists(st.builds(Holding, assets, buckets, amounts), max_size=6)
postings = st.lists(st.builds(LedgerLine, assets, buckets, amounts, ids), max_size=5).map(tuple)


@given(held=holdings)
def test_a_state_is_the_sum_of_its_changes(held: list[Holding]) -> None:
    """From nothing, by movements as the ledger has them, in arrays of either kind."""
    columns = [np.array(values, np.int64) for values in zip(*held, strict=True)] or [
        np.zeros(0, np.int64)
    ] * 3
    changes = fingerprint.state_changes(*columns)
    unbounded = fingerprint.state_changes(columns[0], columns[1], columns[2].astype(object))
    expected = fingerprint.print_of_state(held)

    assert int(changes.sum(dtype=np.uint64)) == expected
    assert int(unbounded.sum(dtype=np.uint64)) == expected


@given(seq=st.integers(1, 2**40), journal_seq=st.integers(1, 2**62), lines=postings)
def test_an_entry_is_the_same_in_both_forms(
    seq: int, journal_seq: int, lines: tuple[LedgerLine, ...]
) -> None:
    """As a page told it, and as the ledger's columns make it."""
    entry = HistoryEntry(account_seq=seq, journal_seq=journal_seq, kind=4, lines=lines)
    asset_id, bucket, delta_minor = (
        np.array([line[place] for line in lines], np.int64) for place in range(3)
    )
    order_id = np.array([line.order_id for line in lines], np.uint64)
    line_sum = fingerprint.lines(asset_id, bucket, delta_minor, order_id).sum(dtype=np.uint64)
    [found] = fingerprint.entries(
        np.array([seq]), np.array([journal_seq]), np.array([4]), np.array([line_sum])
    )

    assert int(found) == fingerprint.print_of_page([entry])
    assert np.array([fingerprint.signed(int(found))]).view(np.uint64)[0] == found


@given(
    held=holdings.filter(bool),
    place=st.integers(0, 5),
    off=st.integers(-(2**62), 2**62).filter(bool),
)
def test_a_wrong_amount_is_another_number(held: list[Holding], place: int, off: int) -> None:
    """An odd weight times anything but 0 is not 0."""
    wrong = list(held)
    item = wrong[place % len(wrong)]
    wrong[place % len(wrong)] = item._replace(amount_minor=item.amount_minor + off)

    assert fingerprint.print_of_state(wrong) != fingerprint.print_of_state(held)
