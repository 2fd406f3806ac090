"""The framed driver against a peer that plays frames: windows, slots, settings, pings."""

import asyncio

from harness.drivers.grpc import GrpcStatus
from tests.drivers.peer import (
    ACK,
    DATA,
    END_STREAM,
    HEAD_BLOCK,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    frame,
    head,
    prefixed,
    reply,
    run,
    settings,
    trailers,
    window_update,
    wired,
)


def test_ping_and_settings_are_answered() -> None:
    """A PING comes back with its payload, SETTINGS are acknowledged."""

    async def main() -> None:
        async with wired() as (_, connection, _driver, _replies):
            connection.send(
                frame(PING, 0, 0, b"12345678"), settings(s3=5), frame(PING, ACK, 0, bytes(8))
            )
            assert (await connection.expect(SETTINGS)).flags == 0  # the driver's own
            assert (await connection.expect(SETTINGS)).flags == ACK  # for the greeting
            assert await connection.read() == (PING, ACK, 0, b"12345678")
            assert await connection.read() == (SETTINGS, ACK, 0, b"")

    run(main)


def test_stream_slots() -> None:
    """No more streams are open than the peer allows; the others wait, are counted, keep order."""

    async def main() -> None:
        async with wired(settings(s3=2)) as (_, connection, driver, replies):
            call(driver, 0, 1, 2, 3)
            assert [(await connection.request())[0] for _ in range(2)] == [1, 3]
            assert await connection.synchronise() == []
            connection.send(reply(3))
            assert (await connection.request())[0] == 5
            connection.send(settings(s3=3))
            assert (await connection.request())[0] == 7
            connection.send(reply(1), reply(5), reply(7))
            for token in range(4):
                assert (await replies.of(token)).status == 0

            assert replies.in_order == [1, 0, 2, 3]
            assert driver.stats.blocked_count == 2
            assert driver.stats.blocked_ns_total > 0

    run(main)


def test_connection_window() -> None:
    """No more bytes are sent than the connection's window allows; the rest goes with refills."""

    async def main() -> None:
        message = bytes(60_000)
        async with wired(settings(s4=2**20)) as (_, connection, driver, replies):
            call(driver, 0, 1, message=message)
            assert len((await connection.request())[1]) == 60_000
            frames = await connection.synchronise()
            second_bytes = sum(len(one.payload) for one in frames if one.kind == DATA)
            assert second_bytes == 65_535 - 60_005
            connection.send(window_update(0, 50_000))
            frames = await connection.synchronise()
            assert sum(len(one.payload) for one in frames) == 50_000
            assert max(len(one.payload) for one in frames) <= 16_384
            connection.send(window_update(0, 100_000))
            frames = await connection.synchronise()
            second_bytes += 50_000 + sum(len(one.payload) for one in frames)
            assert second_bytes == 60_005
            assert frames[-1].flags == END_STREAM
            connection.send(reply(1), reply(3))
            assert (await replies.of(1)).status == 0
            assert driver.stats.blocked_count == 1

    run(main)


def test_stream_window_and_settings_in_mid_flight() -> None:
    """A smaller initial window may turn an open stream's negative; it waits until it has risen."""

    async def main() -> None:
        async with wired(settings(s4=10)) as (_, connection, driver, replies):
            call(driver, 0, message=bytes(40))  # 45 bytes with the prefix
            assert len((await connection.expect(DATA)).payload) == 10
            connection.send(settings(s4=0))  # now -10
            connection.send(window_update(1, 10))  # now 0
            assert [one.kind for one in await connection.synchronise()] == [SETTINGS]
            connection.send(settings(s4=5))
            assert [len(one.payload) for one in await connection.synchronise()] == [0, 5]
            call(driver, 1, message=b"")  # 5 bytes: another stream is not held up
            assert (await connection.expect(DATA)).stream_id == 3
            connection.send(window_update(1, 1_000))
            rest = await connection.expect(DATA)
            assert (len(rest.payload), rest.flags) == (30, END_STREAM)
            connection.send(reply(1), reply(3))
            assert (await replies.of(0)).status == (await replies.of(1)).status == 0

    run(main)


