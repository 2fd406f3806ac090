"""
Kafka records out of the load process: handed over without waiting, answered by a callback.

Records wait in a queue a partition; one sender a partition packs what has gathered into a batch,
sends it, and waits for the broker before the next. So records of a key keep their order even when
a batch has to be sent again: with the same bytes, and before any higher sequence number. A record
costs an append, not a task or a future. (aiokafka's own accumulator was measured first: once a
batch is full, every waiting send watches every record of it: 5,000 sends a CPU-second.)
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from harness.drivers.kafka_settings import PRODUCER_LINGER_MS, PRODUCER_SETTINGS
from harness.errors import TransportError

AckHandler = Callable[[int, str], None]  # (token, "" or what went wrong)
_ATTEMPT_COUNT_MAX = 3
_CLOSE_TIMEOUT_S = 5.0
_PARTITION_NUMBER = tuple[str, int]


class KafkaDriver:
    """One producer; *on_ack* is called once for every send, on the loop's thread."""

    def __init__(
        self,
        *,
        address: str,
        topics: Sequence[str],
        headers: Sequence[tuple[str, bytes]],
        on_ack: AckHandler,
    ) -> None:
        self._address = address
        self._topics = tuple(topics)
        self._headers = list(headers)
        self._on_ack = on_ack
        self._producer: AIOKafkaProducer | None = None
        self._queues: dict[tuple[str, bytes], _Queue] = {}  # by topic and key
        self._queue_of: dict[_PARTITION_NUMBER, _Queue] = {}

    async def connect(self) -> None:
        """
        Connect and learn the topics' partitions.

        Raises:
            TransportError: the broker can't be reached or knows no such topic.
        """
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # trouble arrives as acks
        settings = {**PRODUCER_SETTINGS, "linger_ms": 0}  # the queues linger, see _Queue
        producer = AIOKafkaProducer(bootstrap_servers=self._address, **settings)
        try:
            await producer.start()
            for topic in self._topics:
                await producer.partitions_for(topic)
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise TransportError(f"kafka {self._address}: {error}") from error
        self._producer = producer

    def send(self, token: int, topic: str, key: bytes, value: bytes) -> None:
        """Queue a record behind all others of its partition."""
        queue = self._queues.get((topic, key))
        if queue is None:
            queue = self._queues[topic, key] = self._queue_for(topic, key, value)
        queue.add(token, key, value)

    async def close(self) -> None:
        """Disconnect; what was not sent yet is answered as failed."""
        for queue in self._queue_of.values():
            queue.stop()
        if self._producer is not None:
            try:
                await asyncio.wait_for(self._producer.stop(), timeout=_CLOSE_TIMEOUT_S)
            except (KafkaError, OSError, TimeoutError):
                return

    def _queue_for(self, topic: str, key: bytes, value: bytes) -> "_Queue":
        producer = self._producer
        assert producer is not None, "connect first"
        number = producer._partition(topic, None, key, value, key, value)  # noqa: SLF001
        found = self._queue_of.get((topic, number))
        if found is None:
            found = _Queue(producer, (topic, number), self._headers, self._on_ack)
            self._queue_of[topic, number] = found
        return found


class _Queue:
    """The records of one partition on their way, in order."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        partition: _PARTITION_NUMBER,
        headers: list[tuple[str, bytes]],
        on_ack: AckHandler,
    ) -> None:
        self._producer = producer
        self._topic, self._partition = partition
        self._headers = headers
        self._on_ack = on_ack
        self._pending: deque[tuple[int, bytes, bytes]] = deque()
        self._sender: asyncio.Task[None] | None = None

    def add(self, token: int, key: bytes, value: bytes) -> None:
        """Behind the others; the first one starts the sender."""
        self._pending.append((token, key, value))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_all())

    def stop(self) -> None:
        """Send nothing more."""
        if self._sender is not None:
            self._sender.cancel()

    async def _send_all(self) -> None:
        await asyncio.sleep(PRODUCER_LINGER_MS / 1000)  # the first record waits for company
        while self._pending:
            builder, tokens = self._pack()
            error = await self._deliver(builder)
            for token in tokens:
                self._on_ack(token, error)

    def _pack(self) -> tuple[BatchBuilder, list[int]]:
        """As many pending records as a batch holds."""
        builder, tokens, pending = self._producer.create_batch(), [], self._pending
        while pending:
            token, key, value = pending[0]
            if builder.append(key=key, value=value, timestamp=None, headers=self._headers) is None:
                break
            tokens.append(token)
            pending.popleft()
        builder.close()
        return builder, tokens

    async def _deliver(self, builder: BatchBuilder) -> str:
        """What went wrong in the last of several attempts; empty when the broker has it."""
        said = ""
        for _ in range(_ATTEMPT_COUNT_MAX):
            try:
                sent = await self._producer.send_batch(
                    builder, self._topic, partition=self._partition
                )
                await sent
            except KafkaError as error:
                said = f"{type(error).__name__}: {error}"
            else:
                return ""
        return said
