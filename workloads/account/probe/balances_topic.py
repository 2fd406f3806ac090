"""
Read acct.balances.v1 after a run, from where it ended before.

A run observes one topic live, the ledger; this one is only audited, so it is read when the load is
over and costs the run nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from harness.drivers.aiokafka_arguments import consumer_arguments
from harness.drivers.kafka_topics import partition_numbers
from harness.model.kafka_settings import ANY_BROKER
from workloads.account.wire.bad_record import BadRecordError

_TIMEOUT_S = 60.0
_POLL_MS = 200
_BATCH_COUNT = 20_000  # records folded at once: their columns stay in the cache


def end_offsets(address: str, topic: str) -> dict[int, int] | None:
    """Where each partition of *topic* ends; None if the broker can't say."""
    try:
        return asyncio.run(asyncio.wait_for(_end_offsets(address, topic), _TIMEOUT_S))
    except (KafkaError, OSError, TimeoutError):
        return None


def read_updates(
    address: str,
    topic: str,
    *,
    start: Mapping[int, int] | None,
    fold: Callable[[Sequence[bytes]], None],
) -> str:
    """Feed all records from *start* to the present end to *fold*; why that failed, or ""."""
    if start is None:
        return f"{topic} could not be read: where it began is not known"
    try:
        asyncio.run(asyncio.wait_for(_read(address, topic, start, fold), _TIMEOUT_S))
    except BadRecordError as error:
        return f"{topic} could not be read to its end: {error}"
    except (KafkaError, OSError, TimeoutError) as error:
        return f"{topic} could not be read: {type(error).__name__} {error}".rstrip()
    return ""


async def _end_offsets(address: str, topic: str) -> dict[int, int]:
    async with _consumer(address) as consumer:
        partitions = await _partitions(address, topic)
        ends = await consumer.end_offsets(partitions)
        return {partition.partition: offset for partition, offset in ends.items()}


async def _read(
    address: str, topic: str, start: Mapping[int, int], fold: Callable[[Sequence[bytes]], None]
) -> None:
    found: list[Any] = []
    async with _consumer(address) as consumer:
        partitions = await _partitions(address, topic)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, start.get(partition.partition, 0))
        # The end offset is no end: the embedded broker's lies just behind the first record of its
        # last batch. Quiet is: past every end, and nothing more comes.
        left, is_quiet = [partition for partition in partitions if ends[partition]], False
        while left or not is_quiet:
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            is_quiet = not batches
            found += [record for records in batches.values() for record in records]
            if len(found) >= _BATCH_COUNT:
                _fold(found, fold)
                found.clear()
            left = [
                partition
                for partition in left
                if await consumer.position(partition) < ends[partition]
            ]
    _fold(found, fold)


def _fold(records: Sequence[Any], fold: Callable[[Sequence[bytes]], None]) -> None:
    """
    Feed the values of *records* to *fold*.

    Raises:
        BadRecordError: one can't be read; its text says where it is.
    """
    try:
        fold([record.value or b"" for record in records])
    except BadRecordError as error:
        record = records[error.index]
        raise error.placed(partition=record.partition, offset=record.offset) from error


def _consumer(address: str) -> AIOKafkaConsumer:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return AIOKafkaConsumer(bootstrap_servers=address, **consumer_arguments(ANY_BROKER))


async def _partitions(address: str, topic: str) -> list[TopicPartition]:
    """The partitions of *topic*; none if there is no such topic yet."""
    return [TopicPartition(topic, number) for number in await partition_numbers(address, topic)]
