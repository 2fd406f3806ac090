"""
Many protobuf messages of one type read at once: a column a field, no object a message.

A parser with a cursor for each message. Fields are asked for in ascending order of their numbers,
which is the order in which encoders write them; one that is not there reads as 0. A message that is
written in any other legal way (fields out of order, given twice, or not known here; numbers wider
than their type or than 56 bits) is not `plain`: what was read of it means nothing, and whoever asks
parses it with the generated class. So speed never decides what a message says.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.engine.event_log import PADDING_BYTES, Values
from workloads.account.wire.column_types import Column, Mask, Words

_WORD_BYTES = 8
_FIXED64_BYTES = 8
_VARINT_BITS = 56  # eight bytes of seven bits: what one word holds
_U = np.uint64
_HIGH_BITS, _LOW_BITS = _U(0x8080808080808080), _U(0x7F7F7F7F7F7F7F7F)
# Seven bits a byte, then fourteen a pair of bytes, then 28 a half: each step closes the gaps.
_CLOSE_GAPS = (
    (_U(0x007F007F007F007F), _U(0x7F007F007F007F00), _U(1)),
    (_U(0x00003FFF00003FFF), _U(0x3FFF00003FFF0000), _U(2)),
    (_U(0x000000000FFFFFFF), _U(0x0FFFFFFF00000000), _U(4)),
)


@dataclass(frozen=True, slots=True)
class Spans:
    """Where a field of bytes lies in each message; empty where it is not there."""

    start: Column
    end: Column
    is_present: Mask

    @property
    def length(self) -> Column:
        return self.end - self.start

    def of(self, chosen: Column) -> "Spans":
        return Spans(self.start[chosen], self.end[chosen], self.is_present[chosen])


class MessageBytes:
    """The bytes of messages, readable at any position as a byte or as a word."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._bytes = data
        # Overlapping little-endian words, one beginning at each byte.
        count = len(data) - _WORD_BYTES + 1
        self._words: Words = np.ndarray(count, dtype="<u8", buffer=data, strides=(1,))

    def bytes_at(self, at: Column) -> NDArray[np.uint8]:
        return self._bytes[at]

    def words_at(self, at: Column) -> Words:
        """The eight bytes from each position on, little endian."""
        return self._words[at]

    def is_ascii(self, spans: Spans) -> Mask:
        """Whether each span is plain ASCII, and so legal as a string."""
        is_plain = np.ones(len(spans.start), np.bool_)
        for offset in range(0, int(spans.length.max(initial=0)), _WORD_BYTES):
            left = np.clip(spans.length - offset, 0, _WORD_BYTES)
            word = self.words_at(np.where(left > 0, spans.start + offset, 0))
            inside = _HIGH_BITS >> (_U(8) * (_WORD_BYTES - left).astype(_U))
            inside[left == 0] = 0
            is_plain &= (word & inside) == 0
        return is_plain


class Messages:
    """
    A cursor in each of many messages.

    Attributes:
        plain: Which have been readable so far; final after `finish`.
    """

    def __init__(self, memory: MessageBytes, start: Column, end: Column) -> None:
        self.memory = memory
        self._at, self._end = start, end
        self.plain: Mask = np.ones(len(start), np.bool_)

    @classmethod
    def of(cls, values: Values) -> "Messages":
        assert len(values.data) >= PADDING_BYTES, "a whole word behind the last message"
        return cls(MessageBytes(values.data), values.start, values.start + values.length)

    def within(self, spans: Spans) -> "Messages":
        return Messages(self.memory, spans.start, spans.end)

    def varint(self, number: int, *, bits: int = _VARINT_BITS) -> Column:
        """An unsigned field that its type holds to *bits*."""
        present = self._has(number << 3)
        word = self.memory.words_at(self._at + 1)
        value, length, is_whole = _varint(word)
        self.plain &= ~present | is_whole
        if bits < _VARINT_BITS:
            self.plain &= ~present | (value >> _U(bits) == 0)
        self._advance(np.where(present, self._at + 1 + length, self._at))
        return np.where(present, value.astype(np.int64), 0)

    def signed(self, number: int) -> Column:
        """A zigzag field (sint64)."""
        zigzag = self.varint(number)
        return (zigzag >> 1) ^ -(zigzag & 1)

    def fixed64(self, number: int) -> Words:
        present = self._has(number << 3 | 1)
        value = self.memory.words_at(self._at + 1)
        self._advance(np.where(present, self._at + 1 + _FIXED64_BYTES, self._at))
        return np.where(present, value, _U(0))

    def span(self, number: int) -> Spans:
        present = self._has(number << 3 | 2)
        length, head_bytes, is_whole = _varint(self.memory.words_at(self._at + 1))
        self.plain &= ~present | is_whole
        start = np.where(present, self._at + 1 + head_bytes, self._at)
        end = np.where(present, start + length.astype(np.int64), start)
        inside = end <= self._end
        self._advance(end)
        return Spans(
            start=np.where(inside, start, self._end),
            end=np.where(inside, end, self._end),
            is_present=present & inside,
        )

    def repeated(self, number: int) -> tuple[Column, Spans]:
        """All values of a repeated field in order of the messages, and whose each one is."""
        owners, rounds = [], []
        left = np.arange(len(self.plain))
        while len(left):
            cursors = Messages(self.memory, self._at[left], self._end[left])
            found = cursors.span(number)
            self._at[left] = cursors._at
            self.plain[left] &= cursors.plain
            has = np.flatnonzero(found.is_present)
            left = left[has]
            owners.append(left)
            rounds.append(found.of(has))
        owner = np.concatenate([np.zeros(0, np.int64), *owners])
        order = np.argsort(owner, kind="stable")  # a round holds each owner once
        start, end = (
            np.concatenate([np.zeros(0, np.int64), *(getattr(item, name) for item in rounds)])
            for name in ("start", "end")
        )
        return owner[order], Spans(start[order], end[order], np.ones(len(order), np.bool_))

    def finish(self) -> Mask:
        """Which messages were read to their very end, and so are plain."""
        self.plain &= self._at == self._end
        return self.plain

    def _advance(self, at: Column) -> None:
        # Past the end stays just past it: the message is not plain, and nothing is read any more.
        self._at = np.minimum(at, self._end + 1)

    def _has(self, tag: int) -> Mask:
        assert tag < 0x80, "a tag of one byte: field numbers up to 15"
        found: Mask = (self.memory.bytes_at(self._at) == tag) & (self._at < self._end)
        return found


def big_endian(words: Words) -> Words:
    """Words read little endian, as what they are big endian."""
    return words.byteswap()


def _varint(word: Words) -> tuple[Words, Column, Mask]:
    """
    The varint at the beginning of each word: value, length in bytes, and whether it ends there.

    The lowest high bit that is clear marks the last byte; all bits below it are the number, with a
    gap every eighth.
    """
    stop = ~word & _HIGH_BITS
    below = (stop & (~stop + _U(1))) - _U(1)
    value = word & below & _LOW_BITS
    for low, high, shift in _CLOSE_GAPS:
        value = (value & low) | ((value & high) >> shift)
    length = (np.bitwise_count(below).astype(np.int64) + 1) >> 3
    return value, length, stop != 0
