"""A record on a topic that is none of the contract's messages: where it is, and how it begins."""

from typing import Self

_SHOWN_BYTES = 16


class BadRecordError(ValueError):
    """
    A record that can't be read.

    Attributes:
        index: Which of those that were given to the reader.
    """

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index

    @classmethod
    def of(cls, index: int, value: bytes, reason: object) -> Self:
        begins = f"begins {value[:_SHOWN_BYTES].hex(' ')}" if value else "it has no value"
        return cls(f"{reason}; {len(value):,} bytes, {begins}", index)

    def placed(self, *, partition: int, offset: int) -> Self:
        """The same, with its place on the topic."""
        where = f"the record at partition {partition}, offset {offset}"
        return type(self)(f"{where} can't be read: {self}", self.index)
