"""
The hot path: which operation may go now, what its reply sets free.

Every operation is offered once its intended time has come. If what it depends on is not settled it
waits and is offered again when that settles; if it needs something that was rejected it is
cancelled, and if that had no answer stranded; if too much is in flight it is dropped. Each of these
is counted, nothing is skipped silently. No task, no logging and no formatting per operation; stamps
go straight into the columns.
"""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from harness.drivers.grpc import NOT_SENT, GrpcDriver, GrpcStatus, ReplyHandler
from harness.drivers.kafka import AckHandler, KafkaDriver
from harness.engine.columns import Columns
from harness.engine.read_your_writes import Positions
from harness.engine.records import Records
from harness.engine.reply_log import ReplyLog
from harness.model.operation import Outcome
from harness.system import Channel, Codec, KindSpec, MalformedReplyError, Payloads, ShardPlan

_ORIGIN = Struct("<Q")
_PLANNED, _IN_FLIGHT = int(Outcome.PLANNED), int(Outcome.IN_FLIGHT)
_ACKNOWLEDGED, _REJECTED = int(Outcome.ACKNOWLEDGED), int(Outcome.REJECTED)
_FAILED, _TIMED_OUT = int(Outcome.FAILED), int(Outcome.TIMED_OUT)
_DROPPED, _CANCELLED = int(Outcome.DROPPED), int(Outcome.CANCELLED)
_STRANDED = int(Outcome.STRANDED)
_GRPC_OK, _GRPC_DEADLINE_EXCEEDED, _GRPC_INTERNAL = 0, 4, 13
# The two statuses by which the domain may reject; any other is trouble, whatever its text says.
_REFUSING = (int(GrpcStatus.ALREADY_EXISTS), int(GrpcStatus.FAILED_PRECONDITION))
_DETAIL_LENGTH_MAX = 200  # of a peer's text that is kept
_DETAIL_COUNT_MAX = 200  # distinct texts kept


def rejection_code(status: int, detail: str) -> int:
    """The domain code that a status other than OK carries ("4001 ..."), 0 if it is no rejection."""
    has_code = detail[:4].isdecimal() and detail[:4].isascii() and detail[4:5] in {"", " "}
    return int(detail[:4]) if has_code and status in _REFUSING else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """The two ways out."""

    grpc: GrpcDriver
    kafka: KafkaDriver | None


