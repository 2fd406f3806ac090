"""
How fast a driver can go: the generator's roofline.

A fixed number of calls is kept in flight and every reply sends the next: the driver is never idle
unless the service is slow. This measures the generator and nothing else: the latencies of a closed
loop say little about a service, and no verdict uses them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from harness.drivers.grpc import GrpcDriver, ReplyHandler
from harness.errors import TransportError

_DRAIN_TIMEOUT_S: Final = 10.0
_NANOS_PER_SECOND: Final = 1_000_000_000


NumberMessage = Callable[[int, bytes], bytes]
"""From a token and a message to the message that names it."""


class DriverFactory(Protocol):
    """Makes a driver that reports to *on_reply*; address, methods and deadline are its own."""

    def __call__(self, *, on_reply: ReplyHandler) -> GrpcDriver:
        """Return a driver that is not connected yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoopResult:
    """
    What a closed loop did.

    Attributes:
        call_count: replies in the measured time.
        wall_ns: the measured time.
        cpu_ns: CPU time of this whole process in it, all threads, kernel included.
        statuses: replies by gRPC status.
        service_ns_p50: median of reply - send; 0 without a reply.
        service_ns_p99: likewise.
    """

    call_count: int
    wall_ns: int
    cpu_ns: int
    statuses: Counter[int]
    service_ns_p50: int
    service_ns_p99: int

    @property
    def calls_per_s(self) -> float:
        return self.call_count * _NANOS_PER_SECOND / self.wall_ns

    @property
    def calls_per_cpu_s(self) -> float:
        """Calls per second of this process's CPU time: the generator's roofline."""
        return self.call_count * _NANOS_PER_SECOND / self.cpu_ns


class _Loop:
    """Keeps *in_flight_count* calls going; a token is the slot of its call."""

    def __init__(
        self,
        method: int,
        messages: Sequence[bytes],
        in_flight_count: int,
        numbered: NumberMessage | None,
    ) -> None:
        self.driver: GrpcDriver | None = None
        self.idle = asyncio.get_running_loop().create_future()
        self.is_stopping = False
        self.statuses: Counter[int] = Counter()
        self.service_ns: list[int] = []
        self._method = method
        self._messages = messages
        self._numbered = numbered
        self._sent_count = 0
        self._in_flight_count = in_flight_count
        self._sent_at_ns = [0] * in_flight_count

    def start(self) -> None:
        for slot in range(self._in_flight_count):
            self._send(slot)
        assert self.driver is not None
        self.driver.flush()

    def reset(self) -> None:
        self.statuses.clear()
        self.service_ns.clear()

    def take(self, token: int, status: int, _message: bytes | memoryview, _text: str) -> None:
        self.service_ns.append(time.monotonic_ns() - self._sent_at_ns[token])
        self.statuses[status] += 1
        if not self.is_stopping:
            self._send(token)
            return
        self._in_flight_count -= 1
        if self._in_flight_count == 0:
            self.idle.set_result(None)

    def _send(self, slot: int) -> None:
        assert self.driver is not None
        message = self._messages[self._sent_count % len(self._messages)]
        self._sent_count += 1
        self._sent_at_ns[slot] = time.monotonic_ns()
        if self._numbered is None:
            self.driver.send(slot, self._method, message)
        else:
            self.driver.send_in_lane(slot, self._method, self._numbered(slot, message), slot)


async def closed_loop(
    driver_factory: DriverFactory,
    *,
    method: int,
    messages: Sequence[bytes],
    in_flight_count: int,
    duration_s: float,
    warmup_s: float = 0.2,
    numbered: NumberMessage | None = None,
) -> ClosedLoopResult:
    """
    Drive *method* with *messages* in turn, *in_flight_count* at a time, for *duration_s*.

    With *numbered* they go on standing streams; the ordering key is the number of the slot.
    Raises TransportError: no connection, or calls were still open long after the end.
    """
    loop = _Loop(method, messages, in_flight_count, numbered)
    driver = loop.driver = driver_factory(on_reply=loop.take)
    await driver.connect()
    try:
        loop.start()
        await asyncio.sleep(warmup_s)
        loop.reset()
        started_ns, cpu_started_ns = time.monotonic_ns(), time.process_time_ns()
        await asyncio.sleep(duration_s)
        cpu_ns = time.process_time_ns() - cpu_started_ns
        wall_ns = time.monotonic_ns() - started_ns
        statuses, service_ns = Counter(loop.statuses), sorted(loop.service_ns)
        loop.is_stopping = True
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            await loop.idle
    except TimeoutError as error:
        raise TransportError(f"calls still open {_DRAIN_TIMEOUT_S:g} s after the end") from error
    finally:
        await driver.close()
    return ClosedLoopResult(
        call_count=len(service_ns),
        wall_ns=wall_ns,
        cpu_ns=cpu_ns,
        statuses=statuses,
        service_ns_p50=_rank(service_ns, 0.50),
        service_ns_p99=_rank(service_ns, 0.99),
    )


def _rank(ordered: Sequence[int], quantile: float) -> int:
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0
