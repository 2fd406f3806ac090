"""
The target of a run: launched here and watched, or attached to where it runs already.

A launched target keeps its gRPC port and its work folder over a restart, so that clients reconnect
to the same address and the service finds its own state.
"""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from harness.errors import TargetError
from harness.model.kafka_settings import ANY_BROKER, KafkaSettings, placeholder_values
from harness.model.units import NANOS_PER_SECOND
from harness.system import Endpoint
from harness.targets.build import place_values, work_folder
from harness.targets.peer import ForeignPeer, OwnPeer, Peer
from harness.targets.placeholders import fill
from harness.targets.ports import LOOPBACK, Listener, accepts, free_port
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.target_file import AttachSpec, LaunchSpec, TargetSpec

_START_COUNT_MAX = 3  # a port that was free when picked may be taken when it is used
_REFERENCE_DATA = "reference-data.json"
_SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT}


class Target(Peer, Protocol):
    """A service under load."""

    spec: TargetSpec

    @property
    def endpoint(self) -> Endpoint:
        """Where it is and how it is spoken to."""

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped on purpose, by freeze(): nobody else may wake it."""


def start_target(
    spec: TargetSpec,
    *,
    folder: Path,
    kafka_address: str,
    topic_prefix: str,
    kafka: KafkaSettings = ANY_BROKER,
    reference_data: bytes = b"",
    affinity: tuple[int, ...] = (),
) -> Target:
    """
    The target of *spec*, built before and ready now. Its log is folder/target.log.

    Args:
        spec: The target file.
        folder: The run folder; the target's work folder is folder/workdir.
        kafka_address: The broker, host:port.
        topic_prefix: Of this run's topics; an attached target has its own.
        kafka: How clients use that broker; what {kafka_linger_ms} and the like say.
        reference_data: What {reference_data} names a file of.
        affinity: The CPUs of a launched target; none given means all of this process.

    Raises:
        TargetError: it can't be started or reached; the message has its last log lines.
        TargetFileError: variables that its metadata names are not set.
    """
    endpoint = Endpoint(
        grpc_address="",
        kafka_address=kafka_address,
        topic_prefix=topic_prefix,
        kafka=kafka,
        metadata=spec.metadata_pairs(),
        tls=spec.tls,
        features=spec.features,
        absent_topics=spec.absent_topics,
    )
    if isinstance(spec.how, AttachSpec):
        return AttachedTarget(spec, spec.how, endpoint)
    workdir = work_folder(folder)
    if reference_data:
        (workdir / _REFERENCE_DATA).write_bytes(reference_data)
    return LaunchedTarget(
        spec, spec.how, endpoint, log=folder / "target.log", workdir=workdir, affinity=affinity
    )


class LaunchedTarget(OwnPeer):
    error = TargetError

    def __init__(
        self,
        spec: TargetSpec,
        how: LaunchSpec,
        endpoint: Endpoint,
        *,
        log: Path,
        workdir: Path,
        affinity: tuple[int, ...],
    ) -> None:
        self.spec = spec
        self._how = how
        self._addresses = endpoint
        self._affinity = affinity
        self._log = log
        self._workdir = workdir
        child, self._grpc_port = self._start_on_free_port()
        super().__init__(
            child,
            grace_s=how.stop_grace_ns / NANOS_PER_SECOND,
            stop_signal=_SIGNALS[how.stop_signal],
        )

    @property
    def endpoint(self) -> Endpoint:
        return _at(self._addresses, f"{LOOPBACK}:{self._grpc_port}", self._addresses.topic_prefix)

    def kill_and_restart(self) -> None:
        self.restart(self._start_again)

    def _start_again(self) -> ChildProcess:
        child, port = self._start(self._grpc_port)
        if port != self._grpc_port:
            child.kill()
            raise TargetError(
                f'target "{self.spec.name}" was given port {self._grpc_port} at its restart '
                f"and took {port}; it must use {{grpc_port}} unless that is 0"
            )
        return child

    def _start_on_free_port(self) -> tuple[ChildProcess, int]:
        for attempt in range(_START_COUNT_MAX):
            port = free_port() if self._how.ready_port else 0
            try:
                return self._start(port)
            except ChildFailedError as error:
                was_taken = bool(port) and accepts(LOOPBACK, port)
                if not was_taken or attempt == _START_COUNT_MAX - 1:
                    raise TargetError(str(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _start(self, port: int) -> tuple[ChildProcess, int]:
        """Start it on *port* (0: it picks one and reports it) and wait until it is ready."""
        how, values = self._how, self._values(grpc_port=port)
        child = ChildProcess(
            Command(
                name=f'target "{self.spec.name}"',
                argv=tuple(fill(part, values) for part in how.command),
                environment={name: fill(text, values) for name, text in how.environment.items()},
                cwd=how.cwd or self._workdir,
                log=self._log,
                cores=self._affinity,
            )
        )
        try:
            return child, self._wait_until_ready(child, port)
        except BaseException:
            child.kill()
            raise

    def _wait_until_ready(self, child: ChildProcess, port: int) -> int:
        timeout_s = self._how.ready_timeout_ns / NANOS_PER_SECOND
        if self._how.ready_line:
            said = child.wait_for_line(self._how.ready_line, timeout_s=timeout_s)
            if not self._how.ready_port:
                port = _reported_port(said, self.spec)
        if self._how.ready_port:
            child.wait_until(
                lambda: accepts(LOOPBACK, port),
                what=f"a connection to its port {port}",
                timeout_s=timeout_s,
            )
            child.check_alive()  # else the port is another's
        return port

    def _values(self, *, grpc_port: int) -> dict[str, str]:
        return {
            **place_values(self._how, self._workdir),
            "grpc_port": str(grpc_port),
            "kafka": self._addresses.kafka_address,
            **placeholder_values(self._addresses.kafka),
            "topic_prefix": self._addresses.topic_prefix,
            "reference_data": str(self._workdir / _REFERENCE_DATA),
        }


class AttachedTarget(ForeignPeer):
    def __init__(self, spec: TargetSpec, how: AttachSpec, endpoint: Endpoint) -> None:
        """See that it is there; raises what start_target does."""
        super().__init__(
            how.pid,
            subject=f"{spec.file}: an attached target is",
            remedy="use a target with [launch], or a scenario without steps",
        )
        self.spec = spec
        self.endpoint = _at(endpoint, how.grpc_address, how.topic_prefix)
        self._listener = Listener(how.grpc_address)
        self.check_alive()
        if not self._listener.accepts(timeout_s=how.timeout_ns / NANOS_PER_SECOND):
            raise self._silent()

    def check_alive(self) -> None:
        """Raise TargetError when its pid is gone, or else its port refuses connections."""
        if self.pid is not None and not Path(f"/proc/{self.pid}").exists():
            raise TargetError(f"{self.spec.file}: attach.pid: no process {self.pid} runs")
        if self._listener.is_gone():
            raise self._silent()

    def _silent(self) -> TargetError:
        address = self.endpoint.grpc_address
        return TargetError(f"{self.spec.file}: attach.grpc: nothing answers at {address}")


def _reported_port(said: str, spec: TargetSpec) -> int:
    try:
        document: Any = json.loads(said)
        port = int(document["grpc_port"])
    except (ValueError, KeyError, TypeError) as error:
        raise TargetError(
            f'target "{spec.name}": its ready line says {said!r} where JSON like '
            '{"grpc_port": 50051} must follow; or write port = true in [ready]'
        ) from error
    return port


def _at(endpoint: Endpoint, grpc_address: str, topic_prefix: str) -> Endpoint:
    return replace(endpoint, grpc_address=grpc_address, topic_prefix=topic_prefix)