def test_frame_size() -> None:
    """Messages are cut at the peer's frame size, and whole when it allows longer frames."""

    async def main() -> None:
        async with wired(settings(s4=2**20, s5=40_000)) as (_, connection, driver, _replies):
            call(driver, 0, message=bytes(39_995))
            assert len((await connection.expect(DATA)).payload) == 40_000
            call(driver, 1, message=bytes(20_000))
            call(driver, 2, message=bytes(40_000))
            frames = [one for one in await connection.synchronise() if one.kind == DATA]
            assert [len(one.payload) for one in frames] == [20_005, 5_530]

    run(main)


def test_receive_windows_are_given_back() -> None:
    """Long replies go on beyond the advertised windows: a stream's and the connection's."""

    async def main() -> None:
        chunk = bytes(16_384)
        message = chunk * 600  # 9.8 MB: over twice a stream's window; eight exceed the connection's
        body = prefixed(message)
        windows = {0: 64 * 1024 * 1024}
        async with wired() as (_, connection, driver, replies):

            async def send_data(stream_id: int, piece: bytes) -> None:
                while min(windows[0], windows[stream_id]) < len(piece):
                    update = await connection.expect(WINDOW_UPDATE)
                    windows[update.stream_id] += update.number
                windows[0] -= len(piece)
                windows[stream_id] -= len(piece)
                connection.send(frame(DATA, 0, stream_id, piece))

            assert (await connection.expect(WINDOW_UPDATE)).number == windows[0] - 65_535
            for token in range(8):
                call(driver, token)
                stream_id, _ = await connection.request()
                windows[stream_id] = 4 * 1024 * 1024
                connection.send(head(stream_id))
                for start in range(0, len(body), len(chunk)):
                    await send_data(stream_id, body[start : start + len(chunk)])
                connection.send(trailers(stream_id))
                assert (await replies.of(token)).message == message

    run(main)


def test_early_reply_ends_a_half_sent_message() -> None:
    """An error that comes before the message is all sent ends the call and the sending."""

    async def main() -> None:
        async with wired(settings(s4=10)) as (_, connection, driver, replies):
            call(driver, 0, message=bytes(100))
            await connection.expect(DATA)
            connection.send(trailers(1, HEAD_BLOCK + b"\x00\x0bgrpc-status\x018"))
            assert (await replies.of(0)).status == GrpcStatus.RESOURCE_EXHAUSTED
            assert (await connection.expect(RST_STREAM)).stream_id == 1
            connection.send(window_update(1, 1_000), window_update(0, 1_000))
            assert await connection.synchronise() == []

    run(main)


def test_peer_that_does_not_read() -> None:
    """With wide windows and nobody reading, calls wait instead of filling memory, then go on."""

    async def main() -> None:
        wide_open = settings(s4=2**31 - 1) + window_update(0, 2**30)
        async with wired(wide_open) as (_, connection, driver, replies):
            message = bytes(250_000)
            for token in range(160):  # 40 MB, far beyond the kernel's buffers
                call(driver, token, message=message)
            (own,) = driver._ready
            assert own._transport is not None
            assert own._transport.get_write_buffer_size() < 1_000_000
            assert driver.stats.blocked_count > 50
            for _ in range(160):
                stream_id, received = await connection.request()
                assert received == message
                connection.send(reply(stream_id))
            for token in range(160):
                assert (await replies.of(token)).status == 0

    run(main)


def test_flood_of_pings_that_are_not_read() -> None:
    """A peer that makes the driver answer without end and reads nothing is cut off."""

    async def main() -> None:
        async with wired() as (peer, connection, driver, replies):
            flood = frame(PING, 0, 0, bytes(8)) * 2_000
            while connection.is_open:
                connection.send(flood)
                await asyncio.sleep(0)
            second = await peer.accept()
            call(driver, 0)
            second.send(reply((await second.request())[0]))
            assert (await replies.of(0)).status == 0

    run(main)


def test_stream_window_overflow_ends_the_stream_alone() -> None:
    """A stream's window above 2^31 - 1 resets that stream and no other."""

    async def main() -> None:
        async with wired(settings(s4=10)) as (_, connection, driver, replies):
            call(driver, 0, message=bytes(100_000))  # more than the connection's window
            await connection.expect(DATA)
            connection.send(window_update(1, 2**31 - 1), window_update(1, 70_000))
            assert (await replies.of(0)).status == GrpcStatus.INTERNAL
            assert (await connection.expect(RST_STREAM)).number == 3
            connection.send(window_update(0, 100))
            call(driver, 1, message=b"")
            connection.send(reply((await connection.request())[0]))
            assert (await replies.of(1)).status == 0

    run(main)
