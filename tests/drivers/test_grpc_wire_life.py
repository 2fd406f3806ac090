"""The framed driver against a peer that plays frames: connections that come and go, deadlines."""

import pytest

from harness.drivers.grpc import GrpcStatus
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.errors import TransportError
from harness.model.tls import TlsOptions
from tests.drivers.peer import (
    GOAWAY,
    HEADERS,
    RST_STREAM,
    Peer,
    Replies,
    SettableClock,
    call,
    eventually,
    goaway,
    reply,
    reset,
    run,
    settings,
    wired,
)

SECOND_NS = 1_000_000_000


def test_goaway_loses_and_doubles_nothing() -> None:
    """Streams above the last id go to a new connection in order; those below finish."""

    async def main() -> None:
        async with wired() as (peer, first, driver, replies):
            for token in range(5):
                driver.send(token, 0, b"%d" % token)
            driver.flush()
            assert [await first.request() for _ in range(5)]
            first.send(goaway(3))
            second = await peer.accept()
            call(driver, 5, message=b"5")
            resent = [await second.request() for _ in range(4)]
            first.send(reply(1, b"0"), reply(3, b"1"))
            for stream_id, message in resent:
                second.send(reply(stream_id, message))
            outcomes = [await replies.of(token) for token in range(6)]

            assert [message for _, message in resent] == [b"2", b"3", b"4", b"5"]
            assert [one.message for one in outcomes] == [b"%d" % token for token in range(6)]
            assert [one.kind for one in await first.until_closed()][-1] == GOAWAY
            stats = driver.stats
            assert (stats.goaway_count, stats.resent_count, stats.reconnect_count) == (1, 3, 1)
            assert stats.sent_count == stats.reply_count == 6

    run(main)


def test_graceful_goaway_in_two_steps() -> None:
    """A GOAWAY with the highest id only stops new calls; the second says which were too late."""

    async def main() -> None:
        async with wired() as (peer, first, driver, replies):
            call(driver, 0, 1)
            await first.request()
            first.send(goaway(2**31 - 1))
            second = await peer.accept()
            call(driver, 2)
            assert (await second.request())[0] == 1
            first.send(goaway(1))
            assert (await second.request())[0] == 3
            first.send(reply(1, b"old"))
            second.send(reply(1), reply(3, b"new"))

            assert (await replies.of(0)).message == b"old"
            assert (await replies.of(1)).message == b"new"

    run(main)


