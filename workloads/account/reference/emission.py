"""
Events out: durable transactions to Kafka, each stream strictly in order, none skipped.

It knows topics and bytes, not what they mean. The one idea: each stream has one batch per
partition on its way, and the records behind it wait here, so a retry can't overtake; the next
batch is whatever has gathered meanwhile, so the rate is not bounded by the round trip.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import DefaultPartitioner

Answer = TypeVar("Answer")

BATCH_BYTES_MAX = 512 * 1024
RETRY_DELAY_S = 0.2
# How long a broker may take to answer at start, and for one batch, before it counts as away.
BROKER_TIMEOUT_MS = 5000
# A producer that is idempotent never gives up a batch by itself, so stopping it may not end.
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Names and partition counts of the topics that the service uses."""

    executions: str
    ledger: str
    balances: str
    dead_letters: str
    executions_partitions: int
    balances_partitions: int

    @classmethod
    def with_prefix(
        cls, prefix: str, *, executions_partitions: int = 4, balances_partitions: int = 1
    ) -> "Topics":
        """The contract's names behind *prefix*; partitions are for topics that must be made."""
        return cls(
            executions=f"{prefix}me.executions.v1",
            ledger=f"{prefix}acct.ledger.v1",
            balances=f"{prefix}acct.balances.v1",
            dead_letters=f"{prefix}acct.dlq.v1",
            executions_partitions=executions_partitions,
            balances_partitions=balances_partitions,
        )

    def partition_counts(self) -> dict[str, int]:
        return {
            self.executions: self.executions_partitions,
            self.ledger: 1,
            self.balances: self.balances_partitions,
            self.dead_letters: 1,
        }


async def ensure_topics(kafka: str, partition_counts: Mapping[str, int]) -> None:
    """
    Make the topics that are missing.

    Raises:
        KafkaError, OSError: the broker can't be reached or rejects them.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=BROKER_TIMEOUT_MS)
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = [
            NewTopic(name=name, num_partitions=count, replication_factor=1)
            for name, count in partition_counts.items()
            if name not in present
        ]
        if missing:
            response = await admin.create_topics(missing)
            for topic, code, *_ in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"topic {topic}")
    finally:
        await admin.close()


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream; *seq* rises, and several records may share it."""

    seq: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Stream:
    """
    One topic's records on their way out.

    Args:
        kafka: The broker's address.
        topic, partition_counts: The topic, and what to make again where the broker forgot.
        emitted_seq: Records up to here were acknowledged before.
        linger_ms: How long the first record of a batch waits for company.
        is_idempotent: The broker drops a batch that it has already; not every broker can.
    """

    def __init__(
        self,
        *,
        kafka: str,
        topic: str,
        partition_counts: Mapping[str, int],
        emitted_seq: int,
        linger_ms: int,
        is_idempotent: bool = False,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._partition_counts = partition_counts
        self._linger_s = linger_ms / 1000
        self._is_idempotent = is_idempotent
        self._pending: deque[Record] = deque()
        self._arrived = asyncio.Event()
        self._shrank = asyncio.Event()
        self._partition_of = DefaultPartitioner()
        self.emitted_seq = emitted_seq

    def put(self, record: Record) -> None:
        self._pending.append(record)
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._pending)

    async def shrunk(self, count: int) -> None:
        """Wait until no more than *count* records wait for the broker."""
        while len(self._pending) > count:
            self._shrank.clear()
            await self._shrank.wait()

    async def run(self) -> None:
        """Send until cancelled; trouble with the broker is retried for ever."""
        producer = self._new_producer()
        try:
            await self._persist(producer.start)
            while True:
                while not self._pending:
                    self._arrived.clear()
                    await self._arrived.wait()
                if self._linger_s:
                    await asyncio.sleep(self._linger_s)
                producer = await self._send_next(producer)
        finally:
            await _stop(producer)

    async def _send_next(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        """Have one batch a partition acknowledged; the producer to go on with."""
        partitions = await self._persist(lambda: producer.partitions_for(self._topic))
        by_partition = self._next_records(sorted(partitions))
        sent_count = sum(len(records) for records in by_partition.values())
        while by_partition:
            for partition in await self._deliver(producer, by_partition):
                del by_partition[partition]
            if by_partition:
                await self._recover()
                producer = await self._repaired(producer)
        last_seq = 0
        for _ in range(sent_count):
            last_seq = self._pending.popleft().seq
        self.emitted_seq = self._pending[0].seq - 1 if self._pending else last_seq
        self._shrank.set()
        return producer

    def _new_producer(self) -> AIOKafkaProducer:
        # One a stream: aiokafka has one request per broker on its way, and the balances must not
        # hold up the ledger.
        return AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=self._is_idempotent,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=BROKER_TIMEOUT_MS,
        )

    async def _repaired(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        """
        A producer that can go on after a batch was given up.

        An idempotent one counts on from behind that batch, and the broker rejects all that follows
        (aio-libs/aiokafka issue 1017).
        """
        if not self._is_idempotent:
            return producer
        await _stop(producer)
        fresh = self._new_producer()
        await self._persist(fresh.start)
        return fresh

    async def _persist(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        while True:
            try:
                return await attempt()
            except KafkaError:
                await self._recover()

    async def _recover(self) -> None:
        """Wait until the broker answers; one that came back empty is given its topics again."""
        while True:
            await asyncio.sleep(RETRY_DELAY_S)
            with suppress(KafkaError, OSError):
                await ensure_topics(self._kafka, self._partition_counts)
                return

    def _next_records(self, partitions: Sequence[int]) -> dict[int, list[Record]]:
        by_partition: dict[int, list[Record]] = {}
        batch_bytes = 0
        for record in self._pending:
            partition = (
                partitions[0]
                if len(partitions) == 1
                else self._partition_of(record.key, partitions, partitions)
            )
            # 64 bytes cover the framing of a record; all partitions share the bound.
            batch_bytes += len(record.value) + 64
            if batch_bytes > BATCH_BYTES_MAX and by_partition:
                break
            by_partition.setdefault(partition, []).append(record)
        return by_partition

    async def _deliver(
        self, producer: AIOKafkaProducer, by_partition: Mapping[int, Sequence[Record]]
    ) -> list[int]:
        """Send one batch to each partition; the partitions that acknowledged."""
        on_their_way = {}
        for partition, records in by_partition.items():
            batch = producer.create_batch()
            for record in records:
                batch.append(
                    key=record.key,
                    value=record.value,
                    timestamp=None,
                    headers=list(record.headers),
                )
            batch.close()
            try:
                on_their_way[partition] = await producer.send_batch(
                    batch, self._topic, partition=partition
                )
            except (KafkaError, AssertionError):
                continue
        delivered = []
        for partition, acknowledgement in on_their_way.items():
            try:
                await acknowledgement
            except KafkaError:
                continue
            delivered.append(partition)
        return delivered


async def _stop(producer: AIOKafkaProducer) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
