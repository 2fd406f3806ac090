"""The dispatcher with scripted drivers: what goes when, and how everything is accounted for."""

import os
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from harness.engine.columns import Columns, create_columns
from harness.engine.dispatch import Dispatcher, Drivers
from harness.engine.read_your_writes import pad_varint
from harness.model.operation import Outcome
from harness.model.validity import count_operations
from harness.system import Channel, KindSpec, MalformedReplyError, Payloads, ShardPlan

CALL, RECORD, AGAIN, MESSAGE, READ = range(5)
KINDS = (
    KindSpec(name="call", channel=Channel.GRPC, address="/a.B/Call", origin_at=0),
    KindSpec(name="record", channel=Channel.KAFKA, address="topic", origin_at=-1),
    KindSpec(name="again", channel=Channel.KAFKA, address="topic", origin_at=-1, resends=True),
    KindSpec(name="message", channel=Channel.GRPC_STREAM, address="/a.B/Stream", origin_at=0),
    KindSpec(name="read", channel=Channel.GRPC_PAGES, address="/a.B/List", origin_at=-1, seen_at=3),
)
PAYLOAD_BYTES = 16


class ScriptedGrpc:
    """Remembers what was sent; replies come when the test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.lanes: list[tuple[int, int]] = []
        self.flush_count = 0

    def send_in_lane(self, token: int, method: int, message: memoryview, lane: int) -> None:
        self.sent.append((token, bytes(message)))
        self.lanes.append((token, lane))

    def send(self, token: int, method: int, message: memoryview) -> None:
        self.sent.append((token, bytes(message)))

    def flush(self) -> None:
        self.flush_count += 1


class ScriptedKafka:
    """Remembers records."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str, bytes, bytes]] = []

    def send(self, token: int, topic: str, key: bytes, value: bytes) -> None:
        self.sent.append((token, topic, key, value))

    @property
    def sequences(self) -> list[int]:
        return [struct.unpack("<qq", value[-16:])[0] for *_, value in self.sent]


class PlainCodec:
    """The reply's first byte is its code; 255 can't be read."""

    def reply_code(self, message: bytes | memoryview) -> int:
        if bytes(message[:1]) == b"\xff":
            raise MalformedReplyError("255")
        return message[0] if len(message) else 0

    def reply_position(self, message: bytes | memoryview) -> int:
        return int.from_bytes(message[1:], "big")

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        return bytes(payload) + struct.pack("<qq", sequence, origin_ns)