def test_refused_stream_is_sent_once_more() -> None:
    """REFUSED_STREAM means unprocessed: the call goes out again, but not a third time."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            call(driver, 0, 1)
            await connection.request()
            await connection.request()
            connection.send(reset(1, 7), reset(3, 7))
            assert [(await connection.request())[0] for _ in range(2)] == [5, 7]
            connection.send(reply(5, b"taken"), reset(7, 7))

            assert (await replies.of(0)).message == b"taken"
            refused = await replies.of(1)
            assert (refused.status, refused.text[:10]) == (GrpcStatus.UNAVAILABLE, "not sent: ")

    run(main)


def test_stream_ids_run_out() -> None:
    """After the last stream id calls go on, on a new connection; the old one finishes."""

    async def main() -> None:
        async with wired(first_stream_id=2**31 - 3) as (peer, first, driver, replies):
            call(driver, 0, 1, 2)
            assert [(await first.request())[0] for _ in range(2)] == [2**31 - 3, 2**31 - 1]
            first.send(reply(2**31 - 3))
            second = await peer.accept()
            assert (await second.request())[0] == 2**31 - 3
            first.send(reply(2**31 - 1))
            second.send(reply(2**31 - 3))
            for token in range(3):
                assert (await replies.of(token)).status == 0
            assert [one.kind for one in await first.until_closed()] == [GOAWAY]

    run(main)


def test_lost_connection() -> None:
    """What was in flight when a connection drops has an unknown outcome; the next call goes on."""

    async def main() -> None:
        async with wired() as (peer, first, driver, replies):
            call(driver, 0)
            await first.request()
            first.drop()
            lost = await replies.of(0)
            call(driver, 1)
            second = await peer.accept()
            second.send(reply((await second.request())[0]))

            assert (lost.status, lost.text[:17]) == (GrpcStatus.UNAVAILABLE, "connection lost: ")
            assert (await replies.of(1)).status == 0
            assert driver.stats.reconnect_count == 1

    run(main)


def test_call_on_a_connection_that_is_just_ending() -> None:
    """A call sent before the loop reports the end raises nothing and has an unknown outcome."""

    async def main() -> None:
        async with wired() as (_, _connection, driver, replies):
            (own,) = driver._ready
            own.abort()
            call(driver, 0)
            assert not replies.by_token
            assert (await replies.of(0)).text.startswith("connection lost: ")

    run(main)


def test_peer_gone_then_back() -> None:
    """While nobody listens calls wait up to their deadline, and are known not to have been sent."""

    async def main() -> None:
        clock = SettableClock()
        async with wired(timeout_s=5, clock=clock) as (peer, first, driver, replies):
            peer.stop_listening()
            first.drop()
            await eventually(lambda: "refused" in driver._fault)
            call(driver, 0)
            clock.now_ns += 3 * SECOND_NS
            call(driver, 1)
            clock.now_ns += 2 * SECOND_NS
            unsent = await replies.of(0)
            await peer.listen()
            second = await peer.accept()
            second.send(reply((await second.request())[0], b"back"))

            assert unsent.status == GrpcStatus.UNAVAILABLE
            assert unsent.text.startswith("not sent: ")
            assert "refused" in unsent.text
            assert (await replies.of(1)).message == b"back"
            assert driver.stats.blocked_count == 2
            assert driver.stats.blocked_ns_total == 7 * SECOND_NS

    run(main)


def test_deadline() -> None:
    """No reply in time is DEADLINE_EXCEEDED, never early; a reply after that is ignored."""

    async def main() -> None:
        clock = SettableClock()
        async with wired(timeout_s=5, clock=clock) as (_, connection, driver, replies):
            call(driver, 0)
            clock.now_ns += 3 * SECOND_NS
            call(driver, 1)
            await connection.request()
            await connection.request()
            clock.now_ns += 2 * SECOND_NS - 1
            driver._sweep()
            assert not replies.by_token
            clock.now_ns += 1_000_001
            assert (await replies.of(0)).status == GrpcStatus.DEADLINE_EXCEEDED
            cancelled = await connection.expect(RST_STREAM)
            connection.send(reply(1), reply(3))

            assert (cancelled.stream_id, cancelled.number) == (1, 8)
            assert (await replies.of(1)).status == 0
            assert driver.stats.late_count == 1

    run(main)


def test_deadlines_of_many_calls() -> None:
    """Every open call, and no other, expires: never early, however many share a millisecond."""

    async def main() -> None:
        clock = SettableClock()
        async with wired(timeout_s=5, clock=clock) as (_, connection, driver, replies):
            started_ns = clock.now_ns
            for token in range(2_000):
                driver.send(token, 0, b"")
                clock.now_ns += 7_000  # 143 calls to a millisecond
            driver.flush()
            connection.send(*(reply(2 * token + 1) for token in range(0, 2_000, 3)))
            await replies.of(1_998)
            clock.now_ns = started_ns + 5 * SECOND_NS + 6_500_000  # calls up to 928 are due
            driver._sweep()
            last = max(one.token for one in replies.by_token.values() if one.status == 4)
            assert 928 - 2 * 143 < last <= 928
            clock.now_ns += 6 * SECOND_NS
            await replies.of(1_999)
            timed_out = [one.token for one in replies.by_token.values() if one.status == 4]
            assert timed_out == [token for token in range(2_000) if token % 3]

    run(main)


def test_deadline_of_a_call_without_a_slot() -> None:
    """A call without a stream slot in time is DEADLINE_EXCEEDED, known not to have been sent."""

    async def main() -> None:
        clock = SettableClock()
        async with wired(settings(s3=1), timeout_s=5, clock=clock) as (
            _,
            connection,
            driver,
            replies,
        ):
            call(driver, 0)
            clock.now_ns += SECOND_NS
            call(driver, 1)
            connection.send(settings(s3=0))
            await connection.synchronise()
            clock.now_ns += 6 * SECOND_NS
            unsent = await replies.of(1)

            assert (await replies.of(0)).text == "no reply within the deadline"
            assert unsent.status == GrpcStatus.DEADLINE_EXCEEDED
            assert unsent.text.startswith("not sent: ")

    run(main)


def test_reply_handler_may_send() -> None:
    """A reply's handler sends the next call, which leaves without another flush."""

    async def main() -> None:
        async with wired() as (_, connection, driver, replies):
            replies.then = lambda token: driver.send(token + 1, 0, b"") if token < 3 else None
            call(driver, 0)
            for _ in range(4):
                connection.send(reply((await connection.request())[0]))
            assert (await replies.of(3)).status == 0

    run(main)


