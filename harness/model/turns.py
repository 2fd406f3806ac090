"""
Taking turns: one side's share of a load that goes to two targets in alternation.

Two targets stand side by side and each gets the same operations; what alternates is whose turn it
is, in slots of one window of load and a short silent guard after it, in the order A B B A. A drift
of the machine that is steady over the four slots of a round then weighs on both sides alike (the
ABBA block of experimental design; Box, Hunter and Hunter, Statistics for Experimenters, chapter 4).

The plan knows nothing of it: as with a stretched load, only the times at which its operations are
due are mapped, so that the schedule's digest is that of the unpaired scenario. Within a window
nothing changes; between two windows the plan stands still.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUND_SLOT_COUNT = 4  # A B B A
WINDOWS_A_ROUND_COUNT = 2  # of each side
_OUTER_SLOTS, _INNER_SLOTS = (0, 3), (1, 2)  # of each round


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """
    Which slots are one side's.

    Attributes:
        begins: Whether it has the first turn: slots 0 and 3 of each round, else 1 and 2.
        window_ns: Planned time that passes in one slot.
        guard_ns: Silence after it, in which what was sent is answered.
    """

    begins: bool
    window_ns: int
    guard_ns: int

    def __post_init__(self) -> None:
        assert self.window_ns > 0
        assert self.guard_ns > 0

    @property
    def slot_ns(self) -> int:
        return self.window_ns + self.guard_ns

    @property
    def round_ns(self) -> int:
        return _ROUND_SLOT_COUNT * self.slot_ns

    @property
    def _own_slots(self) -> tuple[int, int]:
        return _OUTER_SLOTS if self.begins else _INNER_SLOTS

    def driven_ns(self, planned_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """When what is planned at *planned_ns* is due, both from the beginning of the load."""
        window, within_ns = np.divmod(planned_ns, self.window_ns)
        round_, turn = np.divmod(window, WINDOWS_A_ROUND_COUNT)
        slot = _ROUND_SLOT_COUNT * round_ + np.array(self._own_slots)[turn]
        found: NDArray[np.int64] = slot * self.slot_ns + within_ns
        return found

    def driven_length_ns(self, planned_ns: int) -> int:
        """How long both sides' slots take together for a phase of *planned_ns*, whole rounds."""
        round_planned_ns = WINDOWS_A_ROUND_COUNT * self.window_ns
        assert planned_ns % round_planned_ns == 0, "a phase is whole rounds"
        return planned_ns // round_planned_ns * self.round_ns

    def own_ns_before(self, offset_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How much of the time from the beginning up to *offset_ns* lies in slots of its own."""
        round_, within_ns = np.divmod(offset_ns, self.round_ns)
        own_ns = round_ * (WINDOWS_A_ROUND_COUNT * self.slot_ns)
        for slot in self._own_slots:
            own_ns += np.clip(within_ns - slot * self.slot_ns, 0, self.slot_ns)
        found: NDArray[np.int64] = own_ns
        return found

    def is_own(self, offset_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of *offset_ns* lie in slots of its own."""
        slot = offset_ns % self.round_ns // self.slot_ns
        own: NDArray[np.bool_] = np.isin(slot, self._own_slots)
        return own

    def slots(self, length_ns: int) -> list[tuple[int, bool]]:
        """The start of every slot in *length_ns*, whole rounds, and whether it is its own."""
        starts_ns = np.arange(0, length_ns, self.slot_ns)
        return list(zip(starts_ns.tolist(), self.is_own(starts_ns).tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFacts:
    """
    One pair that was run, or one run of the candidate alone.

    Attributes:
        first: The side that had the first turn; empty where there was one side.
        spoilt: Why its figures can't be used, in sentences; none: they can.
    """

    number: int
    first: str
    spoilt: tuple[str, ...]
    length_s: float
