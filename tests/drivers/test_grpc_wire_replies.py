"""The framed driver against a peer that plays frames: what it asks, and every shape of a reply."""

import asyncio
import random
import struct

import pytest
from hpack import Decoder, Encoder

from harness.drivers.grpc import GrpcStatus
from tests.drivers.peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD_BLOCK,
    HEADERS,
    OK_BLOCK,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WITH_PRIORITY,
    Reply,
    SettableClock,
    call,
    frame,
    head,
    prefixed,
    reply,
    reset,
    run,
    settings,
    trailers,
    window_update,
    wired,
)


def test_request_is_one_headers_and_one_data_frame() -> None:
    """A request carries the pseudo-headers, te, content type, deadline and metadata of gRPC."""

    async def main() -> None:
        metadata = [("Authorization", "token"), ("trace-bin", b"\xff\x00")]
        async with wired(metadata=metadata, timeout_s=2.5) as (peer, connection, driver, replies):
            driver.send(7, 1, memoryview(b"ask"))
            driver.flush()
            first = await connection.expect(HEADERS)
            second = await connection.read()
            connection.send(reply(1, b"answer"))

            assert (first.flags, first.stream_id) == (END_HEADERS, 1)
            assert second == (DATA, END_STREAM, 1, prefixed(b"ask"))
            assert await replies.of(7) == Reply(7, 0, b"answer", "")
            fields = dict(_decode(first.payload))
            assert fields == {
                ":method": "POST",
                ":scheme": "http",
                ":path": "/t.S/B",
                ":authority": peer.address,
                "te": "trailers",
                "content-type": "application/grpc",
                "user-agent": "acctbench",
                "grpc-timeout": "2500000u",
                "authorization": "token",
                "trace-bin": "/wA",
            }

    run(main)


def test_flush_writes_everything_sent_in_order() -> None:
    """Calls sent before one flush arrive in order, on rising odd stream ids."""

    async def main() -> None:
        async with wired() as (_, connection, driver, _replies):
            for token in range(3):
                driver.send(token, 0, b"%d" % token)
            driver.flush()

            requests = [await connection.request() for _ in range(3)]
            assert requests == [(1, b"0"), (3, b"1"), (5, b"2")]

    run(main)


def _decode(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in Decoder().decode(block)]


PLAIN_DATA = frame(DATA, 0, 1, prefixed(b"abc"))
ODD_REPLIES = {
    "padded DATA": head(1)
    + frame(DATA, PADDED, 1, b"\x03" + prefixed(b"abc") + b"\0\0\0")
    + trailers(1),
    "padding alone": head(1) + frame(DATA, PADDED, 1, b"\x00") + PLAIN_DATA + trailers(1),
    "padded HEADERS with priority": frame(
        HEADERS,
        END_HEADERS | PADDED | WITH_PRIORITY,
        1,
        b"\x02" + b"\0\0\0\0\x10" + HEAD_BLOCK + b"\0\0",
    )
    + PLAIN_DATA
    + trailers(1),
    "CONTINUATION": frame(HEADERS, 0, 1, HEAD_BLOCK[:3])
    + frame(CONTINUATION, 0, 1, HEAD_BLOCK[3:9])
    + frame(CONTINUATION, END_HEADERS, 1, HEAD_BLOCK[9:])
    + PLAIN_DATA
    + frame(HEADERS, END_STREAM, 1, OK_BLOCK[:5])
    + frame(CONTINUATION, END_HEADERS, 1, OK_BLOCK[5:]),
    "message in pieces": head(1)
    + frame(DATA, 0, 1, b"\0")
    + frame(DATA, 0, 1, b"\0\0\0\x03a")
    + frame(DATA, 0, 1)
    + frame(DATA, 0, 1, b"bc")
    + trailers(1),
    "1xx before the head": head(1, b"\x08\x03103") + head(1) + PLAIN_DATA + trailers(1),
    "PRIORITY, unknown frame types and flags": frame(PRIORITY, 0, 1, bytes(5))
    + frame(HEADERS, END_HEADERS | 0x42, 1, HEAD_BLOCK)
    + frame(0xEE, 0xFF, 1, b"what is this")
    + frame(DATA, 0x40, 1, prefixed(b"abc"))
    + trailers(1),
    "reserved bit": head(1 | 1 << 31) + PLAIN_DATA + trailers(1),
}


@pytest.mark.parametrize("shape", ODD_REPLIES)
def test_odd_but_legal_reply(shape: str) -> None:
    """Every legal spelling of a reply gives the same reply, and the connection goes on."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            call(driver, 0)
            await connection.request()
            connection.send(ODD_REPLIES[shape])
            assert await replies.of(0) == Reply(0, 0, b"abc", "")
            call(driver, 1)
            connection.send(reply((await connection.request())[0], b"next"))
            assert (await replies.of(1)).message == b"next"

    run(main)


def test_reply_cut_into_single_bytes() -> None:
    """A reply that arrives byte by byte is read like any other."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            call(driver, 0)
            await connection.request()
            for byte in reply(1, b"abc"):
                connection.send(bytes([byte]))
                await asyncio.sleep(0)
            assert await replies.of(0) == Reply(0, 0, b"abc", "")

    run(main)


