"""
The rows of a plan while a walk makes them: columns that grow, and what they are made from.

References are row numbers. Rows that follow from a slot stand behind all slots, whatever their time
(see table.py, which puts them in order).
"""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.pool import NONE

LEFT_OUT = 255  # kind of a slot in which no account may send (see senders.py)
_REFERENCES = (
    *("order", "peer_order", "needs_a", "needs_b", "after", "original", "pending", "write"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """
    What is known of each slot before the walk; arrays of equal length.

    The walk may change an account (one that may send), and the terms of an ioc order (such that it
    meets another).
    """

    offset_ns: NDArray[np.int64]
    chance: NDArray[np.float64]  # chooses by the mix
    life_ns: NDArray[np.int64]  # of the order, if one is reserved
    account: NDArray[np.uint32]
    instrument: NDArray[np.uint16]
    side: NDArray[np.uint8]
    qty_lots: NDArray[np.int32]
    limit_ticks: NDArray[np.int32]  # used if amendments reprice
    is_refused: NDArray[np.bool_]  # a reserve that is meant to be rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """
    What became of each slot, and behind the slots: rows that follow from some of them.

    Attributes:
        offset_ns: When; of the following rows too.
        order: The reserve that a release, amend, fill (its taker) or order event belongs to.
        peer_order: The maker's reserve of a fill.
        needs_a, needs_b, after: See harness.system.ShardPlan; needs_b of a fill set its price.
        original: The write that a duplicate repeats.
        pending: The first phase that a post or void settles.
        write: The write that a read must see.
        fill_lots: Quantity of a fill.
        ticks: Limits and prices if amendments reprice; else empty, and they are drawn.
        is_ioc: Reserves that are matched at once.
        slot_count: How many of the rows are slots.
    """

    kind: NDArray[np.uint8]
    offset_ns: NDArray[np.int64]
    order: NDArray[np.int32]
    peer_order: NDArray[np.int32]
    needs_a: NDArray[np.int32]
    needs_b: NDArray[np.int32]
    after: NDArray[np.int32]
    original: NDArray[np.int32]
    pending: NDArray[np.int32]
    write: NDArray[np.int32]
    fill_lots: NDArray[np.int32]
    ticks: NDArray[np.int32]
    is_ioc: NDArray[np.bool_]
    slot_count: int


class Rows:
    """The columns of Walked, written cell by cell; they begin with a row a slot."""

    def __init__(self, slots: Slots, *, has_ticks: bool) -> None:
        self._slots = slots
        count = len(slots.offset_ns)
        none = array("i", [NONE]) * count
        self.kind = bytearray(count)
        self.order, self.peer_order = none[:], none[:]
        self.needs_a, self.needs_b, self.after = none[:], none[:], none[:]
        self.original, self.pending, self.write = none[:], none[:], none[:]
        self.fill_lots = array("i", bytes(4 * count))
        self.ticks = array("i", bytes(4 * count if has_ticks else 0))
        self.is_ioc = bytearray(count)
        self._following_ns = array("q")  # offsets of the rows behind the slots
        self._growing = [getattr(self, name) for name in _REFERENCES]

    def follow(self, offset_ns: int) -> int:
        """A new row behind the slots, at *offset_ns*."""
        row = len(self.kind)
        self._following_ns.append(offset_ns)
        for column in self._growing:
            column.append(NONE)
        self.kind.append(0)
        self.is_ioc.append(0)
        self.fill_lots.append(0)
        if self.ticks:
            self.ticks.append(0)
        return row

    def walked(self) -> Walked:
        following_ns = np.frombuffer(self._following_ns, dtype=np.int64)
        columns = {
            name: np.frombuffer(getattr(self, name), dtype=np.int32)
            for name in (*_REFERENCES, "fill_lots", "ticks")
        }
        return Walked(
            kind=np.frombuffer(self.kind, dtype=np.uint8),
            offset_ns=np.concatenate([self._slots.offset_ns, following_ns]),
            is_ioc=np.frombuffer(self.is_ioc, dtype=np.bool_),
            slot_count=len(self._slots.offset_ns),
            **columns,
        )
