"""
How long the null service takes, and the clockwork that lets its replies leave on time.

Distributions whose theory is known: constant, two-valued, and one server with a queue. The one
idea: a delay is a departure time computed at arrival, so a late timer makes one reply late and
never moves the replies after it.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from harness.engine.timer import AbsoluteTimer
from harness.model.units import parse_duration_ns

SPIN_NS: Final = 150_000
"""The end of a wait is spun, with the sockets still read: a timerfd alone wakes 50 µs late."""


class Delay(Protocol):
    """When a reply leaves."""

    def departure_ns(self, now_ns: int) -> int:
        """Return the instant at which the reply to a request that came at *now_ns* leaves."""


class ConstantDelay:
    """As many servers as requests, each taking *delay_ns*."""

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns

    def departure_ns(self, now_ns: int) -> int:
        return now_ns + self._delay_ns


class BimodalDelay:
    """Mostly *short_ns*, with probability *long_share* *long_ns*; seeded, so repeatable."""

    def __init__(self, short_ns: int, long_ns: int, long_share: float) -> None:
        self._short_ns, self._long_ns, self._long_share = short_ns, long_ns, long_share
        self._random = random.Random(1)

    def departure_ns(self, now_ns: int) -> int:
        is_long = self._random.random() < self._long_share
        return now_ns + (self._long_ns if is_long else self._short_ns)


class SerialDelay:
    """One server, first come first served, *service_ns* each: M/D/1 if arrivals are Poisson."""

    def __init__(self, service_ns: int) -> None:
        self._service_ns = service_ns
        self._busy_until_ns = 0

    def departure_ns(self, now_ns: int) -> int:
        self._busy_until_ns = max(now_ns, self._busy_until_ns) + self._service_ns
        return self._busy_until_ns


def parse_delay(text: str) -> Delay:
    """The delay that *text* names; ValueError if it is not one of the three forms."""
    match text.split(":"):
        case ["constant", delay]:
            return ConstantDelay(parse_duration_ns(delay))
        case ["serial", service]:
            return SerialDelay(parse_duration_ns(service))
        case ["bimodal", short, long, share] if 0 <= float(share) <= 1:
            return BimodalDelay(parse_duration_ns(short), parse_duration_ns(long), float(share))
        case _:
            raise ValueError(
                f'delay {text!r} is none of "constant:2ms", "serial:300us", "bimodal:1ms:20ms:0.1"'
            )


class Departures:
    """Runs actions at their instants, on one precise timer."""

    def __init__(self, delay: Delay) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._timer = AbsoluteTimer()
        self._queue: list[tuple[int, int, Callable[[int], None], int]] = []
        self._entry_count = 0
        self._is_spinning = False
        self._loop.add_reader(self._timer.descriptor, self._wake)

    def add(self, action: Callable[[int], None], argument: int) -> None:
        """Run action(argument) when a request that comes now departs."""
        due_ns = self._delay.departure_ns(time.monotonic_ns())
        self._entry_count += 1
        heapq.heappush(self._queue, (due_ns, self._entry_count, action, argument))
        if not self._is_spinning and self._queue[0][0] == due_ns:
            self._timer.arm(due_ns - SPIN_NS)

    def _wake(self) -> None:
        self._timer.acknowledge()
        if not self._is_spinning:
            self._release()

    def _release(self) -> None:
        queue = self._queue
        now_ns = time.monotonic_ns()
        while queue and queue[0][0] <= now_ns:
            _, _, action, argument = heapq.heappop(queue)
            action(argument)
        self._is_spinning = bool(queue) and queue[0][0] - now_ns <= SPIN_NS
        if self._is_spinning:
            self._loop.call_soon(self._release)
        elif queue:
            self._timer.arm(queue[0][0] - SPIN_NS)
