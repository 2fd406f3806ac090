"""
AccountService over grpc.aio: bytes in, bytes out, each answer after its commit.

Domain outcomes travel in Ack.code; fencing, an idempotency mismatch and overload are gRPC
statuses. The one idea: a handler decodes, applies in one synchronous step (so requests are
ordered by arrival and need no lock), journals the bytes as they came, and waits for the disk.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import inputs, machine
from workloads.account.reference.core import Core
from workloads.account.reference.inputs import Call, InputKind, MalformedError, UnsupportedError
from workloads.account.reference.ledger import balance_message
from workloads.account.reference.state import ACCOUNT_NOT_FOUND, OK, Outcome

Context = grpc.aio.ServicerContext[bytes, bytes]
Request = TypeVar("Request", bound=Message)

PAGE_MAX_COUNT = 1000
# How long a read waits for the journal_seq it asks for before it is told OVERLOADED.
READ_WAIT_S = 2.0

_STATUS_OF_CODE = {
    machine.IDEMPOTENCY_MISMATCH: (
        grpc.StatusCode.ALREADY_EXISTS,
        "4001 IDEMPOTENCY_MISMATCH: this request_id came with another payload before",
    ),
    machine.FENCED: (
        grpc.StatusCode.FAILED_PRECONDITION,
        "4003 FENCED: a higher client_epoch was seen",
    ),
}


class AccountService:
    """The handlers of accounts.v1.AccountService, by method name in `methods`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def methods(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        """The handlers by method name; messages are bytes on both sides."""
        unary = grpc.unary_unary_rpc_method_handler
        return {
            "CreateAccount": unary(self.create_account),
            "ApplyTransfer": unary(self.apply_transfer),
            "InternalTransfer": unary(self.internal_transfer),
            "Reserve": unary(self.reserve),
            "AmendReservation": unary(self.amend),
            "Release": unary(self.release),
            "BatchReserve": unary(self.batch_reserve),
            "GetBalances": unary(self.get_balances),
            "ListLedger": grpc.unary_stream_rpc_method_handler(self.list_ledger),
        }

    async def create_account(self, raw: bytes, context: Context) -> bytes:
        """Make an account; one that is there stays as it is."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(
            raw, contract.CreateAccountRequest, inputs.create_account_call, context
        )
        kind = InputKind.CREATE_ACCOUNT
        outcome, t_commit_ns = await self._write("CreateAccount", kind, raw, call, context)
        return ack(outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def apply_transfer(self, raw: bytes, context: Context) -> bytes:
        """Deposit or withdraw."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.TransferRequest, inputs.transfer_call, context)
        kind = InputKind.TRANSFER
        outcome, t_commit_ns = await self._write("ApplyTransfer", kind, raw, call, context)
        return _transfer_reply(outcome, t_ingress_ns, t_commit_ns)

    async def internal_transfer(self, raw: bytes, context: Context) -> bytes:
        """Move an amount from one account to another."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(
            raw, contract.InternalTransferRequest, inputs.internal_transfer_call, context
        )
        kind = InputKind.INTERNAL_TRANSFER
        outcome, t_commit_ns = await self._write("InternalTransfer", kind, raw, call, context)
        return _transfer_reply(outcome, t_ingress_ns, t_commit_ns)

    async def reserve(self, raw: bytes, context: Context) -> bytes:
        """Lock funds for an order."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.ReserveRequest, inputs.reserve_call, context)
        outcome, t_commit_ns = await self._write("Reserve", InputKind.RESERVE, raw, call, context)
        return _reserve_reply(call, outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def amend(self, raw: bytes, context: Context) -> bytes:
        """Change an order's limit or quantity and its lock with it."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.AmendRequest, inputs.amend_call, context)
        kind = InputKind.AMEND
        outcome, t_commit_ns = await self._write("AmendReservation", kind, raw, call, context)
        return _reserve_reply(call, outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def release(self, raw: bytes, context: Context) -> bytes:
        """Free what an order locks and close it."""
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.ReleaseRequest, inputs.release_call, context)
        outcome, t_commit_ns = await self._write("Release", InputKind.RELEASE, raw, call, context)
        return _reserve_reply(call, outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def batch_reserve(self, raw: bytes, context: Context) -> bytes:
        """Reserve, amend and release in one go; each item has its own outcome, in band."""
        t_ingress_ns = time.monotonic_ns()
        await self._admit("BatchReserve", context)
        batch = await parsed(raw, contract.BatchReserveRequest, context)
        calls = await checked(inputs.batch_calls, batch, context)
        state, counters = self._core.state, self._core.counters
        revision = state.revision
        outcomes = inputs.apply_calls(state, calls)
        if state.revision != revision:
            self._core.commitment.journal(InputKind.BATCH, raw)
        journal_seq = state.journal_seq
        t_commit_ns = await self._core.commitment.durable()
        reply = contract.BatchReserveReply(
            ack=contract.Ack(
                journal_seq=journal_seq, t_ingress_ns=t_ingress_ns, t_commit_ns=t_commit_ns
            )
        )
        for item, call, outcome in zip(batch.items, calls, outcomes, strict=True):
            counters[f"{_ITEM_NAMES[call[2][0]]}/{outcome[0]}"] += 1
            reply.items.add(
                client_tag=item.client_tag,
                reply=_reserve_reply(call, outcome, t_ingress_ns, t_commit_ns),
            )
        counters["BatchReserve/0"] += 1
        return reply.SerializeToString()

    async def get_balances(self, raw: bytes, context: Context) -> bytes:
        """The account's balances, all or those asked for."""
        t_ingress_ns = time.monotonic_ns()
        request = await parsed(raw, contract.BalancesRequest, context)
        await self._caught_up("GetBalances", request.meta.min_applied_seq, context)
        state = self._core.state
        account = state.accounts.get(request.account_id)
        reply = contract.BalancesReply()
        if account is not None:
            for asset_id in request.asset_ids or sorted(account.balances):
                balance = account.balances.get(asset_id, [0, 0, 0, 0])
                available, locked_orders, locked_isolated, locked_withdrawal = balance
                after = (asset_id, available, locked_orders, locked_isolated, locked_withdrawal)
                reply.balances.append(balance_message(after))
        code = ACCOUNT_NOT_FOUND if account is None else OK
        account_seq = 0 if account is None else account.seq
        seen: Outcome = (code, state.journal_seq, account_seq, 0, 0, 0, False)
        t_commit_ns = await self._core.commitment.durable()
        self._core.counters[f"GetBalances/{code}"] += 1
        reply.ack.CopyFrom(ack(seen, t_ingress_ns, t_commit_ns))
        return reply.SerializeToString()

    async def list_ledger(self, raw: bytes, context: Context) -> AsyncIterator[bytes]:
        """One page of the account's history."""
        request = await parsed(raw, contract.LedgerRequest, context)
        await self._caught_up("ListLedger", request.meta.min_applied_seq, context)
        if request.account_id not in self._core.state.accounts:
            self._core.counters[f"ListLedger/{ACCOUNT_NOT_FOUND}"] += 1
            detail = f"1001 ACCOUNT_NOT_FOUND: {request.account_id}"
            await context.abort(grpc.StatusCode.NOT_FOUND, detail)
        count = min(request.limit_count or PAGE_MAX_COUNT, PAGE_MAX_COUNT)
        # The ledger holds durable transactions only, so there is nothing to wait for.
        for entry in self._core.ledger.page(request.account_id, request.from_account_seq, count):
            yield entry
        self._core.counters["ListLedger/0"] += 1

    async def _write(
        self, name: str, kind: int, raw: bytes, call: Call, context: Context
    ) -> tuple[Outcome, int]:
        """Apply, journal, and wait for the disk: the outcome and the time of its commit."""
        await self._admit(name, context)
        state = self._core.state
        revision = state.revision
        outcome = machine.apply(state, *call)
        if state.revision != revision:
            self._core.commitment.journal(kind, raw)
        t_commit_ns = await self._core.commitment.durable()
        code = outcome[0]
        self._core.counters[f"{name}/{code}"] += 1
        if code in _STATUS_OF_CODE:
            await context.abort(*_STATUS_OF_CODE[code])
        return outcome, t_commit_ns

    async def _admit(self, name: str, context: Context) -> None:
        refusal = self._core.refusal()
        if refusal:
            self._core.counters[f"{name}/{refusal[:4]}"] += 1
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)

    async def _caught_up(self, name: str, journal_seq: int, context: Context) -> None:
        try:
            async with asyncio.timeout(READ_WAIT_S):
                await self._core.commitment.reached(journal_seq)
        except TimeoutError:
            self._core.counters[f"{name}/{contract.OVERLOADED}"] += 1
            detail = (
                f"5001 OVERLOADED: journal_seq {journal_seq} was not reached in {READ_WAIT_S} s"
            )
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, detail)


