"""
What an account holds, and what a page of its history says, as one number of 64 bits each.

So that what a reply told fits a column, and millions of replies can be held to the ledger. The sum
of amount x weight, with an odd weight for each asset and bucket, modulo 2^64: it is linear, so the
number of a state is the number of the state before plus that of what changed, and a single wrong
amount always changes it. An entry's number is mixed once more, as its parts belong together; a
page's is the sum of its entries'. Weights come from splitmix64 (Steele, Lea and Flood, 2014).

Each function takes plain numbers or arrays of uint64, which wrap around by themselves; the two
forms agree.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np

from workloads.account.wire.column_types import Column, Words

_MASK = (1 << 64) - 1
_BUCKET_BITS = 2
_SEQ, _JOURNAL, _KIND, _ORDER = (
    0x9E3779B97F4A7C15,
    0xD1B54A32D192ED03,
    0x8CB92BA72F3D8DD7,
    0xAEF17502108EF2D9,
)


class Holding(NamedTuple):
    """An amount of one asset in one bucket."""

    asset_id: int
    bucket: int
    amount_minor: int


class LedgerLine(NamedTuple):
    """A posting of an entry."""

    asset_id: int
    bucket: int
    delta_minor: int
    order_id: int


class HistoryEntry(NamedTuple):
    """An entry of an account's history."""

    account_seq: int
    journal_seq: int
    kind: int
    lines: tuple[LedgerLine, ...]


def print_of_state(holdings: Iterable[Holding]) -> int:
    """The number of all that an account holds; amounts of 0 add nothing."""
    total = sum(
        amount_minor * _weight(asset_id, bucket) for asset_id, bucket, amount_minor in holdings
    )
    return total & _MASK


def print_of_page(entries: Iterable[HistoryEntry]) -> int:
    """The number of some entries."""
    return sum(map(_print_of_entry, entries)) & _MASK


def state_changes(asset_id: Column, bucket: Column, delta_minor: Column) -> Words:
    """What each movement adds to the number of its account's state."""
    return _words(delta_minor) * _weights(asset_id, bucket)


def lines(asset_id: Column, bucket: Column, delta_minor: Column, order_id: Words) -> Words:
    """What each posting adds to its entry, before that is mixed."""
    place = _places(asset_id, bucket)
    return _mixed(_mixed(place) + _words(delta_minor) + order_id * np.uint64(_ORDER))


def entries(account_seq: Column, journal_seq: Column, kind: Column, line_sum: Words) -> Words:
    """The number of each entry."""
    head = (
        _words(account_seq) * np.uint64(_SEQ)
        + _words(journal_seq) * np.uint64(_JOURNAL)
        + _words(kind) * np.uint64(_KIND)
    )
    return _mixed(head + line_sum)


def signed(number: int) -> int:
    """The same 64 bits as a column of int64 holds them."""
    return number - (1 << 64) if number >> 63 else number


def _print_of_entry(entry: HistoryEntry) -> int:
    account_seq, journal_seq, kind, postings = entry
    line_sum = sum(
        _mix(_mix(asset_id << _BUCKET_BITS | bucket) + delta_minor + order_id * _ORDER)
        for asset_id, bucket, delta_minor, order_id in postings
    )
    return _mix(account_seq * _SEQ + journal_seq * _JOURNAL + kind * _KIND + line_sum)


@cache
def _weight(asset_id: int, bucket: int) -> int:
    return _mix(asset_id << _BUCKET_BITS | bucket) | 1


def _weights(asset_id: Column, bucket: Column) -> Words:
    return _mixed(_places(asset_id, bucket)) | np.uint64(1)


def _places(asset_id: Column, bucket: Column) -> Words:
    return _words(asset_id) << np.uint64(_BUCKET_BITS) | _words(bucket)


def _words(numbers: Column) -> Words:
    """Modulo 2^64, also of Python's own integers."""
    if numbers.dtype == object:
        return (numbers & _MASK).astype(np.uint64)
    return numbers.astype(np.uint64)


def _mix(number: int) -> int:
    """splitmix64's finaliser."""
    number = (number + _SEQ) & _MASK
    number = ((number ^ number >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ number >> 27) * 0x94D049BB133111EB) & _MASK
    return number ^ number >> 31


def _mixed(numbers: Words) -> Words:
    numbers = numbers + np.uint64(_SEQ)
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)
