"""
The observer: sees the effects of operations on a Kafka topic and stamps when.

A process of its own (`python -m harness.engine.observer`), since a consumer in the pacer's loop
makes the generator late. It writes the visible stamps into the columns of the load processes, wakes
those that wait for them, and keeps every record for the audit. Commands from the parent:
    (first line) ObserverSpecification -> event observing, once it stands at the end offsets
    watch {columns}                       the columns of every shard
    finish {expected_count, timeout_s} -> event finished, once that many records were seen
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from harness.drivers.aiokafka_arguments import consumer_arguments
from harness.drivers.kafka_topics import partition_numbers
from harness.engine import child, privilege
from harness.engine.columns import Columns, ColumnsSpec
from harness.engine.event_log import EventLogWriter
from harness.engine.specification import ObserverSpecification
from harness.errors import TransportError
from harness.system import load_system

_POLL_MS = 100
_SHARD_BITS = 32
_INDEX_MASK = (1 << _SHARD_BITS) - 1


class Observer:
    """Consumes one topic from the end offsets it found at its start."""

    def __init__(self, specification: ObserverSpecification) -> None:
        self._specification = specification
        probe = load_system(specification.system).probe
        self._read = probe.event_reader(run_tag=specification.run_tag)
        self._visible: list[memoryview] = []
        self.seen_count = 0
        self.joined_count = 0
        self.expected_count: int | None = None
        self.deadline_ns = 0
        self.started_cpu_ns = 0
        # Records from before the opening may be among those seen (the embedded broker's end offset
        # lies just behind the first record of its last batch), so a count alone is no end.
        self._is_idle = False

    async def connect(self) -> AIOKafkaConsumer:
        """A consumer at the end of the topic; TransportError if there is no such topic."""
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        specification = self._specification
        consumer = AIOKafkaConsumer(
            bootstrap_servers=specification.kafka_address,
            **consumer_arguments(specification.kafka),
        )
        try:
            await consumer.start()
            numbers = await _partitions(specification.kafka_address, specification.topic)
            partitions = [TopicPartition(specification.topic, number) for number in numbers]
            consumer.assign(partitions)
            for partition, offset in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, offset)
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise TransportError(
                f"kafka {specification.kafka_address}, topic {specification.topic}: {error}"
            ) from error
        return consumer

    def watch(self, columns: list[ColumnsSpec]) -> None:
        """Stamp the operations of these shards from now on."""
        self._visible = [Columns(spec).visible_ns.data for spec in columns]

    async def observe(self, consumer: AIOKafkaConsumer) -> None:
        """Stamp and keep what comes until `finish` is satisfied; disconnect."""
        self.started_cpu_ns = time.process_time_ns()
        # Blocking writes are meant: they go to the page cache, 1 MiB at a time.
        with EventLogWriter(Path(self._specification.log_path)) as log:
            while not self._is_finished():
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
                seen_ns = time.monotonic_ns()
                for records in batches.values():
                    self._fold(records, seen_ns, log)
                self._is_idle = not batches
                if batches:
                    self._wake_load_processes()
        await consumer.stop()

    def _fold(self, records: list[Any], seen_ns: int, log: EventLogWriter) -> None:
        read, visible = self._read, self._visible
        values = [record.value or b"" for record in records]
        for first, last in _consecutive(records):
            log.append(
                seen_ns,
                values[first:last],
                partition=records[first].partition,
                offset=records[first].offset,
            )
        for value in values:
            operation = read(value)
            if operation >= 0 and operation >> _SHARD_BITS < len(visible):
                stamps, index = visible[operation >> _SHARD_BITS], operation & _INDEX_MASK
                if index < len(stamps) and not stamps[index]:
                    stamps[index] = seen_ns
                    self.joined_count += 1
        self.seen_count += len(records)

    def _wake_load_processes(self) -> None:
        for descriptor in self._specification.event_descriptors:
            os.eventfd_write(descriptor, 1)

    @property
    def is_cut_off(self) -> bool:
        """Whether time was up while records still came: what is not here may be on the topic."""
        expected = self.expected_count
        return expected is not None and self.seen_count < expected and not self._is_idle

    def _is_finished(self) -> bool:
        expected = self.expected_count
        if expected is None:
            return False
        is_complete = self.seen_count >= expected and self._is_idle
        return is_complete or time.monotonic_ns() > self.deadline_ns


def _consecutive(records: list[Any]) -> Iterator[tuple[int, int]]:
    """The stretches of *records*, of one partition, that have no hole in their offsets."""
    first = 0
    if records[-1].offset - records[0].offset != len(records) - 1:
        for place in range(1, len(records)):
            if records[place].offset != records[place - 1].offset + 1:
                yield first, place
                first = place
    yield first, len(records)


async def _partitions(address: str, topic: str) -> list[int]:
    deadline_ns = time.monotonic_ns() + 5_000_000_000
    while True:
        if numbers := await partition_numbers(address, topic):
            return numbers
        if time.monotonic_ns() > deadline_ns:
            raise TransportError(f"topic {topic}: the broker has none of that name")
        await asyncio.sleep(0.05)


def main() -> None:
    specification = child.read_specification(ObserverSpecification)
    privilege.pin(specification.cores)
    try:
        uvloop.run(_serve(Observer(specification)))
    except (TransportError, KafkaError, OSError) as error:
        child.say("failed", error=type(error).__name__, message=str(error))
        raise SystemExit(1) from error


async def _serve(observer: Observer) -> None:
    def obey(command: dict[str, Any]) -> None:
        match command["command"]:
            case "watch":
                observer.watch([ColumnsSpec(**item) for item in command["columns"]])
            case "finish":
                observer.deadline_ns = time.monotonic_ns() + int(command["timeout_s"] * 1e9)
                observer.expected_count = command["expected_count"]
            case unknown:
                raise ValueError(f"command: {unknown!r} is none of this program's")

    child.fail_on_callback_errors()
    child.listen(obey)
    consumer = await observer.connect()
    child.say("observing")
    await observer.observe(consumer)
    child.say(
        "finished",
        seen_count=observer.seen_count,
        joined_count=observer.joined_count,
        is_cut_off=observer.is_cut_off,
        cpu_ns=time.process_time_ns() - observer.started_cpu_ns,
    )


if __name__ == "__main__":
    main()
