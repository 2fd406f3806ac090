"""
What must be remembered for a time, and not for ever: two generations, the older dropped whole.

It reads no clock: whoever does says when to forget, and journals it, so that a replay forgets at
the same place. What was put in is there for at least one whole period between two forgettings.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """
    A dictionary that forgets.

    Attributes:
        newer, older: The generations; hot paths look into them directly.
    """

    __slots__ = ("newer", "older")

    def __init__(self) -> None:
        self.newer: dict[Key, Value] = {}
        self.older: dict[Key, Value] = {}

    def __setitem__(self, key: Key, value: Value) -> None:
        self.newer[key] = value

    def __contains__(self, key: Key) -> bool:
        return key in self.newer or key in self.older

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def get(self, key: Key) -> Value | None:
        found = self.newer.get(key)
        return self.older.get(key) if found is None else found

    def generations(self) -> Iterator[tuple[str, dict[Key, Value]]]:
        """Both, by name."""
        yield "newer", self.newer
        yield "older", self.older

    def forget(self) -> dict[Key, Value]:
        """Drop the older generation, and begin a new one; what was dropped."""
        dropped, self.older, self.newer = self.older, self.newer, {}
        return dropped
