"""
One operation inside the framed driver: what was asked, and how much of its reply is here.

Plain mutable objects with slots, since one is made per operation. Streams of many messages are in
`grpc_stream`.
"""

import struct
from enum import Enum, auto
from typing import Final, Protocol

from harness.drivers.grpc import DriverStats, GrpcStatus

PREFIX: Final = struct.Struct(">BI")  # compressed flag, message length
PREFIX_BYTES: Final = PREFIX.size


class ReplyState(Enum):
    NOTHING = auto()
    HEAD_SEEN = auto()


NOTHING: Final = ReplyState.NOTHING
HEAD_SEEN: Final = ReplyState.HEAD_SEEN


class ReplyError(Exception):
    """The reply of one call can't be read, which ends it with *status*; the connection is sound."""

    def __init__(self, text: str, status: GrpcStatus = GrpcStatus.INTERNAL) -> None:
        super().__init__(text)
        self.status = status


def reply_too_long(text: str) -> ReplyError:
    """Return the error of a reply past our limit, with the status that grpcio gives it."""
    return ReplyError(text, GrpcStatus.RESOURCE_EXHAUSTED)


class PartialReply:
    __slots__ = ("_bytes_max", "_pieces", "flow_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._pieces = bytearray()
        self._bytes_max = bytes_max
        self.flow_bytes = 0
        """Bytes of the stream's window that were used and not yet given back."""

    def add(self, piece: bytes) -> bytes | None:
        """Take the next piece; return the message once it is whole, or raise ReplyError."""
        self._pieces += piece
        if len(self._pieces) < PREFIX_BYTES:
            return None
        compressed, message_bytes = PREFIX.unpack_from(self._pieces)
        if compressed:
            raise ReplyError("compressed reply without grpc-accept-encoding")
        if message_bytes > self._bytes_max:
            raise reply_too_long(f"reply of {message_bytes} bytes, limit {self._bytes_max}")
        missing_bytes = PREFIX_BYTES + message_bytes - len(self._pieces)
        if missing_bytes < 0:
            raise ReplyError("more than one message in a unary reply")
        return bytes(self._pieces[PREFIX_BYTES:]) if missing_bytes == 0 else None


class PagedReply:
    """
    A server stream read to its end: every message with its prefix, as it came.

    Attributes:
        is_head_seen: the reply's first HEADERS are here.
        flow_bytes: bytes of the stream's window that were used and not yet given back.
    """

    __slots__ = ("_body", "_bytes_max", "_next", "flow_bytes", "is_head_seen")

    def __init__(self, bytes_max: int) -> None:
        self._body = bytearray()
        self._bytes_max = bytes_max
        self._next = 0  # where the next message's prefix begins
        self.flow_bytes = 0
        self.is_head_seen = False

    def add(self, piece: bytes) -> None:
        """Take the next piece; raises ReplyError if it is compressed, or too long in all."""
        body = self._body
        body += piece
        while len(body) - self._next >= PREFIX_BYTES:
            compressed, message_bytes = PREFIX.unpack_from(body, self._next)
            if compressed:
                raise ReplyError("compressed reply without grpc-accept-encoding")
            self._next += PREFIX_BYTES + message_bytes
        if max(len(body), self._next) > self._bytes_max:
            raise reply_too_long(f"reply of more than {self._bytes_max} bytes in all")

    def whole(self) -> bytes | None:
        """Return all messages; None if the last one is cut short."""
        return bytes(self._body) if self._next == len(self._body) else None


class Blockable(Protocol):
    """What may have to wait in the driver."""

    blocked_since_ns: int


class Call:
    """An operation on its way that has an HTTP/2 stream of its own."""

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
        self.reply: ReplyState | PartialReply | PagedReply | bytes = NOTHING
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
        "reopened_count",
        "reply_count",
        "resent_count",
        "sent_bytes",
        "sent_count",
        "unmatched_count",
    )

    def __init__(self) -> None:
        self.sent_count = 0
        self.reply_count = 0
        self.late_count = 0
        self.unmatched_count = 0
        self.blocked_count = 0
        self.blocked_ns_total = 0
        self.resent_count = 0
        self.reconnect_count = 0
        self.reopened_count = 0
        self.goaway_count = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def stats(self) -> DriverStats:
        return DriverStats(**{name: getattr(self, name) for name in self.__slots__})

    def block(self, call: Blockable, now_ns: int) -> None:
        """Count *call* as waiting from now; it may be told so twice."""
        if not call.blocked_since_ns:
            call.blocked_since_ns = now_ns
            self.blocked_count += 1

    def unblock(self, call: Blockable, now_ns: int) -> None:
        if call.blocked_since_ns:
            self.blocked_ns_total += now_ns - call.blocked_since_ns
            call.blocked_since_ns = 0
