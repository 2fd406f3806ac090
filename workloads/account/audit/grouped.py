"""
Sums, counts and last values by group: what invariants over columns are made of.

A table is put in order of a key once; rows of one key then stand together, in their own order, and
what happened before a row in its group is a running sum. Amounts are exact: where a sum could pass
63 bits the columns hold Python's own integers instead.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.account.wire.column_types import Column

EXACT_MAX = 2.0**62  # sums below it are exact in int64, with room for the floats' own error
_DIRECT_ID_MAX = 1 << 22  # ids below it are looked up in a table of their own: 16 MB at most
_UNKNOWN = -1


class Groups:
    """
    Rows by key, stably: the order that puts them together, and where each group begins.

    Attributes:
        order: Index of the rows, group by group.
        first: Where in *order* each group begins.
        end: Behind the place where it ends.
        key: Of each group, ascending.
        number: Of the group that each place of *order* belongs to.
    """

    def __init__(self, key: Column) -> None:
        """*key* is not negative."""
        self.order = stable_order(key)
        ordered = key[self.order]
        is_first = np.ones(len(key), np.bool_)
        is_first[1:] = ordered[1:] != ordered[:-1]
        self.first = np.flatnonzero(is_first)
        self.end = np.append(self.first, len(key))[1:]
        self.key = ordered[self.first]
        self.number = np.cumsum(is_first) - 1

    def __len__(self) -> int:
        return len(self.first)

    def sums(self, values: Column) -> Column:
        if not len(values):
            return values
        summed: Column = np.add.reduceat(values[self.order], self.first)
        return summed

    def running(self, values: Column) -> Column:
        """Sum within the group up to and with each row, in the rows' own order."""
        return self.back(within(values[self.order], self.first, self.number))

    def back(self, ordered: NDArray[Any]) -> NDArray[Any]:
        """What is in order of the groups, in the rows' own order."""
        found = np.empty_like(ordered)
        found[self.order] = ordered
        return found

    @property
    def last(self) -> Column:
        """Row that each group ends with."""
        rows: Column = self.order[self.end - 1]
        return rows


def within(ordered: NDArray[Any], first: Column, number: Column) -> Column:
    """Running sums that begin anew at each *first*; *number* says which one a place follows."""
    total = np.cumsum(ordered)  # of a mask: a count
    before = total[first] - ordered[first]
    running: Column = total - before[number]
    return running


def stable_order(key: Column) -> Column:
    """The order that sorts *key*, equal ones as they come; for keys that are not negative."""
    count_bits = len(key).bit_length()
    if len(key) and int(key.max()) >> (63 - count_bits) == 0:
        # Key and place in one number: sorting plain numbers is several times faster.
        packed = np.sort(key << count_bits | np.arange(len(key)))
        order: Column = packed & ((1 << count_bits) - 1)
        return order
    return np.argsort(key, kind="stable")


def exact(amounts: Column, *others: float) -> Column:
    """*amounts*, as integers without bound if they and *others* together might pass 63 bits."""
    if magnitude(amounts) + sum(others) < EXACT_MAX:
        return amounts.astype(np.int64, copy=False)
    return amounts.astype(object, copy=False)


def exact_together(*columns: Column) -> Column:
    """The *columns* one behind the other, such that sums of any of them are exact."""
    return exact(np.concatenate(columns))


def magnitude(amounts: Column) -> float:
    """An upper bound of the absolute sum of any of *amounts*."""
    return float(np.abs(amounts.astype(np.float64)).sum())


class Numbering:
    """Gives each distinct id a number, for good: 0, 1, 2, ..."""

    def __init__(self, ids: NDArray[Any]) -> None:
        """The first numbers are those of *ids*, which are ascending; their type is that of all."""
        self.ids = ids[:0]  # by number
        self._direct: Column = np.full(0, _UNKNOWN)
        self._sorted = ids[:0]
        self._number_of_sorted: Column = np.zeros(0, np.int64)
        self._add(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, ids: NDArray[Any]) -> Column:
        """The numbers of *ids*; those not seen before get the next ones."""
        numbers = self.known(ids)
        is_new = numbers == _UNKNOWN
        if is_new.any():
            self._add(np.unique(ids[is_new]))
            numbers = self.known(ids)
        return numbers

    def known(self, ids: NDArray[Any]) -> Column:
        """The numbers of *ids*, -1 for those not seen before."""
        if not len(ids) or not len(self.ids):
            return np.full(len(ids), _UNKNOWN)
        if int(ids.min()) >= 0 and int(ids.max()) < len(self._direct):
            numbers: Column = self._direct[ids]
            return numbers
        place = np.searchsorted(self._sorted, ids)
        place[place == len(self._sorted)] = 0
        return np.where(self._sorted[place] == ids, self._number_of_sorted[place], _UNKNOWN)

    def _add(self, fresh: NDArray[Any]) -> None:
        if not len(fresh):
            return
        numbers = np.arange(len(self.ids), len(self.ids) + len(fresh))
        place = np.searchsorted(self._sorted, fresh)
        self._sorted = np.insert(self._sorted, place, fresh)
        self._number_of_sorted = np.insert(self._number_of_sorted, place, numbers)
        self.ids = np.concatenate([self.ids, fresh])
        highest = int(self._sorted[-1])
        if len(self._direct) <= highest < _DIRECT_ID_MAX:
            self._direct = np.full(1 << highest.bit_length(), _UNKNOWN)
            numbers, fresh = self._number_of_sorted, self._sorted
        is_low = (fresh >= 0) & (fresh < len(self._direct))
        self._direct[fresh[is_low]] = numbers[is_low]
