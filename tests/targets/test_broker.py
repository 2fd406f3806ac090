"""The brokers that are started here, for real: the embedded one and Apache Kafka."""

import asyncio
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from harness.drivers.aiokafka_arguments import consumer_arguments, producer_arguments
from harness.errors import BrokerError, UsageError
from harness.targets import apache_broker
from harness.targets import broker as broker_module
from harness.targets.broker import Broker, start_broker
from harness.targets.broker_floor import measure_floor
from harness.targets.ports import accepts, free_port, restart_port
from harness.targets.topics import create_topics
from tests.brokers import KINDS, LinkedBroker, linked_broker
from tests.targets.programs import repeat, wait_for_state

DEAD = {"embedded": "embedded broker", "apache": "Apache Kafka"}


@pytest.fixture(scope="module", params=KINDS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LinkedBroker]:
    """One broker of each kind for all."""
    if request.param == "apache":
        yield request.getfixturevalue("shared_apache")
        return
    with linked_broker(request.param, tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of broker that can be started here."""
    if request.param == "apache":
        request.getfixturevalue("apache_installed")
    return str(request.param)


def partition_counts(address: str, topics: set[str]) -> dict[str, int]:
    """The partitions of those of *topics* that there are."""

    async def ask() -> dict[str, int]:
        client = AIOKafkaAdminClient(bootstrap_servers=address)
        await client.start()
        try:
            described = await client.describe_topics()
            return {topic["topic"]: len(topic["partitions"]) for topic in described}
        finally:
            await client.close()

    counts = asyncio.run(ask())
    return {name: counts[name] for name in topics & counts.keys()}


def produce(broker: Broker, topic: str, values: list[bytes]) -> None:
    """Have *values* acknowledged, one after the other."""

    async def send() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.address, **producer_arguments(broker.clients)
        )
        await producer.start()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
        await producer.stop()

    asyncio.run(send())


def records(broker: Broker, topic: str, count: int) -> list[bytes]:
    """The first *count* values of *topic*."""

    async def read() -> list[bytes]:
        settings = {**consumer_arguments(broker.clients), "auto_offset_reset": "earliest"}
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.address, **settings)
        await consumer.start()
        values: list[bytes] = []
        async with asyncio.timeout(20):
            while len(values) < count:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    values += [record.value for record in batch]
        await consumer.stop()
        return values

    return asyncio.run(read())


def test_topics_are_made_once(broker: LinkedBroker) -> None:
    """Topics get the partitions asked for, and an existing one is left as it is."""
    create_topics(broker.address, {"one": 1, "three": 3})
    create_topics(broker.address, {"three": 5, "new": 1})

    assert partition_counts(broker.address, {"one", "three", "new", "none"}) == {
        "one": 1,
        "three": 3,
        "new": 1,
    }


def test_floor_is_measured(broker: LinkedBroker) -> None:
    """The floor counts every record and lies above the linger that every record waits."""
    clients = broker.own.clients
    floor = measure_floor(broker.address, "floor", settings=clients)

    assert floor.count == 700
    assert floor.p50_ns is not None
    assert floor.p99_ns is not None
    assert clients.linger_ms * 1e6 <= floor.p50_ns <= floor.p99_ns
    assert floor.p50_ns > 0


def test_thin_floor_withholds_its_p99(broker: LinkedBroker) -> None:
    """A p99 of too few records is withheld."""
    floor = measure_floor(broker.address, "thin", settings=broker.own.clients, record_count=50)

    assert (floor.count, floor.p99_ns) == (50, None)


def test_clients_settings_are_recorded(broker: LinkedBroker) -> None:
    """The record has what the clients use; only Apache Kafka has an idempotent producer."""
    own = broker.own

    assert own.settings["producer"] == producer_arguments(own.clients)
    assert own.settings["consumer"] == consumer_arguments(own.clients)
    assert own.settings["producer"]["enable_idempotence"] is (own.kind == "apache")
    assert "127.0.0.1" not in str(own.settings)  # what differs from run to run is no setting


def test_taken_port_is_picked_again_and_death_is_told(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    When another process takes the port first, the broker is started on another one.

    Killed, it is reported with its last log lines. The cluster's id may begin with a hyphen.
    """
    hyphen = uuid.UUID(bytes=b"\xf8" * 16)
    monkeypatch.setattr(apache_broker.uuid, "uuid4", lambda: hyphen)
    with socket.socket() as other:
        other.bind(("127.0.0.1", restart_port()))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, *(restart_port() for _ in range(3))])
        monkeypatch.setattr(broker_module, "free_port", lambda: next(ports))
        monkeypatch.setattr(apache_broker, "restart_port", lambda: next(ports))
        broker = start_broker(kind, folder=tmp_path)
    broker.check_alive()
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)

    assert broker.address != f"127.0.0.1:{taken}"
    with pytest.raises(BrokerError, match=rf"(?s){DEAD[kind]} killed by signal 9.*broker\.log"):
        repeat(broker.check_alive)


