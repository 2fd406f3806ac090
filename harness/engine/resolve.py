"""
Unknown outcomes made known: the same request again, by the same request id, on the same way.

An operation that timed out or failed in transport may or may not have been applied; only the target
knows. The contract's idempotency makes asking safe: a repeated id is answered with the stored
outcome, or applied now for the first time, which is legal and told apart by the `replayed` flag.
Past the time for which the target remembers ids the same request would be another one: it is not
asked again, and stays unknown.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.engine.columns import Columns
from harness.engine.dispatch import Dispatcher, Drivers, rejection_code
from harness.model.operation import Outcome
from harness.system import Channel, Codec, KindSpec, MalformedReplyError, ShardPlan

_IN_FLIGHT_COUNT_MAX = 64
_ATTEMPT_COUNT_MAX = 20
_RETRY_S = 0.25  # a restarted target needs a moment; 20 attempts make five seconds
DEADLINE_S = (
    60.0  # an overloaded target may leave thousands; what is not told by then stays unknown
)
UNRESOLVED = -1


class Resolver:
    """Repeats what has no known outcome; the answers are in the three arrays (-1: not repeated)."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        drivers: Drivers,
        columns: Columns,
        plan: ShardPlan,
        codec: Codec,
        kinds: Sequence[KindSpec],
        topic_prefix: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._drivers = drivers
        self._columns = columns
        self._plan = plan
        self._codec = codec
        self._kinds = kinds
        self._topic_prefix = topic_prefix
        count = len(plan)
        self.outcome: NDArray[np.int8] = np.full(count, UNRESOLVED, np.int8)
        self.code: NDArray[np.int32] = np.full(count, UNRESOLVED, np.int32)
        self.replayed: NDArray[np.int8] = np.full(count, UNRESOLVED, np.int8)
        self._attempts: dict[int, int] = {}
        self._pending: deque[int] = deque()
        self._asked: set[int] = set()  # sent again, no answer yet
        self._resting_count = 0  # to be sent again in a moment
        self._on_finished: Callable[[int], None] | None = None

    def start(self, on_finished: Callable[[int], None], *, sent_since_ns: int = 0) -> None:
        """
        Repeat every unknown operation that is still remembered.

        Args:
            on_finished: Called with how many there were.
            sent_since_ns: Calls sent before this the target may have forgotten; records it knows by
                their sequence numbers, for ever.
        """
        outcome = self._columns.outcome
        is_record = np.array([kind.channel is Channel.KAFKA for kind in self._kinds])
        is_known_by_target = (self._columns.sent_ns >= sent_since_ns) | is_record[self._plan.kind]
        unknown = np.flatnonzero(
            ((outcome == int(Outcome.FAILED)) | (outcome == int(Outcome.TIMED_OUT)))
            & is_known_by_target
        )
        self._pending.extend(
            operation
            for operation in unknown.tolist()
            if operation not in self._dispatcher.never_sent
        )
        self._on_finished = on_finished
        self._dispatcher.on_late_reply = self._replied
        self._dispatcher.on_late_ack = self._acknowledged
        asyncio.get_running_loop().call_later(DEADLINE_S, self._finish)
        self._send_more()

    def forget(self, malformed: NDArray[np.bool_]) -> None:
        """Take back what a reply told that can't be read to its end: it stays unknown."""
        for told in (self.outcome, self.code, self.replayed):
            told[malformed] = UNRESOLVED

    def _send_more(self) -> None:
        kinds, kind_of = self._kinds, self._plan.kind
        while self._pending and len(self._asked) + self._resting_count < _IN_FLIGHT_COUNT_MAX:
            operation = self._pending.popleft()
            if self.outcome[operation] != UNRESOLVED:
                continue  # the answer to the first sending came after all
            self._attempts[operation] = self._attempts.get(operation, 0) + 1
            self._asked.add(operation)
            kind = int(kind_of[operation])
            if kinds[kind].channel is Channel.KAFKA:
                assert self._drivers.kafka is not None, "the plan has Kafka operations"
                self._drivers.kafka.send(
                    operation,
                    self._topic_prefix + kinds[kind].address,
                    b"%d" % self._plan.stream[operation],
                    self._dispatcher.sealed(operation),
                )
            elif kinds[kind].channel is Channel.GRPC_STREAM:
                lane = int(self._plan.stream[operation])
                payload = self._dispatcher.payload(operation)
                self._drivers.grpc.send_in_lane(operation, kind, payload, lane)
            else:
                self._drivers.grpc.send(operation, kind, self._dispatcher.payload(operation))
        self._drivers.grpc.flush()
        if not self._pending and not self._asked and not self._resting_count:
            self._finish()

    def _finish(self) -> None:
        """Say so, once; later answers change nothing any more."""
        if self._on_finished is not None:
            finished, self._on_finished = self._on_finished, None
            self._dispatcher.on_late_reply = self._dispatcher.on_late_ack = None
            self._pending.clear()
            finished(len(self._attempts))

    def _replied(
        self, operation: int, status: int, message: bytes | memoryview, detail: str
    ) -> None:
        if self.outcome[operation] != UNRESOLVED:
            return  # both sendings were answered
        if status == 0:
            try:
                code = self._codec.reply_code(message)
                self.replayed[operation] = self._codec.reply_replayed(message)
            except MalformedReplyError:
                self._try_again(operation)
                return
            self._dispatcher.replies.add(operation, message)
        else:
            code = rejection_code(status, detail)
            if not code:
                self._try_again(operation)
                return
        self.code[operation] = code
        self._end(operation, Outcome.REJECTED if code else Outcome.ACKNOWLEDGED)

    def _acknowledged(self, operation: int, error: str) -> None:
        if self.outcome[operation] != UNRESOLVED:
            return  # both sendings were answered
        if error:
            self._try_again(operation)
        else:
            self._end(operation, Outcome.ACKNOWLEDGED)

    def _end(self, operation: int, outcome: Outcome) -> None:
        self.outcome[operation] = int(outcome)
        self._asked.discard(operation)
        self._send_more()

    def _try_again(self, operation: int) -> None:
        if operation not in self._asked:
            return  # what became of the first sending: the second one's answer will tell
        self._asked.remove(operation)
        if self._attempts[operation] >= _ATTEMPT_COUNT_MAX:
            self._send_more()
            return
        self._resting_count += 1

        def again() -> None:
            self._resting_count -= 1
            self._pending.appendleft(operation)
            self._send_more()

        asyncio.get_running_loop().call_later(_RETRY_S, again)
