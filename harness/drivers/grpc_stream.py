"""
One open HTTP/2 stream that carries many messages: its bytes either way, and where they go.

The connection feeds it DATA, the request writer takes what is pending. It knows nothing of tokens,
deadlines or other streams. The one idea: a message that lies whole in what was received is one
slice; only one that is cut by a frame is copied together.
"""

from enum import Enum, auto
from typing import Final, Protocol

from harness.drivers.grpc import OnEnd, OnMessage
from harness.drivers.grpc_call import PREFIX, PREFIX_BYTES, ReplyError, reply_too_long

_unpack_prefix: Final = PREFIX.unpack_from


class Unprocessed(Enum):
    """Whether the peer has certainly looked at nothing of a stream that ended."""

    NO = auto()
    REFUSED = auto()  # REFUSED_STREAM: what was on it may go once more
    LEFT = auto()  # above the last stream of a GOAWAY: it goes again, as often as that happens


class StreamUser(Protocol):
    """Whose stream it is."""

    def take(self, message: bytes) -> None:
        """Take a message of the peer."""

    def leaving(self) -> None:
        """Hear that the connection takes nothing new: the stream is to be finished."""

    def ended(self, status: int, text: str, *, unprocessed: Unprocessed) -> None:
        """
        Hear that the stream is over, once.

        Args:
            status: of gRPC; OK too, if the peer says so.
            text: why, in the peer's words or ours.
            unprocessed: whether the peer has certainly looked at nothing of it.
        """


class Nobody:
    """The user of a stream that was given up: what still comes on it is nobody's."""

    def take(self, message: bytes) -> None:
        """Ignore it."""

    def leaving(self) -> None:
        """Ignore it."""

    def ended(self, status: int, text: str, *, unprocessed: Unprocessed) -> None:
        """Ignore it."""


class FeedUser:
    """The user of a server stream without end."""

    def __init__(self, token: int, on_message: OnMessage, on_end: OnEnd) -> None:
        self._token = token
        self._on_message = on_message
        self._on_end = on_end

    def take(self, message: bytes) -> None:
        self._on_message(self._token, message)

    def leaving(self) -> None:
        """Nothing to finish: the request was whole."""

    def ended(self, status: int, text: str, *, unprocessed: Unprocessed) -> None:
        del unprocessed
        self._on_end(self._token, status, text)


class OpenStream:
    """
    A stream from its HEADERS to its end.

    Attributes:
        stream_id: on its connection.
        user: who gets what comes.
        window_bytes: what the peer lets us send on it.
        pending: framed messages that are not yet written.
        is_finishing: nothing will be added to pending; END_STREAM goes behind it.
        is_half_closed: END_STREAM was written.
        is_head_seen: the reply's first HEADERS are here.
        flow_bytes: bytes of our window that were used and not yet given back.
    """

    __slots__ = (
        "_message_bytes_max",
        "_needed_bytes",
        "_rest",
        "flow_bytes",
        "is_finishing",
        "is_half_closed",
        "is_head_seen",
        "pending",
        "stream_id",
        "user",
        "window_bytes",
    )

    def __init__(self, user: StreamUser, message_bytes_max: int) -> None:
        self.user = user
        self.stream_id = 0
        self.window_bytes = 0
        self.pending = bytearray()
        self.is_finishing = False
        self.is_half_closed = False
        self.is_head_seen = False
        self.flow_bytes = 0
        self._message_bytes_max = message_bytes_max
        self._rest = bytearray()  # the beginning of a message
        self._needed_bytes = PREFIX_BYTES  # of it, before it is worth another look

    @property
    def is_cut_short(self) -> bool:
        """True while only a part of a message is here."""
        return bool(self._rest)

    def receive(self, data: bytes, start: int, stop: int) -> None:
        """Take the body data[start:stop] of a DATA frame; hand on what is whole, or ReplyError."""
        self.flow_bytes += stop - start
        rest = self._rest
        if rest:
            rest += data[start:stop]
            if len(rest) < self._needed_bytes:
                return
            data = bytes(rest)
            rest.clear()
            start, stop = 0, len(data)
        take = self.user.take
        needed_bytes = PREFIX_BYTES
        while stop - start >= PREFIX_BYTES:
            compressed, message_bytes = _unpack_prefix(data, start)
            if compressed or message_bytes > self._message_bytes_max:
                self._refuse(compressed, message_bytes)
            end = start + PREFIX_BYTES + message_bytes
            if end > stop:
                needed_bytes += message_bytes
                break
            take(data[start + PREFIX_BYTES : end])
            start = end
        if start < stop:
            rest += data[start:stop]
            self._needed_bytes = needed_bytes

    def _refuse(self, compressed: int, message_bytes: int) -> None:
        if compressed:
            raise ReplyError("compressed message without grpc-accept-encoding")
        raise reply_too_long(f"message of {message_bytes} bytes, limit {self._message_bytes_max}")
