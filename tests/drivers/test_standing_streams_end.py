"""Standing streams of the framed driver that end: each message answered once, order kept."""

from itertools import pairwise

from tests.drivers.peer import (
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    RST_STREAM,
    PeerConnection,
    frame,
    goaway,
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
from tests.drivers.streams import (
    CALL,
    PLENTY,
    StreamEnd,
    all_opened,
    answered,
    on_streams,
    opened,
    send,
)

UNIMPLEMENTED_BLOCK = b"\x88\x0f\x10\x10application/grpc\x00\x0bgrpc-status\x0212"
REFUSING_BLOCK = b"\x00\x0bgrpc-status\x016\x00\x0cgrpc-message\x084001 dup"
LOST = "connection lost: "


def test_reset_in_mid_stream() -> None:
    """What was written has an unknown outcome; what comes after goes on a new stream."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1, 2)
            await end.tokens(3)
            end.send(1)
            connection.send(reset(end.stream_id, 8))
            lost = [await replies.of(0), await replies.of(2)]
            again = await opened(connection)
            send(driver, 3)
            await answered(again, 3)
            assert (await replies.of(3)).status == 0

            assert replies.by_token[1].status == 0
            text = LOST + "the peer reset the stream, code 8"
            assert [(one.status, one.text) for one in lost] == [(1, text), (1, text)]
            assert driver.stats.reopened_count == 1

    run(main)


def test_what_was_not_written_outlives_its_stream() -> None:
    """Of messages behind a window: the one begun is lost, the others go on the next stream."""

    async def main() -> None:
        async with wired(settings(s4=14), **on_streams(1, 3)) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1, 2, 3)  # nine bytes each; the second is cut
            await end.tokens(1)
            end.send(0)
            await replies.of(0)
            connection.send(settings(s4=1 << 20), reset(end.stream_id, 2))
            assert (await replies.of(1)).text.startswith(LOST)
            await answered(await opened(connection), 2, 3)
            assert (await replies.of(3)).status == (await replies.of(2)).status == 0

            assert driver.stats.reply_count == 4

    run(main)


def test_refused_stream_was_not_processed() -> None:
    """REFUSED_STREAM before the head: all of it goes again, in order, on another stream."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            refused = StreamEnd(connection, (await connection.expect(HEADERS)).stream_id)
            send(driver, 0, 1, 2)
            await refused.tokens(3)
            connection.send(reset(refused.stream_id, 7))
            await answered(await opened(connection), 0, 1, 2)
            assert [(await replies.of(token)).status for token in range(3)] == [0, 0, 0]
            assert driver.stats.resent_count == 3

    run(main)


def test_status_of_a_stream_is_no_refusal_of_its_messages() -> None:
    """A stream that ends with a status fails what is open; the text can't pass for a refusal."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1)
            await end.tokens(2)
            end.send(0)
            connection.send(trailers(end.stream_id, REFUSING_BLOCK))
            failed = await replies.of(1)
            closing = await connection.expect(RST_STREAM, end.stream_id)
            send(driver, 2)
            await answered(await opened(connection), 2)

            assert (await replies.of(0)).status == 0
            assert failed.status == 6
            assert failed.text == LOST + "the stream ended, ALREADY_EXISTS: 4001 dup"
            assert closing.number == 0  # NO_ERROR: our half was open

    run(main)


def test_stream_that_the_peer_ends_in_peace() -> None:
    """Status OK with messages open is no success of theirs."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0)
            await end.tokens(1)
            connection.send(trailers(end.stream_id))
            one = await replies.of(0)

            assert (one.status, one.text) == (14, LOST + "the stream ended, OK: ")

    run(main)


def test_method_that_is_not_there_is_not_stormed() -> None:
    """A stream refused at once is opened again, ever more slowly; messages fail with its status."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            instants = []
            for token in range(4):
                send(driver, token)
                stream_id = (await connection.expect(HEADERS)).stream_id
                instants.append(driver._clock())
                await connection.expect(DATA, stream_id)
                connection.send(trailers(stream_id, UNIMPLEMENTED_BLOCK))
                assert (await replies.of(token)).status == 12
            gaps_ms = [(b - a) / 1e6 for a, b in pairwise(instants)]

            assert gaps_ms[0] >= 20
            assert gaps_ms[1] >= 40
            assert gaps_ms[2] >= 80

    run(main)


def test_messages_nobody_can_read_end_the_stream() -> None:
    """Compressed, too long, data before a head, headers in the middle: an error, and a new one."""

    async def main() -> None:
        bad = {
            "compressed message": lambda number: (
                head(number) + frame(DATA, 0, number, prefixed(b"zip", compressed=1))
            ),
            "message of 4294967295 bytes": lambda number: (
                head(number) + frame(DATA, 0, number, b"\x00\xff\xff\xff\xff")
            ),
            "DATA before HEADERS": lambda number: frame(DATA, 0, number, prefixed(b"early")),
            "HEADERS in mid-stream": lambda number: head(number) + head(number),
            "WINDOW_UPDATE of nothing": lambda number: window_update(number, 0),
            "stream window overflow": lambda number: window_update(number, 2**31 - 1),
        }
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            for token, (text, spell) in enumerate(bad.items()):
                stream_id = (await connection.expect(HEADERS)).stream_id
                send(driver, token)
                await connection.expect(DATA, stream_id)
                connection.send(spell(stream_id))
                one = await replies.of(token)
                await connection.expect(RST_STREAM, stream_id)

                assert one.status == (8 if "4294967295" in text else 13)
                assert one.text.startswith(LOST + text)
            assert driver.stats.reconnect_count == 0

    run(main)


def test_connection_lost() -> None:
    """In flight: unknown. Waiting: goes on the next connection. Nothing twice, nothing missing."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams(2, 2)) as (peer, connection, driver, replies):
            first, second = await all_opened(connection, 2)
            send(driver, 0, 1, 2)
            send(driver, 10, lane=1)
            await first.tokens(2)
            await second.tokens(1)
            second.send(10)
            await replies.of(10)
            connection.drop()
            lost = [await replies.of(0), await replies.of(1)]
            first, second = await all_opened(await peer.accept(), 2)
            await answered(first, 2)
            send(driver, 11, lane=1)
            await answered(second, 11)

            assert {one.status for one in lost} == {14}
            assert all(one.text.startswith(LOST) for one in lost)
            assert (await replies.of(2)).status == (await replies.of(11)).status == 0
            assert driver.stats.reconnect_count == 1
            assert driver.stats.reopened_count == 2

    run(main)


async def drained(connection: PeerConnection) -> None:
    """The driver says goodbye on *connection*, with no stream reset."""
    kinds = [one.kind for one in await connection.until_closed()]
    assert GOAWAY in kinds
    assert RST_STREAM not in kinds


def test_goaway_finishes_streams_and_keeps_the_order_of_lanes() -> None:
    """The old stream is finished and answered before the next message goes on a new connection."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (peer, first, driver, replies):
            old = await opened(first)
            send(driver, 0, 1)
            await old.tokens(2)
            first.send(goaway(2**31 - 1))
            second = await peer.accept()
            send(driver, 2)
            kinds = {one.kind for one in await second.synchronise()}
            assert kinds.isdisjoint({HEADERS, DATA})
            await old.half_close()
            old.send(0, 1)
            await answered(await opened(second), 2)
            first.send(trailers(old.stream_id))
            await drained(first)
            assert [(await replies.of(token)).status for token in range(3)] == [0, 0, 0]

            assert replies.in_order == [0, 1, 2]
            assert driver.stats.blocked_count == 1

    run(main)


def test_goaway_below_a_stream_says_that_it_was_not_processed() -> None:
    """Messages of a stream above the last id go again on the next connection."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (peer, first, driver, replies):
            old = StreamEnd(first, (await first.expect(HEADERS)).stream_id)
            send(driver, 0, 1)
            await old.tokens(2)
            first.send(goaway(0))
            await answered(await opened(await peer.accept()), 0, 1)
            assert (await replies.of(1)).status == 0
            assert driver.stats.resent_count == 2

    run(main)


def test_stream_ids_run_out() -> None:
    """A stream moves to a new connection when calls have used up the ids of its own."""

    async def main() -> None:
        options = on_streams(first_stream_id=2**31 - 3)
        async with wired(PLENTY, **options) as (peer, first, driver, replies):
            old = await opened(first)
            driver.send(7, CALL, b"")
            driver.flush()
            first.send(reply((await first.expect(HEADERS)).stream_id))
            assert (await replies.of(7)).status == 0
            second = await peer.accept()
            await old.half_close()
            first.send(trailers(old.stream_id))
            await drained(first)
            send(driver, 0)
            await answered(await opened(second), 0)
            assert (await replies.of(0)).status == 0

    run(main)


def test_message_cut_short_by_the_end() -> None:
    """Half a message before trailers that say OK is no answer."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0)
            await end.tokens(1)
            connection.send(frame(DATA, 0, end.stream_id, b"\x00\x00\x00\x00\x09half"))
            connection.send(trailers(end.stream_id))
            one = await replies.of(0)

            assert one.status == 13
            assert (
                one.text
                == LOST + "the stream ended, INTERNAL: the stream's last message was cut short"
            )

    run(main)


def test_calls_beside_a_stream_that_ends_with_its_last_data() -> None:
    """END_STREAM on DATA is the end of a stream without a status; calls are not touched."""

    async def main() -> None:
        async with wired(PLENTY, **on_streams()) as (_, connection, driver, replies):
            end = await opened(connection)
            send(driver, 0, 1)
            await end.tokens(2)
            driver.send(2, CALL, b"")
            driver.flush()
            called = (await connection.expect(HEADERS)).stream_id
            connection.send(frame(DATA, END_STREAM, end.stream_id, prefixed(b"\x00\x00\x00\x00")))
            connection.send(reply(called))

            assert (await replies.of(0)).status == 0
            assert (await replies.of(1)).status == 2
            assert (await replies.of(2)).status == 0

    run(main)
