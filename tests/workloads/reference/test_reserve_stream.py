"""ReserveStream: order, durability, window and the ways a stream ends; over gRPC, and without."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.workloads.reference.bench import AbortedError, Bench, run, settle
from tests.workloads.reference.conftest import Program
from tests.workloads.reference.world import ALICE, BOB, BUY, QUOTE, release, reserve
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub
from workloads.account.reference import reserve_stream

Start = Callable[..., Program]
Request = contract.ReserveRequest | contract.AmendRequest | contract.ReleaseRequest


def operation(tag: int, request: Request) -> contract.ReserveOp:
    """One message of a stream."""
    match request:
        case contract.ReserveRequest():
            return contract.ReserveOp(client_tag=tag, reserve=request)
        case contract.AmendRequest():
            return contract.ReserveOp(client_tag=tag, amend=request)
        case contract.ReleaseRequest():
            return contract.ReserveOp(client_tag=tag, release=request)


def operations(*requests: Request) -> Iterator[contract.ReserveOp]:
    """Messages of a stream, numbered from 0."""
    return (operation(tag, request) for tag, request in enumerate(requests))


class StreamContext:
    """One stream's end at the service: gives what it was given, holds what it was sent."""

    def __init__(self, messages: Iterable[bytes] = ()) -> None:
        self.read_count = 0
        self.sent: list[contract.ReserveResult] = []
        self.is_readable = asyncio.Event()
        self.is_readable.set()
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._written = asyncio.Event()
        for message in messages:
            self.give(message)

    def give(self, message: Any) -> None:
        """One more message, or grpc.aio.EOF."""
        self._messages.put_nowait(message)

    async def read(self) -> Any:
        message = await self._messages.get()
        self.read_count += 1
        return message

    async def write(self, message: bytes) -> None:
        await self.is_readable.wait()
        self.sent.append(contract.ReserveResult.FromString(message))
        self._written.set()

    async def until_sent(self, count: int) -> None:
        """Wait for that many results."""
        while len(self.sent) < count:
            self._written.clear()
            await self._written.wait()

    async def abort(self, status: grpc.StatusCode, detail: str) -> None:
        raise AbortedError(status, detail)

    @property
    def codes(self) -> list[int]:
        """Of what was sent, in order."""
        return [item.reply.ack.code for item in self.sent]


def serve(bench: Bench, context: Any) -> asyncio.Task[None]:
    """The service's side of a stream."""
    return asyncio.ensure_future(bench.accounts.reserve_streams.serve(context, context))


def raw(count: int) -> list[bytes]:
    """As many reservations of one unit."""
    requests = (reserve(ALICE, number, BUY, 1, 1) for number in range(1, count + 1))
    return [message.SerializeToString() for message in operations(*requests)]


def test_a_pipeline_is_applied_in_order(start: Start) -> None:
    """Reserve, amend and release of one order sent at once: each finds what the one before did."""
    program = start()
    program.fund((ALICE, QUOTE, 100), (BOB, QUOTE, 100))
    amend = contract.AmendRequest(
        meta=reserve(ALICE, 0, BUY, 1, 1).meta, account_id=ALICE, order_id=1, leaves_lots=3
    )
    requests = [
        reserve(ALICE, 1, BUY, 10, 5),
        amend,
        reserve(ALICE, 2, BUY, 71, 1),
        release(ALICE, 1),
        reserve(ALICE, 3, BUY, 100, 1),
        release(ALICE, 1),
    ]
    results = list(program.accounts.ReserveStream(operations(*requests)))
    program.end()

    assert [result.client_tag for result in results] == list(range(len(requests)))
    assert [
        (result.reply.ack.code, result.reply.locked_minor, result.reply.available_minor)
        for result in results
    ] == [
        (contract.OK, 50, 50),
        (contract.OK, 30, 70),
        (contract.INSUFFICIENT_AVAILABLE, 0, 70),
        (contract.OK, 0, 100),
        (contract.OK, 100, 0),
        (contract.ORDER_TERMINAL, 0, 0),
    ]
    assert [result.reply.order_id for result in results] == [1, 1, 2, 1, 3, 1]