class Bench:
    """A dispatcher of *count* operations, its columns and its scripted drivers."""

    def __init__(
        self,
        count: int,
        *,
        needs: dict[int, tuple[int, ...]] | None = None,
        after: dict[int, int] | None = None,
        records: Sequence[int] = (),
        again: Sequence[int] = (),
        late_by: dict[int, int] | None = None,
        messages: dict[int, int] | None = None,
        reads: Sequence[int] = (),
        in_flight_count_max: int = 100,
        sees_events: bool = True,
    ) -> None:
        self.now_ns = 1_000
        self.spec = create_columns(count)
        self.columns = Columns(self.spec)
        self.columns.intended_ns[:] = np.arange(count) * 10 + 500
        none = np.full(count, -1, np.int32)
        needs_a, needs_b, after_column = none.copy(), none.copy(), none.copy()
        for operation, needed in (needs or {}).items():
            needs_a[operation] = needed[0]
            needs_b[operation] = needed[1] if len(needed) > 1 else -1
        for operation, other in (after or {}).items():
            after_column[operation] = other
        kind = np.zeros(count, np.uint8)
        stream = none.copy()
        for operation in records:
            kind[operation] = RECORD
            stream[operation] = 7
        kind[list(again)] = AGAIN
        late = np.zeros(count if late_by else 0, np.uint8)
        for operation, position_count in (late_by or {}).items():
            late[operation] = position_count
        for operation, lane in (messages or {}).items():
            kind[operation] = MESSAGE
            stream[operation] = lane
        kind[list(reads)] = READ
        plan = ShardPlan(
            shard=0,
            shard_count=1,
            intended_offset_ns=np.arange(count, dtype=np.int64) * 10,
            kind=kind,
            needs_a=needs_a,
            needs_b=needs_b,
            after=after_column,
            stream=stream,
            columns={},
            late_by=late,
        )
        self.grpc, self.kafka = ScriptedGrpc(), ScriptedKafka()
        self.dispatcher = Dispatcher(
            plan=plan,
            payloads=Payloads(
                blob=bytearray(PAYLOAD_BYTES * count),
                start=np.arange(count + 1, dtype=np.int64) * PAYLOAD_BYTES,
            ),
            kinds=KINDS,
            topic_prefix="run.",
            codec=PlainCodec(),
            columns=self.columns,
            in_flight_count_max=in_flight_count_max,
            clock=lambda: self.now_ns,
            sees_events=sees_events,
        )
        self.dispatcher.connect(Drivers(grpc=self.grpc, kafka=self.kafka))  # type: ignore[arg-type]

    def offer_all(self) -> None:
        for operation in range(self.spec.row_count):
            self.dispatcher.offer(operation)

    def reply(
        self, operation: int, *, code: int = 0, status: int = 0, detail: str = "", position: int = 0
    ) -> None:
        self.now_ns += 100
        message = bytes([code]) + position.to_bytes(8, "big")
        self.dispatcher.on_reply(operation, status, message, detail)

    def acknowledge(self, operation: int) -> None:
        self.now_ns += 100
        self.dispatcher.on_ack(operation, "")

    def outcome(self, operation: int) -> Outcome:
        return Outcome(self.columns.outcome[operation])

    @property
    def sent(self) -> list[int]:
        return [token for token, _ in self.grpc.sent]


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    """Benches to be taken down after the test."""
    made: list[Bench] = []
    yield made
    for bench in made:
        os.close(int(bench.spec.path.rpartition("/")[2]))


def test_independent_operation_goes_at_once_with_its_intended_time_inside(
    benches: list[Bench],
) -> None:
    """An operation without dependencies is sent when offered, its origin patched in."""
    bench = Bench(1)
    benches.append(bench)

    bench.offer_all()

    assert bench.grpc.sent == [(0, struct.pack("<Q", 500) + bytes(8))]
    assert bench.columns.sent_ns[0] == 1_000
    assert bench.outcome(0) is Outcome.IN_FLIGHT


def test_dependent_waits_for_the_reply_it_needs(benches: list[Bench]) -> None:
    """A dependent goes when the reply comes, not before, and both stamps are kept."""
    bench = Bench(2, needs={1: (0,)})
    benches.append(bench)

    bench.offer_all()
    assert bench.sent == [0]
    bench.reply(0)

    assert bench.sent == [0, 1]
    assert bench.columns.done_ns[0] == 1_100
    assert bench.columns.sent_ns[1] == 1_100
    assert bench.grpc.flush_count == 1


def test_refusal_cancels_the_chain_that_needs_it(benches: list[Bench]) -> None:
    """What needs a refused operation is cancelled, and so is what needs that in turn."""
    bench = Bench(3, needs={1: (0,), 2: (1,)})
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, code=3)

    assert bench.sent == [0]
    assert bench.outcome(0) is Outcome.REJECTED
    assert bench.columns.code[0] == 3
    assert [bench.outcome(1), bench.outcome(2)] == [Outcome.CANCELLED, Outcome.CANCELLED]


def test_after_a_record_means_after_it_is_visible(benches: list[Bench]) -> None:
    """A call after a Kafka record waits for the observer, not for the broker's acknowledgement."""
    bench = Bench(2, after={1: 0}, records=[0])
    benches.append(bench)

    bench.offer_all()
    bench.acknowledge(0)
    assert bench.sent == []
    bench.columns.visible_ns[0] = 2_000
    bench.dispatcher.on_visible()

    assert bench.sent == [1]
    assert bench.dispatcher.given_up_ns == {}


