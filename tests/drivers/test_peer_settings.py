"""Every value of the peer's SETTINGS, before, during and after load: calls go as it allows."""

import time

import pytest
from hpack import Decoder, HPACKError

from tests.drivers.peer import (
    ACK,
    HEADERS,
    SETTINGS,
    PeerConnection,
    call,
    head,
    reply,
    run,
    settings,
    trailers,
    window_update,
    wired,
)
from tests.drivers.streams import answered, on_streams, opened, send

PLENTY = {"s4": 1 << 20, "s3": 1_000}


class Reader:
    """The peer's side of HPACK: fails on a block that doesn't keep to the announced table."""

    def __init__(self, table_bytes: int) -> None:
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = table_bytes

    def path_of(self, block: bytes) -> str:
        """The path that a request's block names."""
        return dict(self._decoder.decode(block))[":path"]

    def announce(self, table_bytes: int) -> None:
        """Hold what comes from now on to another size."""
        self._decoder.max_allowed_table_size = table_bytes


async def answer(connection: PeerConnection, reader: Reader) -> str:
    """Answer the next request and return its path."""
    one = await connection.expect(HEADERS)
    connection.send(reply(one.stream_id, b"done"))
    return reader.path_of(one.payload)


@pytest.mark.parametrize("table_bytes", [0, 1, 1_024, 4_095, 4_096, 65_536])
def test_header_table_of_any_size(table_bytes: int) -> None:
    """A table below the default is acknowledged by a size update in the next block, once."""

    async def main() -> None:
        async with wired(settings(s1=table_bytes)) as (_, connection, driver, replies):
            reader = Reader(table_bytes)
            call(driver, 0, 1, 2)
            assert [await answer(connection, reader) for _ in range(3)] == ["/t.S/A"] * 3
            assert {(await replies.of(token)).status for token in range(3)} == {0}

    run(main)


def test_header_table_that_shrinks_under_load() -> None:
    """Blocks sent before our acknowledgement keep to the old table, those after it to the new."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            reader = Reader(4_096)
            call(driver, 0)
            await answer(connection, reader)
            connection.send(settings(s1=0), settings(s1=8_192), settings(s1=16))
            for _ in range(3):
                while not (await connection.expect(SETTINGS)).flags & ACK:
                    pass
            reader.announce(0)
            call(driver, 1, 2)
            assert [await answer(connection, reader) for _ in range(2)] == ["/t.S/A"] * 2
            assert {(await replies.of(token)).status for token in range(3)} == {0}

    run(main)


def test_header_table_of_a_peer_with_streams() -> None:
    """The size update comes with whatever block is first, a standing stream's too."""

    async def main() -> None:
        own = settings(s1=0, **PLENTY)
        async with wired(own, **on_streams()) as (_, connection, driver, replies):
            one = await connection.expect(HEADERS)
            assert Reader(0).path_of(one.payload) == "/t.S/A"
            connection.send(head(one.stream_id))
            driver.send(1, 1, b"ask")
            driver.flush()
            with pytest.raises(HPACKError):  # no second update: it reads alone what needs the first
                Reader(0).path_of((await connection.expect(HEADERS)).payload)
            connection.send(reply(3))
            assert (await replies.of(1)).status == 0

    run(main)