def test_close_answers_everything() -> None:
    """After close no call is without an answer, and a later send is answered at once."""

    async def main() -> None:
        async with wired(settings(s3=1)) as (_, connection, driver, replies):
            call(driver, 0, 1)
            await connection.request()
            await driver.close()
            driver.send(2, 0, b"")

            texts = [replies.by_token[token].text for token in range(3)]
            assert texts == [
                "connection lost: closed by the driver",
                "not sent: the driver was closed",
                "not sent: the driver was closed",
            ]
            assert [one.kind for one in await connection.until_closed()][-1] == GOAWAY

    run(main)


def test_calls_are_spread_over_connections() -> None:
    """Calls take turns on the connections; one that is full is passed over."""

    async def main() -> None:
        async with wired(settings(s3=2), connection_count=2) as (peer, first, driver, replies):
            second = await peer.accept()
            call(driver, 0, 1, 2, 3, 4)
            for connection in (first, second):
                frames = [one for one in await connection.synchronise() if one.kind == HEADERS]
                assert [one.stream_id for one in frames] == [1, 3]
            second.send(reply(1))
            assert (await second.request())[0] == 5
            first.send(reply(1), reply(3))
            second.send(reply(3), reply(5))
            assert [(await replies.of(token)).status for token in range(5)] == [0] * 5

    run(main)


def test_nobody_listens() -> None:
    """A first connection that can't be had is a TransportError that names the address and cause."""

    async def main() -> None:
        peer = Peer()
        await peer.listen()
        peer.stop_listening()
        driver = _driver(peer.address)
        with pytest.raises(TransportError, match=rf"{peer.address}: can't connect: .*refused"):
            await driver.connect()

    run(main)


def test_peer_speaks_something_else() -> None:
    """A peer that answers in HTTP/1.1 is a TransportError, not a hang."""

    async def main() -> None:
        peer = Peer(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.listen()
        driver = _driver(peer.address)
        with pytest.raises(TransportError, match=r"the peer speaks HTTP/1\.1, not HTTP/2"):
            await driver.connect()
        peer.stop_listening()
        peer.drop_all()

    run(main)


@pytest.mark.parametrize("address", ["localhost", ":50", "host:http", "host:", "\udcff:50"])
def test_address_that_makes_no_sense(address: str) -> None:
    """An address without host or port is refused when the driver is made."""
    with pytest.raises(ValueError, match="neither"):
        _driver(address)


@pytest.mark.parametrize(
    "metadata", [[("bad key", "x")], [("key", "line\nbreak")], [("grpc-timeout", "1S")]]
)
def test_metadata_that_cannot_be_sent(metadata: list[tuple[str, str]]) -> None:
    """Metadata that HTTP/2 or gRPC can't carry is refused when the driver is made."""
    with pytest.raises(ValueError, match="metadata"):
        GrpcWireDriver(
            address="localhost:1",
            methods=["/t.S/A"],
            on_reply=Replies().take,
            timeout_ns=SECOND_NS,
            metadata=metadata,
        )


def test_certificate_without_key() -> None:
    """A client certificate without its key is a bug of the caller."""
    with pytest.raises(AssertionError):
        TlsOptions(cert_file="client.pem")


def _driver(address: str) -> GrpcWireDriver:
    return GrpcWireDriver(
        address=address, methods=["/t.S/A"], on_reply=_never, timeout_ns=SECOND_NS
    )


def _never(*reply: object) -> None:
    raise AssertionError(reply)
