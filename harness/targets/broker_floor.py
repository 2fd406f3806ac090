"""
The broker baseline: how soon a record can be seen at all, with nothing of ours in between.

Produce to consume of small records, at a rate that loads nothing, with the very client settings of
a run. What a run reports as `visible` can't be below it, so it stands beside it in every report.
"""

import asyncio
import time
from dataclasses import dataclass

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from harness.drivers.aiokafka_arguments import consumer_arguments, producer_arguments
from harness.errors import BrokerError
from harness.model.kafka_settings import ANY_BROKER, KafkaSettings
from harness.model.quantiles import Distribution, distribution
from harness.targets.topics import create_topics

_RATE_PER_S = 700
_RECORD_BYTES = 100  # about a small ledger event
_WARM_UP_COUNT = 20  # the first ones pay for connections
_TIMEOUT_S = 15.0
_STAMP_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorResult:
    """Produce-to-consume times of *count* records; quantiles with too few samples are None."""

    count: int
    p50_ns: int | None
    p99_ns: int | None


def measure_floor(
    address: str, topic: str, *, settings: KafkaSettings = ANY_BROKER, record_count: int = 700
) -> FloorResult:
    """
    Measure on *topic*, made if need be, without other traffic; takes record_count / 700 s.

    p99 needs 662 records; with fewer it is None. Raises BrokerError if it loses a record, too.
    """
    create_topics(address, {topic: 1})
    try:
        round_trips = asyncio.run(_measure(address, topic, settings, record_count + _WARM_UP_COUNT))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(f"the broker's floor can't be measured at {address}: {error}") from error
    measured: Distribution = distribution(np.array(round_trips[_WARM_UP_COUNT:], dtype=np.int64))
    return FloorResult(
        count=measured.count,
        p50_ns=measured.at(0.5),
        p99_ns=measured.at(0.99),
    )


async def _measure(
    address: str, topic: str, settings: KafkaSettings, record_count: int
) -> list[int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, **consumer_arguments(settings))
    producer = AIOKafkaProducer(bootstrap_servers=address, **producer_arguments(settings))
    try:
        await consumer.start()
        await producer.start()
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_end(partition)
        async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as group:
            received = group.create_task(_consume(consumer, record_count))
            group.create_task(_produce(producer, topic, record_count))
        return received.result()
    finally:
        await producer.stop()
        await consumer.stop()


async def _produce(producer: AIOKafkaProducer, topic: str, record_count: int) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    padding = bytes(_RECORD_BYTES - _STAMP_BYTES)
    for index in range(record_count):
        await asyncio.sleep(begin_s + index / _RATE_PER_S - loop.time())
        stamp = time.monotonic_ns().to_bytes(_STAMP_BYTES, "little")
        await producer.send(topic, value=stamp + padding, partition=0)


async def _consume(consumer: AIOKafkaConsumer, record_count: int) -> list[int]:
    round_trips: list[int] = []
    while len(round_trips) < record_count:
        batches = await consumer.getmany(timeout_ms=1_000)
        now_ns = time.monotonic_ns()
        for records in batches.values():
            round_trips += [
                now_ns - int.from_bytes(record.value[:_STAMP_BYTES], "little") for record in records
            ]
    return round_trips