@pytest.mark.parametrize(
    "announced",
    [
        {"s2": 0},
        {"s3": 1},
        {"s3": 2**32 - 1},
        {"s4": 0},
        {"s4": 1},
        {"s4": 2**31 - 1},
        {"s5": 16_384},
        {"s5": 16_777_215},
        {"s6": 0},
        {"s6": 2**32 - 1},
        {"s8": 1},
        {"s9": 1},
        {"s4095": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_other_settings(announced: dict[str, int], when: str) -> None:
    """Calls around a SETTINGS frame are all sent whole and answered; unknown ones are ignored."""

    async def main() -> None:
        async with wired(settings(**(announced if when == "before" else {}))) as (
            _,
            connection,
            driver,
            replies,
        ):
            call(driver, 0, 1)
            if when == "during":
                connection.send(settings(**announced))
            for token in range(2):
                stream_id = (await connection.expect(HEADERS)).stream_id
                connection.send(window_update(stream_id, 100), reply(stream_id))
                assert (await replies.of(token)).status == 0
            if when == "after":
                connection.send(settings(**announced))
                await connection.expect(SETTINGS)
            call(driver, 2)
            stream_id = (await connection.expect(HEADERS)).stream_id
            connection.send(window_update(stream_id, 100))
            connection.send(reply(stream_id))
            assert (await replies.of(2)).status == 0

    run(main)


def test_slots_held_by_streams_are_named() -> None:
    """A call that finds every slot taken by standing streams says so, not "no slot or window"."""

    async def main() -> None:
        own = settings(s3=2, s4=1 << 20)
        async with wired(own, timeout_s=0.05, **on_streams(2)) as (_, connection, driver, replies):
            await opened(connection)
            driver.send(0, 1, b"ask")
            driver.flush()
            one = await replies.of(0)

            assert one.status == 4
            assert one.text == (
                "not sent: standing streams hold every stream that the peer allows on a connection"
            )

    run(main)


def test_window_updates_of_one_stream_cost_the_same_beside_many() -> None:
    """A WINDOW_UPDATE looks at its own stream: a thousand others that wait make it no slower."""

    async def main() -> None:
        own = settings(s4=0, s3=10_000)
        async with wired(own) as (_, connection, driver, replies):
            call(driver, *range(1_001), message=bytes(300))
            first = (await connection.expect(HEADERS)).stream_id
            writer = next(iter(driver._connections)).writer
            looked_at = []
            feed = writer._feed
            writer._feed = lambda stream_id, upload: (  # type: ignore[method-assign]
                looked_at.append(stream_id),
                feed(stream_id, upload),
            )[1]
            for _ in range(305):
                connection.send(window_update(first, 1))
            connection.send(reply(first))
            assert (await replies.of(0)).status == 0

            assert set(looked_at) == {first}

    run(main)


def test_starved_uploads_share_the_connections_window() -> None:
    """What only the connection's window holds back goes on as it opens, until all is sent."""

    async def main() -> None:
        async with wired(settings(s4=1 << 20)) as (_, connection, driver, replies):
            call(driver, 0, 1, 2, message=bytes(60_000))
            connection.send(*(window_update(0, 5_000) for _ in range(30)))
            for _ in range(3):
                stream_id, message = await connection.request()
                assert message == bytes(60_000)
                connection.send(reply(stream_id))
            assert {(await replies.of(token)).status for token in range(3)} == {0}

    run(main)


@pytest.mark.parametrize("end", [head, trailers])
def test_headers_that_are_too_long_cost_their_own_call(end: object) -> None:
    """Fields of 100 kB fail the call that they belong to; the one beside it goes on."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            call(driver, 0, 1)
            await connection.request()
            await connection.request()
            field = b"\x40\x01x\x7f\x81\x06" + b"y" * 896  # enters the table: one byte repeats it
            assert callable(end)
            connection.send(end(1, b"\x88" + field + b"\xbe" * 120), reply(3, b"fine"))
            first, second = await replies.of(0), await replies.of(1)

            assert first.status == 8
            assert first.text == "headers of more than 65536 bytes"
            assert (second.status, second.message) == (0, b"fine")

    run(main)


def test_a_reset_after_the_deadline_is_a_time_out() -> None:
    """CANCEL is CANCELLED before the deadline; after it the peer only kept the same one."""

    async def main() -> None:
        now = [time.monotonic_ns()]
        async with wired(timeout_s=1.0, clock=lambda: now[0]) as (_, connection, driver, replies):
            call(driver, 0)
            await connection.request()
            connection.send(b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08")
            assert (await replies.of(0)).status == 1
            call(driver, 1)
            await connection.request()
            now[0] += 1_000_000_000
            connection.send(b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08")
            assert (await replies.of(1)).status == 4

    run(main)


def test_refused_messages_go_once_more() -> None:
    """As a call: what a stream's second refusal meets is answered, and known to have no effect."""

    async def main() -> None:
        async with wired(settings(**PLENTY), **on_streams()) as (_, connection, driver, replies):
            send(driver, 0)
            for _ in range(2):
                stream_id = (await connection.expect(HEADERS)).stream_id
                connection.send(b"\0\0\x04\x03\0" + stream_id.to_bytes(4, "big") + b"\0\0\0\x07")
            one = await replies.of(0)
            assert (one.status, one.text[:10]) == (14, "not sent: ")
            send(driver, 1)
            await answered(await opened(connection), 1)
            assert (await replies.of(1)).status == 0

    run(main)
