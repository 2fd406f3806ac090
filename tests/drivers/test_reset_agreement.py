"""Both drivers against one peer made of bytes: the same end of a call has the same status."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from harness.drivers import grpcio_driver
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.drivers.grpcio_driver import GrpcioDriver
from tests.drivers.peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    SETTINGS,
    Peer,
    PeerConnection,
    Replies,
    Reply,
    frame,
    head,
    prefixed,
    reset,
    run,
    trailers,
)

End = Callable[[int], bytes]


async def _serve(peer: Peer, end: End) -> None:
    while True:
        connection = await peer.accept()
        asyncio.ensure_future(_answer(connection, end))  # noqa: RUF006 - ends with the loop


async def _answer(connection: PeerConnection, end: End) -> None:
    try:
        while True:
            one = await connection.read()
            if one.kind == SETTINGS and not one.flags & 1:
                connection.send(frame(SETTINGS, 1, 0))
            elif one.kind == PING and not one.flags & 1:
                connection.send(frame(PING, 1, 0, one.payload))
            elif one.kind == DATA and one.flags & END_STREAM:
                connection.send(end(one.stream_id))
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def outcome(make: Any, end: End, timeout_s: float = 5.0) -> Reply:
    """How a call ends whose peer answers with the bytes of *end*."""
    peer, replies = Peer(), Replies()
    await peer.listen()
    server = asyncio.ensure_future(_serve(peer, end))
    driver = make(
        address=peer.address,
        methods=["/t.S/A"],
        on_reply=replies.take,
        timeout_ns=int(timeout_s * 1e9),
    )
    try:
        await driver.connect()
        driver.send(0, 0, b"ask")
        driver.flush()
        return await replies.of(0)
    finally:
        await driver.close()
        server.cancel()
        peer.stop_listening()
        peer.drop_all()


def both(end: End) -> tuple[Reply, Reply]:
    """The outcome in the framed driver and in grpcio's."""

    async def main() -> tuple[Reply, Reply]:
        return await outcome(GrpcWireDriver, end), await outcome(GrpcioDriver, end)

    return run(main)


@pytest.mark.parametrize("code", [*range(15), 255, 2**32 - 1])
def test_every_reset_code(code: int) -> None:
    """RST_STREAM with any code, known or not, ends a call as grpcio ends it."""
    framed, official = both(lambda stream_id: reset(stream_id, code))

    assert framed.status == official.status
    assert framed.text.startswith("not sent: ") == official.text.startswith("not sent: ")


@pytest.mark.parametrize("status", [*range(18), 99, 1_000])
def test_every_status(status: int) -> None:
    """A grpc-status of any number, without a message, ends a call as grpcio ends it."""
    block = b"\x88\x0f\x10\x10application/grpc\x00\x0bgrpc-status" + bytes([len(str(status))])
    framed, official = both(lambda stream_id: trailers(stream_id, block + str(status).encode()))

    assert framed.status == official.status


@pytest.mark.parametrize("http_status", [*(200, 204, 400, 401, 403, 404, 429, 500, 502, 503, 504)])
def test_every_http_status(http_status: int) -> None:
    """A reply of a proxy, without grpc-status, ends a call as grpcio ends it."""
    block = b"\x08\x03" + str(http_status).encode() + b"\x0f\x10\x09text/html"
    framed, official = both(lambda stream_id: trailers(stream_id, block))

    assert framed.status == official.status


def test_a_reply_past_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply longer than is allowed is RESOURCE_EXHAUSTED in both."""
    monkeypatch.setattr(grpcio_driver, "REPLY_BYTES_MAX", 20_000)

    def end(stream_id: int) -> bytes:
        body = prefixed(bytes(30_000))
        data = frame(DATA, 0, stream_id, body[:16_000]) + frame(DATA, 0, stream_id, body[16_000:])
        return head(stream_id) + data + trailers(stream_id)

    async def main() -> tuple[Reply, Reply]:
        def framed(**options: Any) -> GrpcWireDriver:
            return GrpcWireDriver(reply_bytes_max=20_000, **options)

        return await outcome(framed, end), await outcome(GrpcioDriver, end)

    framed, official = run(main)

    assert framed.status == official.status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


def test_a_message_that_is_compressed_by_nothing() -> None:
    """
    A compressed flag without grpc-encoding is INTERNAL, as PROTOCOL-HTTP2.md asks.

    The one difference: grpcio takes the bytes as they are.
    """

    def end(stream_id: int) -> bytes:
        data = frame(DATA, 0, stream_id, prefixed(b"zip", compressed=1))
        return head(stream_id) + data + trailers(stream_id)

    framed, official = both(end)

    assert (framed.status, official.status) == (13, 0)


def test_replies_that_end_too_early() -> None:
    """No trailers, no message, half a message: as grpcio ends them."""
    ends: dict[str, End] = {
        "OK without a message": lambda one: head(one) + trailers(one),
        "half a message": lambda one: (
            head(one) + frame(DATA, 0, one, prefixed(b"whole")[:7]) + trailers(one)
        ),
        "DATA ends it": lambda one: head(one) + frame(DATA, END_STREAM, one, prefixed(b"whole")),
        "HEADERS end it": lambda one: frame(
            HEADERS, END_HEADERS | END_STREAM, one, b"\x88\x0f\x10\x10application/grpc"
        ),
    }
    different = {
        name: (framed.status, official.status)
        for name, (framed, official) in ((name, both(end)) for name, end in ends.items())
        if framed.status != official.status
    }

    assert different == {}
