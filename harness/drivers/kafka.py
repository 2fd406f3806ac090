"""
Kafka records out of the load process: sent without waiting, answered by a callback.

aiokafka's `send` is a coroutine that, with metadata known and room in its buffer, never waits. It
is stepped by hand, so that a record costs no task; only when it would wait does it become one.
A record that the broker refused is sent again at once with the same bytes (so the same sequence
number), before any higher one can be believed missing.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from harness.drivers.kafka_settings import PRODUCER_SETTINGS
from harness.errors import TransportError

AckHandler = Callable[[int, str], None]  # (token, "" or what went wrong)
_ATTEMPT_COUNT_MAX = 3


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
        self._partitions: dict[tuple[str, bytes], int] = {}
        self._slow: set[asyncio.Task[Any]] = set()

    async def connect(self) -> None:
        """
        Connect and learn the topics' partitions.

        Raises:
            TransportError: the broker can't be reached or knows no such topic.
        """
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # trouble arrives as acks
        producer = AIOKafkaProducer(bootstrap_servers=self._address, **PRODUCER_SETTINGS)
        try:
            await producer.start()
            for topic in self._topics:
                await producer.partitions_for(topic)
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise TransportError(f"kafka {self._address}: {error}") from error
        self._producer = producer

    def send(self, token: int, topic: str, key: bytes, value: bytes) -> None:
        """Hand a record to the producer; records of one key keep their order."""
        self._attempt(token, topic, key, value, _ATTEMPT_COUNT_MAX)

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            try:
                await asyncio.wait_for(self._producer.stop(), timeout=5.0)
            except (KafkaError, OSError, TimeoutError):
                return

    def _attempt(self, token: int, topic: str, key: bytes, value: bytes, left: int) -> None:
        producer = self._producer
        assert producer is not None, "connect first"
        partition = self._partitions.get((topic, key))
        if partition is None:
            partition = producer._partition(topic, None, key, value, key, value)  # noqa: SLF001
            self._partitions[topic, key] = partition
        coroutine = producer.send(
            topic, value=value, key=key, partition=partition, headers=self._headers
        )

        def acknowledged(future: asyncio.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is None and not future.cancelled():
                self._on_ack(token, "")
            elif left > 1 and not future.cancelled():
                self._attempt(token, topic, key, value, left - 1)
            else:
                self._on_ack(token, f"{type(error).__name__}: {error}" if error else "cancelled")

        try:
            coroutine.send(None)
        except StopIteration as stop:
            stop.value.add_done_callback(acknowledged)
        except KafkaError as error:
            self._on_ack(token, f"{type(error).__name__}: {error}")
        else:
            # It wants to wait (buffer full, metadata unknown): start over in a task.
            coroutine.close()
            again = producer.send(
                topic, value=value, key=key, partition=partition, headers=self._headers
            )
            task = asyncio.get_running_loop().create_task(_delivered(again))
            self._slow.add(task)
            task.add_done_callback(self._slow.discard)
            task.add_done_callback(acknowledged)


async def _delivered(sending: Coroutine[Any, Any, Any]) -> Any:
    return await (await sending)
