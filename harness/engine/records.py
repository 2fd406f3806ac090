"""
Kafka operations on their way out: each gets its sequence number when its turn comes.

A number is given at the turn and not in the plan, since a cancelled operation must leave no gap.
Two things are done wrong on purpose, where a plan asks for it: a record is held back until some
later ones of its stream have gone (so it arrives out of order), and a record is sent again.
"""

from collections.abc import Callable, Sequence

from harness.system import KindSpec, ShardPlan

_NONE = 0


class Records:
    """The streams of one load process; values are sealed by *seal(operation, sequence)*."""

    def __init__(
        self, plan: ShardPlan, kinds: Sequence[KindSpec], seal: Callable[[int, int], bytes]
    ) -> None:
        self._kind = plan.kind.data
        self._stream = plan.stream.data
        self._needs_a = plan.needs_a.data
        self._late_by = plan.late_by.data if len(plan.late_by) else None
        self._resends = tuple(kind.resends for kind in kinds)
        self._seal = seal
        self.sequences: dict[int, int] = {}  # operation -> its number
        self._next_sequence: dict[int, int] = {}  # by stream
        self._held: dict[int, list[_Held]] = {}  # by stream

    @property
    def held_count(self) -> int:
        """How many have their number and wait for later ones to go first."""
        return sum(map(len, self._held.values()))

    def line_up(self, operation: int, now_ns: int) -> bool:
        """Its turn has come: it gets its number. Whether it goes now, or is held back."""
        if self._resends[self._kind[operation]]:
            self.sequences[operation] = self.sequences[self._needs_a[operation]]
            return True
        stream = self._stream[operation]
        sequence = self._next_sequence.get(stream, 1)
        self._next_sequence[stream] = sequence + 1
        self.sequences[operation] = sequence
        late_by = self._late_by[operation] if self._late_by is not None else _NONE
        if not late_by:
            return True
        self._held.setdefault(stream, []).append(_Held(operation, late_by, now_ns))
        return False

    def passed(self, operation: int) -> list[int]:
        """What may go now that *operation*, which was not held back itself, has gone."""
        held = self._held.get(self._stream[operation])
        if not held or self._resends[self._kind[operation]]:
            return []
        for item in held:
            item.to_pass_count -= 1
        return self._take(held, lambda item: item.to_pass_count <= 0)

    def overdue(self, held_since_ns: int) -> list[int]:
        """What was held back at or before *held_since_ns*: its stream is too slow, it goes now."""
        return [
            operation
            for held in self._held.values()
            for operation in self._take(held, lambda item: item.since_ns <= held_since_ns)
        ]

    def value(self, operation: int) -> bytes:
        """What is sent; of a record that is sent again the same bytes as the first time."""
        original = operation
        if self._resends[self._kind[operation]]:
            original = self._needs_a[operation]
        return self._seal(original, self.sequences[original])

    @staticmethod
    def _take(held: list["_Held"], is_due: Callable[["_Held"], bool]) -> list[int]:
        due = [item.operation for item in held if is_due(item)]
        held[:] = [item for item in held if not is_due(item)]
        return due


class _Held:
    """A record that waits for *to_pass_count* later ones of its stream."""

    __slots__ = ("operation", "since_ns", "to_pass_count")

    def __init__(self, operation: int, to_pass_count: int, since_ns: int) -> None:
        self.operation = operation
        self.to_pass_count = to_pass_count
        self.since_ns = since_ns
