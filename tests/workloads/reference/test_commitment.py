"""Nothing is told before it is on disk: the service with a disk that waits, and one that fails."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.workloads.reference.world import (
    ALICE,
    BUY,
    INSTRUMENT,
    QUOTE,
    market,
    meta,
    release,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import core as core_module
from workloads.account.reference.control import ControlService
from workloads.account.reference.core import Core
from workloads.account.reference.emission import Topics
from workloads.account.reference.inputs import InputKind, seed_payload
from workloads.account.reference.journal import Entry, Journal, JournalError
from workloads.account.reference.service import AccountService

PATIENCE_S = 5.0


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


def test_every_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """A write, its repetition, a refusal, a read, a dump and a digest: none before the commit."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(bench.reserve(1, number=1))
            await settle()
            again = tasks.create_task(bench.reserve(1, number=1))
            refused = tasks.create_task(bench.reserve(1, number=2))
            read = tasks.create_task(bench.balances())
            digest = tasks.create_task(bench.control.get_state_digest(b"", CONTEXT))
            totals = tasks.create_task(bench.control.get_totals(b"", CONTEXT))
            dump = tasks.create_task(first_of(bench.control.list_accounts(b"", CONTEXT)))
            await settle()
            calls = (first, again, refused, read, digest, totals, dump)
            answered = [call for call in calls if call.done()]
            stats = contract.Stats.FromString(await bench.control.get_stats(b"", CONTEXT))
            bench.disk.spins.set()

        assert answered == []
        assert (stats.journal_seq, stats.durable_seq) == (2, 1)
        replies = [first.result(), again.result(), refused.result()]
        assert [reply.ack.code for reply in replies] == [0, 0, contract.ORDER_DUPLICATE]
        assert [reply.ack.replayed for reply in replies] == [False, True, False]
        assert first.result().ack.t_commit_ns >= first.result().ack.t_ingress_ns
        assert read.result().balances[0].available_minor == 990
        bench.core.close()

    run(scene())


def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    """While one group is being written, all that comes joins the next: two commits for 51."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.reserve(1))
            await settle()
            for order_id in range(2, 52):
                tasks.create_task(bench.reserve(order_id))
            await settle()
            bench.disk.spins.set()

        assert bench.disk.group_sizes == [1, 50]
        bench.core.close()

    run(scene())


def test_the_ledger_shows_durable_entries_only(tmp_path: Path) -> None:
    """ListLedger does not wait, and does not show what is not on disk."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        request = contract.LedgerRequest(account_id=ALICE).SerializeToString()
        bench.disk.spins.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.reserve(1))
            await settle()
            before = [entry async for entry in bench.accounts.list_ledger(request, CONTEXT)]
            bench.disk.spins.set()
        after = [entry async for entry in bench.accounts.list_ledger(request, CONTEXT)]

        assert (len(before), len(after)) == (1, 2)
        bench.core.close()

    run(scene())


def test_a_full_disk_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a commit fails the process is ended, and no answer came before or after."""

    async def scene() -> None:
        end: asyncio.Future[JournalError] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(core_module, "_stop_at_once", end.set_result)
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.is_full = True
        answers = [asyncio.ensure_future(answer) for answer in (bench.reserve(1), bench.balances())]
        error = await end
        await settle()

        assert [answer.done() for answer in answers] == [False, False]
        assert str(error) == "disk full"
        for answer in answers:
            answer.cancel()
        await asyncio.wait(answers)

    run(scene())


def test_a_cancelled_caller_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """A client that gives up while its group is written takes nobody with it."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        impatient = asyncio.ensure_future(bench.reserve(1))
        patient = asyncio.ensure_future(bench.reserve(2))
        await settle()
        impatient.cancel()
        await settle()
        bench.disk.spins.set()

        assert (await patient).ack.code == contract.OK
        assert (await bench.balances()).balances[0].locked_orders_minor == 20
        bench.core.close()

    run(scene())


def test_a_read_waits_for_the_sequence_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """min_applied_seq: answered once it is there, OVERLOADED (5001) when it does not come."""
    monkeypatch.setattr("workloads.account.reference.service.READ_WAIT_S", 0.02)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        with pytest.raises(AbortedError, match="5001") as aborted:
            await bench.balances(min_applied_seq=2)
        read = asyncio.ensure_future(bench.balances(min_applied_seq=2))
        await settle()
        await bench.reserve(1)

        assert aborted.value.args[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await read).balances[0].available_minor == 990
        bench.core.close()

    run(scene())


