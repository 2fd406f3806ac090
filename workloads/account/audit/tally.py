"""
One invariant while it is being checked: how many facts, how many violations, what is missing.

Without facts, or with evidence missing, it is UNKNOWN, never PASSED; with a violation it is FAILED,
whatever is missing. Columns are judged at once: all violations are counted, the first and the worst
are described.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model.record import Invariant
from harness.model.verdict import Correctness
from workloads.account.audit.laws import LAWS

AT_THE_END = 1 << 62  # later than any record of a log


class Tally:
    """Counts for one invariant of `laws`, by its id."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._law = LAWS[identity]
        self.checked_count = 0
        self.violation_count = 0
        self._first = self._worst = ""
        self._first_at = AT_THE_END + 1
        self._worst_rank = (-1, 0)
        self._missing: list[str] = []
        self._notes: list[str] = []

    def violate(self, what: str, *, size: int = 0, at: int = AT_THE_END, count: int = 1) -> None:
        """
        Facts that violate the invariant.

        Args:
            what: The first of them in words.
            size: Minor units, or a count: the largest one is the worst.
            at: Number of the record that shows it: the lowest one is the first.
            count: How many there are.
        """
        self.violation_count += count
        if at < self._first_at:
            self._first, self._first_at = what, at
        if (size, -at) > self._worst_rank:
            self._worst, self._worst_rank = what, (size, -at)

    def violate_all(
        self,
        broken: NDArray[np.bool_],
        describe: Callable[[int], str],
        *,
        size: NDArray[Any] | None = None,
        at: NDArray[np.int64] | None = None,
        checked_count: int = 0,
    ) -> None:
        """
        The *broken* rows of a column of facts.

        Args:
            broken: Which rows violate the invariant.
            describe: A row in words.
            size: As of `violate`, by row.
            at: As of `violate`, by row.
            checked_count: How many facts these are; 0: they are counted elsewhere.
        """
        self.checked_count += checked_count
        rows = np.flatnonzero(broken)
        if not len(rows):
            return
        first = rows[0] if at is None else rows[np.argmin(at[rows])]
        worst = rows[0] if size is None else rows[np.argmax(size[rows])]
        for row in dict.fromkeys((int(first), int(worst))):
            self.violate(
                describe(row),
                size=0 if size is None else int(size[row]),
                at=AT_THE_END if at is None else int(at[row]),
                count=0,
            )
        self.violation_count += len(rows)

    def check(self, is_kept: bool, what: str, *, size: int = 0, at: int = AT_THE_END) -> None:
        self.checked_count += 1
        if not is_kept:
            self.violate(what, size=size, at=at)

    def check_equal(self, actual: int, expected: int, what: str) -> None:
        """Two numbers that must be equal; a violation is as large as their difference."""
        self.check(actual == expected, what, size=abs(actual - expected))

    def lacks(self, reason: str) -> None:
        """Evidence that is missing, if *reason* says any: without a violation this is UNKNOWN."""
        if reason and reason not in self._missing:
            self._missing.append(reason)

    def note(self, text: str) -> None:
        """Add what a reader should know; it changes no verdict."""
        self._notes.append(text)

    def result(self) -> Invariant:
        return Invariant(
            id=self.identity,
            title=self._law.title,
            status=self._status(),
            checked_count=self.checked_count,
            violation_count=self.violation_count,
            first=self._first,
            worst=self._worst,
            sentence=self._sentence(),
            missing=tuple(self._missing),
        )

    def _status(self) -> Correctness:
        if self.violation_count:
            return Correctness.FAILED
        if self._missing or self.checked_count == 0:
            return Correctness.UNKNOWN
        return Correctness.PASSED

    def _sentence(self) -> str:
        notes = "".join(f"; {note}" for note in self._notes)
        missing = "; ".join(self._missing)
        match self._status():
            case Correctness.FAILED:
                counted = f"{self.violation_count:,} of {self.checked_count:,} {self._law.facts}"
                return f"{counted} violate it, first: {self._first}{notes}."
            case Correctness.UNKNOWN:
                reason = missing or f"there were no {self._law.facts}"
                return f"Not decided: {reason} ({self.checked_count:,} checks performed){notes}."
            case Correctness.PASSED:
                return f"{self._law.holds} ({self.checked_count:,} {self._law.facts}){notes}."


def unknown(identity: str, reason: str) -> Invariant:
    """The result of an invariant whose check itself failed: never a pass."""
    return Invariant(
        id=identity,
        title=LAWS[identity].title,
        status=Correctness.UNKNOWN,
        checked_count=0,
        violation_count=0,
        first="",
        worst="",
        sentence=f"Not decided: {reason}.",
        missing=(reason,),
    )
