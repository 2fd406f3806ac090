"""A stream on its way out: order, retries and how far it claims to be, with a broker made here."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from workloads.account.reference import emission
from workloads.account.reference.emission import Record, Stream

VALUE = bytes(36)  # with its framing 100 bytes


class Batch:
    """What was put into one batch."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def append(self, *, key: bytes | None, value: bytes, timestamp: None, headers: Any) -> None:
        """Add one record."""
        self.values.append(key)

    def close(self) -> None:
        """No more of them."""


class Producer:
    """A producer that fails as planned: one plan a batch, True for an acknowledgement."""

    def __init__(self, partitions: Sequence[int], plan: Sequence[bool]) -> None:
        self._partitions = partitions
        self._plan = list(plan)
        self.delivered: list[tuple[int, list[bytes | None]]] = []

    async def partitions_for(self, _topic: str) -> set[int]:
        """The topic's partitions."""
        return set(self._partitions)

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch()

    async def send_batch(
        self, batch: Batch, _topic: str, *, partition: int
    ) -> "asyncio.Future[None]":
        """Take a batch; the answer comes as planned."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._plan or self._plan.pop(0):
            self.delivered.append((partition, batch.values))
            answer.set_result(None)
        else:
            answer.set_exception(KafkaTimeoutError())
        return answer


def stream_of(keys_by_seq: Sequence[tuple[int, bytes]]) -> Stream:
    """A stream with these records waiting."""
    stream = Stream(kafka="", topic="t", partition_counts={}, emitted_seq=0, linger_ms=0)
    for seq, key in keys_by_seq:
        stream.put(Record(seq, key, VALUE))
    return stream


def send_once(stream: Stream, producer: Any) -> None:
    """Let the stream send its next records."""
    asyncio.run(stream._send_next(producer))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble is over at once, and three records fill a batch."""

    async def over(_stream: Stream) -> None:
        return

    monkeypatch.setattr(Stream, "_recover", over)
    monkeypatch.setattr(emission, "BATCH_BYTES_MAX", 300)


def test_it_claims_only_what_was_acknowledged() -> None:
    """After the first batch of five records, seq 3 is emitted and two wait."""
    stream = stream_of([(seq, b"k%d" % seq) for seq in range(1, 6)])
    send_once(stream, Producer([0], []))

    assert (stream.emitted_seq, len(stream)) == (3, 2)


def test_a_transaction_in_two_batches_is_emitted_with_the_second() -> None:
    """Two accounts of seq 3, the second of them in the next batch: seq 2 is claimed until then."""
    stream = stream_of([(1, b"a"), (2, b"a"), (3, b"a"), (3, b"b"), (4, b"a")])
    producer = Producer([0], [])
    send_once(stream, producer)
    claimed = stream.emitted_seq
    send_once(stream, producer)

    assert (claimed, stream.emitted_seq) == (2, 4)


def test_a_batch_is_repeated_before_anything_follows_it() -> None:
    """Refused twice, the same records go first; those behind them wait."""
    stream = stream_of([(seq, b"k%d" % seq) for seq in range(1, 6)])
    producer = Producer([0], [False, False])
    send_once(stream, producer)
    send_once(stream, producer)

    assert producer.delivered == [(0, [b"k1", b"k2", b"k3"]), (0, [b"k4", b"k5"])]


def test_only_the_partition_that_failed_is_repeated() -> None:
    """Two partitions, one refuses: the other's records are not sent twice."""
    stream = stream_of([(1, b"1001"), (2, b"1002"), (3, b"1003")])
    producer = Producer([0, 1], [True, False])
    send_once(stream, producer)
    keys = [key for _, batch in producer.delivered for key in batch]

    assert sorted(key for key in keys if key) == [b"1001", b"1002", b"1003"]
    assert len({partition for partition, _ in producer.delivered}) == 2
    assert stream.emitted_seq == 3
