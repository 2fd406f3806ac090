"""
Reads that see their own writes: the journal position in one reply, patched into a later request.

A service answers a write with the position of its journal, and a read may ask for a state not older
than that. The position is known only once the reply is here, so it can't be in the plan.
"""

from collections.abc import Sequence

import numpy as np

from harness.system import ShardPlan

POSITION_BYTES = 10  # of KindSpec.seen_at
_UNWANTED = -1


class Positions:
    """The positions of a load process; a cell an operation, and none if no kind asks for any."""

    def __init__(self, plan: ShardPlan, seen_at: Sequence[int]) -> None:
        """*seen_at*: of each kind, see KindSpec."""
        self._needs_a = plan.needs_a.data
        reads = np.isin(plan.kind, [kind for kind, at in enumerate(seen_at) if at >= 0])
        self.is_wanted_by_any = bool(reads.any())
        position = np.full(len(plan) if self.is_wanted_by_any else 0, _UNWANTED, np.int64)
        needed = plan.needs_a[reads]
        position[needed[needed >= 0]] = 0
        self._position = position.data

    def wants(self, operation: int) -> bool:
        """Whether some read asks for the position in the reply to *operation*."""
        return self.is_wanted_by_any and self._position[operation] != _UNWANTED

    def keep(self, operation: int, position: int) -> None:
        """The reply to *operation* told *position*."""
        self._position[operation] = position

    def patch(self, read: int, blob: memoryview, at: int) -> None:
        """Write what *read* must see into its message, if it needs anything, at blob[at]."""
        needed = self._needs_a[read]
        if needed >= 0:
            blob[at : at + POSITION_BYTES] = pad_varint(self._position[needed])


def pad_varint(value: int) -> bytes:
    """*value* (0 to 2^64 - 1) as a varint of exactly ten bytes: longer than need be, and legal."""
    return bytes([*(value >> shift & 0x7F | 0x80 for shift in range(0, 63, 7)), value >> 63])
