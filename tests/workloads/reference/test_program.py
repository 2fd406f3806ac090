"""The real program over real gRPC: killed, restarted, out of disk, and stopped."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from tests.workloads.reference.conftest import ROOT, Program
from tests.workloads.reference.world import (
    ALICE,
    BUY,
    QUOTE,
    meta,
    pend,
    release,
    reserve,
    settle_pending,
)
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub
from workloads.account.reference.journal import FILE_NAME

Start = Callable[..., Program]
USERS = range(ALICE, ALICE + 20)
REQUEST_COUNT, KILL_AFTER_COUNT = 400, 120


def requests() -> list[contract.ReserveRequest]:
    """One order each, over all users; ids as numbers."""
    return [
        reserve(USERS[number % len(USERS)], number, BUY, 10, 1, number=number)
        for number in range(1, REQUEST_COUNT + 1)
    ]


async def reserve_until_killed(program: Program) -> dict[int, contract.ReserveReply]:
    """The replies that came before the kill, by order."""
    replies: dict[int, contract.ReserveReply] = {}
    waiting = iter(requests())

    async def work(stub: AccountServiceStub) -> None:
        for request in waiting:
            try:
                replies[request.order_id] = await stub.Reserve(request)
            except grpc.aio.AioRpcError:
                return
            if len(replies) == KILL_AFTER_COUNT:
                program.process.kill()

    async with grpc.aio.insecure_channel(program.address) as channel:
        stub = AccountServiceStub(channel)  # type: ignore[no-untyped-call]
        async with asyncio.TaskGroup() as tasks:
            for _ in range(16):
                tasks.create_task(work(stub))
    return replies


def test_a_kill_loses_nothing_and_doubles_nothing(start: Start, tmp_path: Path) -> None:
    """
    Every reservation acknowledged before kill -9 is there after the restart, once.

    Repeated, it is the stored outcome; those without an answer are resolved by repeating them.
    A missing sync would not show here: that commits sync is proved in test_journal.
    """
    program = start()
    program.fund(*((user, QUOTE, 1000) for user in USERS))
    acknowledged = asyncio.run(reserve_until_killed(program))
    program.kill()
    assert KILL_AFTER_COUNT <= len(acknowledged) < REQUEST_COUNT

    program = start()
    after_restart = program.stats()
    for request in requests():
        reply = program.accounts.Reserve(request)
        if request.order_id in acknowledged:
            known = acknowledged[request.order_id]
            assert reply.ack.replayed
            assert reply.ack.journal_seq == known.ack.journal_seq
            assert reply.ack.account_seq == known.ack.account_seq
        assert (reply.ack.code, reply.locked_minor) == (contract.OK, 10)
    states = list(program.control.ListAccounts(contract.ListRequest(from_account_id=ALICE)))

    assert after_restart.open_order_count >= len(acknowledged)
    assert sum(len(state.open_orders) for state in states) == REQUEST_COUNT
    assert [state.balances[0].locked_orders_minor for state in states] == [
        REQUEST_COUNT // len(USERS) * 10
    ] * len(USERS)
    assert program.stats().journal_seq == len(USERS) + REQUEST_COUNT
    digest = program.digest()
    program.kill()
    printed = subprocess.run(
        [sys.executable, "-m", "workloads.account.reference", "--digest", tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert printed.stdout == f"{digest.hex()}\n"


def test_what_was_forgotten_stays_so_after_a_kill(start: Start, tmp_path: Path) -> None:
    """The service says how long it remembers; a replay of its journal forgets where it did."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    program = start("--dedupe-horizon", "1")
    said = program.control.GetCapabilities(contract.Empty())
    program.fund((ALICE, QUOTE, 100))
    program.accounts.Reserve(reserve(ALICE, 1, BUY, 10, 1, number=1))
    remembered_count = program.stats().dedupe_count
    time.sleep(1.1)
    program.accounts.Reserve(reserve(ALICE, 2, BUY, 10, 1, number=2))  # this one's is the first
    time.sleep(1.1)
    program.accounts.Reserve(reserve(ALICE, 3, BUY, 10, 1, number=3))
    forgotten_count = 3 - program.stats().dedupe_count
    digest = program.digest()
    program.kill()
    replayed = start("--dedupe-horizon", "0").digest()

    assert (said.dedupe_horizon_s, remembered_count, forgotten_count) == (1, 1, 2)
    assert said.git_revision.removesuffix("-dirty") == head.stdout.strip()
    assert replayed == digest


