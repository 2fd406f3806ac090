"""
A peer made of bytes: an HTTP/2 server that does only what its test tells it, frame by frame.

Also the collector of replies that these tests share. Nothing here speaks HTTP/2 through the code
under test: frames are read and written with `struct` alone.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import uvloop

from harness.drivers.grpc_wire import GrpcWireDriver

T = TypeVar("T")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE = range(9)
CONTINUATION = 9
END_STREAM = ACK = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 0x20

HEAD_BLOCK = b"\x88\x0f\x10\x10application/grpc"  # :status 200, content-type
OK_BLOCK = b"\x00\x0bgrpc-status\x010"
PATIENCE_S = 60.0


class Reply(NamedTuple):
    """What a driver reported."""

    token: int
    status: int
    message: bytes
    text: str


class Replies:
    """Collects replies; fails on a second one for a token."""

    def __init__(self) -> None:
        self.by_token: dict[int, Reply] = {}
        self.in_order: list[int] = []
        self.then: Callable[[int], None] = lambda token: None
        self._changed = asyncio.Event()

    def take(self, token: int, status: int, message: bytes | memoryview, text: str) -> None:
        """Be the driver's reply handler."""
        assert token not in self.by_token, f"second reply for {token}"
        self.by_token[token] = Reply(token, status, bytes(message), text)
        self.in_order.append(token)
        self._changed.set()
        self.then(token)

    async def of(self, token: int) -> Reply:
        """Wait for the reply with *token*."""
        while token not in self.by_token:
            self._changed.clear()
            await self._changed.wait()
        return self.by_token[token]


class SettableClock:
    """A clock that stands still until its test moves it."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        """Read it."""
        return self.now_ns


class Frame(NamedTuple):
    """A frame as it came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def number(self) -> int:
        """The last four bytes: an increment, or an error code."""
        return int.from_bytes(self.payload[-4:], "big")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Spell a frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + (struct.pack(">I", stream_id) + payload)
    )


def settings(**values: int) -> bytes:
    """Spell a SETTINGS frame; s4=100 sets INITIAL_WINDOW_SIZE (4) to 100."""
    pairs = (struct.pack(">HI", int(name[1:]), value) for name, value in values.items())
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def window_update(stream_id: int, increment: int) -> bytes:
    """Spell a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">I", increment))


def reset(stream_id: int, code: int) -> bytes:
    """Spell an RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, struct.pack(">I", code))


def goaway(last_stream_id: int, code: int = 0) -> bytes:
    """Spell a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code))


def prefixed(message: bytes, *, compressed: int = 0) -> bytes:
    """Put the gRPC prefix before *message*."""
    return struct.pack(">BI", compressed, len(message)) + message


def head(stream_id: int, block: bytes = HEAD_BLOCK) -> bytes:
    """Spell the first HEADERS of a reply."""
    return frame(HEADERS, END_HEADERS, stream_id, block)


def trailers(stream_id: int, block: bytes = OK_BLOCK) -> bytes:
    """Spell the last HEADERS of a reply."""
    return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block)


def reply(stream_id: int, message: bytes = b"") -> bytes:
    """Spell a whole ordinary reply."""
    return head(stream_id) + frame(DATA, 0, stream_id, prefixed(message)) + trailers(stream_id)


class PeerConnection:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def greet(self, own_settings: bytes) -> None:
        """Read the preface and send the first SETTINGS."""
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        self.send(own_settings)

    def send(self, *frames: bytes) -> None:
        """Write *frames* at once."""
        self._writer.write(b"".join(frames))

    async def read(self) -> Frame:
        """Read the next frame."""
        first = await self._reader.readexactly(9)
        length = int.from_bytes(first[:3], "big")
        payload = await self._reader.readexactly(length)
        return Frame(first[3], first[4], int.from_bytes(first[5:], "big"), payload)

    async def expect(self, kind: int, stream_id: int | None = None) -> Frame:
        """Read up to the next frame of *kind*."""
        while True:
            one = await self.read()
            if one.kind == kind and stream_id in {None, one.stream_id}:
                return one

    async def request(self) -> tuple[int, bytes]:
        """Read one whole request; its stream id and message."""
        stream_id, body = (await self.expect(HEADERS)).stream_id, b""
        while True:
            data = await self.expect(DATA, stream_id)
            body += data.payload
            if data.flags & END_STREAM:
                return stream_id, body[5:]

    async def synchronise(self) -> list[Frame]:
        """Read all frames up to the answer of a PING: what was on its way is then here."""
        self.send(frame(PING, 0, 0, b"in sync?"))
        frames: list[Frame] = []
        while (one := await self.read()).kind != PING:
            frames.append(one)
        return frames

    async def until_closed(self) -> list[Frame]:
        """Read all frames up to the end."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(await self.read())
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return frames

    @property
    def is_open(self) -> bool:
        """False once this side has noticed the end."""
        return not self._writer.is_closing()

    def finish(self) -> None:
        """Close the connection after what was sent."""
        self._writer.close()

    def drop(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()


class Peer:
    """Accepts connections and greets them with *own_settings*."""

    def __init__(self, own_settings: bytes = settings()) -> None:
        self.own_settings = own_settings
        self.port = 0
        self._accepted: asyncio.Queue[PeerConnection] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._connections: list[PeerConnection] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Open the port; the same one if it was open before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Close the port; accepted connections stay."""
        assert self._server is not None
        self._server.close()

    async def accept(self) -> PeerConnection:
        """Wait for the next connection, already greeted."""
        return await self._accepted.get()

    def drop_all(self) -> None:
        """Cut everything."""
        for connection in self._connections:
            connection.drop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = PeerConnection(reader, writer)
        self._connections.append(connection)
        await connection.greet(self.own_settings)
        self._accepted.put_nowait(connection)


@asynccontextmanager
async def wired(
    own_settings: bytes = settings(), *, timeout_s: float = 30.0, **options: Any
) -> AsyncIterator[tuple[Peer, PeerConnection, GrpcWireDriver, Replies]]:
    """A peer, its first connection, a connected driver with methods /t.S/A and /t.S/B, replies."""
    peer, replies = Peer(own_settings), Replies()
    await peer.listen()
    driver = GrpcWireDriver(
        address=peer.address,
        methods=["/t.S/A", "/t.S/B"],
        on_reply=replies.take,
        timeout_ns=int(timeout_s * 1e9),
        **options,
    )
    try:
        await driver.connect()
        yield peer, await peer.accept(), driver, replies
    finally:
        await driver.close()
        peer.stop_listening()
        peer.drop_all()


def call(driver: GrpcWireDriver, *tokens: int, message: bytes = b"ask") -> None:
    """Send one call of the first method for each token, and flush."""
    for token in tokens:
        driver.send(token, 0, message)
    driver.flush()


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a test's coroutine on the loop that the load process uses; a hang is a failure."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await main()

    return uvloop.run(bounded())


async def eventually(condition: Callable[[], bool]) -> None:
    """Give the loop its rounds until *condition* holds."""
    while not condition():  # noqa: ASYNC110 - what it waits for has no event of its own
        await asyncio.sleep(0.001)