def test_where_nothing_is_seen_the_acknowledgement_is_enough(benches: list[Bench]) -> None:
    """Of a target that writes no events: what follows a record goes with its acknowledgement."""
    bench = Bench(2, after={1: 0}, records=[0], sees_events=False)
    benches.append(bench)

    bench.offer_all()
    assert bench.sent == []
    bench.acknowledge(0)

    assert bench.sent == [1]
    assert bench.dispatcher.given_up_ns == {}


def test_event_that_never_comes_is_given_up_and_counted(benches: list[Bench]) -> None:
    """A lost event delays what waits for it by the time-out, and is counted."""
    bench = Bench(2, after={1: 0}, records=[0])
    benches.append(bench)

    bench.offer_all()
    bench.acknowledge(0)
    bench.dispatcher.give_up_unseen(older_than_ns=bench.now_ns)
    assert bench.sent == []
    bench.dispatcher.give_up_unseen(older_than_ns=bench.now_ns + 1)

    assert bench.sent == [1]
    assert bench.dispatcher.given_up_ns == {1: bench.now_ns}


def test_after_a_cancelled_record_goes_at_once(benches: list[Bench]) -> None:
    """`after` asks that the other is settled, however it ended."""
    bench = Bench(3, needs={1: (0,)}, after={2: 1}, records=[1])
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, code=9)

    assert bench.outcome(1) is Outcome.CANCELLED
    assert bench.sent == [0, 2]
    assert bench.dispatcher.let_go_ns == {2: bench.now_ns}  # until then it could not go


def test_what_needs_an_unanswered_operation_is_stranded(benches: list[Bench]) -> None:
    """A stall must not look like one slow call: what would have followed had no answer either."""
    bench = Bench(4, needs={1: (0,), 2: (1,)}, after={3: 2})
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, status=4, detail="deadline")

    assert bench.outcome(0) is Outcome.TIMED_OUT
    assert [bench.outcome(1), bench.outcome(2)] == [Outcome.STRANDED, Outcome.STRANDED]
    assert bench.sent == [0, 3]


def test_sequence_numbers_are_given_at_send_without_gaps(benches: list[Bench]) -> None:
    """A cancelled record leaves no gap in its stream's sequence."""
    bench = Bench(4, needs={2: (0,)}, records=[1, 2, 3])
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, code=5)

    assert bench.outcome(2) is Outcome.CANCELLED
    assert bench.kafka.sequences == [1, 2]
    assert bench.kafka.sent[0][1:3] == ("run.topic", b"7")


def test_a_record_that_needs_another_goes_behind_it(benches: list[Bench]) -> None:
    """In one stream it is enough that the other was sent; if that was cancelled, so is this."""
    bench = Bench(5, needs={1: (0,), 2: (1,), 3: (2,), 4: (1,)}, records=[1, 2, 3, 4])
    other = Bench(4, needs={1: (0,), 2: (1,), 3: (2,)}, records=[1, 2, 3])
    benches.extend([bench, other])

    bench.offer_all()
    assert bench.kafka.sent == []
    bench.reply(0)
    other.offer_all()
    other.reply(0, code=9)

    assert [token for token, *_ in bench.kafka.sent] == [1, 2, 3, 4]
    assert bench.kafka.sequences == [1, 2, 3, 4]
    assert [other.outcome(operation) for operation in (1, 2, 3)] == [Outcome.CANCELLED] * 3


def test_a_late_record_keeps_its_number(benches: list[Bench]) -> None:
    """It goes behind as many later ones as the plan says, and is not in flight until then."""
    bench = Bench(6, records=[0, 1, 2, 3, 4, 5], late_by={1: 2, 2: 3})
    benches.append(bench)

    for operation in (0, 1, 2):
        bench.dispatcher.offer(operation)
    assert [token for token, *_ in bench.kafka.sent] == [0]
    assert (bench.dispatcher.in_flight_count, bench.dispatcher.waiting_count) == (1, 2)
    for operation in (3, 4, 5):
        bench.dispatcher.offer(operation)

    assert [token for token, *_ in bench.kafka.sent] == [0, 3, 4, 1, 5, 2]
    assert bench.kafka.sequences == [1, 4, 5, 2, 6, 3]
    assert bench.dispatcher.let_go_ns == {1: 1_000, 2: 1_000}
    assert bench.dispatcher.waiting_count == 0