def test_every_outcome_is_in_band(start: Start) -> None:
    """A mismatch and an old epoch are codes on a stream, and what follows them is answered."""
    program = start()
    program.fund((ALICE, QUOTE, 100))
    unary = program.accounts.Reserve(reserve(ALICE, 1, BUY, 1, 1, number=7))
    results = list(
        program.accounts.ReserveStream(
            operations(
                reserve(ALICE, 1, BUY, 1, 1, number=7),
                reserve(ALICE, 2, BUY, 1, 1, number=7),
                reserve(ALICE, 3, BUY, 1, 1, epoch=2),
                reserve(ALICE, 4, BUY, 1, 1),
                reserve(ALICE, 5, BUY, 1, 1, epoch=2),
            )
        )
    )
    counters = program.stats().counters
    program.end()

    assert [result.reply.ack.code for result in results] == [
        contract.OK,
        contract.IDEMPOTENCY_MISMATCH,
        contract.OK,
        contract.FENCED,
        contract.OK,
    ]
    assert results[0].reply.ack.replayed
    assert results[0].reply.ack.journal_seq == unary.ack.journal_seq
    assert counters["Reserve/4001"] == counters["Reserve/4003"] == 1


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x08\x01", grpc.StatusCode.INVALID_ARGUMENT),
        (
            operation(1, contract.ReleaseRequest(account_id=ALICE)).SerializeToString(),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            operation(
                1, contract.ReserveRequest(side=BUY, mode=contract.CROSS)
            ).SerializeToString(),
            grpc.StatusCode.UNIMPLEMENTED,
        ),
    ],
)
def test_a_faulty_message_ends_the_stream_behind_the_results(
    message: bytes, status: grpc.StatusCode, tmp_path: Path
) -> None:
    """What came before it is answered, what comes after it is not applied."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        first, later = raw(2)
        context = StreamContext([first, message, later])
        with pytest.raises(AbortedError) as aborted:
            await serve(bench, context)

        assert aborted.value.args[0] is status
        assert context.codes == [contract.OK]
        assert list(bench.core.state.orders) == [1]
        assert bench.core.streamed_count == 0
        bench.core.close()

    run(scene())


def test_nothing_is_answered_before_it_is_durable(tmp_path: Path) -> None:
    """While the disk stands still no result leaves; all of a group leave with it."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        context = StreamContext([*raw(5), grpc.aio.EOF])
        stream = serve(bench, context)
        await settle()
        applied, sent = len(bench.core.state.orders), list(context.sent)
        bench.disk.spins.set()
        await stream

        assert (applied, sent) == (5, [])
        assert context.codes == [contract.OK] * 5
        assert sum(bench.disk.group_sizes) == 5
        assert len(bench.disk.group_sizes) <= 2
        assert all(
            item.reply.ack.t_ingress_ns <= item.reply.ack.t_commit_ns for item in context.sent
        )
        bench.core.close()

    run(scene())