class Dispatcher:
    """Offers operations to the drivers and folds their replies into the columns."""

    def __init__(
        self,
        *,
        plan: ShardPlan,
        payloads: Payloads,
        kinds: Sequence[KindSpec],
        topic_prefix: str,
        codec: Codec,
        columns: Columns,
        in_flight_count_max: int,
        clock: Callable[[], int],
        sees_events: bool = True,
    ) -> None:
        """*sees_events*: effects become visible; else an acknowledged record counts as settled."""
        self._kinds = tuple(kinds)
        self._is_kafka = tuple(kind.channel is Channel.KAFKA for kind in kinds)
        self._becomes_visible = self._is_kafka if sees_events else (False,) * len(self._is_kafka)
        self._topic = tuple(topic_prefix + kind.address for kind in kinds)
        self._is_stream = tuple(kind.channel is Channel.GRPC_STREAM for kind in kinds)
        self._origin_at = tuple(kind.origin_at for kind in kinds)
        self._seen_at = tuple(kind.seen_at for kind in kinds)
        self._positions = Positions(plan, self._seen_at)
        self._codec = codec
        self._clock = clock
        self._in_flight_count_max = in_flight_count_max
        self._blob = memoryview(payloads.blob)
        self._start = payloads.start.data
        self._kind = plan.kind.data
        self._needs_a = plan.needs_a.data
        self._needs_b = plan.needs_b.data
        self._after = plan.after.data
        self._stream = plan.stream.data
        self._intended_ns = columns.intended_ns.data
        self._sent_ns = columns.sent_ns.data
        self._done_ns = columns.done_ns.data
        self._visible_ns = columns.visible_ns.data
        self._code = columns.code.data
        self._outcome = columns.outcome.data
        self.replies = ReplyLog()
        self._records = Records(plan, kinds, self._sealed)
        self.sequences = self._records.sequences  # Kafka operation -> its sequence number
        self.let_go_ns: dict[int, int] = {}  # held back by what no stamp tells: until when
        self.never_sent: set[int] = set()
        self.details: Tally[tuple[int, int, str]] = Tally()  # (kind, gRPC status, peer's text)
        self.outcome_counts = [0] * len(Outcome)
        self.sent_count = 0
        self.in_flight_count = 0
        self._waiting: dict[int, list[int]] = {}  # unsettled operation -> those that wait for it
        self._unseen: dict[int, list[int]] = {}  # done, but not yet visible -> likewise
        self.given_up_ns: dict[int, int] = {}  # went without the event it waited for: when
        self.on_late_reply: ReplyHandler | None = None  # of an operation that is settled
        self.on_late_ack: AckHandler | None = None
        self._drivers: Drivers | None = None

    def connect(self, drivers: Drivers) -> None:
        self._drivers = drivers

    @property
    def waiting_count(self) -> int:
        """How many operations are due but wait for another."""
        waiting = sum(map(len, self._waiting.values())) + sum(map(len, self._unseen.values()))
        return waiting + self._records.held_count

    def offer(self, operation: int) -> None:
        """Send *operation*, which is due, or let it wait, cancel it, strand it, or drop it."""
        outcome = self._outcome
        for needed in (self._needs_a[operation], self._needs_b[operation]):
            if needed >= 0:
                state = outcome[needed]
                if state == _IN_FLIGHT and self._keeps_order(needed, operation):
                    continue
                if state <= _IN_FLIGHT:
                    self._waiting.setdefault(needed, []).append(operation)
                    return
                if state != _ACKNOWLEDGED:
                    is_rejected = state in {_REJECTED, _CANCELLED}
                    self._end_unsent(operation, _CANCELLED if is_rejected else _STRANDED)
                    return
        after = self._after[operation]
        if after >= 0:
            state = outcome[after]
            if state <= _IN_FLIGHT:
                self._waiting.setdefault(after, []).append(operation)
                return
            if (
                state == _ACKNOWLEDGED
                and self._becomes_visible[self._kind[after]]
                and self._visible_ns[after] == 0
            ):
                self._unseen.setdefault(after, []).append(operation)
                return
        if self.in_flight_count >= self._in_flight_count_max:
            self._end_unsent(operation, _DROPPED)
            return
        self._send(operation)

    def on_reply(
        self, operation: int, status: int, message: bytes | memoryview, detail: str
    ) -> None:
        """Fold a gRPC reply in; the drivers call this once for every send."""
        now_ns = self._clock()
        if self._outcome[operation] != _IN_FLIGHT:
            if self.on_late_reply is not None:
                self.on_late_reply(operation, status, message, detail)
            return
        self._done_ns[operation] = now_ns
        if status == _GRPC_OK:
            try:
                code = self._codec.reply_code(message)
                if self._positions.is_wanted_by_any and self._positions.wants(operation):
                    self._positions.keep(operation, self._codec.reply_position(message))
            except MalformedReplyError as error:
                self._fail(operation, _GRPC_INTERNAL, f"the reply can't be read: {error}")
                return
            self._code[operation] = code
            self.replies.add(operation, message)
            self._settle(operation, _REJECTED if code else _ACKNOWLEDGED)
            return
        rejection = rejection_code(status, detail)
        if rejection:
            self._keep_detail(operation, status, detail)
            self._code[operation] = rejection
            self._settle(operation, _REJECTED)
            return
        if detail.startswith(NOT_SENT):
            self.never_sent.add(operation)
        self._fail(operation, status, detail)

    def on_ack(self, operation: int, error: str) -> None:
        now_ns = self._clock()
        if self._outcome[operation] != _IN_FLIGHT:
            if self.on_late_ack is not None:
                self.on_late_ack(operation, error)
            return
        self._done_ns[operation] = now_ns
        if error:
            self._keep_detail(operation, -1, error)
            self._code[operation] = -1
        self._settle(operation, _FAILED if error else _ACKNOWLEDGED)

    def on_visible(self) -> None:
        """The observer saw events: send what waited for them."""
        visible_ns = self._visible_ns
        seen = [operation for operation in self._unseen if visible_ns[operation]]
        for operation in seen:
            for dependent in self._unseen.pop(operation):
                self.offer(dependent)
        self._flush()

    def give_up_unseen(self, older_than_ns: int) -> None:
        """Send what waits for an event of an operation done before *older_than_ns*; count it."""
        done_ns, now_ns = self._done_ns, self._clock()
        late = [operation for operation in self._unseen if done_ns[operation] < older_than_ns]
        for operation in late:
            for dependent in self._unseen.pop(operation):
                self.given_up_ns[dependent] = now_ns
                self._send(dependent)
        self._flush()

    def end_waiting(self, state: Outcome) -> None:
        """End whatever still waits: STRANDED if the run is over, CANCELLED if it was stopped."""
        while self._waiting or self._unseen:
            table = self._waiting or self._unseen
            _, dependents = table.popitem()
            for dependent in dependents:
                self._end_unsent(dependent, int(state))

    def time_out_in_flight(self) -> None:
        """End what no reply came for within the drain."""
        for operation, state in enumerate(self._outcome):
            if state == _IN_FLIGHT:
                self._keep_detail(operation, _GRPC_DEADLINE_EXCEEDED, "no reply by end of drain")
                self._code[operation] = _GRPC_DEADLINE_EXCEEDED
                self._settle(operation, _TIMED_OUT)

    def fail_malformed(self, malformed: NDArray[np.bool_]) -> None:
        """
        Turn answered operations of *malformed* into failed ones, once their replies were decoded.

        While the load goes only the first bytes of a reply are looked at; what depended on this one
        has gone, and rightly so.
        """
        answered = (_ACKNOWLEDGED, _REJECTED)
        for operation in np.flatnonzero(malformed).tolist():
            if self._outcome[operation] in answered:
                self.outcome_counts[self._outcome[operation]] -= 1
                self.outcome_counts[_FAILED] += 1
                self._outcome[operation] = _FAILED
                self._code[operation] = _GRPC_INTERNAL
                self._keep_detail(operation, _GRPC_INTERNAL, "the reply can't be read to its end")

    def payload(self, operation: int) -> memoryview:
        """The message of *operation* as it is now in the buffer."""
        return self._blob[self._start[operation] : self._start[operation + 1]]

    def sealed(self, operation: int) -> bytes:
        """The Kafka value of *operation*, whose sequence number was given when it was sent."""
        return self._records.value(operation)

    def let_go(self, held_since_ns: int) -> None:
        """Send what was held back since *held_since_ns* or longer."""
        for operation in self._records.overdue(held_since_ns):
            self._let_go(operation)

    def _send(self, operation: int) -> None:
        drivers = self._drivers
        assert drivers is not None, "connect first"
        kind = self._kind[operation]
        if self._is_kafka[kind]:
            if self._records.line_up(operation, self._clock()):
                self._produce(operation)
                for held in self._records.passed(operation):
                    self._let_go(held)
            return
        self._outcome[operation] = _IN_FLIGHT
        self.in_flight_count += 1
        self.sent_count += 1
        start = self._start[operation]
        origin_at = self._origin_at[kind]
        if origin_at >= 0:
            _ORIGIN.pack_into(self._blob, start + origin_at, self._intended_ns[operation])
        if self._seen_at[kind] >= 0:
            self._positions.patch(operation, self._blob, start + self._seen_at[kind])
        message = self._blob[start : self._start[operation + 1]]
        self._sent_ns[operation] = self._clock()
        if self._is_stream[kind]:
            drivers.grpc.send_in_lane(operation, kind, message, self._stream[operation])
        else:
            drivers.grpc.send(operation, kind, message)

    def _produce(self, operation: int) -> None:
        drivers = self._drivers
        assert drivers is not None, "connect first"
        assert drivers.kafka is not None, "the plan has Kafka operations"
        self._outcome[operation] = _IN_FLIGHT
        self.in_flight_count += 1
        self.sent_count += 1
        value = self._records.value(operation)
        self._sent_ns[operation] = self._clock()
        topic = self._topic[self._kind[operation]]
        drivers.kafka.send(operation, topic, b"%d" % self._stream[operation], value)
        if operation in self._waiting:
            self._free(operation)  # the next of its stream needs no more than this

    def _let_go(self, operation: int) -> None:
        self.let_go_ns[operation] = self._clock()
        self._produce(operation)

    def _sealed(self, operation: int, sequence: int) -> bytes:
        payload, origin_ns = self.payload(operation), self._intended_ns[operation]
        return self._codec.seal(payload, sequence, origin_ns)

    def _keeps_order(self, first: int, second: int) -> bool:
        """Whether both go to Kafka, and so through one stream."""
        return self._is_kafka[self._kind[first]] and self._is_kafka[self._kind[second]]

    def _fail(self, operation: int, status: int, detail: str) -> None:
        self._keep_detail(operation, status, detail)
        self._code[operation] = status
        self._settle(operation, _TIMED_OUT if status == _GRPC_DEADLINE_EXCEEDED else _FAILED)

    def _settle(self, operation: int, state: int) -> None:
        self._outcome[operation] = state
        self.outcome_counts[state] += 1
        self.in_flight_count -= 1
        if operation in self._waiting:
            self._free(operation)

    def _end_unsent(self, operation: int, state: int) -> None:
        self._outcome[operation] = state
        self.outcome_counts[state] += 1
        if operation in self._waiting:
            # It was never done, so nothing else says until when they could not go.
            now_ns = self._clock()
            for dependent in self._waiting[operation]:
                self.let_go_ns[dependent] = now_ns
            self._free(operation)

    def _free(self, operation: int) -> None:
        for dependent in self._waiting.pop(operation):
            self.offer(dependent)
        self._flush()

    def _flush(self) -> None:
        assert self._drivers is not None, "connect first"
        self._drivers.grpc.flush()

    def _keep_detail(self, operation: int, status: int, detail: str) -> None:
        key = (self._kind[operation], status, detail[:_DETAIL_LENGTH_MAX])
        if key in self.details or len(self.details) < _DETAIL_COUNT_MAX:
            self.details[key] += 1
