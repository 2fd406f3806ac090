"""
A real Apache Kafka, one node that is broker and KRaft controller, started and stopped here.

It keeps what it was given: its log lies in the run folder, and it can be killed and started again
on it. Its properties are fixed and recorded. Nothing is synced to the disk on each write (Kafka's
own default): a kill loses nothing, since the kernel has it; a power cut would.
"""

import base64
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.drivers.aiokafka_arguments import client_settings
from harness.errors import BrokerError, InstallError
from harness.model.kafka_settings import APACHE_KAFKA
from harness.targets.apache_install import Installation, installation
from harness.targets.peer import OwnPeer, raised_as
from harness.targets.ports import LOOPBACK, accepts, restart_port
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.topics import check_answers

APACHE = "apache"
_STARTED = "Kafka Server started"
_START_TIMEOUT_S = 90.0  # 3 s on a quiet machine; a JVM on a busy one has taken 20
_FORMAT_TIMEOUT_S = 60.0
_START_COUNT_MAX = 3  # a port that was free when picked may be taken when it is used
_STOP_GRACE_S = 10.0
_MAIN = "kafka.Kafka"
_FORMATTER = "kafka.tools.StorageTool"

_HEAP = ("-Xms512m", "-Xmx512m")
_JVM_OPTIONS = (
    *("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"),
    "-XX:+ExitOnOutOfMemoryError",  # dead is told at once, limping is not
    "-XX:-UsePerfData",  # its file in /tmp is mapped: writing it stalls every thread
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

_PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    # After a kill the controller, which is this very process, holds the old session of the broker
    # to be alive until this has passed, and lets the new one wait; the default is 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # There is no other broker to hand anything to.
    "controlled.shutdown.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions each by default: a second of work when a group first commits.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",  # a topic that is missing is a fault to be seen
    "log.retention.ms": "-1",  # all of a run is kept, however long it is
    "log.cleaner.dedupe.buffer.size": "8388608",  # the default of 128 MiB is a quarter of the heap
}


class ApacheBroker(OwnPeer):
    error = BrokerError

    kind = APACHE
    clients = APACHE_KAFKA
    settings: Mapping[str, Any] = {
        **client_settings(APACHE_KAFKA),
        "server": dict(_PROPERTIES),
        "jvm": [*_HEAP, *(option for option in _JVM_OPTIONS if option.startswith("-XX"))],
    }

    def __init__(self, *, folder: Path, affinity: tuple[int, ...], advertised: str = "") -> None:
        """Format and start it on free ports, its log and state in *folder*; raises BrokerError."""
        try:
            self._installed: Installation = installation()
        except InstallError as error:
            raise BrokerError(f"--kafka {APACHE}: {error}") from error
        self.version = (
            f"apache kafka {self._installed.version}, java {self._installed.java.version}"
        )
        self._log = folder / "broker.log"
        self._state = (folder / "kafka").resolve()
        self._affinity = affinity
        self._advertised = advertised
        self._state.mkdir(parents=True)
        with raised_as(BrokerError):
            child, port = self._start_on_free_ports()
        super().__init__(child, grace_s=_STOP_GRACE_S)
        self.address = f"{LOOPBACK}:{port}"
        try:
            check_answers(self.address)
        except BaseException:
            child.kill()
            raise

    def kill_and_restart(self) -> None:
        self.restart(self._start)
        check_answers(self.address)

    def _start_on_free_ports(self) -> tuple[ChildProcess, int]:
        for attempt in range(_START_COUNT_MAX):
            ports = restart_port(), restart_port()
            self._write_properties(*ports)
            if attempt == 0:
                self._format()
            try:
                return self._start(), ports[0]
            except ChildFailedError:
                was_taken = any(accepts(LOOPBACK, port) for port in ports)
                if not was_taken or attempt == _START_COUNT_MAX - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _write_properties(self, port: int, controller_port: int) -> None:
        listener = f"PLAINTEXT://{LOOPBACK}:{port}"
        properties = {
            **_PROPERTIES,
            "listeners": f"{listener},CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self._advertised}"
            if self._advertised
            else listener,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
            "log.dirs": _property_value(self._state / "log"),
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties.write_text(text, encoding="utf-8")

    @property
    def _properties(self) -> Path:
        return self._state / "server.properties"

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # In one word: every 64th id begins with a hyphen.
        arguments = ("format", f"--cluster-id={cluster_id}", "--config", str(self._properties))
        child = ChildProcess(self._java("the formatter of Apache Kafka", (_FORMATTER, *arguments)))
        child.run_to_end(_FORMAT_TIMEOUT_S)

    def _start(self) -> ChildProcess:
        child = ChildProcess(self._java("Apache Kafka", (*_HEAP, _MAIN, str(self._properties))))
        try:
            child.wait_until(
                lambda: _STARTED in child.log_tail(),
                what=f'the line "{_STARTED}"',
                timeout_s=_START_TIMEOUT_S,
            )
        except BaseException:
            child.kill()
            raise
        return child

    def _java(self, name: str, arguments: tuple[str, ...]) -> Command:
        options = ("-cp", f"{self._installed.jars}/*", *_JVM_OPTIONS)
        return Command(
            name=name,
            argv=(self._installed.java.program, *options, *arguments),
            environment={},
            cwd=self._state,
            log=self._log,
            cores=self._affinity,
        )


def _property_value(path: Path) -> str:
    """A path as the value of a Java property: a backslash begins an escape there."""
    return str(path).replace("\\", "\\\\")
