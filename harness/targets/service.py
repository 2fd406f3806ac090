"""
The target of a run: launched here and watched, or attached to where it runs already.

Both have one surface. What only a launched one can do (be killed, frozen) is refused for an
attached one with a plain message. A launched target keeps its gRPC port and its work folder over
a restart, so that clients reconnect to the same address and the service finds its own state.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from harness.errors import TargetError, UsageError
from harness.model.kafka_settings import ANY_BROKER, KafkaSettings, placeholder_values
from harness.model.units import NANOS_PER_SECOND
from harness.system import Endpoint
from harness.targets.build import place_values, work_folder
from harness.targets.placeholders import fill
from harness.targets.ports import LOOPBACK, Listener, accepts, free_port
from harness.targets.process import ChildFailedError, ChildProcess, Command
from harness.targets.target_file import AttachSpec, LaunchSpec, TargetSpec

_START_COUNT_MAX = 3  # a port that was free when picked may be taken when it is used
_REFERENCE_DATA = "reference-data.json"
_SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT}


class Target(Protocol):
    """A service under load."""

    spec: TargetSpec

    @property
    def endpoint(self) -> Endpoint:
        """Where it is and how it is spoken to."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process, the children of which belong to it; None where not known."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped on purpose, by freeze(): nobody else may wake it."""
        ...

    def check_alive(self) -> None:
        """
        Nothing, while it runs. Cheap enough for several times a second.

        Raises:
            TargetError: it is gone; the message has its last log lines.
        """
        ...

    def kill_and_restart(self) -> None:
        """
        SIGKILL, and start it again on the same work folder and port; returns when it is ready.

        Raises:
            UsageError: it was not launched here.
            TargetError: it does not come back.
        """
        ...

    def freeze(self) -> None:
        """
        SIGSTOP.

        Raises:
            UsageError: it was not launched here.
        """
        ...

    def thaw(self) -> None:
        """
        SIGCONT.

        Raises:
            UsageError: it was not launched here.
        """
        ...

    def stop(self) -> str:
        """Stop it, and say how it ended; an attached one is left alone. Harmless twice."""
        ...


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


class LaunchedTarget:
    """A target that this harness started, and will stop."""

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
        """Start it; raises what start_target does."""
        self.spec = spec
        self._how = how
        self._addresses = endpoint
        self._affinity = affinity
        self._log = log
        self._workdir = workdir
        self._is_restarting = False
        self._is_frozen = False
        self._child, self._grpc_port = self._start_on_free_port()

    @property
    def endpoint(self) -> Endpoint:
        """Where it is; the same after a restart."""
        return _at(self._addresses, f"{LOOPBACK}:{self._grpc_port}", self._addresses.topic_prefix)

    @property
    def pid(self) -> int | None:
        """Leader of its process group; another one after a restart."""
        return self._child.pid

    def check_alive(self) -> None:
        """Raise TargetError with its last log lines if it is gone."""
        if not self._is_restarting:
            with _as_target_errors():
                self._child.check_alive()

    def kill_and_restart(self) -> None:
        """SIGKILL, and start it again on the same work folder and port."""
        self._is_restarting = True  # who watches it from another thread must not raise the alarm
        try:
            self._child.kill()
            with _as_target_errors():
                self._child, port = self._start(self._grpc_port)
        finally:
            self._is_restarting = False
        if port != self._grpc_port:
            raise TargetError(
                f'target "{self.spec.name}" was given port {self._grpc_port} at its restart '
                f"and took {port}; it must use {{grpc_port}} unless that is 0"
            )

    @property
    def is_frozen(self) -> bool:
        """Between freeze() and thaw()."""
        return self._is_frozen

    def freeze(self) -> None:
        """SIGSTOP to it and its children."""
        self._is_frozen = True
        self._child.freeze()

    def thaw(self) -> None:
        """SIGCONT to it and its children."""
        self._child.thaw()
        self._is_frozen = False

    def stop(self) -> str:
        """Stop it within its grace; how it ended."""
        return self._child.stop(
            grace_s=self._how.stop_grace_ns / NANOS_PER_SECOND,
            number=_SIGNALS[self._how.stop_signal],
        )

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


class AttachedTarget:
    """A target that someone else runs: it is spoken to, never touched."""

    def __init__(self, spec: TargetSpec, how: AttachSpec, endpoint: Endpoint) -> None:
        """See that it is there; raises what start_target does."""
        self.spec = spec
        self._how = how
        self._endpoint = _at(endpoint, how.grpc_address, how.topic_prefix)
        self._listener = Listener(how.grpc_address)
        self.check_alive()
        if not self._listener.accepts(timeout_s=how.timeout_ns / NANOS_PER_SECOND):
            raise TargetError(f"{spec.file}: attach.grpc: nothing answers at {how.grpc_address}")

    @property
    def endpoint(self) -> Endpoint:
        """Where the file says that it is."""
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """As the file says."""
        return self._how.pid

    def check_alive(self) -> None:
        """Raise TargetError when its pid is gone, or else its port refuses connections."""
        if self._how.pid is not None and not Path(f"/proc/{self._how.pid}").exists():
            raise TargetError(f"{self.spec.file}: attach.pid: no process {self._how.pid} runs")
        if self._listener.is_gone():
            address = self._how.grpc_address
            raise TargetError(f"{self.spec.file}: attach.grpc: nothing answers at {address}")

    def kill_and_restart(self) -> None:
        """Refused."""
        self._refuse("killed and restarted")

    @property
    def is_frozen(self) -> bool:
        """Never."""
        return False

    def freeze(self) -> None:
        """Refused: were the harness to die meanwhile, nobody would thaw it."""
        self._refuse("frozen")

    def thaw(self) -> None:
        """Refused."""
        self._refuse("thawed")

    def stop(self) -> str:
        """It is left alone."""
        return "left running"

    def _refuse(self, what: str) -> None:
        raise UsageError(
            f"{self.spec.file}: an attached target is not {what}; "
            "use a target with [launch], or a scenario without steps"
        )


@contextmanager
def _as_target_errors() -> Iterator[None]:
    try:
        yield
    except ChildFailedError as error:
        raise TargetError(str(error)) from error


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