def test_a_late_record_does_not_wait_for_ever(benches: list[Bench]) -> None:
    """When its stream is silent it goes after a while, and frees what waits for it."""
    bench = Bench(3, records=[0, 1], late_by={0: 64}, needs={1: (0,)}, after={2: 0})
    benches.append(bench)

    bench.offer_all()
    bench.dispatcher.let_go(bench.now_ns - 1)
    assert bench.kafka.sent == []
    bench.now_ns += 50
    bench.dispatcher.let_go(bench.now_ns - 50)

    assert bench.kafka.sequences == [1, 2]
    assert bench.columns.sent_ns[0] == bench.now_ns
    assert bench.dispatcher.let_go_ns == {0: bench.now_ns}


def test_a_record_is_sent_again(benches: list[Bench]) -> None:
    """The same bytes and number, no number of its own; not if the first was never sent."""
    bench = Bench(4, records=[0, 1, 3], again=[1], needs={1: (0,)})
    other = Bench(3, records=[1, 2], again=[2], needs={1: (0,), 2: (1,)})
    benches.extend([bench, other])

    bench.offer_all()
    other.offer_all()
    other.reply(0, code=9)

    assert [token for token, *_ in bench.kafka.sent] == [0, 1, 3]
    assert bench.kafka.sequences == [1, 1, 2]
    assert bench.kafka.sent[0][1:] == bench.kafka.sent[1][1:]
    assert bench.dispatcher.sequences == {0: 1, 1: 1, 3: 2}
    assert bench.dispatcher.sealed(1) == bench.kafka.sent[1][3]
    assert other.outcome(2) is Outcome.CANCELLED


def test_messages_of_a_lane_go_on_their_stream(benches: list[Bench]) -> None:
    """A stream operation is sent with its lane, its intended time inside, and settles as a call."""
    bench = Bench(3, messages={0: 42, 2: 0}, needs={2: (0,)})
    benches.append(bench)

    bench.offer_all()
    bench.reply(0)
    bench.reply(2, code=9)

    assert bench.sent == [0, 1, 2]
    assert bench.grpc.lanes == [(0, 42), (2, 0)]
    assert bench.grpc.sent[2][1][:8] == struct.pack("<Q", 520)
    assert (bench.outcome(0), bench.outcome(2)) == (Outcome.ACKNOWLEDGED, Outcome.REJECTED)


@pytest.mark.parametrize("position", [0, 1, 127, 128, 2**40 + 5, 2**63 - 1])
def test_a_read_asks_for_what_it_must_see(benches: list[Bench], position: int) -> None:
    """The position in the needed reply is patched into the read as a padded varint."""
    bench = Bench(4, needs={1: (0,), 3: (2,)}, reads=[1, 3])
    benches.append(bench)

    bench.offer_all()
    bench.reply(2, position=7)
    bench.reply(0, position=position)

    assert bench.sent == [0, 2, 3, 1]
    patched = [message[3:13] for token, message in bench.grpc.sent if token in {1, 3}]
    assert [read_varint(one) for one in patched] == [7, position]
    assert all(len(one) == 10 and min(one[:9]) >= 0x80 and one[9] <= 1 for one in patched)
    assert all(message[:3] == b"\0\0\0" for token, message in bench.grpc.sent if token in {1, 3})


def test_a_read_that_needs_nothing_is_sent_as_it_was_encoded(benches: list[Bench]) -> None:
    """Without a needed operation there is nothing to patch."""
    bench = Bench(1, reads=[0])
    benches.append(bench)

    bench.offer_all()

    assert bench.grpc.sent == [(0, bytes(PAYLOAD_BYTES))]


@pytest.mark.parametrize("value", [0, 1, 2**63, 2**64 - 1])
def test_padded_varints_hold_any_position(value: int) -> None:
    """All 64 bits fit into the ten bytes."""
    assert read_varint(pad_varint(value)) == value


