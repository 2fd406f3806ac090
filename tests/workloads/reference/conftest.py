"""Real processes for these tests: the reference service, and a broker that can be killed."""

import json
import os
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from harness.model.kafka_settings import placeholder_values
from tests.brokers import KINDS, LinkedBroker, linked_broker
from tests.workloads.reference.world import market
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub, ControlServiceStub

PATIENCE_S = 60.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker for one test: its link can be cut, the topics behind its prefix are the test's."""

    linked: LinkedBroker
    prefix: str

    @property
    def address(self) -> str:
        """The link's."""
        return self.linked.address

    def cut(self) -> None:
        """Out of reach."""
        self.linked.cut()

    def mend(self) -> None:
        """Within reach again, with all that it held."""
        self.linked.mend()

    def arguments(self) -> tuple[str, ...]:
        """What the service is told of it."""
        said = placeholder_values(self.linked.own.clients)
        flags = ((f"--{name.replace('_', '-')}", value) for name, value in said.items())
        return (
            *("--kafka", self.address, "--topic-prefix", self.prefix),
            *(word for flag in flags for word in flag),
        )


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


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A broker of each kind."""
    prefix = f"{secrets.token_hex(4)}."
    if request.param == "apache":
        linked = request.getfixturevalue("shared_apache")
        yield Broker(linked=linked, prefix=prefix)
        linked.mend()
        return
    folder = tmp_path / "broker"
    folder.mkdir()
    with linked_broker(request.param, folder) as linked:
        yield Broker(linked=linked, prefix=prefix)


def pytest_configure() -> None:
    """Keep gRPC from complaining about forks in the middle of a test's output."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