def test_a_mismatch_and_an_old_epoch_are_statuses(tmp_path: Path) -> None:
    """ALREADY_EXISTS "4001 ..." and FAILED_PRECONDITION "4003 ..."; in a batch they are codes."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        await bench.reserve(1, number=1)
        with pytest.raises(AbortedError) as mismatch:
            await bench.reserve(2, number=1)
        newer = reserve(ALICE, 3, BUY, 1, 1, epoch=2)
        await bench.accounts.reserve(newer.SerializeToString(), CONTEXT)
        with pytest.raises(AbortedError) as fenced:
            await bench.reserve(4)
        batch = contract.BatchReserveRequest()
        batch.items.add(client_tag=7, reserve=reserve(ALICE, 2, BUY, 1, 1, number=1, epoch=2))
        batch.items.add(client_tag=8, release=release(ALICE, 3))
        batch.items.add(client_tag=9, reserve=reserve(ALICE, 5, BUY, 1, 1, epoch=2))
        raw = await bench.accounts.batch_reserve(batch.SerializeToString(), CONTEXT)
        items = contract.BatchReserveReply.FromString(raw).items

        assert mismatch.value.args[0] is grpc.StatusCode.ALREADY_EXISTS
        assert mismatch.value.args[1].startswith("4001 ")
        assert fenced.value.args[0] is grpc.StatusCode.FAILED_PRECONDITION
        assert fenced.value.args[1].startswith("4003 ")
        assert [(item.client_tag, item.reply.ack.code) for item in items] == [
            (7, contract.IDEMPOTENCY_MISMATCH),
            (8, contract.FENCED),
            (9, contract.OK),
        ]
        bench.core.close()

    run(scene())


def test_the_ledger_is_paged(tmp_path: Path) -> None:
    """Walking the pages gives every entry of the account once, in order."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        for order_id in range(1, 8):
            await bench.reserve(order_id)
        seqs: list[int] = []
        page = [0]
        while page:
            request = contract.LedgerRequest(
                account_id=ALICE, from_account_seq=len(seqs) + 1, limit_count=3
            )
            page = [
                contract.LedgerEntry.FromString(raw).account_seq
                async for raw in bench.accounts.list_ledger(request.SerializeToString(), CONTEXT)
            ]
            assert len(page) <= 3
            seqs += page

        assert seqs == list(range(1, 9))
        bench.core.close()

    run(scene())


def test_the_dump_has_orders_and_the_system_accounts(tmp_path: Path) -> None:
    """ListAccounts: EXTERNAL mirrors the deposits, and open orders carry their locks."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        await bench.reserve(1)
        states = {
            state.account_id: state
            async for raw in bench.control.list_accounts(b"", CONTEXT)
            for state in [contract.AccountState.FromString(raw)]
        }

        assert states[contract.EXTERNAL].balances[0].available_minor == -1000
        assert [order.locked_minor for order in states[ALICE].open_orders] == [10]
        assert states[ALICE].open_orders[0].instrument_id == INSTRUMENT
        bench.core.close()

    run(scene())


def test_seeds_up_to_a_faulty_one_are_applied(tmp_path: Path) -> None:
    """The faulty seed is named; what came before it stays, also after a restart."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()

        async def rows() -> Any:
            for account_id, asset_id in ((2000, QUOTE), (2001, 77), (2002, QUOTE)):
                yield contract.SeedRecord(
                    account_id=account_id, asset_id=asset_id, amount_minor=5
                ).SerializeToString()

        with pytest.raises(AbortedError, match="seed 3: asset_id 77"):
            await bench.control.seed(rows(), CONTEXT)
        digest = await bench.control.get_state_digest(b"", CONTEXT)
        bench.core.close()
        again = Bench(tmp_path)

        assert set(again.core.state.accounts) & {2000, 2001, 2002} == {2000}
        assert digest == await again.control.get_state_digest(b"", CONTEXT)
        again.core.close()

    run(scene())


def test_bytes_that_are_no_request_are_refused(tmp_path: Path) -> None:
    """INVALID_ARGUMENT, UNIMPLEMENTED: nothing is journalled."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        pending = contract.TransferRequest(meta=meta(), phase=contract.TransferRequest.PENDING)
        for handler, raw, status in (
            (bench.accounts.reserve, b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (bench.accounts.reserve, b"", grpc.StatusCode.INVALID_ARGUMENT),
            (
                bench.accounts.apply_transfer,
                pending.SerializeToString(),
                grpc.StatusCode.UNIMPLEMENTED,
            ),
        ):
            with pytest.raises(AbortedError) as aborted:
                await handler(raw, CONTEXT)
            assert aborted.value.args[0] is status
        assert bench.disk.group_sizes == []
        bench.core.close()

    run(scene())


def test_events_the_broker_does_not_take_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound a write is RESOURCE_EXHAUSTED "5004 ..." and not applied; reads go on."""
    monkeypatch.setattr(core_module, "BACKLOG_MAX_COUNT", 3)

    async def scene() -> None:
        bench = Bench(tmp_path, kafka="nobody sends: the streams are not run")
        await bench.fund()
        await bench.reserve(1)
        await bench.reserve(2)
        with pytest.raises(AbortedError) as aborted:
            await bench.reserve(3, number=3)

        assert aborted.value.args[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert aborted.value.args[1].startswith("5004 ")
        assert (await bench.balances()).balances[0].locked_orders_minor == 20
        assert bench.core.counters["Reserve/5004"] == 1
        bench.core.close()
        again = Bench(tmp_path, kafka="the events were never acknowledged, so they wait again")
        assert len(again.core.streams["ledger"]) == len(again.core.streams["balances"]) == 3
        again.core.close()

    run(scene())


def test_requests_that_wait_for_the_disk_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound a write is RESOURCE_EXHAUSTED "5001 ..."."""
    monkeypatch.setattr(core_module, "IN_FLIGHT_MAX_COUNT", 2)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(bench.reserve(order_id)) for order_id in (1, 2)]
            await settle()
            with pytest.raises(AbortedError, match="5001"):
                await bench.reserve(3)
            bench.disk.spins.set()

        assert [call.result().ack.code for call in waiting] == [0, 0]
        bench.core.close()

    run(scene())
