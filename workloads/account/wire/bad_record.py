"""A record on a topic that is none of the contract's messages: where it is, and how it begins."""

_SHOWN_BYTES = 16


class BadRecordError(ValueError):
    """
    A record that can't be read.

    Attributes:
        index: Which of those that were given to the reader.
    """

    def __init__(self, index: int, value: bytes, reason: object) -> None:
        begins = f"begins {value[:_SHOWN_BYTES].hex(' ')}" if value else "it has no value"
        super().__init__(f"{reason}; {len(value):,} bytes, {begins}")
        self.index = index

    def at(self, *, partition: int, offset: int) -> str:
        """The same in a sentence, with its place on the topic."""
        return f"the record at partition {partition}, offset {offset} can't be read: {self}"
