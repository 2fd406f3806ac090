"""The handlers: codes and statuses, pages, dumps, seeds, and bytes that are no request."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.workloads.reference.bench import CONTEXT, AbortedError, Bench, run
from tests.workloads.reference.world import (
    ALICE,
    BUY,
    INSTRUMENT,
    QUOTE,
    release,
    reserve,
)
from workloads.account.contract import accounts_pb2 as contract


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
        margin = reserve(ALICE, 1, BUY, 1, 1)
        margin.mode = contract.CROSS
        for handler, raw, status in (
            (bench.accounts.reserve, b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (bench.accounts.reserve, b"", grpc.StatusCode.INVALID_ARGUMENT),
            (
                bench.accounts.reserve,
                margin.SerializeToString(),
                grpc.StatusCode.UNIMPLEMENTED,
            ),
        ):
            with pytest.raises(AbortedError) as aborted:
                await handler(raw, CONTEXT)
            assert aborted.value.args[0] is status
        assert bench.disk.group_sizes == []
        bench.core.close()

    run(scene())
