"""The embedded broker, for real."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from harness.errors import BrokerError, UsageError
from harness.targets import broker as broker_module
from harness.targets.broker import Broker, create_topics, start_broker
from harness.targets.broker_floor import measure_floor
from harness.targets.ports import free_port
from tests.targets.programs import repeat


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One embedded broker for all."""
    started = start_broker("embedded", folder=tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


def topics(address: str) -> dict[str, int]:
    """The partitions of every topic there is."""

    async def ask() -> dict[str, int]:
        client = AIOKafkaAdminClient(bootstrap_servers=address)
        await client.start()
        try:
            described = await client.describe_topics()
            return {topic["topic"]: len(topic["partitions"]) for topic in described}
        finally:
            await client.close()

    return asyncio.run(ask())


def test_topics_are_made_once(broker: Broker) -> None:
    """Topics get the partitions asked for, and an existing one is left as it is."""
    create_topics(broker.address, {"one": 1, "three": 3})
    create_topics(broker.address, {"three": 5, "new": 1})

    assert topics(broker.address) == {"one": 1, "three": 3, "new": 1}


def test_floor_is_measured(broker: Broker) -> None:
    """The floor counts every record and lies above the linger that every record waits."""
    floor = measure_floor(broker.address, "floor")

    assert floor.count == 700
    assert floor.p50_ns is not None
    assert floor.p99_ns is not None
    assert 0 < floor.p50_ns <= floor.p99_ns


def test_thin_floor_withholds_its_p99(broker: Broker) -> None:
    """A p99 of too few records is withheld."""
    floor = measure_floor(broker.address, "thin", record_count=50)

    assert (floor.count, floor.p99_ns) == (50, None)


def test_death_is_told_with_the_log(tmp_path: Path) -> None:
    """A broker that was killed is reported with its last log lines."""
    broker = start_broker("embedded", folder=tmp_path)
    broker.check_alive()
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)

    with pytest.raises(BrokerError, match=r"(?s)embedded broker killed by signal 9.*broker\.log"):
        repeat(broker.check_alive)


def test_taken_port_is_picked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process takes the port first, the broker is started on another one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, free_port()])
        monkeypatch.setattr(broker_module, "free_port", lambda: next(ports))
        broker = start_broker("embedded", folder=tmp_path)
    broker.stop()

    assert broker.address != f"127.0.0.1:{taken}"


def test_address_of_a_running_broker(broker: Broker, tmp_path: Path) -> None:
    """A broker that someone else runs is used and left running."""
    remote = start_broker(broker.address, folder=tmp_path)
    remote.check_alive()

    assert (remote.address, remote.kind, remote.pid) == (broker.address, "address", None)
    assert remote.stop() == "left running"
    broker.check_alive()


def test_address_of_nobody(tmp_path: Path) -> None:
    """An address where nothing listens is a broker error."""
    with pytest.raises(BrokerError, match="can't be used"):
        start_broker(f"127.0.0.1:{free_port()}", folder=tmp_path)


@pytest.mark.parametrize("where", ["apache", "", "host:", "host:0", "host:99999"])
def test_what_is_no_broker(where: str, tmp_path: Path) -> None:
    """Anything but "embedded" and HOST:PORT is refused, with what there is."""
    with pytest.raises(UsageError, match='write "embedded" or the HOST:PORT'):
        start_broker(where, folder=tmp_path)
