"""
The pacer: offers each operation at its intended instant, however late the last reply is.

Absolute schedule, one timer for the whole plan: on each wake-up everything due is offered in one
pass and written in one flush, or a few where much is due: what is stamped as sent must not lie in
our own buffer for long. A slow target never moves the plan.
"""

from collections.abc import Callable

from harness.engine.timer import AbsoluteTimer

_FLUSH_MASK = 31  # behind its time, what was offered goes out every 32 operations at the latest


class Pacer:
    """Call `wake` whenever the timer's descriptor is readable."""

    def __init__(
        self,
        *,
        intended_ns: memoryview,
        offer: Callable[[int], None],
        flush: Callable[[], None],
        timer: AbsoluteTimer,
        clock: Callable[[], int],
        spin_ns: int,
    ) -> None:
        self._intended_ns = intended_ns
        self._offer = offer
        self._flush = flush
        self._timer = timer
        self._clock = clock
        self._spin_ns = spin_ns
        self._count = len(intended_ns)
        self.next = 0  # the first operation that has not been offered

    @property
    def is_finished(self) -> bool:
        return self.next >= self._count

    def start(self) -> None:
        self._arm()

    def stop(self) -> None:
        self._count = self.next

    def wake(self) -> None:
        self._timer.acknowledge()
        intended_ns, clock, index, count = self._intended_ns, self._clock, self.next, self._count
        horizon_ns = clock() + self._spin_ns
        while index < count and intended_ns[index] <= horizon_ns:
            while intended_ns[index] > clock():
                pass
            self._offer(index)
            index += 1
            is_late_too = not index & _FLUSH_MASK
            if index < count and (is_late_too or intended_ns[index] > clock()):
                self._flush()  # what is due must not wait for what is not, nor for all that is late
                horizon_ns = clock() + self._spin_ns
        self.next = index
        self._flush()
        self._arm()

    def _arm(self) -> None:
        if self.next < self._count:
            self._timer.arm(self._intended_ns[self.next] - self._spin_ns)
