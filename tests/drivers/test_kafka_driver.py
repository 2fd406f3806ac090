"""The Kafka driver against real brokers: order, a broker that goes away, records it refuses."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from harness.drivers.aiokafka_arguments import consumer_arguments
from harness.drivers.kafka import KafkaDriver
from harness.errors import TransportError
from harness.targets.topics import create_topics
from tests.brokers import KINDS, LinkedBroker, linked_broker

PATIENCE_S = 60.0
RECORD_COUNT = 3_000
Scene = Callable[["Sender"], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module", params=KINDS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LinkedBroker]:
    """A broker of each kind."""
    if request.param == "apache":
        yield request.getfixturevalue("shared_apache")
        return
    with linked_broker(request.param, tmp_path_factory.mktemp("broker")) as started:
        yield started


class Sender:
    """A driver, one topic with two partitions, and every acknowledgement in its order."""

    def __init__(self, broker: LinkedBroker) -> None:
        self.topic = f"driver-{secrets.token_hex(4)}"
        create_topics(broker.own.address, {self.topic: 2})
        self.broker = broker
        self.acks: dict[int, str] = {}

    def play(self, scene: Scene) -> None:
        """Run *scene* with the driver connected."""

        async def whole() -> None:
            self.driver = KafkaDriver(
                address=self.broker.address,
                settings=self.broker.own.clients,
                topics=[self.topic],
                headers=[("src", b"test")],
                on_ack=self._on_ack,
            )
            await self.driver.connect()
            await scene(self)
            await self.driver.close()

        asyncio.run(whole())

    def send(self, token: int, value: bytes | None = None) -> None:
        """Record *token*, by one of four keys."""
        self.driver.send(token, self.topic, b"%d" % (token % 4), value or b"%d" % token)

    async def acknowledged(self, count: int) -> None:
        """Wait until there are so many acknowledgements."""
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.acks) < count:
            assert time.monotonic() < deadline_s, f"{len(self.acks)} of {count}"
            await asyncio.sleep(0.01)

    def stored(self, count: int) -> list[list[int]]:
        """What the broker has, by partition, once there are *count* different records."""

        async def read() -> list[list[int]]:
            settings = {**consumer_arguments(self.broker.own.clients)}
            settings["auto_offset_reset"] = "earliest"
            consumer = AIOKafkaConsumer(
                self.topic, bootstrap_servers=self.broker.address, **settings
            )
            await consumer.start()
            found: dict[int, list[int]] = {0: [], 1: []}
            async with asyncio.timeout(PATIENCE_S):
                while len({token for tokens in found.values() for token in tokens}) < count:
                    for partition, records in (await consumer.getmany(timeout_ms=100)).items():
                        found[partition.partition] += [int(record.value) for record in records]
            await consumer.stop()
            return [found[0], found[1]]

        return asyncio.run(read())

    def _on_ack(self, token: int, error: str) -> None:
        assert token not in self.acks, f"{token} was answered twice"
        self.acks[token] = error


def test_records_of_a_partition_keep_their_order(broker: LinkedBroker) -> None:
    """Each is acknowledged once, and lies where its key says, behind those sent before it."""
    sender = Sender(broker)

    async def scene(sender: Sender) -> None:
        for token in range(RECORD_COUNT):
            sender.send(token)
            if token % 100 == 0:
                await asyncio.sleep(0)
        await sender.acknowledged(RECORD_COUNT)

    sender.play(scene)
    stored = sender.stored(RECORD_COUNT)

    assert set(sender.acks.values()) == {""}
    assert all(tokens == sorted(tokens) for tokens in stored)
    assert sum(map(len, stored)) == RECORD_COUNT
    keys = [{token % 4 for token in tokens} for tokens in stored]
    assert keys[0].isdisjoint(keys[1])


def test_broker_out_of_reach_loses_and_reorders_nothing(broker: LinkedBroker) -> None:
    """
    Cut off in the middle of a burst: every record arrives, none before those sent earlier.

    Where the broker has idempotent producers each is there once; else some may be repeated.
    """
    sender = Sender(broker)

    async def scene(sender: Sender) -> None:
        for token in range(RECORD_COUNT):
            sender.send(token)
            if token % 10 == 0:
                await asyncio.sleep(0.0005)
            if token == RECORD_COUNT // 2:
                broker.cut()
        await asyncio.sleep(0.3)
        assert len(sender.acks) < RECORD_COUNT
        broker.mend()
        await sender.acknowledged(RECORD_COUNT)

    try:
        sender.play(scene)
    finally:
        broker.mend()
    stored = sender.stored(RECORD_COUNT)

    assert set(sender.acks.values()) == {""}
    for tokens in stored:
        first_seen = list(dict.fromkeys(tokens))
        assert first_seen == sorted(first_seen)
    if broker.own.clients.is_idempotent:
        assert sum(map(len, stored)) == RECORD_COUNT


def test_refused_record_is_told_and_stops_nothing_else(shared_apache: LinkedBroker) -> None:
    """
    A record that the broker will never take fails with its words; what follows goes through.

    An idempotent producer can't go on after that by itself: it has numbered the refused batch.
    """
    sender = Sender(shared_apache)

    async def scene(sender: Sender) -> None:
        sender.send(0)
        sender.send(4, bytes(2 << 20))
        for token in (8, 1, 12):
            sender.send(token)
        await sender.acknowledged(5)

    sender.play(scene)

    assert "MessageSizeTooLarge" in sender.acks.pop(4)
    assert sender.acks == {0: "", 8: "", 1: "", 12: ""}
    assert sorted(token for tokens in sender.stored(4) for token in tokens) == [0, 1, 8, 12]


def test_topic_that_is_not_there(broker: LinkedBroker) -> None:
    """A misspelt topic is told at the start, not made."""

    async def connect() -> None:
        driver = KafkaDriver(
            address=broker.address,
            settings=broker.own.clients,
            topics=["misspelt"],
            headers=[],
            on_ack=lambda token, error: None,
        )
        await driver.connect()

    with pytest.raises(TransportError, match="misspelt: the broker has none"):
        asyncio.run(connect())
