"""Replies as they came, kept until the load is over."""

from array import array

import numpy as np

from harness.system import Replies

_REPLY_CHUNK_BYTES = 1 << 20


class ReplyLog:
    """
    Reply messages as they came, decoded after the run: bytes in large chunks, no object a reply.

    Chunks, since one growing buffer holds an eighth more than it needs, and copies itself.
    """

    def __init__(self) -> None:
        self._operation = array("i")
        self._length = array("I")
        self._chunks: list[bytearray] = []
        self._chunk = bytearray()
        self._used_bytes = 0

    def add(self, operation: int, message: bytes | memoryview) -> None:
        length = len(message)
        end = self._used_bytes + length
        if end > len(self._chunk):
            self._next_chunk(length)
            end = length
        self._chunk[self._used_bytes : end] = message
        self._used_bytes = end
        self._operation.append(operation)
        self._length.append(length)

    def replies(self) -> Replies:
        last = self._chunk[: self._used_bytes]
        start = np.zeros(len(self._length) + 1, np.int64)
        np.cumsum(np.frombuffer(self._length, np.uint32), out=start[1:])
        return Replies(
            operation=np.frombuffer(self._operation, np.int32),
            blob=b"".join([*self._chunks, last]),
            start=start,
        )

    def _next_chunk(self, length: int) -> None:
        if self._used_bytes:
            del self._chunk[self._used_bytes :]
            self._chunks.append(self._chunk)
        self._chunk = bytearray(max(_REPLY_CHUNK_BYTES, length))
        self._used_bytes = 0
