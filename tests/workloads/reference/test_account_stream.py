"""StreamAccount: snapshot, gap-free deltas, overflow; over gRPC, and without."""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.workloads.reference.bench import CONTEXT, AbortedError, Bench, run, settle
from tests.workloads.reference.conftest import Program
from tests.workloads.reference.world import ALICE, BASE, BOB, BUY, QUOTE, pend, release, reserve
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub
from workloads.account.reference import watchers

Start = Callable[..., Program]
Buckets = dict[int, tuple[int, int, int, int]]


class Reader:
    """One subscriber's end at the service: takes messages when it is told to."""

    def __init__(self) -> None:
        self.updates: list[contract.AccountUpdate] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()

    async def write(self, message: bytes) -> None:
        await self.is_reading.wait()
        self.updates.append(contract.AccountUpdate.FromString(message))

    async def abort(self, status: grpc.StatusCode, detail: str) -> None:
        raise AbortedError(status, detail)

    @property
    def seqs(self) -> list[tuple[int, bool]]:
        """account_seq, and whether it is a snapshot's."""
        return [(update.account_seq, update.snapshot) for update in self.updates]


def watch(bench: Bench, reader: Reader, account_id: int = ALICE) -> asyncio.Task[None]:
    """Subscribe."""
    raw = contract.StreamRequest(account_id=account_id).SerializeToString()
    context: Any = reader
    return asyncio.ensure_future(bench.accounts.account_streams.serve(raw, context))


async def leave(*tasks: asyncio.Task[None]) -> None:
    """The clients go away."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def folded(updates: Iterable[contract.AccountUpdate]) -> tuple[int, Buckets]:
    """What a client holds in the end; a gap is an error."""
    seq, balances = -1, Buckets()
    for update in updates:
        if update.snapshot:
            assert update.account_seq >= seq
            balances = {}
        else:
            assert update.account_seq == seq + 1
        seq = update.account_seq
        balances |= {
            balance.asset_id: (
                balance.available_minor,
                balance.locked_orders_minor,
                balance.locked_isolated_minor,
                balance.locked_withdrawal_minor,
            )
            for balance in update.balances
        }
    return seq, balances


def held(bench: Bench, account_id: int = ALICE) -> tuple[int, Buckets]:
    """What the service holds."""
    account = bench.core.state.accounts[account_id]
    return account.seq, {asset: tuple(b) for asset, b in account.balances.items()}  # type: ignore[misc]


def test_a_snapshot_then_each_update(start: Start) -> None:
    """What happens after the snapshot comes as it is on the ledger, one update a transaction."""
    program = start()
    program.fund((ALICE, QUOTE, 100), (ALICE, BASE, 7), (BOB, QUOTE, 50))
    updates = program.accounts.StreamAccount(contract.StreamRequest(account_id=ALICE))
    snapshot = next(updates)
    program.accounts.Reserve(reserve(BOB, 1, BUY, 5, 1))
    locked = program.accounts.Reserve(reserve(ALICE, 2, BUY, 30, 1))
    program.accounts.ApplyTransfer(pend(ALICE, QUOTE, -20))
    program.accounts.ApplyTransfer(pend(ALICE, QUOTE, 20))
    deltas = [next(updates) for _ in range(3)]
    updates.cancel()
    program.end()

    assert (snapshot.snapshot, snapshot.account_seq, snapshot.journal_seq) == (True, 2, 3)
    assert [(item.asset_id, item.total_minor) for item in snapshot.balances] == [
        (BASE, 7),
        (QUOTE, 100),
    ]
    assert folded([snapshot, *deltas]) == (5, {BASE: (7, 0, 0, 0), QUOTE: (50, 30, 0, 20)})
    assert deltas[0].journal_seq == locked.ack.journal_seq
    assert deltas[0].cause.HasField("request_id")
    assert [len(delta.balances) for delta in deltas] == [1, 1, 0]


@pytest.mark.parametrize("account_id", [4444, int(contract.EXTERNAL)])
def test_what_cannot_be_watched_is_not_found(account_id: int, tmp_path: Path) -> None:
    """An unknown account, and the system's."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        with pytest.raises(AbortedError, match="1001") as aborted:
            await watch(bench, Reader(), account_id)

        assert aborted.value.args[0] is grpc.StatusCode.NOT_FOUND
        assert not bench.core.watchers._of_account
        bench.core.close()

    run(scene())


