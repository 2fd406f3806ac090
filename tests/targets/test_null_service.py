"""The null service: on time by arithmetic, understood by both drivers, gone when told to go."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.drivers.closed_loop import closed_loop
from harness.drivers.grpc import GrpcDriver, ReplyHandler, Shape, StreamOptions
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.drivers.grpcio_driver import GrpcioDriver
from harness.targets.null_delays import BimodalDelay, ConstantDelay, SerialDelay, parse_delay
from tests.drivers.peer import Replies, run
from tests.drivers.streams import numbered, read_number

MILLISECOND_NS = 1_000_000
BOTH = pytest.mark.parametrize("make", [GrpcWireDriver, GrpcioDriver])


@contextmanager
def null_service(*flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the program and stop it by the end of its stdin."""
    with subprocess.Popen(
        [sys.executable, "-m", "harness.targets.null_service", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        word, ready = process.stdout.readline().split(" ", 1)
        assert word == "ready"
        assert json.loads(ready)["pid"] == process.pid
        try:
            yield f"127.0.0.1:{json.loads(ready)['grpc_port']}", process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(60) == 0


def test_constant_delay_has_as_many_servers_as_requests() -> None:
    """Two requests at once leave at once."""
    delay = ConstantDelay(5)
    assert [delay.departure_ns(100), delay.departure_ns(100)] == [105, 105]


def test_serial_delay_is_one_queue() -> None:
    """A request waits for those before it, and for nothing once the server is idle."""
    delay = SerialDelay(10)
    assert [delay.departure_ns(now_ns) for now_ns in (100, 100, 105, 200)] == [110, 120, 130, 210]


def test_bimodal_delay_has_its_share() -> None:
    """The long delay comes as often as its share says, and the same way each time."""
    delay, again = BimodalDelay(1, 20, 0.1), BimodalDelay(1, 20, 0.1)
    delays_ns = [delay.departure_ns(0) for _ in range(10_000)]
    assert delays_ns == [again.departure_ns(0) for _ in range(10_000)]
    assert set(delays_ns) == {1, 20}
    assert abs(delays_ns.count(20) / 10_000 - 0.1) < 0.015


@pytest.mark.parametrize(
    "text", ["", "constant", "serial:", "bimodal:1ms:2ms", "bimodal:1ms:2ms:7"]
)
def test_delay_that_makes_no_sense(text: str) -> None:
    """A delay that is none of the three forms is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_delay(text)


@BOTH
@pytest.mark.parametrize("engine", ["wire", "aio"])
def test_any_method_is_answered(make: Any, engine: str) -> None:
    """Both engines answer any method with an empty message, to both drivers."""

    async def main(address: str) -> None:
        replies = Replies()
        driver = make(
            address=address,
            methods=["/any.Thing/AtAll"],
            on_reply=replies.take,
            timeout_ns=20_000 * MILLISECOND_NS,
        )
        await driver.connect()
        for token in range(200):
            driver.send(token, 0, bytes(token * 300))
        driver.flush()
        results = [await replies.of(token) for token in range(200)]
        await driver.close()

        assert {(one.status, one.message) for one in results} == {(0, b"")}

    with null_service("--engine", engine) as (address, _):
        run(lambda: main(address))


@BOTH
@pytest.mark.parametrize("engine", ["wire", "aio"])
def test_echo_gives_back_what_it_gets(make: Any, engine: str) -> None:
    """On streams and unary, messages around and beyond frames and windows, to both drivers."""

    async def main(address: str) -> None:
        replies = Replies()
        driver = make(
            address=address,
            methods=["/any.Thing/Stream", "/any.Thing/Call"],
            shapes=[Shape.STREAM, Shape.UNARY],
            streams=StreamOptions(stream_count=3, window_count=50, read=read_number),
            on_reply=replies.take,
            timeout_ns=20_000 * MILLISECOND_NS,
        )
        await driver.connect()
        for token in range(300):
            driver.send_in_lane(token, 0, numbered(token, bytes(token * 100)), token)
        driver.send(300, 1, bytes(3_000_000))
        driver.flush()
        results = [await replies.of(token) for token in range(301)]
        await driver.close()

        assert {one.status for one in results} == {0}
        assert all(len(one.message) == token * 100 for token, one in enumerate(results[:300]))
        assert results[300].message == bytes(3_000_000)

    with null_service("--engine", engine, "--echo") as (address, _):
        run(lambda: main(address))


@pytest.mark.parametrize("engine", ["wire", "aio"])
def test_serial_delay_over_the_wire(engine: str) -> None:
    """Twenty calls at once to a server of 2 ms come back after 2, 4, ... 40 ms: none earlier."""

    async def main(address: str) -> None:
        replies = Replies()
        done_ns: list[int] = []
        replies.then = lambda _: done_ns.append(time.monotonic_ns())
        driver = GrpcWireDriver(
            address=address,
            methods=["/t.S/A"],
            on_reply=replies.take,
            timeout_ns=20_000 * MILLISECOND_NS,
        )
        await driver.connect()
        started_ns = time.monotonic_ns()
        for token in range(20):
            driver.send(token, 0, b"")
        driver.flush()
        for token in range(20):
            await replies.of(token)
        await driver.close()

        for position, at_ns in enumerate(done_ns):
            assert at_ns - started_ns >= (position + 1) * 2 * MILLISECOND_NS

    with null_service("--engine", engine, "--delay", "serial:2ms") as (address, _):
        run(lambda: main(address))


def test_sigterm_stops_it() -> None:
    """SIGTERM ends the service with code 0."""
    with null_service() as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_closed_loop_counts_what_it_did() -> None:
    """A closed loop keeps exactly its calls in flight and counts replies, time and CPU."""

    async def main(address: str) -> None:
        drivers: list[GrpcDriver] = []

        def make(*, on_reply: ReplyHandler) -> GrpcDriver:
            driver = GrpcWireDriver(
                address=address,
                methods=["/t.S/A"],
                on_reply=on_reply,
                timeout_ns=20_000 * MILLISECOND_NS,
            )
            drivers.append(driver)
            return driver

        result = await closed_loop(
            make, method=0, messages=[b"a", b"b"], in_flight_count=4, duration_s=0.1, warmup_s=0.02
        )
        stats = drivers[0].stats

        assert result.statuses == {0: result.call_count}
        assert 0 < result.call_count <= stats.reply_count == stats.sent_count
        assert result.wall_ns >= 95 * MILLISECOND_NS  # the loop's timer may be early
        assert 0 < result.service_ns_p50 <= result.service_ns_p99
        assert result.calls_per_s == pytest.approx(result.call_count * 1e9 / result.wall_ns)
        assert result.calls_per_cpu_s == pytest.approx(result.call_count * 1e9 / result.cpu_ns)

    with null_service() as (address, _):
        run(lambda: main(address))


def test_closed_loop_on_streams() -> None:
    """The same on standing streams, a lane for each message in flight."""

    async def main(address: str) -> None:
        result = await closed_loop(
            lambda *, on_reply: GrpcWireDriver(
                address=address,
                methods=["/t.S/Stream"],
                shapes=[Shape.STREAM],
                streams=StreamOptions(stream_count=2, window_count=8, read=read_number),
                on_reply=on_reply,
                timeout_ns=20_000 * MILLISECOND_NS,
            ),
            method=0,
            messages=[b"a", b"b"],
            in_flight_count=4,
            duration_s=0.1,
            warmup_s=0.02,
            numbered=numbered,
        )

        assert result.statuses == {0: result.call_count}
        assert result.call_count > 10

    with null_service("--echo") as (address, _):
        run(lambda: main(address))
