"""
One operation inside the framed driver: what was asked, and how much of its reply is here.

Plain mutable objects with slots, since one is made per operation. A later streaming call would be
another class with the same place in `RequestWriter.calls`: it would take each message as it comes,
where a unary call keeps the one it may have.
"""

import struct
from enum import Enum, auto
from typing import Final

from harness.drivers.grpc import DriverStats

PREFIX: Final = struct.Struct(">BI")  # compressed flag, message length
PREFIX_BYTES: Final = PREFIX.size


class ReplyState(Enum):
    """A reply without any byte of its message."""

    NOTHING = auto()
    HEAD_SEEN = auto()


NOTHING: Final = ReplyState.NOTHING
HEAD_SEEN: Final = ReplyState.HEAD_SEEN


class ReplyError(Exception):
    """The reply of one call can't be read; the connection is sound."""


class PartialReply:
    """A message that comes in pieces."""

    __slots__ = ("_bytes_max", "_pieces", "flow_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._pieces = bytearray()
        self._bytes_max = bytes_max
        self.flow_bytes = 0
        """Bytes of the stream's window that were used and not yet given back."""

    def add(self, piece: bytes) -> bytes | None:
        """
        Take the next piece; return the message once it is whole.

        Raises:
            ReplyError: compressed, longer than allowed, or followed by another message.

        """
        self._pieces += piece
        if len(self._pieces) < PREFIX_BYTES:
            return None
        compressed, message_bytes = PREFIX.unpack_from(self._pieces)
        if compressed:
            raise ReplyError("compressed reply without grpc-accept-encoding")
        if message_bytes > self._bytes_max:
            raise ReplyError(f"reply of {message_bytes} bytes, limit {self._bytes_max}")
        missing_bytes = PREFIX_BYTES + message_bytes - len(self._pieces)
        if missing_bytes < 0:
            raise ReplyError("more than one message in a unary reply")
        return bytes(self._pieces[PREFIX_BYTES:]) if missing_bytes == 0 else None


class Call:
    """A unary operation on its way."""

    __slots__ = (
        "blocked_since_ns",
        "deadline_ns",
        "is_retry",
        "message",
        "method",
        "reply",
        "token",
    )

    def __init__(
        self,
        token: int,
        method: int,
        message: bytes | bytearray | memoryview,
        deadline_ns: int,
    ) -> None:
        self.token = token
        self.method = method
        self.message = message
        self.deadline_ns = deadline_ns
        self.reply: ReplyState | PartialReply | bytes = NOTHING
        self.is_retry = False
        self.blocked_since_ns = 0


class Counters:
    """What `DriverStats` reports, while it is being counted."""

    __slots__ = (
        "blocked_count",
        "blocked_ns_total",
        "goaway_count",
        "late_count",
        "received_bytes",
        "reconnect_count",
        "reply_count",
        "resent_count",
        "sent_bytes",
        "sent_count",
    )

    def __init__(self) -> None:
        self.sent_count = 0
        self.reply_count = 0
        self.late_count = 0
        self.blocked_count = 0
        self.blocked_ns_total = 0
        self.resent_count = 0
        self.reconnect_count = 0
        self.goaway_count = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def stats(self) -> DriverStats:
        """Return the counts as a value."""
        return DriverStats(**{name: getattr(self, name) for name in self.__slots__})

    def block(self, call: Call, now_ns: int) -> None:
        """Count *call* as waiting from now; it may be told so twice."""
        if not call.blocked_since_ns:
            call.blocked_since_ns = now_ns
            self.blocked_count += 1

    def unblock(self, call: Call, now_ns: int) -> None:
        """Add the wait of *call*, if it waited."""
        if call.blocked_since_ns:
            self.blocked_ns_total += now_ns - call.blocked_since_ns
            call.blocked_since_ns = 0