def test_nothing_leaves_before_it_is_durable(tmp_path: Path) -> None:
    """A snapshot of what is applied waits for the disk; no delta repeats what it has."""

    async def scene() -> None:
        bench, reader = Bench(tmp_path), Reader()
        await bench.fund()
        bench.disk.spins.clear()
        before = asyncio.ensure_future(bench.reserve(1))
        await settle()
        watching = watch(bench, reader)
        await settle()
        after = asyncio.ensure_future(bench.reserve(2))
        await settle()
        early = list(reader.updates)
        bench.disk.spins.set()
        await asyncio.wait([before, after])
        await settle()

        assert early == []
        assert reader.seqs == [(2, True), (3, False)]
        assert folded(reader.updates) == held(bench)
        await leave(watching)
        bench.core.close()

    run(scene())


def test_an_overflow_is_a_new_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stalls loses its buffer and is told so; another one misses nothing."""
    monkeypatch.setattr(watchers, "STREAM_BUFFER_MAX_COUNT", 3)

    async def scene() -> None:
        bench, slow, quick = Bench(tmp_path), Reader(), Reader()
        await bench.fund()
        tasks = [watch(bench, slow), watch(bench, quick)]
        await settle()
        slow.is_reading.clear()
        for order_id in range(1, 10):
            await bench.reserve(order_id)
            await settle()
        slow.is_reading.set()
        await settle()
        await bench.reserve(10)
        await settle()

        assert quick.seqs == [(1, True), *((seq, False) for seq in range(2, 12))]
        # One delta was being written when the buffer filled behind it.
        assert slow.seqs == [(1, True), (2, False), (10, True), (11, False)]
        assert folded(slow.updates) == folded(quick.updates) == held(bench)
        await leave(*tasks)
        bench.core.close()

    run(scene())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_reader_does_its_fold_is_the_account(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that come, stall and go on at random, small buffers: no gap, the same balances."""
    monkeypatch.setattr(watchers, "STREAM_BUFFER_MAX_COUNT", 2)
    chance = random.Random(seed)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        readers: list[Reader] = []
        tasks: list[asyncio.Task[None]] = []
        calls: set[asyncio.Task[Any]] = set()
        for order_id in range(1, 80):
            if order_id % 20 == 1:
                readers.append(Reader())
                tasks.append(watch(bench, readers[-1]))
            calls.add(asyncio.ensure_future(bench.reserve(order_id)))
            if chance.random() < 0.3:
                raw = release(ALICE, chance.randint(1, order_id)).SerializeToString()
                calls.add(asyncio.ensure_future(bench.accounts.release(raw, CONTEXT)))
            for reader in readers:
                (reader.is_reading.set if chance.random() < 0.4 else reader.is_reading.clear)()
            for _ in range(chance.randint(0, 30)):
                await asyncio.sleep(0)
        await asyncio.wait(calls)
        for reader in readers:
            reader.is_reading.set()
        await settle()
        await settle()

        assert any(seq > 1 and is_snapshot for r in readers for seq, is_snapshot in r.seqs[1:])
        assert [folded(reader.updates) for reader in readers] == [held(bench)] * len(readers)
        await leave(*tasks)
        assert not bench.core.watchers._of_account
        bench.core.close()

    run(scene())


def test_an_unwatched_account_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker, updates are made for watched accounts alone."""
    made: list[int] = []

    async def scene() -> None:
        bench, reader = Bench(tmp_path), Reader()
        await bench.fund()
        updates = bench.core.ledger.updates

        def counted(transaction: Any, t_commit_ns: int) -> Any:
            made.append(transaction[0])
            return updates(transaction, t_commit_ns)

        monkeypatch.setattr(bench.core.ledger, "updates", counted)
        await bench.reserve(1)
        watching = watch(bench, reader)
        await settle()
        seen = await bench.reserve(2)
        await leave(watching)
        await bench.reserve(3)

        assert made == [seen.ack.journal_seq]
        bench.core.close()

    run(scene())


def test_a_service_that_stops_says_so(start: Start) -> None:
    """SIGTERM ends a stream with UNAVAILABLE 5002, and the program without delay."""
    program = start()
    program.fund((ALICE, QUOTE, 100))

    async def scene() -> tuple[Any, str]:
        async with grpc.aio.insecure_channel(program.address) as channel:
            stub = AccountServiceStub(channel)  # type: ignore[no-untyped-call]
            call: Any = stub.StreamAccount(contract.StreamRequest(account_id=ALICE))
            await call.read()
            program.process.terminate()
            with suppress(grpc.aio.AioRpcError):
                await call.read()
            return await call.code(), await call.details()

    status, detail = asyncio.run(asyncio.wait_for(scene(), 10))

    assert status is grpc.StatusCode.UNAVAILABLE
    assert detail.startswith("5002 ")
    assert program.end() == (0, "")