FAILED_REPLIES = {
    "trailers only": (
        trailers(1, HEAD_BLOCK + b"\x00\x0bgrpc-status\x015" + b"\x00\x0cgrpc-message\x04gone"),
        GrpcStatus.NOT_FOUND,
        "gone",
    ),
    "message that is not ASCII": (
        trailers(1, HEAD_BLOCK + b"\x00\x0bgrpc-status\x019\x00\x0cgrpc-message\x0dZ%C3%BCrich%3"),
        GrpcStatus.FAILED_PRECONDITION,
        "Zürich%3",
    ),
    "status above 16": (trailers(1, HEAD_BLOCK + b"\x00\x0bgrpc-status\x0299"), 2, ""),
    "no grpc-status": (head(1) + PLAIN_DATA + trailers(1, b"\x00\x01x\x01y"), 2, "grpc-status"),
    "no trailers": (head(1) + frame(DATA, END_STREAM, 1, prefixed(b"abc")), 2, "grpc-status"),
    "HTTP 503": (head(1, b"\x08\x03503"), GrpcStatus.UNAVAILABLE, "HTTP status 503"),
    "HTTP 404, alone": (trailers(1, b"\x8d"), GrpcStatus.UNIMPLEMENTED, "HTTP status 404"),
    "a web page": (head(1, b"\x88\x0f\x10\x09text/html"), GrpcStatus.UNKNOWN, "content-type"),
    "compressed": (
        head(1) + frame(DATA, 0, 1, prefixed(b"abc", compressed=1)),
        GrpcStatus.INTERNAL,
        "compressed",
    ),
    "two messages": (head(1) + PLAIN_DATA + PLAIN_DATA, GrpcStatus.INTERNAL, "more than one"),
    "two messages in one frame": (
        head(1) + frame(DATA, 0, 1, prefixed(b"a") + prefixed(b"b")),
        GrpcStatus.INTERNAL,
        "more than one",
    ),
    "no message": (head(1) + trailers(1), GrpcStatus.INTERNAL, "without a message"),
    "half a message": (
        head(1) + frame(DATA, 0, 1, prefixed(b"abc")[:6]) + trailers(1),
        GrpcStatus.INTERNAL,
        "cut short",
    ),
    "announced too long": (
        head(1) + frame(DATA, 0, 1, struct.pack(">BI", 0, 2**31)),
        GrpcStatus.RESOURCE_EXHAUSTED,
        "limit",
    ),
    "DATA first": (PLAIN_DATA, GrpcStatus.INTERNAL, "DATA before HEADERS"),
    "head twice": (head(1) + head(1), GrpcStatus.INTERNAL, "mid-reply"),
    "reset: cancel": (reset(1, 8), GrpcStatus.CANCELLED, "code 8"),
    "reset: calm": (reset(1, 11), GrpcStatus.RESOURCE_EXHAUSTED, "code 11"),
    "reset: internal": (reset(1, 2), GrpcStatus.INTERNAL, "code 2"),
    "reset: security": (reset(1, 12), GrpcStatus.PERMISSION_DENIED, "code 12"),
    "reset: unheard of": (reset(1, 77), GrpcStatus.INTERNAL, "code 77"),
}


@pytest.mark.parametrize("shape", FAILED_REPLIES)
def test_failed_reply(shape: str) -> None:
    """A reply that is an error or makes no sense ends its call alone, with gRPC's status for it."""

    async def main() -> None:
        frames, status, text = FAILED_REPLIES[shape]
        async with wired() as (_, connection, driver, replies):
            call(driver, 0, 1)
            await connection.request()
            connection.send(frames, reply(3, b"other"))
            failed = await replies.of(0)

            assert (failed.status, failed.message) == (status, b"")
            assert text in failed.text
            assert (await replies.of(1)).message == b"other"

    run(main)