def test_a_pending_transfer_survives_a_kill_and_is_settled_once(start: Start) -> None:
    """PENDING, kill -9, POST, kill -9: listed, then posted once, whoever asks again."""
    post = settle_pending(ALICE, contract.TransferRequest.POST, 1, id_number=2)
    void = settle_pending(ALICE, contract.TransferRequest.VOID, 1, id_number=3)
    everyone = contract.ListRequest(from_account_id=ALICE)
    program = start()
    program.fund((ALICE, QUOTE, 100))
    program.accounts.ApplyTransfer(pend(ALICE, QUOTE, -30, number=1))
    program.kill()
    program = start()
    [pending] = program.control.ListAccounts(everyone)
    posted = program.accounts.ApplyTransfer(post)
    program.kill()
    program = start()
    again, voided = program.accounts.ApplyTransfer(post), program.accounts.ApplyTransfer(void)
    [settled] = program.control.ListAccounts(everyone)
    program.end()

    assert [item.amount_minor for item in pending.pending] == [-30]
    assert pending.pending[0].pending_id == (1).to_bytes(16, "big")
    assert pending.balances[0].locked_withdrawal_minor == 30
    assert (posted.ack.code, posted.available_minor) == (contract.OK, 70)
    assert again.ack.replayed
    assert again.ack.journal_seq == posted.ack.journal_seq
    assert voided.ack.code == contract.PENDING_ALREADY_POSTED
    assert not settled.pending
    assert settled.balances[0].total_minor == 70


def test_a_full_disk_ends_the_service(start: Start) -> None:
    """The file may not grow: no reply but OKs that are there after the restart, then exit 1."""
    program = start(file_bytes_max=400_000)
    program.fund((ALICE, QUOTE, 10**9))
    acknowledged: list[int] = []
    with suppress(grpc.RpcError):
        for number in range(1, 2000):
            batch = contract.BatchReserveRequest()
            for order_id in range(number * 1000, number * 1000 + 100):
                batch.items.add(reserve=reserve(ALICE, order_id, BUY, 1, 1, number=order_id))
            reply = program.accounts.BatchReserve(batch)
            assert {item.reply.ack.code for item in reply.items} == {contract.OK}
            acknowledged += [item.reply.order_id for item in reply.items]
    exit_code, stderr = program.end()

    assert exit_code == 1
    assert "stopped without acknowledging: the journal can't be written" in stderr
    program = start()
    [state] = program.control.ListAccounts(contract.ListRequest(from_account_id=ALICE))
    present = {order.order_id for order in state.open_orders}
    assert acknowledged
    assert present >= set(acknowledged)
    program.end()


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_it_stops_when_told(start: Start, how: str) -> None:
    """The end of stdin and SIGTERM both end it with 0, and the state is there again."""
    program = start()
    program.fund((ALICE, QUOTE, 100))
    assert program.ready_line.startswith('ready {"grpc_port": ')
    program.accounts.Reserve(reserve(ALICE, 1, BUY, 10, 1))
    program.accounts.Release(release(ALICE, 1))
    program.accounts.ApplyTransfer(
        contract.TransferRequest(meta=meta(), account_id=ALICE, asset_id=QUOTE, amount_minor=-7)
    )
    digest = program.digest()
    if how == "SIGTERM":
        program.process.terminate()

    assert program.end() == (0, "")
    again = start()
    assert again.digest() == digest
    again.end()


def refused(*arguments: str | Path) -> str:
    """What the program says when it can't start."""
    ended = subprocess.run(
        [sys.executable, "-m", "workloads.account.reference", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    return ended.stderr


def test_it_says_why_it_cannot_start(start: Start, tmp_path: Path) -> None:
    """One sentence on stderr and exit code 2: folder, port, broker, lock, damage."""
    program = start()
    port = program.address.rpartition(":")[2]
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / FILE_NAME).write_bytes(b"nothing of the kind" * 100)

    for arguments, reason in (
        ((), "--workdir FOLDER is needed"),
        (("--workdir", tmp_path / "missing"), "not a folder"),
        (("--workdir", other, "--grpc-port", port), "the port can't be taken"),
        (("--workdir", other, "--kafka", "127.0.0.1:1"), "--kafka 127.0.0.1:1: "),
        (("--workdir", tmp_path), "locked"),
        (("--workdir", tmp_path / "damaged"), "not a database"),
        (("--digest", tmp_path / "missing"), "no journal"),
    ):
        stderr = refused(*arguments)
        assert reason in stderr
        assert "Traceback" not in stderr
    program.end()
