"""
The seam between the engine and whatever speaks gRPC.

The engine hands over a token, a method index and encoded bytes, and gets the token back with a
status: it never sees a channel, a stream or a future. What a driver does not do: know any message
type, retry an operation the peer may have seen, or raise because of the peer (trouble arrives as a
status).
The one idea: every `send` is answered exactly once, on the loop's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

ReplyHandler = Callable[[int, int, bytes | memoryview, str], None]
"""Takes (token, grpc_status, message, grpc_message): once per `send`. No message is b""."""

Clock = Callable[[], int]
"""Nanoseconds of a monotonic clock."""

NOT_SENT: Final = "not sent: "
"""A grpc_message that begins so: the peer has not processed the operation, it had no effect."""

CONNECTION_LOST: Final = "connection lost: "
"""A grpc_message that begins so: the operation was written, its outcome is unknown."""


class GrpcStatus(IntEnum):
    """Status codes of gRPC (grpc/grpc, doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStats:
    """
    What a driver did since it was made.

    Attributes:
        sent_count: calls of `send`.
        reply_count: operations answered, by the peer or by the driver itself.
        late_count: replies that came after their deadline had been reported; ignored.
        blocked_count: operations that waited for a window, a stream slot or a connection.
        blocked_ns_total: the sum of those waits.
        resent_count: operations that the peer had declared unprocessed and that went out again.
        reconnect_count: connections made after the first ones.
        goaway_count: GOAWAY frames received.
        sent_bytes: bytes handed to the transport.
        received_bytes: bytes the transport handed over.

    A driver that can't know one of them leaves it 0.
    """

    sent_count: int
    reply_count: int
    late_count: int = 0
    blocked_count: int = 0
    blocked_ns_total: int = 0
    resent_count: int = 0
    reconnect_count: int = 0
    goaway_count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class GrpcDriver(Protocol):
    """
    Unary calls to one address.

    The methods are given to the constructor as full paths ("/package.Service/Method").
    """

    async def connect(self) -> None:
        """
        Open the connections.

        Raises:
            TransportError: the peer can't be reached; names the address and the cause.

        """

    def send(self, token: int, method: int, message: bytes | bytearray | memoryview) -> None:
        """
        Begin a call of the method with index *method*; its reply will carry *token*.

        Never blocks and never raises for the peer's sake. *message* must stay as it is until the
        reply: an operation that the peer declares unprocessed is sent again.
        """

    def flush(self) -> None:
        """Hand everything sent since the last flush to the transport, in one write."""

    async def close(self) -> None:
        """Close the connections; what is still in flight is answered UNAVAILABLE."""

    @property
    def stats(self) -> DriverStats:
        """What was done so far."""
