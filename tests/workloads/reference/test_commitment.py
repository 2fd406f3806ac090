"""Nothing is told before it is on disk: the service with a disk that waits, and one that fails."""

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.workloads.reference.bench import CONTEXT, AbortedError, Bench, first_of, run, settle
from tests.workloads.reference.world import (
    ALICE,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import core as core_module
from workloads.account.reference.journal import JournalError


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
    monkeypatch.setattr("workloads.account.reference.calls.READ_WAIT_S", 0.02)

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
