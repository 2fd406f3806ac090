"""Both drivers on streams of real grpcio servers: they must agree on every outcome."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from harness.drivers.grpc import GrpcDriver, GrpcStatus, Shape, StreamOptions
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.drivers.grpcio_driver import GrpcioDriver
from tests.drivers.peer import Replies, Reply, eventually, prefixed, run
from tests.drivers.streams import numbered, read_number

SHAPES = {
    "Echo": Shape.STREAM,
    "Pairs": Shape.STREAM,
    "Picky": Shape.STREAM,
    "Missing": Shape.STREAM,
    "Pages": Shape.PAGES,
    "Torn": Shape.PAGES,
    "NoPages": Shape.PAGES,
    "Ticks": Shape.FEED,
    "NoTicks": Shape.FEED,
}
METHODS = list(SHAPES)
BOTH = pytest.mark.parametrize("make", [GrpcWireDriver, GrpcioDriver])
SILENT, FATAL = b"silent", b"fatal"


class Streams(grpc.GenericRpcHandler):
    """A service with a stream for each way in which one may behave."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()
        self.order: list[int] = []
        many, pages = grpc.stream_stream_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self._handlers: dict[str, Any] = {
            "/t.S/Echo": many(self._echo),
            "/t.S/Pairs": many(self._pairs),
            "/t.S/Picky": many(self._picky),
            "/t.S/Pages": pages(self._pages),
            "/t.S/Torn": pages(self._torn),
            "/t.S/Ticks": pages(self._ticks),
        }

    def service(self, handler_call_details: Any) -> Any:
        """Find the method; Missing, NoPages and NoTicks have none."""
        return self._handlers.get(handler_call_details.method)

    async def _echo(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            self.seen[request] += 1
            self.order.append(read_number(request)[0])
            yield request

    async def _pairs(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        """Two at a time, the second first."""
        held: list[bytes] = []
        async for request in requests:
            held.append(request)
            if len(held) == 2:
                yield held.pop()
                yield held.pop()

    async def _picky(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Answers, keeps silent, or ends the stream, as it is told."""
        async for request in requests:
            if request[4:] == FATAL:
                await context.abort(grpc.StatusCode.ALREADY_EXISTS, "4001 déjà vu")
            if request[4:] != SILENT:
                yield request

    async def _pages(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number * number

    async def _torn(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number
        await context.abort(grpc.StatusCode.DATA_LOSS, "torn")

    async def _ticks(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number
        await asyncio.Event().wait()


@asynccontextmanager
async def serving(*options: tuple[str, int]) -> AsyncIterator[tuple[str, Streams]]:
    """Serve on a free port."""
    service = Streams()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), *options])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", service
    finally:
        await server.stop(grace=0)


@asynccontextmanager
async def driving(
    make: Any, address: str, *, timeout_s: float = 20.0, stream_count: int = 2, **options: Any
) -> AsyncIterator[tuple[GrpcDriver, Replies]]:
    """Connect a driver and close it."""
    replies = Replies()
    driver = make(
        address=address,
        methods=[f"/t.S/{name}" for name in METHODS],
        shapes=list(SHAPES.values()),
        streams=StreamOptions(stream_count=stream_count, window_count=64, read=read_number),
        on_reply=replies.take,
        timeout_ns=int(timeout_s * 1e9),
        **options,
    )
    await driver.connect()
    try:
        yield driver, replies
    finally:
        await driver.close()


async def outcomes(make: Any, address: str, script: list[tuple[str, bytes]]) -> list[Reply]:
    """Send *script*, each of its methods on a lane, and return all replies in its order."""
    async with driving(make, address, timeout_s=1.0) as (driver, replies):
        for token, (name, body) in enumerate(script):
            if SHAPES[name] is Shape.STREAM:
                driver.send_in_lane(token, METHODS.index(name), numbered(token, body), 0)
            else:
                driver.send(token, METHODS.index(name), body)
        driver.flush()
        return [await replies.of(token) for token in range(len(script))]


def test_drivers_agree_on_streams() -> None:
    """A mixed script has the same outcomes, token by token, in both drivers."""

    async def main() -> None:
        script = [
            ("Echo", b"hello"),
            ("Echo", b""),
            ("Echo", bytes(100_000)),
            ("Pairs", b"1"),
            ("Pairs", b"2"),
            ("Pairs", b"never"),
            ("Picky", b"fine"),
            ("Picky", SILENT),
            ("Picky", FATAL),
            ("Pages", b"0"),
            ("Pages", b"300"),
            ("Torn", b"3"),
            ("NoPages", b""),
        ]
        async with serving() as (address, _):
            framed = await outcomes(GrpcWireDriver, address, script)
            official = await outcomes(GrpcioDriver, address, script)

        assert [one.status for one in framed] == [0, 0, 0, 0, 0, 4, 0, 6, 6, 0, 0, 15, 12]
        assert framed[8].text == "connection lost: the stream ended, ALREADY_EXISTS: 4001 déjà vu"
        assert framed[10].message == b"".join(prefixed(b"%d" % n * n) for n in range(300))
        assert framed == official

    run(main)


def test_drivers_agree_on_a_method_that_is_not_there() -> None:
    """A stream of no method fails its messages with UNIMPLEMENTED in both."""

    async def main() -> None:
        async with serving() as (address, _):
            replies = [
                await outcomes(make, address, [("Missing", b"")])
                for make in (GrpcWireDriver, GrpcioDriver)
            ]

        assert replies[0] == replies[1]
        assert replies[0][0].status == GrpcStatus.UNIMPLEMENTED

    run(main)


@BOTH
def test_lanes_keep_their_order_and_each_message_is_seen_once(make: Any) -> None:
    """Thousands of messages over a few streams: each executed once, each lane in order."""

    async def main() -> None:
        async with (
            serving() as (address, service),
            driving(make, address, stream_count=3, connection_count=2) as (driver, replies),
        ):
            for token in range(3_000):
                driver.send_in_lane(token, 0, numbered(token), token % 10)
                if token % 50 == 0:
                    driver.flush()
            driver.flush()
            await eventually(lambda: len(replies.by_token) == 3_000)

            assert {one.status for one in replies.by_token.values()} == {0}
            assert set(service.seen.values()) == {1}
            for lane in range(10):
                arrived = [token for token in service.order if token % 10 == lane]
                assert arrived == sorted(arrived)

    run(main)


def test_connections_that_age_lose_nothing_on_streams() -> None:
    """Under GOAWAYs every few milliseconds each message is executed once, in the lane's order."""

    async def main() -> None:
        ages = (("grpc.max_connection_age_ms", 30), ("grpc.max_connection_age_grace_ms", 5_000))
        async with (
            serving(*ages) as (address, service),
            driving(GrpcWireDriver, address) as (driver, replies),
        ):
            token_count = 0
            while driver.stats.goaway_count < 8:
                for _ in range(5):
                    driver.send_in_lane(token_count, 0, numbered(token_count), token_count % 4)
                    token_count += 1
                driver.flush()
                await asyncio.sleep(0.001)
            results = [await replies.of(token) for token in range(token_count)]

            assert {one.status for one in results} == {0}
            assert len(service.seen) == token_count
            assert set(service.seen.values()) == {1}
            for lane in range(4):
                arrived = [token for token in service.order if token % 4 == lane]
                assert arrived == sorted(arrived)
            assert driver.stats.reopened_count >= 4

    run(main)


@BOTH
def test_feeds_bring_each_message_as_it_comes(make: Any) -> None:
    """A subscription hears every message in order; one that is refused hears why, once."""

    async def main() -> None:
        messages: list[tuple[int, bytes]] = []
        ends: list[tuple[int, int, str]] = []

        async with serving() as (address, _), driving(make, address) as (driver, _replies):
            for token, name in ((7, "Ticks"), (8, "Ticks"), (9, "NoTicks")):
                driver.subscribe(
                    token,
                    METHODS.index(name),
                    b"50",
                    lambda *message: messages.append(message),
                    lambda *end: ends.append(end),
                )
            driver.flush()
            await eventually(lambda: len(messages) == 100 and bool(ends))

            for token in (7, 8):
                assert [body for one, body in messages if one == token] == [
                    b"%d" % number for number in range(50)
                ]
            assert ends == [(9, 12, "the stream ended, UNIMPLEMENTED: Method not found!")]
        assert sorted(token for token, *_ in ends) == [7, 8, 9]
        assert {status for token, status, _ in ends if token != 9} == {14}

    run(main)


def test_pages_are_bounded() -> None:
    """A server stream longer than allowed in all is stopped, and is no reply."""

    async def main() -> None:
        async with (
            serving() as (address, _),
            driving(GrpcWireDriver, address, reply_bytes_max=10_000) as (driver, replies),
        ):
            driver.send(0, METHODS.index("Pages"), b"20")
            driver.send(1, METHODS.index("Pages"), b"200")
            driver.flush()
            short, long = await replies.of(0), await replies.of(1)

            assert short.status == 0
            assert (long.status, long.text) == (8, "reply of more than 10000 bytes in all")

    run(main)