def test_frozen_broker_is_alive(broker: LinkedBroker) -> None:
    """A freeze stops it where it stands, and a thaw lets it go on."""
    own = broker.own
    assert own.pid is not None
    own.freeze()
    wait_for_state(own.pid, "T")
    own.check_alive()
    own.thaw()

    create_topics(broker.address, {"after-thaw": 1})
    own.check_alive()


def test_apache_keeps_all_over_a_kill(shared_apache: LinkedBroker) -> None:
    """SIGKILL and a restart: the same address, another process, every acknowledged record."""
    own = shared_apache.own
    create_topics(own.address, {"kept": 1})
    values = [b"%d" % index for index in range(50)]
    produce(own, "kept", values)
    address, pid = own.address, own.pid
    own.kill_and_restart()
    own.check_alive()
    produce(own, "kept", [b"after"])

    assert own.address == address
    assert own.pid != pid
    assert records(own, "kept", 51) == [*values, b"after"]


def test_embedded_is_not_restarted(tmp_path: Path) -> None:
    """What keeps nothing over a restart is not restarted, and the message says what is."""
    with linked_broker("embedded", tmp_path) as broker:
        with pytest.raises(UsageError, match="use --kafka apache"):
            broker.own.kill_and_restart()
        broker.own.check_alive()


def test_address_of_a_running_broker(broker: LinkedBroker, tmp_path: Path) -> None:
    """A broker that someone else runs is used and left running, neither killed nor frozen."""
    remote = start_broker(broker.address, folder=tmp_path)
    remote.check_alive()

    assert (remote.address, remote.kind, remote.pid) == (broker.address, "address", None)
    for harm in (remote.kill_and_restart, remote.freeze, remote.thaw):
        with pytest.raises(UsageError, match="someone else's"):
            harm()
    assert remote.stop() == "left running"
    broker.own.check_alive()


def test_apache_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is in the message."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(BrokerError, match=r"--kafka apache: .*run: acctbench kafka install"):
        start_broker("apache", folder=tmp_path)


def test_address_of_nobody(tmp_path: Path) -> None:
    """An address where nothing listens is a broker error."""
    with pytest.raises(BrokerError, match="can't be used"):
        start_broker(f"127.0.0.1:{free_port()}", folder=tmp_path)


def test_any_broker_of_a_cluster_will_do(tmp_path: Path) -> None:
    """A list of addresses is used to the end, where one of them answers."""
    with linked_broker("embedded", tmp_path) as broker:
        remote = start_broker(f"127.0.0.1:{free_port()},{broker.address}", folder=tmp_path)
        create_topics(remote.address, {"several": 1})
        remote.check_alive()


def test_advertised_address_of_nobody_is_named(tmp_path: Path) -> None:
    """A broker that answers and sends its clients elsewhere is told from one that is away."""
    nobody = f"127.0.0.1:{free_port()}"
    embedded = start_broker("embedded", folder=tmp_path, advertised=nobody)
    try:
        said = rf"sends its clients to {nobody}.*advertised\.listeners"
        with pytest.raises(BrokerError, match=said):
            create_topics(embedded.address, {"any": 1})
    finally:
        embedded.stop()


def test_a_listener_that_speaks_tls_is_named(tmp_path: Path) -> None:
    """An alert of TLS is not "nothing that speaks Kafka"."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.recv(100)
                connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(BrokerError, match="it speaks TLS"):
        start_broker(f"127.0.0.1:{listener.getsockname()[1]}", folder=tmp_path)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.mark.parametrize(
    "where", ["apach", "", "host:", "host:0", "host:99999", "host:9092,", "::1:9092"]
)
def test_what_is_no_broker(where: str, tmp_path: Path) -> None:
    """Anything but "embedded", "apache" and HOST:PORT is refused, with what there is."""
    with pytest.raises(UsageError, match='write "embedded", "apache", or the HOST:PORT'):
        start_broker(where, folder=tmp_path)


def test_restart_port_is_not_given_to_clients() -> None:
    """It is free, and below the range of which the kernel gives ports to those who connect."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = restart_port()

    assert 1_024 <= port < low
    assert not accepts("127.0.0.1", port)
