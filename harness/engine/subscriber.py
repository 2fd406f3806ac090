"""
The subscriber: holds a system's server streams open and keeps every message with its arrival.

A process of its own (`python -m harness.engine.subscriber`), for the same reason as the observer:
in the pacer's loop it would make the generator late. A stream that ends is asked for again; both
are entries of the log, since what a stream told has a gap there. Commands from the parent:
    (first line) SubscriberSpecification -> event subscribed, once each stream has said something
    finish {timeout_s}                   -> event finished, once nothing has come for a while
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import uvloop

from harness.drivers.by_name import GRPC_DRIVERS
from harness.drivers.grpc import GrpcDriver, Shape
from harness.engine import child, privilege
from harness.engine.specification import FIRST_WORDS_S, SubscriberSpecification
from harness.engine.subscription_log import HEADER, Arrival
from harness.errors import TransportError
from harness.system import load_system

QUIET_POLL_COUNT: Final = 20
"""
No message between so many looks, after the target said that it is at rest: nothing more will come.
Looks and not time alone: a subscriber that had no processor reads what waits before it looks again.
"""
STREAMS_PER_CONNECTION: Final = 100
"""What servers commonly allow at least (RFC 9113, section 6.5.2 recommends no fewer)."""
_POLL_S: Final = 0.05
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.02, 1.0
_LIFE_NS: Final = 1_000_000_000  # a stream that lived so long is asked for again at once
_PACK: Final = HEADER.pack


class Subscriber:
    """All subscriptions of a run; a subscription's number is its token."""

    def __init__(self, specification: SubscriberSpecification, log: BinaryIO) -> None:
        scenario, endpoint = specification.scenario, specification.endpoint
        probe = load_system(scenario.system).probe
        self._log = log
        self._subscriptions = probe.subscriptions(scenario, seed=specification.seed)
        self._methods = sorted({one.address for one in self._subscriptions})
        self._driver: GrpcDriver = GRPC_DRIVERS[scenario.load.driver](
            address=endpoint.grpc_address,
            methods=self._methods,
            shapes=[Shape.FEED] * len(self._methods),
            on_reply=_no_reply,
            timeout_ns=scenario.load.timeout_ns,
            connection_count=-(-len(self._subscriptions) // STREAMS_PER_CONNECTION),
            metadata=list(endpoint.metadata),
            tls=endpoint.tls,
        )
        self._backoff_s = [_BACKOFF_S_MIN] * len(self._subscriptions)
        self._opened_at_ns = [0] * len(self._subscriptions)
        self._silent = set(range(len(self._subscriptions)))
        self._all_spoke = asyncio.Event()
        self._is_closing = False
        self.message_count = 0
        self.message_bytes = 0
        self.end_count = 0
        self.is_cut_off = False
        self.finish_by_ns: int | None = None

    @property
    def spoken_count(self) -> int:
        """How many streams have said something, be it that they are over."""
        return len(self._subscriptions) - len(self._silent)

    async def subscribe(self) -> None:
        """Ask for every stream, and wait until each has said something, or long enough."""
        await self._driver.connect()
        for number in range(len(self._subscriptions)):
            self._ask(number)
        self._driver.flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_S):
                await self._all_spoke.wait()

    async def listen(self) -> None:
        """
        Keep what comes until nothing does.

        Streams that still bring something at the end of the time are cut off and their log says so:
        what they would have told is not known, and not the target's lie.
        """
        quiet_count = heard_count = 0
        while quiet_count < QUIET_POLL_COUNT:
            await asyncio.sleep(_POLL_S)
            if self.finish_by_ns is None:
                continue
            quiet_count = quiet_count + 1 if heard_count == self.message_count else 0
            heard_count = self.message_count
            if quiet_count == 0 and time.monotonic_ns() > self.finish_by_ns:
                self._cut_off()
                break
        self._is_closing = True
        await self._driver.close()

    def _cut_off(self) -> None:
        self.is_cut_off = True
        for number in range(len(self._subscriptions)):
            self._write(number, Arrival.ENDED, b"1 it was still telling when the run ended")

    def _ask(self, number: int) -> None:
        subscription = self._subscriptions[number]
        method = self._methods.index(subscription.address)
        self._opened_at_ns[number] = time.monotonic_ns()
        self._write(number, Arrival.OPENED, b"")
        self._driver.subscribe(number, method, subscription.message, self._heard, self._ended)

    def _ask_again(self, number: int) -> None:
        if not self._is_closing:
            self._ask(number)
            self._driver.flush()

    def _heard(self, number: int, message: bytes) -> None:
        if self._is_closing:
            return
        self._write(number, Arrival.MESSAGE, message)
        if self._silent:
            self._spoke(number)
        self.message_count += 1
        self.message_bytes += len(message)

    def _ended(self, number: int, status: int, text: str) -> None:
        if self._is_closing:
            return
        self._write(number, Arrival.ENDED, f"{status} {text}".encode())
        self._spoke(number)
        self.end_count += 1
        has_lived = time.monotonic_ns() - self._opened_at_ns[number] > _LIFE_NS
        backoff_s = _BACKOFF_S_MIN if has_lived else self._backoff_s[number]
        self._backoff_s[number] = min(2 * backoff_s, _BACKOFF_S_MAX)
        asyncio.get_running_loop().call_later(backoff_s, self._ask_again, number)

    def _spoke(self, number: int) -> None:
        self._silent.discard(number)
        if not self._silent:
            self._all_spoke.set()

    def _write(self, number: int, what: Arrival, body: bytes) -> None:
        self._log.write(_PACK(number, what, time.monotonic_ns(), len(body)) + body)


def _no_reply(token: int, status: int, message: bytes | memoryview, text: str) -> None:
    raise AssertionError(f"no call was made: {token}, {status}, {message!r}, {text}")


def main() -> None:
    specification = child.read_specification(SubscriberSpecification)
    privilege.pin(specification.cores)
    try:
        uvloop.run(_serve(specification))
    except (TransportError, OSError) as error:
        child.say("failed", error=type(error).__name__, message=str(error))
        raise SystemExit(1) from error


async def _serve(specification: SubscriberSpecification) -> None:
    # Blocking writes are meant: they go to the page cache, 1 MiB at a time.
    with Path(specification.log_path).open("wb", buffering=1 << 20) as log:  # noqa: ASYNC230
        subscriber = Subscriber(specification, log)

        def obey(command: dict[str, Any]) -> None:
            match command["command"]:
                case "finish":
                    timeout_ns = int(command["timeout_s"] * 1e9)
                    subscriber.finish_by_ns = time.monotonic_ns() + timeout_ns
                case unknown:
                    raise ValueError(f"command: {unknown!r} is none of this program's")

        child.fail_on_callback_errors()
        child.listen(obey)
        started_cpu_ns = time.process_time_ns()
        await subscriber.subscribe()
        child.say("subscribed", spoken_count=subscriber.spoken_count)
        await subscriber.listen()
    child.say(
        "finished",
        message_count=subscriber.message_count,
        message_bytes=subscriber.message_bytes,
        end_count=subscriber.end_count,
        is_cut_off=subscriber.is_cut_off,
        cpu_ns=time.process_time_ns() - started_cpu_ns,
    )


if __name__ == "__main__":
    main()
