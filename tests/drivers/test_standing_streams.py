"""Standing streams of the framed driver against a peer made of bytes: windows, order, answers."""

import asyncio
import random

import pytest

from tests.drivers.peer import (
    DATA,
    HEADERS,
    PADDED,
    RST_STREAM,
    WINDOW_UPDATE,
    Frame,
    PeerConnection,
    SettableClock,
    eventually,
    frame,
    prefixed,
    reply,
    run,
    settings,
    window_update,
    wired,
)
from tests.drivers.streams import (
    CALL,
    PLENTY,
    StreamEnd,
    all_opened,
    numbered,
    on_streams,
    opened,
    read_number,
    send,
)

SECOND_NS = 1_000_000_000


def test_streams_are_open_from_the_start_and_messages_share_a_frame() -> None:
    """All streams open at connect; what is sent before a flush is one DATA frame a stream."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams(2)) as (_, connection, driver, replies):
            first, second = await all_opened(connection, 2)
            for token in range(6):
                driver.send_in_lane(token, 0, numbered(token), token)
            driver.flush()
            assert await first.tokens(3) == [0, 2, 4]
            assert await second.tokens(3) == [1, 3, 5]
            assert (first.frame_count, second.frame_count) == (1, 1)
            second.send(3, 1, 5, body=b"yes")
            first.send(0, 2, 4)
            for token in range(6):
                assert (await replies.of(token)).status == 0

            assert replies.in_order == [3, 1, 5, 0, 2, 4]
            assert replies.by_token[3].message == b"yes"
            assert driver.stats.blocked_count == 0
            assert (driver.stats.sent_count, driver.stats.reply_count) == (6, 6)

    run(main)


def test_streams_are_spread_over_connections() -> None:
    """Four streams on two connections are two on each."""

    async def main() -> None:
        options = on_streams(4, connection_count=2)
        async with wired(PLENTY, **options) as (peer, first, _driver, _):
            second = await peer.accept()
            counts = []
            for connection in (first, second):
                frames = await connection.synchronise()
                counts.append([one.kind for one in frames].count(HEADERS))

            assert counts == [2, 2]

    run(main)


def test_window_holds_messages_back_in_order() -> None:
    """Past the window messages wait in the driver, counted; each answer lets the next one go."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams(1, 2)) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1, 2, 3, 4)
            assert await end.tokens(2) == [0, 1]
            assert [one for one in await connection.synchronise() if one.kind == DATA] == []
            assert driver.stats.blocked_count == 3
            end.send(1)
            assert await end.tokens(1) == [2]
            end.send(0, 2)
            assert await end.tokens(2) == [3, 4]
            end.send(3, 4)
            await replies.of(4)

            assert driver.stats.blocked_count == 3
            assert driver.stats.blocked_ns_total > 0

    run(main)


async def granted(connection: PeerConnection, end: StreamEnd, *frames: bytes) -> None:
    """Give the driver window and take all that it then sends."""
    for one in await settled(connection, *frames):
        end.absorb(one)


