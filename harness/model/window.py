"""The measured phase, the stamps of a run's operations, and what lies between two of these."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """
    The measured phase, [start_ns, end_ns); of it the slots of one side, where two take *turns*.

    It begins with a round. What is sent in a window is answered in the guard after it, so a slot is
    both; but operations are offered in the window only, and rates are per second of that.
    """

    start_ns: int
    end_ns: int
    turns: Turns | None = None

    @property
    def length_s(self) -> float:
        """Seconds in which operations are offered."""
        turns, own_ns = self.turns, self.own_ns
        return own_ns / 1e9 if turns is None else own_ns * turns.window_ns / turns.slot_ns / 1e9

    @property
    def own_ns(self) -> int:
        """The time that `holds` accepts."""
        return int(self.own_ns_before(np.array([self.end_ns]))[0])

    def holds(self, stamps_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of *stamps_ns* lie inside."""
        inside: NDArray[np.bool_] = (stamps_ns >= self.start_ns) & (stamps_ns < self.end_ns)
        if self.turns is not None:
            inside &= self.turns.is_own(stamps_ns - self.start_ns)
        return inside

    def own_ns_before(self, stamps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How much of what `holds` accepts has passed at each of *stamps_ns*."""
        length_ns = self.end_ns - self.start_ns
        passed_ns = np.clip(stamps_ns - self.start_ns, 0, length_ns)
        return passed_ns if self.turns is None else self.turns.own_ns_before(passed_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """The stamps of all operations, nanoseconds, 0 = did not happen; arrays of one length."""

    intended_ns: NDArray[np.int64]
    eligible_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    visible_ns: NDArray[np.int64]
    outcome: NDArray[np.uint8]

    def ordered_lateness_ns(self, window: Window) -> NDArray[np.int64]:
        """Of the operations that were sent."""
        return ordered_lateness_ns(self.eligible_ns, self.sent_ns, self.sent_ns > 0, window)


def ordered_lateness_ns(
    eligible_ns: NDArray[np.int64],
    sent_ns: NDArray[np.int64],
    was_sent: NDArray[np.bool_],
    window: Window,
) -> NDArray[np.int64]:
    """What the generator added: sent - eligible, of operations eligible in the window, sorted."""
    return ordered_between_ns(eligible_ns, sent_ns, was_sent & window.holds(eligible_ns))


def ordered_between_ns(
    start_ns: NDArray[np.int64], end_ns: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """From one stamp to another, of the *chosen*, sorted; of millions, in two arrays, not four."""
    found: NDArray[np.int64] = end_ns[chosen]
    found -= start_ns[chosen]
    found.sort()
    return found
