"""
AccountService over grpc.aio: bytes in, bytes out, each answer after its commit.

Domain outcomes travel in Ack.code; fencing, an idempotency mismatch and overload are gRPC
statuses. The one idea: a handler decodes, applies in one synchronous step (so requests are
ordered by arrival and need no lock), journals the bytes as they came, and waits for the disk.
"""

import time
from collections.abc import AsyncIterator

import grpc

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import inputs, machine
from workloads.account.reference.account_stream import AccountStreams
from workloads.account.reference.calls import Context, caught_up, checked, decoded, parsed
from workloads.account.reference.core import Core
from workloads.account.reference.inputs import Call, InputKind
from workloads.account.reference.ledger import balance_message
from workloads.account.reference.replies import (
    OPERATION_NAMES,
    ack,
    reserve_reply,
    transfer_reply,
)
from workloads.account.reference.reserve_stream import ReserveStreams
from workloads.account.reference.state import ACCOUNT_NOT_FOUND, OK, Outcome

PAGE_MAX_COUNT = 1000
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
        self.reserve_streams = ReserveStreams(core)
        self.account_streams = AccountStreams(core)

    def methods(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        unary = grpc.unary_unary_rpc_method_handler
        return {
            "CreateAccount": unary(self.create_account),
            "ApplyTransfer": unary(self.apply_transfer),
            "InternalTransfer": unary(self.internal_transfer),
            "Reserve": unary(self.reserve),
            "AmendReservation": unary(self.amend),
            "Release": unary(self.release),
            "BatchReserve": unary(self.batch_reserve),
            "ReserveStream": grpc.stream_stream_rpc_method_handler(self.reserve_streams.serve),
            "GetBalances": unary(self.get_balances),
            "ListLedger": grpc.unary_stream_rpc_method_handler(self.list_ledger),
            "StreamAccount": grpc.unary_stream_rpc_method_handler(self.account_streams.serve),
        }

    def drain(self) -> None:
        """End open streams; requests already read are answered first."""
        self.reserve_streams.drain()
        self._core.watchers.drain()

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
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.TransferRequest, inputs.transfer_call, context)
        kind = InputKind.TRANSFER
        outcome, t_commit_ns = await self._write("ApplyTransfer", kind, raw, call, context)
        return transfer_reply(outcome, t_ingress_ns, t_commit_ns)

    async def internal_transfer(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(
            raw, contract.InternalTransferRequest, inputs.internal_transfer_call, context
        )
        kind = InputKind.INTERNAL_TRANSFER
        outcome, t_commit_ns = await self._write("InternalTransfer", kind, raw, call, context)
        return transfer_reply(outcome, t_ingress_ns, t_commit_ns)

    async def reserve(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.ReserveRequest, inputs.reserve_call, context)
        outcome, t_commit_ns = await self._write("Reserve", InputKind.RESERVE, raw, call, context)
        return reserve_reply(call[2], outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def amend(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.AmendRequest, inputs.amend_call, context)
        kind = InputKind.AMEND
        outcome, t_commit_ns = await self._write("AmendReservation", kind, raw, call, context)
        return reserve_reply(call[2], outcome, t_ingress_ns, t_commit_ns).SerializeToString()

    async def release(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        call = await decoded(raw, contract.ReleaseRequest, inputs.release_call, context)
        outcome, t_commit_ns = await self._write("Release", InputKind.RELEASE, raw, call, context)
        return reserve_reply(call[2], outcome, t_ingress_ns, t_commit_ns).SerializeToString()

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
            counters[f"{OPERATION_NAMES[call[2][0]]}/{outcome[0]}"] += 1
            reply.items.add(
                client_tag=item.client_tag,
                reply=reserve_reply(call[2], outcome, t_ingress_ns, t_commit_ns),
            )
        counters["BatchReserve/0"] += 1
        return reply.SerializeToString()

    async def get_balances(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        request = await parsed(raw, contract.BalancesRequest, context)
        await caught_up(self._core, "GetBalances", request.meta.min_applied_seq, context)
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
        request = await parsed(raw, contract.LedgerRequest, context)
        await caught_up(self._core, "ListLedger", request.meta.min_applied_seq, context)
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