async def settled(connection: PeerConnection, *frames: bytes) -> list[Frame]:
    """Send *frames*; all DATA that follows. It may come behind the first PING's answer."""
    connection.send(*frames)
    read = await connection.synchronise() + await connection.synchronise()
    return [one for one in read if one.kind == DATA]


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 19, 20, 100])
def test_send_windows_of_the_stream_are_honoured_to_the_byte(piece_bytes: int) -> None:
    """However small the windows, messages arrive whole and in order, and never past a window."""

    async def main() -> None:
        async with wired(settings(s4=0), **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, *range(10), body=b"0123456789")
            await granted(connection, end)
            assert end.received_bytes == 0
            for _ in range(-(-10 * 19 // piece_bytes)):
                before_bytes = end.received_bytes
                await granted(connection, end, window_update(end.stream_id, piece_bytes))
                assert end.received_bytes - before_bytes <= piece_bytes
            assert await end.tokens(10) == list(range(10))
            end.send(*range(10))
            assert (await replies.of(9)).status == 0

    run(main)


def test_send_window_of_the_connection_is_shared_and_honoured() -> None:
    """65,535 bytes over all streams, then nothing; what comes after a WINDOW_UPDATE is whole."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams(2)) as (_, connection, driver, replies):
            ends = await all_opened(connection, 2)
            for token in range(8):
                driver.send_in_lane(token, 0, numbered(token, bytes(20_000)), token)
            driver.flush()
            frames = await settled(connection)
            assert sum(len(one.payload) for one in frames) == 65_535
            assert max(len(one.payload) for one in frames) == 16_384
            frames += await settled(connection, window_update(0, 1 << 20))
            for one in frames:
                ends[one.stream_id > ends[0].stream_id].absorb(one)
            assert await ends[0].tokens(4) == [0, 2, 4, 6]
            assert await ends[1].tokens(4) == [1, 3, 5, 7]
            ends[0].send(0, 2, 4, 6)
            ends[1].send(1, 3, 5, 7)
            assert (await replies.of(7)).status == 0

    run(main)


def test_stream_window_that_shrinks_by_settings_is_honoured() -> None:
    """A smaller INITIAL_WINDOW_SIZE counts for open streams, below zero even."""

    async def main() -> None:
        async with wired(settings(s4=100), **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, body=bytes(71))  # 80 bytes
            await granted(connection, end, settings(s4=10))  # the window is now -70
            send(driver, 1)
            await granted(connection, end, window_update(end.stream_id, 70))
            assert end.received_bytes == 80
            await granted(connection, end, window_update(end.stream_id, 9))
            assert await end.tokens(2) == [0, 1]
            end.send(0, 1)
            assert (await replies.of(1)).status == 0

    run(main)


def test_peer_that_does_not_read_slows_the_driver_and_loses_nothing() -> None:
    """With the socket full messages wait; once the peer reads on, all come in order."""

    async def main() -> None:
        huge = settings(s4=2**31 - 1)
        async with wired(huge, **on_streams(1, 10_000)) as (_, connection, driver, replies):
            end = await opened(connection)
            connection.send(window_update(0, 2**31 - 1 - 65_535))
            await connection.synchronise()
            for token in range(400):  # 40 MB, more than any socket buffer holds
                send(driver, token, body=bytes(100_000))
            assert driver.stats.blocked_count > 0
            assert await end.tokens(400) == list(range(400))
            end.send(*range(400))
            assert (await replies.of(399)).status == 0

    run(main)


def test_ten_thousand_messages_are_answered_once_each() -> None:
    """In any order, cut anywhere by frames, beside unary calls: each exactly once, its own."""

    async def main() -> None:
        chance = random.Random(7)
        async with wired(PLENTY, **on_streams(4, 64)) as (_, connection, driver, replies):
            connection.send(window_update(0, 1 << 28))
            ends = {one.stream_id: one for one in await all_opened(connection, 4)}
            lanes = [chance.randrange(1_000) for _ in range(10_000)]
            for token, lane in enumerate(lanes):
                driver.send_in_lane(token, 0, numbered(token, b"x" * chance.randrange(50)), lane)
                if token % 7 == 0:
                    driver.flush()
            driver.flush()
            held: dict[int, list[int]] = {stream_id: [] for stream_id in ends}
            bodies = dict.fromkeys(ends, b"")
            seen: list[int] = []
            while len(seen) < 10_000:
                one = await connection.read()
                if one.kind != DATA:
                    continue
                body = bodies[one.stream_id] + one.payload
                while len(body) >= 5 and len(body) >= (end := 5 + int.from_bytes(body[1:5], "big")):
                    held[one.stream_id].append(read_number(body[5:end])[0])
                    body = body[end:]
                bodies[one.stream_id] = body
                seen += answer_some(connection, one.stream_id, held[one.stream_id], chance)
            await eventually(lambda: len(replies.by_token) == 10_000)

            assert sorted(seen) == list(range(10_000))
            assert all(one.message == b"r%d" % token for token, one in replies.by_token.items())
            stats = driver.stats
            assert (stats.reply_count, stats.unmatched_count, stats.late_count) == (10_000, 0, 0)

    run(main)


def answer_some(
    connection: PeerConnection, stream_id: int, held: list[int], chance: random.Random
) -> list[int]:
    """Answer what is held in any order, its bytes cut into frames anywhere."""
    chance.shuffle(held)
    answered, held[:] = list(held), []
    body = b"".join(prefixed(numbered(token, b"r%d" % token)) for token in answered)
    while body:
        cut = chance.randrange(1, len(body) + 1)
        connection.send(frame(DATA, 0, stream_id, body[:cut]))
        body = body[cut:]
    return answered


def test_deadline_is_reported_and_a_later_answer_counted_as_late() -> None:
    """In flight or still waiting, it is over; the answer that comes later changes nothing."""

    async def main() -> None:
        clock = SettableClock()
        options = on_streams(1, 1, clock=clock)
        async with wired(PLENTY, timeout_s=2.0, **options) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1)
            clock.now_ns += SECOND_NS
            send(driver, 2)
            clock.now_ns += SECOND_NS
            flown, waited = await replies.of(0), await replies.of(1)
            assert (flown.status, flown.text) == (4, "no reply within the deadline")
            assert (waited.status, waited.text[:10]) == (4, "not sent: ")
            assert await end.tokens(2) == [0, 2]  # its slot in the window is free again
            end.send(0, 2)
            assert (await replies.of(2)).status == 0

            assert driver.stats.late_count == 1
            assert driver.stats.unmatched_count == 0
            assert driver.stats.reply_count == 3

    run(main)


def test_messages_that_answer_nothing_are_counted_and_no_more() -> None:
    """An unknown number, one answered already, and bytes without any: the stream goes on."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1)
            end.send(77, 0, 0)
            connection.send(frame(DATA, 0, end.stream_id, prefixed(b"ab") + prefixed(b"")))
            end.send(1)
            assert (await replies.of(1)).status == 0

            assert driver.stats.unmatched_count == 4
            assert driver.stats.late_count == 0

    run(main)


def test_padding_is_taken_off_and_given_back() -> None:
    """Padded DATA holds the same messages, and its padding counts for the window."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0)
            padded = bytes([200]) + prefixed(numbered(0)) + bytes(200)
            empty = bytes([255]) + bytes(255)
            connection.send(frame(DATA, PADDED, end.stream_id, padded))
            assert (await replies.of(0)).status == 0
            connection.send(frame(DATA, PADDED, end.stream_id, empty) * 8_400)  # above 2 MiB
            update = await connection.expect(WINDOW_UPDATE, end.stream_id)

            assert update.number > 2 * 1024 * 1024

    run(main)


def test_own_window_is_given_back_while_the_stream_stands() -> None:
    """A stream may bring any number of bytes: its window is renewed each two mebibytes."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, *range(200))
            for token in range(200):
                body = prefixed(numbered(token, bytes(30_000)))
                connection.send(frame(DATA, 0, end.stream_id, body[:16_000]))
                connection.send(frame(DATA, 0, end.stream_id, body[16_000:]))
            assert len((await replies.of(199)).message) == 30_000
            frames = await connection.synchronise()
            updates = [one for one in frames if one.kind == WINDOW_UPDATE]

            assert {one.stream_id for one in updates} == {end.stream_id}
            assert sum(one.number for one in updates) >= 4_000_000

    run(main)


def test_streams_and_calls_share_a_connection() -> None:
    """Unary calls go on beside a stream that is stalled, and the slots are counted together."""

    async def main() -> None:
        few = settings(s3=2, s4=0)
        async with wired(few, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0)
            driver.send(1, CALL, b"")
            driver.send(2, CALL, b"")
            driver.flush()
            calls = await connection.expect(HEADERS)
            frames = await connection.synchronise()
            assert [one for one in frames if one.kind == HEADERS] == []  # both slots are taken
            connection.send(settings(s4=100))
            assert await end.tokens(1) == [0]
            connection.send(reply(calls.stream_id, b"one"))
            assert (await replies.of(1)).message == b"one"
            connection.send(reply((await connection.expect(HEADERS)).stream_id, b"two"))
            assert (await replies.of(2)).message == b"two"
            end.send(0)
            assert (await replies.of(0)).status == 0

    run(main)


def test_a_stream_without_a_slot_opens_when_there_is_one() -> None:
    """Its messages wait meanwhile; a raised limit lets it open and them go."""

    async def main() -> None:
        one_slot = settings(s3=1, s4=1 << 20)
        async with wired(one_slot, **on_streams(2)) as (_, connection, driver, replies):
            await opened(connection)
            send(driver, 5, lane=1)
            assert [one.kind for one in await connection.synchronise()] == []
            connection.send(settings(s3=2))
            late = await opened(connection)
            assert await late.tokens(1) == [5]
            late.send(5)
            assert (await replies.of(5)).status == 0
            assert driver.stats.blocked_count == 1

    run(main)


def test_dependent_messages_go_with_the_answer_that_frees_them() -> None:
    """What a reply handler sends is written when the read is done, without a flush of its own."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams(2)) as (_, connection, driver, replies):
            first, second = await all_opened(connection, 2)
            replies.then = lambda token: (
                driver.send_in_lane(token + 10, 0, numbered(token + 10), 1) if token < 10 else None
            )
            send(driver, 0, 1, 2)
            await first.tokens(3)
            first.send(0, 1, 2)
            assert await second.tokens(3) == [10, 11, 12]
            assert second.frame_count == 1

    run(main)


def test_closing_ends_the_streams_in_order() -> None:
    """close() half-closes, takes the answers that still come, and the peer ends the stream."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0)
            await end.tokens(1)

            async def answer() -> None:
                await end.half_close()
                end.send(0)
                flags = 5  # END_HEADERS, END_STREAM
                connection.send(frame(HEADERS, flags, end.stream_id, b"\x00\x0bgrpc-status\x010"))

            async with asyncio.TaskGroup() as both:
                both.create_task(driver.close())
                both.create_task(answer())
            assert replies.by_token[0].status == 0
            frames = await connection.until_closed()
            assert RST_STREAM not in [one.kind for one in frames]

    run(main)


def test_what_is_sent_after_close_is_answered() -> None:
    """Nothing is swallowed: unavailable, not sent."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            await opened(connection)
            driver.send(1, CALL, b"")
            driver.flush()
            await driver.close()
            send(driver, 0)
            await eventually(lambda: len(replies.by_token) == 2)

            assert replies.by_token[0].text == "not sent: the driver was closed"
            assert replies.by_token[1].status == 14

    run(main)