_ITEM_NAMES = {
    machine.RESERVE: "Reserve",
    machine.AMEND: "AmendReservation",
    machine.RELEASE: "Release",
}
# Where a reserve, an amend and a release name their order.
_ORDER_ID_AT = {machine.RESERVE: 3, machine.AMEND: 2, machine.RELEASE: 2}


async def parsed(raw: bytes, message: type[Request], context: Any) -> Request:
    """The request's message; bytes that are none end the call."""
    try:
        return message.FromString(raw)
    except DecodeError as error:
        return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


async def checked(check: Callable[[Request], Any], request: Request, context: Any) -> Any:
    """What *check* makes of the request; a malformed or unsupported one ends the call."""
    try:
        return check(request)
    except MalformedError as error:
        return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except UnsupportedError as error:
        return await _abort(context, grpc.StatusCode.UNIMPLEMENTED, str(error))


async def decoded(
    raw: bytes, message: type[Request], call_of: Callable[[Request], Call], context: Any
) -> Call:
    """The call that the request asks for."""
    call: Call = await checked(call_of, await parsed(raw, message, context), context)
    return call


async def _abort(context: Any, status: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(status, detail)
    raise AssertionError("abort raises")


def ack(outcome: Outcome, t_ingress_ns: int, t_commit_ns: int) -> contract.Ack:
    """The contract's form of an outcome."""
    code, journal_seq, account_seq, _, _, _, is_replayed = outcome
    return contract.Ack(
        code=code,  # type: ignore[arg-type]  # the enum's number
        journal_seq=journal_seq,
        account_seq=account_seq,
        replayed=is_replayed,
        t_ingress_ns=t_ingress_ns,
        t_commit_ns=t_commit_ns,
        detail=contract.Code.Name(code) if code else "",  # type: ignore[arg-type]
    )


def _transfer_reply(outcome: Outcome, t_ingress_ns: int, t_commit_ns: int) -> bytes:
    return contract.TransferReply(
        ack=ack(outcome, t_ingress_ns, t_commit_ns),
        asset_id=outcome[3],
        available_minor=outcome[5],
    ).SerializeToString()


def _reserve_reply(
    call: Call, outcome: Outcome, t_ingress_ns: int, t_commit_ns: int
) -> contract.ReserveReply:
    command = call[2]
    return contract.ReserveReply(
        ack=ack(outcome, t_ingress_ns, t_commit_ns),
        order_id=command[_ORDER_ID_AT[command[0]]],
        asset_id=outcome[3],
        locked_minor=outcome[4],
        available_minor=outcome[5],
    )
