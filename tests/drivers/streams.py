"""What the tests of streams share: numbered messages, and a peer's end of standing streams."""

import struct
from typing import Any

from harness.drivers.grpc import Shape, StreamOptions
from harness.drivers.grpc_wire import GrpcWireDriver
from tests.drivers.peer import (
    DATA,
    END_STREAM,
    HEADERS,
    Frame,
    PeerConnection,
    frame,
    head,
    prefixed,
    settings,
)

STREAM, CALL = 0, 1


def numbered(token: int, body: bytes = b"") -> bytes:
    """A message that names its operation in the first four bytes."""
    return struct.pack("<I", token) + body


def read_number(message: bytes) -> tuple[int, bytes]:
    """Be the `read` of StreamOptions."""
    if len(message) < 4:
        raise ValueError("too short")
    return struct.unpack_from("<I", message)[0], message[4:]


def on_streams(stream_count: int = 1, window_count: int = 256, **options: Any) -> dict[str, Any]:
    """Options of a driver whose first method is a stream and whose second is unary."""
    streams = StreamOptions(stream_count=stream_count, window_count=window_count, read=read_number)
    return {"shapes": (Shape.STREAM, Shape.UNARY), "streams": streams, **options}


def send(driver: GrpcWireDriver, *tokens: int, lane: int = 0, body: bytes = b"") -> None:
    """Put a message for each token on one lane, and flush."""
    for token in tokens:
        driver.send_in_lane(token, STREAM, numbered(token, body), lane)
    driver.flush()


def answers(stream_id: int, *tokens: int, body: bytes = b"") -> bytes:
    """Spell one DATA frame that answers *tokens*."""
    return frame(DATA, 0, stream_id, b"".join(prefixed(numbered(one, body)) for one in tokens))


class StreamEnd:
    """The peer's end of one stream: gathers DATA and splits it into messages."""

    def __init__(self, connection: PeerConnection, stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.frame_count = 0
        self.received_bytes = 0
        self.is_half_closed = False
        self._body = b""

    async def tokens(self, count: int) -> list[int]:
        """The numbers of the next *count* messages."""
        found: list[int] = []
        while len(found) < count:
            message = self._next()
            if message is None:
                await self.read()
            else:
                found.append(read_number(message)[0])
        return found

    async def read(self) -> None:
        """Take one more DATA frame."""
        self.absorb(await self.connection.expect(DATA, self.stream_id))

    def absorb(self, one: Frame) -> None:
        """Take a DATA frame that was read already."""
        assert (one.kind, one.stream_id) == (DATA, self.stream_id)
        self.frame_count += 1
        self.received_bytes += len(one.payload)
        self._body += one.payload
        self.is_half_closed = bool(one.flags & END_STREAM)

    async def half_close(self) -> None:
        """Wait until the driver has said its last on this stream."""
        while not self.is_half_closed:
            await self.read()

    def send(self, *tokens: int, body: bytes = b"") -> None:
        """Answer *tokens* in one frame."""
        self.connection.send(answers(self.stream_id, *tokens, body=body))

    def _next(self) -> bytes | None:
        end = 5 + int.from_bytes(self._body[1:5], "big")
        if len(self._body) < max(5, end):
            return None
        message, self._body = self._body[5:end], self._body[end:]
        return message


async def opened(connection: PeerConnection) -> StreamEnd:
    """Wait for the next stream that the driver opens, and send the reply's head."""
    end = StreamEnd(connection, (await connection.expect(HEADERS)).stream_id)
    connection.send(head(end.stream_id))
    return end


async def all_opened(connection: PeerConnection, count: int) -> list[StreamEnd]:
    """Wait for *count* streams."""
    return [await opened(connection) for _ in range(count)]


PLENTY = settings(s4=1 << 20)
"""Settings of a peer whose stream windows are never in the way."""


async def answered(end: StreamEnd, *tokens: int) -> None:
    """The next messages are these; answer them."""
    assert await end.tokens(len(tokens)) == list(tokens)
    end.send(*tokens)
