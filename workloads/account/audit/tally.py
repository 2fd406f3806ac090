"""
One invariant while it is being checked: how many facts, how many violations, what is missing.

No facts, or a part that could not be checked, is UNKNOWN, never PASSED; a violation is FAILED,
whatever else is missing.
"""

from harness.model.record import Invariant
from harness.model.verdict import Correctness


class Tally:
    """Counts for one invariant; *law* is what holds when it passes, as a clause."""

    def __init__(self, identity: str, title: str, *, facts: str, law: str) -> None:
        self.identity = identity
        self._title, self._facts, self._law = title, facts, law
        self.checked_count = 0
        self.violation_count = 0
        self._first = self._worst = ""
        self._worst_size = -1
        self._missing: list[str] = []
        self._notes: list[str] = []

    def violate(self, what: str, *, size: int = 0) -> None:
        """A fact that breaks the law; *size* (minor units, or a count) tells the worst."""
        self.violation_count += 1
        self._first = self._first or what
        if size > self._worst_size:
            self._worst, self._worst_size = what, size

    def check(self, is_kept: bool, what: str, *, size: int = 0) -> None:
        """One fact."""
        self.checked_count += 1
        if not is_kept:
            self.violate(what, size=size)

    def lacks(self, reason: str) -> None:
        """A part of the evidence is not there: without a violation this is UNKNOWN."""
        if reason not in self._missing:
            self._missing.append(reason)

    def note(self, text: str) -> None:
        """What a reader should know besides; changes no verdict."""
        self._notes.append(text)

    def result(self) -> Invariant:
        """The invariant as a record holds it."""
        return Invariant(
            id=self.identity,
            title=self._title,
            status=self._status(),
            checked_count=self.checked_count,
            violation_count=self.violation_count,
            first=self._first,
            worst=self._worst,
            sentence=self._sentence(),
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
                counted = f"{self.violation_count:,} of {self.checked_count:,} {self._facts}"
                return f"{counted} break it, first: {self._first}{notes}."
            case Correctness.UNKNOWN:
                reason = missing or f"there were no {self._facts}"
                return f"Not decided: {reason} ({self.checked_count:,} facts held){notes}."
            case Correctness.PASSED:
                return f"{self._law} ({self.checked_count:,} {self._facts}){notes}."


def unknown(identity: str, title: str, reason: str) -> Invariant:
    """An invariant whose check itself failed: its text is kept, it is never a pass."""
    return Invariant(
        id=identity,
        title=title,
        status=Correctness.UNKNOWN,
        checked_count=0,
        violation_count=0,
        first="",
        worst="",
        sentence=f"Not decided: {reason}.",
    )
