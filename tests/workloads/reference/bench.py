"""The service without gRPC around it, on a disk that waits or fails when a test says so."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from tests.workloads.reference.world import (
    ALICE,
    BUY,
    QUOTE,
    market,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.control import ControlService
from workloads.account.reference.core import Core
from workloads.account.reference.emission import Topics
from workloads.account.reference.inputs import InputKind, seed_payload
from workloads.account.reference.journal import Entry, Journal, JournalError
from workloads.account.reference.service import AccountService

PATIENCE_S = 60.0


class Disk(Journal):
    """A journal whose writes wait for the test, and fail if it says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spins = threading.Event()
        self.spins.set()
        self.is_full = False
        self.group_sizes: list[int] = []

    def write(self, entries: Sequence[Entry], emitted: Mapping[str, int]) -> None:
        """Wait, then write or fail."""
        assert self.spins.wait(PATIENCE_S)
        if self.is_full:
            raise JournalError("disk full")
        self.group_sizes.append(len(entries))
        super().write(entries, emitted)


class AbortedError(Exception):
    """What a call ended with."""


class Context:
    """The part of a gRPC context that handlers use."""

    async def abort(self, status: grpc.StatusCode, detail: str) -> None:
        """End the call."""
        raise AbortedError(status, detail)


CONTEXT: Any = Context()


class Bench:
    """A funded service without gRPC around it."""

    def __init__(self, folder: Path, kafka: str = "") -> None:
        self.disk = Disk(folder)
        topics = Topics.with_prefix("")
        self.core = Core(self.disk, topics=topics, kafka=kafka, linger_ms=0)
        self.accounts = AccountService(self.core)
        self.control = ControlService(self.core)

    async def fund(self) -> None:
        """The market, and a thousand units for Alice."""
        await self.control.load_reference_data(market().SerializeToString(), CONTEXT)
        self.core.apply(InputKind.SEED, seed_payload([(ALICE, QUOTE, 1000)]))
        await self.core.commitment.durable()
        self.disk.group_sizes.clear()

    async def reserve(self, order_id: int, *, number: int | None = None) -> contract.ReserveReply:
        """Reserve 10 units of quote."""
        request = reserve(ALICE, order_id, BUY, 10, 1, number=number)
        raw = await self.accounts.reserve(request.SerializeToString(), CONTEXT)
        return contract.ReserveReply.FromString(raw)

    async def balances(self, min_applied_seq: int = 0) -> contract.BalancesReply:
        """Alice's balances."""
        request = contract.BalancesRequest(
            meta=contract.Meta(min_applied_seq=min_applied_seq), account_id=ALICE
        )
        raw = await self.accounts.get_balances(request.SerializeToString(), CONTEXT)
        return contract.BalancesReply.FromString(raw)


def run(scene: Coroutine[Any, Any, None]) -> None:
    """Play a scene on an event loop of its own, within a bounded time."""
    asyncio.run(asyncio.wait_for(scene, PATIENCE_S))


async def first_of(messages: AsyncIterator[bytes]) -> bytes:
    """The first message of a stream."""
    return await anext(messages)


async def settle() -> None:
    """Let everything happen that can happen without the disk."""
    for _ in range(20):
        await asyncio.sleep(0)
