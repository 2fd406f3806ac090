"""
Kafka records out of the load process: handed over without waiting, answered by a callback.

Records wait in a queue a partition; one sender a partition packs what has gathered into a batch,
sends it, and waits for the broker before the next, however long the broker is away. So records of a
key keep their order even when a batch has to be sent again: before any higher sequence number. A
record costs an append, not a task or a future. (aiokafka's own accumulator was measured first: once
a batch is full, every waiting send watches every record of it: 5,000 sends a CPU-second.)
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from harness.drivers.aiokafka_arguments import producer_arguments
from harness.drivers.background_task import start_task
from harness.drivers.kafka_topics import partition_numbers
from harness.errors import TransportError
from harness.model.kafka_settings import KafkaSettings

AckHandler = Callable[[int, str], None]  # (token, "" or what went wrong)
_REJECTED_COUNT_MAX = 3  # attempts, where the error says that another would not help
_RETRY_S = 0.1
_CLOSE_TIMEOUT_S = 5.0
_PARTITION_NUMBER = tuple[str, int]


_Record = tuple[int, bytes, bytes]  # token, key, value


class KafkaDriver:
    """One producer; *on_ack* is called once for every send, on the loop's thread."""

    def __init__(
        self,
        *,
        address: str,
        settings: KafkaSettings,
        topics: Sequence[str],
        headers: Sequence[tuple[str, bytes]],
        on_ack: AckHandler,
    ) -> None:
        self._address = address
        self._topics = tuple(topics)
        self._headers = list(headers)
        self._on_ack = on_ack
        self._linger_s = settings.linger_ms / 1000
        self._producers = _Producers(address, settings)
        self._queues: dict[tuple[str, bytes], _Queue] = {}  # by topic and key
        self._queue_of: dict[_PARTITION_NUMBER, _Queue] = {}

    async def connect(self) -> None:
        """Connect and learn the topics' partitions; TransportError if there is none of a topic."""
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # trouble arrives as acks
        try:
            missing = await self._learn_topics()
        except (KafkaError, OSError) as error:
            await self._producers.stop()
            raise TransportError(f"kafka {self._address}: {error}") from error
        if missing:
            await self._producers.stop()
            said = f"kafka {self._address}: topic {missing}: the broker has none of that name"
            raise TransportError(said)

    def send(self, token: int, topic: str, key: bytes, value: bytes) -> None:
        """Queue a record behind all others of its partition."""
        queue = self._queues.get((topic, key))
        if queue is None:
            queue = self._queues[topic, key] = self._queue_for(topic, key, value)
        queue.add(token, key, value)

    async def close(self) -> None:
        """Disconnect; what the broker has not acknowledged is never answered."""
        for queue in self._queue_of.values():
            queue.stop()
        await self._producers.stop()

    async def _learn_topics(self) -> str:
        """Connect; a topic that is missing, else empty."""
        await self._producers.start()
        for topic in self._topics:
            # Asked first: a producer would wait for one that is not there, or have it made.
            if not await partition_numbers(self._address, topic):
                return topic
            await self._producers.current.partitions_for(topic)
        return ""

    def _queue_for(self, topic: str, key: bytes, value: bytes) -> "_Queue":
        producer = self._producers.current
        number = producer._partition(topic, None, key, value, key, value)  # noqa: SLF001
        found = self._queue_of.get((topic, number))
        if found is None:
            found = _Queue(
                self._producers,
                (topic, number),
                headers=self._headers,
                linger_s=self._linger_s,
                on_ack=self._on_ack,
            )
            self._queue_of[topic, number] = found
        return found


class _Producers:
    """
    The producer of the moment, and those before it.

    An idempotent producer of aiokafka is of no use once it has given up a batch: it counts on from
    behind that batch, and the broker rejects every later one (aio-libs/aiokafka issue 1017).
    """

    def __init__(self, address: str, settings: KafkaSettings) -> None:
        self._address = address
        # The queues linger, see _Queue.
        self._arguments = {**producer_arguments(settings), "linger_ms": 0}
        self._started: list[AIOKafkaProducer] = []
        self._renewing = asyncio.Lock()
        self.is_idempotent = settings.is_idempotent

    @property
    def current(self) -> AIOKafkaProducer:
        assert self._started, "connect first"
        return self._started[-1]

    async def start(self) -> None:
        """One more; raises KafkaError or OSError."""
        producer = AIOKafkaProducer(bootstrap_servers=self._address, **self._arguments)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._started.append(producer)

    async def renew(self, broken: AIOKafkaProducer) -> None:
        """
        Start one in place of *broken*, unless that was done; waits for a broker that is away.

        The old one is kept to the end: another partition may still wait for its answer.
        """
        async with self._renewing:
            while self.current is broken:
                with suppress(KafkaError, OSError):
                    await self.start()
                    return
                await asyncio.sleep(_RETRY_S)

    async def stop(self) -> None:
        for producer in self._started:
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), timeout=_CLOSE_TIMEOUT_S)


class _Queue:
    """The records of one partition on their way, in order."""

    def __init__(
        self,
        producers: _Producers,
        partition: _PARTITION_NUMBER,
        *,
        headers: list[tuple[str, bytes]],
        linger_s: float,
        on_ack: AckHandler,
    ) -> None:
        self._producers = producers
        self._topic, self._partition = partition
        self._headers = headers
        self._linger_s = linger_s
        self._on_ack = on_ack
        self._pending: deque[_Record] = deque()
        self._sender: asyncio.Task[None] | None = None

    def add(self, token: int, key: bytes, value: bytes) -> None:
        """Behind the others; the first one starts the sender."""
        self._pending.append((token, key, value))
        if self._sender is None or self._sender.done():
            self._sender = start_task(self._send_all())

    def stop(self) -> None:
        if self._sender is not None:
            self._sender.cancel()

    async def _send_all(self) -> None:
        await asyncio.sleep(self._linger_s)  # the first record waits for company
        while self._pending:
            batch, records = self._pack(self._pending)
            error = await self._deliver(batch, records)
            for token, _, _ in records:
                self._on_ack(token, error)

    def _pack(self, waiting: deque[_Record]) -> tuple[BatchBuilder, list[_Record]]:
        """As many of the *waiting* records as a batch holds, taken from there."""
        batch, taken = self._producers.current.create_batch(), []
        while waiting:
            _, key, value = record = waiting[0]
            if batch.append(key=key, value=value, timestamp=None, headers=self._headers) is None:
                break
            taken.append(record)
            waiting.popleft()
        batch.close()
        return batch, taken

    async def _deliver(self, batch: BatchBuilder, records: list[_Record]) -> str:
        """
        Send until the broker has it, or rejects it for good; what it said then, else empty.

        A broker that is away is waited for: what follows must not overtake.
        """
        rejected_count = 0
        while True:
            producer = self._producers.current
            try:
                sent = await producer.send_batch(batch, self._topic, partition=self._partition)
                await sent
            except AssertionError:
                pass  # aiokafka's word for a partition that the broker does not know (yet)
            except KafkaError as error:
                rejected_count += not error.retriable
                if rejected_count >= _REJECTED_COUNT_MAX:
                    return f"{type(error).__name__}: {error}"
            else:
                return ""
            await asyncio.sleep(_RETRY_S)
            if self._producers.is_idempotent:
                await self._producers.renew(producer)
                batch, _ = self._pack(deque(records))  # numbered once, it can't be numbered again