@pytest.mark.parametrize("what", ["disk", "client"])
def test_past_the_window_nothing_is_read(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a slow disk nor a client that doesn't read makes the service hold more than it."""
    monkeypatch.setattr(reserve_stream, "STREAM_WINDOW_MAX_COUNT", 4)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        context = StreamContext([*raw(20), grpc.aio.EOF])
        if what == "disk":
            bench.disk.spins.clear()
        else:
            context.is_readable.clear()
        stream = serve(bench, context)
        await settle()
        read_count, held_count = context.read_count, bench.core.streamed_count
        bench.disk.spins.set()
        context.is_readable.set()
        await stream

        assert (read_count, held_count) == (4, 4)
        assert context.codes == [contract.OK] * 20
        assert [item.client_tag for item in context.sent] == list(range(20))
        assert bench.core.streamed_count == 0
        bench.core.close()

    run(scene())


def test_overload_is_a_code_and_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the service's bound an operation is 5001, not applied; the same one later is."""
    monkeypatch.setattr("workloads.account.reference.core.IN_FLIGHT_MAX_COUNT", 2)

    async def scene() -> None:
        bench = Bench(tmp_path)
        await bench.fund()
        bench.disk.spins.clear()
        messages = raw(3)
        context = StreamContext(messages)
        stream = serve(bench, context)
        await settle()
        bench.disk.spins.set()
        await context.until_sent(3)
        context.give(messages[2])
        context.give(grpc.aio.EOF)
        await stream

        assert context.codes == [contract.OK, contract.OK, contract.OVERLOADED, contract.OK]
        assert context.sent[2].reply.ack.detail == "OVERLOADED"
        assert not context.sent[3].reply.ack.replayed
        bench.core.close()

    run(scene())


def test_a_service_that_stops_answers_first(start: Start) -> None:
    """SIGTERM ends an idle stream: results, then UNAVAILABLE 5002; the program exits 0."""
    program = start()
    program.fund((ALICE, QUOTE, 100))
    asked = asyncio.run(_converse_until_stopped(program))

    assert asked[0] == [contract.OK]
    assert asked[1] is grpc.StatusCode.UNAVAILABLE
    assert asked[2].startswith("5002 ")
    assert program.end() == (0, "")


async def _converse_until_stopped(program: Program) -> tuple[list[int], Any, str]:
    async with grpc.aio.insecure_channel(program.address) as channel:
        call: Any = AccountServiceStub(channel).ReserveStream()  # type: ignore[no-untyped-call]
        await call.write(operation(0, reserve(ALICE, 1, BUY, 1, 1)))
        codes = [(await call.read()).reply.ack.code]
        program.process.terminate()
        with suppress(grpc.aio.AioRpcError):
            await call.read()
        return codes, await call.code(), await call.details()


def test_a_client_that_goes_away_leaves_nothing_behind(start: Start) -> None:
    """Cancelled in the middle of its results: what was applied stays, nothing is complained of."""
    program = start()
    program.fund((ALICE, QUOTE, 10_000))
    for _ in range(5):
        requests = [reserve(ALICE, number, BUY, 1, 1, number=number) for number in range(1, 400)]
        results = program.accounts.ReserveStream(operations(*requests))
        next(results)
        results.cancel()
    codes = [
        result.reply.ack.code for result in program.accounts.ReserveStream(operations(*requests))
    ]
    state = program.stats()

    exit_code, stderr = program.end()
    assert codes == [contract.OK] * 399
    assert state.open_order_count == 399
    assert exit_code == 0
    # grpcio complains itself where a call is cancelled while it sends the status; we never may.
    assert "workloads" not in stderr
    assert "Task" not in stderr


def test_a_kill_loses_no_result_of_a_stream(start: Start) -> None:
    """What a stream answered before kill -9 is there after the restart; the same digest again."""
    program = start()
    program.fund((ALICE, QUOTE, 1_000_000))
    answered: list[int] = []
    results = program.accounts.ReserveStream(
        operations(
            *(reserve(ALICE, number, BUY, 1, 1, number=number) for number in range(1, 20_000))
        )
    )
    with suppress(grpc.RpcError):
        for result in results:
            answered.append(result.reply.order_id)
            if len(answered) == 500:
                program.process.kill()
    program.kill()
    program = start()
    [state] = program.control.ListAccounts(contract.ListRequest(from_account_id=ALICE))
    digest = program.digest()
    program.kill()
    program = start()

    assert len(answered) >= 500
    assert {order.order_id for order in state.open_orders} >= set(answered)
    assert program.digest() == digest
    program.end()