def read_varint(raw: bytes) -> int:
    """Read as protobuf does."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(raw))


def test_bound_in_flight_drops_and_counts(benches: list[Bench]) -> None:
    """Past the bound an operation is dropped, not sent late, and stays accounted for."""
    bench = Bench(5, in_flight_count_max=2)
    benches.append(bench)

    bench.offer_all()
    bench.reply(0)
    bench.reply(1)

    counts = count_operations(bench.columns.outcome)
    assert bench.sent == [0, 1]
    assert (counts.scheduled, counts.admitted, counts.dropped) == (5, 2, 3)
    assert bench.dispatcher.in_flight_count == 0


def test_domain_code_in_a_status_message_is_a_refusal(benches: list[Bench]) -> None:
    """A gRPC status whose message begins with a domain code is a refusal, not a failure."""
    bench = Bench(2)
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, status=6, detail="4001 another payload")
    bench.reply(1, status=14, detail="not sent: refused")

    assert (bench.outcome(0), bench.columns.code[0]) == (Outcome.REJECTED, 4001)
    assert (bench.outcome(1), bench.columns.code[1]) == (Outcome.FAILED, 14)
    assert bench.dispatcher.never_sent == {1}


def test_number_in_the_text_of_a_transport_error_is_no_refusal(benches: list[Bench]) -> None:
    """Only the two statuses of the contract carry a code; "5000 ms" of a proxy is a failure."""
    bench = Bench(3)
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, status=14, detail="5000 ms without an upstream")
    bench.reply(1, status=4, detail="5000 ms are over")
    bench.reply(2, status=9, detail="0000 is no code")

    outcomes = [bench.outcome(operation) for operation in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.FAILED]


def test_reply_that_cannot_be_read_is_a_failure_of_its_operation(benches: list[Bench]) -> None:
    """Nonsense from the target fails its operation in clear words, and what needs it is free."""
    bench = Bench(2, needs={1: (0,)})
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, code=255)

    assert bench.outcome(0) is Outcome.FAILED
    assert bench.outcome(1) is Outcome.STRANDED
    assert bench.dispatcher.details == {(CALL, 13, "the reply can't be read: 255"): 1}
    assert bench.dispatcher.in_flight_count == 0


def test_reply_found_malformed_after_the_run_is_a_failure_too(benches: list[Bench]) -> None:
    """Decoding marks what the first bytes had not shown; what was never answered is left alone."""
    bench = Bench(3)
    benches.append(bench)

    bench.offer_all()
    bench.reply(0)
    bench.reply(1)
    bench.dispatcher.time_out_in_flight()
    bench.dispatcher.fail_malformed(np.array([True, False, True]))

    outcomes = [bench.outcome(operation) for operation in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.ACKNOWLEDGED, Outcome.TIMED_OUT]
    assert bench.dispatcher.outcome_counts[Outcome.FAILED] == 1
    assert bench.dispatcher.outcome_counts[Outcome.ACKNOWLEDGED] == 1


def test_late_reply_changes_nothing(benches: list[Bench]) -> None:
    """A second reply to a settled operation leaves stamps, outcome and counts alone."""
    bench = Bench(1)
    benches.append(bench)

    bench.offer_all()
    bench.reply(0, status=4, detail="deadline")
    bench.reply(0)

    assert bench.outcome(0) is Outcome.TIMED_OUT
    assert bench.columns.done_ns[0] == 1_100
    assert bench.dispatcher.in_flight_count == 0


def test_end_of_run_settles_everything(benches: list[Bench]) -> None:
    """At the end what waits is stranded, what is in flight timed out, and the sum holds."""
    bench = Bench(4, needs={1: (0,)}, after={3: 2}, records=[2])
    benches.append(bench)

    bench.offer_all()
    bench.acknowledge(2)
    bench.dispatcher.end_waiting(Outcome.STRANDED)
    bench.dispatcher.time_out_in_flight()

    counts = count_operations(bench.columns.outcome)
    assert bench.dispatcher.waiting_count == 0
    assert (counts.admitted, counts.stranded, counts.timed_out) == (2, 2, 1)
    assert counts.scheduled == counts.admitted + counts.dropped + counts.stranded