def test_dynamic_table_and_huffman() -> None:
    """Header blocks that mean something else after an insertion are not taken from memory."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            encoder = Encoder()
            for token in range(40):
                call(driver, token)
                stream_id, _ = await connection.request()
                # every reply inserts a new field, so the index of each older one moves each time
                first = encoder.encode(
                    [(":status", "200"), ("content-type", "application/grpc"), ("x", f"{token}")]
                )
                if token % 2:
                    last = [("grpc-status", "0")]
                else:
                    last = [("grpc-status", f"{1 + token % 16}"), ("grpc-message", f"no {token}")]
                connection.send(
                    head(stream_id, first),
                    frame(DATA, 0, stream_id, prefixed(b"m")),
                    trailers(stream_id, encoder.encode(last)),
                )
                expected = Reply(token, 0, b"m", "")
                if token % 2 == 0:
                    expected = Reply(token, 1 + token % 16, b"", f"no {token}")
                assert await replies.of(token) == expected

    run(main)


def test_late_reply_still_counts_for_the_header_table() -> None:
    """A block on a stream nobody waits for is decoded all the same: later blocks refer to it."""

    async def main() -> None:
        clock = SettableClock()
        async with wired(timeout_s=5, clock=clock) as (_, connection, driver, replies):
            encoder = Encoder()
            fields = [(":status", "200"), ("content-type", "application/grpc")]

            def encoded_reply(stream_id: int) -> list[bytes]:
                return [
                    head(stream_id, encoder.encode(fields)),
                    frame(DATA, 0, stream_id, prefixed(b"m")),
                    trailers(stream_id, encoder.encode([("grpc-status", "0")])),
                ]

            call(driver, 0)
            await connection.request()
            clock.now_ns += 5_002_000_000
            assert (await replies.of(0)).status == GrpcStatus.DEADLINE_EXCEEDED
            assert (await connection.expect(RST_STREAM)).number == 8
            connection.send(*encoded_reply(1))
            call(driver, 1)
            connection.send(*encoded_reply((await connection.request())[0]))

            assert await replies.of(1) == Reply(1, 0, b"m", "")
            assert driver.stats.late_count == 1

    run(main)


HOSTILE = {
    "garbage": (b"HTTP/1.1 400 Bad Request\r\n\r\n", 6),
    "frame too long": (frame(DATA, 0, 1, bytes(16_385)), 6),
    "window overflow": (window_update(0, 2**31 - 1), 3),
    "window update of nothing": (window_update(0, 0), 1),
    "initial window too large": (settings(s4=2**31), 3),
    "frame size too small": (settings(s5=100), 1),
    "push switched on": (settings(s2=2), 1),
    "settings cut short": (frame(SETTINGS, 0, 0, bytes(5)), 6),
    "settings on a stream": (frame(SETTINGS, 0, 1), 1),
    "acknowledgement with payload": (frame(SETTINGS, ACK, 0, bytes(6)), 6),
    "ping cut short": (frame(PING, 0, 0, bytes(7)), 6),
    "push promise": (frame(5, END_HEADERS, 1, bytes(4) + HEAD_BLOCK), 1),
    "reply on a stream never opened": (head(9), 1),
    "reply on a stream of the peer's": (head(2), 1),
    "reset of a stream never opened": (reset(9, 0), 1),
    "continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1, HEAD_BLOCK), 1),
    "block interrupted": (frame(HEADERS, 0, 1, HEAD_BLOCK) + frame(DATA, 0, 1, b""), 1),
    "block of another stream": (frame(HEADERS, 0, 1) + frame(CONTINUATION, 4, 3, HEAD_BLOCK), 1),
    "block without end": (
        frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, bytes(16_384)) * 17,
        11,
    ),
    "padding longer than its frame": (frame(DATA, PADDED, 1, b"\x09abc"), 1),
    "padding without a length": (frame(DATA, PADDED, 1), 1),
    "header index out of range": (head(1, b"\xff\x20"), 9),
    "header block cut short": (head(1, HEAD_BLOCK[:-1]), 9),
    "table larger than allowed": (head(1, b"\x3f\xe1\x7f" + HEAD_BLOCK), 9),
    "goaway cut short": (frame(GOAWAY, 0, 0, bytes(7)), 6),
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_bytes(shape: str) -> None:
    """What no HTTP/2 peer may send ends the connection with the right code; the driver lives on."""

    async def main() -> None:
        frames, code = HOSTILE[shape]
        async with wired() as (peer, connection, driver, replies):
            call(driver, 0)
            await connection.request()
            connection.send(frames)
            lost = await replies.of(0)
            last = (await connection.until_closed())[-1]
            second = await peer.accept()
            call(driver, 1)
            second.send(reply((await second.request())[0], b"alive"))

            assert (lost.status, lost.text[:17]) == (GrpcStatus.UNAVAILABLE, "connection lost: ")
            assert (last.kind, last.number) == (GOAWAY, code)
            assert (await replies.of(1)).message == b"alive"

    run(main)


def test_random_bytes() -> None:
    """Seeded noise after a valid start never does more than end the connection."""
    chance = random.Random(5)

    async def main() -> None:
        for round_number in range(25):
            async with wired() as (_, connection, driver, replies):
                call(driver, 0)
                await connection.request()
                for _ in range(20):
                    noise = chance.randbytes(chance.randrange(40))
                    kind, flags = chance.randrange(10), chance.randrange(64)
                    connection.send(frame(kind, flags, chance.choice([0, 1, 1, 1, 2, 3]), noise))
                connection.finish()
                assert (await replies.of(0)).status != 0, round_number

    run(main)
