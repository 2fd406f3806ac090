"""
The seam between the engine and whatever speaks gRPC.

The engine hands over a token, a method index and encoded bytes, and gets the token back with a
status: it never sees a channel, a stream or a future. What a driver does not do: know any message
type, retry an operation the peer may have seen, or raise because of the peer (trouble arrives as a
status).
The one idea: every `send`, and every `send_in_lane`, is answered exactly once, on the loop's
thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final, Protocol

ReplyHandler = Callable[[int, int, bytes | memoryview, str], None]
"""Takes (token, grpc_status, message, grpc_message): once per `send`. No message is b""."""

ReadMessage = Callable[[bytes], tuple[int, bytes | memoryview]]
"""From a message of a standing stream to (token, reply); a ValueError if it can't be read."""

OnMessage = Callable[[int, bytes], None]
"""Takes (token, message): each message of a subscription as it comes."""

OnEnd = Callable[[int, int, str], None]
"""Takes (token, grpc_status, grpc_message): the end of a subscription, once."""

Clock = Callable[[], int]
"""Nanoseconds of a monotonic clock."""

NOT_SENT: Final = "not sent: "
"""A grpc_message that begins so: the peer has not processed the operation, it had no effect."""

CONNECTION_LOST: Final = "connection lost: "
"""A grpc_message that begins so: the operation was written, its outcome is unknown."""


class Shape(Enum):
    """How many messages a method takes and gives."""

    UNARY = auto()  # one request, one reply
    PAGES = auto()  # one request, a server stream; read to its end it is one reply
    STREAM = auto()  # many requests, many replies, on streams that stand
    FEED = auto()  # one request, a server stream without end: for `subscribe`


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """
    How standing streams are kept.

    Attributes:
        stream_count: of each path of shape STREAM, over all connections.
        window_count: messages in flight on one; past it they wait in the driver, in order.
        read: which operation a message answers.
    """

    stream_count: int
    window_count: int
    read: ReadMessage


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
        sent_count: calls of `send` and `send_in_lane`.
        reply_count: operations answered, by the peer or by the driver itself.
        late_count: replies that came after their deadline had been reported; ignored.
        unmatched_count: messages of standing streams that answer nothing in flight there, or that
            can't be read; ignored.
        blocked_count: operations that waited for a window, a stream slot or a connection.
        blocked_ns_total: the sum of those waits.
        resent_count: operations that the peer had declared unprocessed and that went out again.
        reconnect_count: connections made after the first ones.
        reopened_count: standing streams opened after the first ones.
        goaway_count: GOAWAY frames received.
        sent_bytes: bytes handed to the transport.
        received_bytes: bytes the transport handed over.

    A driver that can't know one of them leaves it 0.
    """

    sent_count: int
    reply_count: int
    late_count: int = 0
    unmatched_count: int = 0
    blocked_count: int = 0
    blocked_ns_total: int = 0
    resent_count: int = 0
    reconnect_count: int = 0
    reopened_count: int = 0
    goaway_count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class GrpcDriver(Protocol):
    """
    Calls and streams to one address.

    The methods are given to the constructor as full paths ("/package.Service/Method") with their
    shapes. Standing streams are open from `connect` on; one that ends is opened anew.
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

        The reply of a method of shape PAGES is every message with its 5-byte prefix, in order.

        Never blocks and never raises for the peer's sake. *message* must stay as it is until the
        reply: an operation that the peer declares unprocessed is sent again.
        """

    def send_in_lane(
        self, token: int, method: int, message: bytes | bytearray | memoryview, lane: int
    ) -> None:
        """
        Put a message on the standing stream of *lane* (>= 0), behind all earlier ones of it.

        As `send`: answered once, by the message that names *token*, or at its deadline, or when its
        stream ends: NOT_SENT if no byte of it was written, else CONNECTION_LOST, since the peer may
        have acted on it. The order of a lane holds over ends too: the next stream opens when
        nothing of the last one is open.
        """

    def subscribe(
        self, token: int, method: int, message: bytes, on_message: OnMessage, on_end: OnEnd
    ) -> None:
        """
        Ask for a server stream without end; it has no deadline, and is not opened anew.

        *on_end* comes once, before this returns if no connection takes it.
        """

    def flush(self) -> None:
        """Hand everything sent since the last flush to the transport, in one write."""

    async def close(self) -> None:
        """Close the connections; what is still in flight is answered UNAVAILABLE."""

    @property
    def stats(self) -> DriverStats:
        """What was done so far."""
