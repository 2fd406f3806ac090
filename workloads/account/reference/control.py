"""
ControlService over grpc.aio: set the service up, and look inside it for the audit.

Every dump is taken in one synchronous step, so it is one instant of the state, and leaves after
that instant is durable.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version

import grpc

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import inputs
from workloads.account.reference.calls import Context, parsed
from workloads.account.reference.core import IN_FLIGHT_MAX_COUNT, Core
from workloads.account.reference.digest import state_digest
from workloads.account.reference.executions import REORDER_MAX_COUNT
from workloads.account.reference.inputs import BATCH_MAX_COUNT, InputKind, MalformedError
from workloads.account.reference.ledger import balance_messages, position_messages
from workloads.account.reference.orders import Order
from workloads.account.reference.replies import ack
from workloads.account.reference.reserve_stream import STREAM_WINDOW_MAX_COUNT
from workloads.account.reference.service import PAGE_MAX_COUNT
from workloads.account.reference.state import (
    OK,
    USER_ACCOUNT_ID_MIN,
    Account,
    PendingKey,
    State,
)
from workloads.account.reference.watchers import STREAM_BUFFER_MAX_COUNT

FEATURES = (
    "control",
    "seed",
    "totals",
    "digest",
    "batch",
    "amend",
    "executions",
    "durable",
    "two_phase",
    "reserve_stream",
    "stream_account",
    "read_your_writes",
)
SEED_CHUNK_COUNT = 1000
SEED_WAIT_S = 10.0


class ControlService:
    """The handlers of accounts.v1.ControlService, by method name in `methods`."""

    def __init__(self, core: Core, *, dedupe_horizon_s: int = 0, git_revision: str = "") -> None:
        self._core = core
        self._dedupe_horizon_s, self._git_revision = dedupe_horizon_s, git_revision

    def methods(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        unary = grpc.unary_unary_rpc_method_handler
        return {
            "GetCapabilities": unary(self.get_capabilities),
            "LoadReferenceData": unary(self.load_reference_data),
            "Seed": grpc.stream_unary_rpc_method_handler(self.seed),
            "GetStateDigest": unary(self.get_state_digest),
            "GetTotals": unary(self.get_totals),
            "ListAccounts": grpc.unary_stream_rpc_method_handler(self.list_accounts),
            "GetStats": unary(self.get_stats),
        }

    async def get_capabilities(self, _raw: bytes, _context: Context) -> bytes:
        return contract.Capabilities(
            contract_version="accounts.v1",
            features=FEATURES,
            shard_count=1,
            dedupe_horizon_s=self._dedupe_horizon_s,
            batch_max_count=BATCH_MAX_COUNT,
            in_flight_max_count=IN_FLIGHT_MAX_COUNT,
            page_max_count=PAGE_MAX_COUNT,
            reorder_max_count=REORDER_MAX_COUNT,
            build=f"acctbench reference {_build_version()}",
            git_revision=self._git_revision,
            pid=os.getpid(),
            stream_window_max_count=STREAM_WINDOW_MAX_COUNT,
            stream_buffer_max_count=STREAM_BUFFER_MAX_COUNT,
        ).SerializeToString()

    async def load_reference_data(self, raw: bytes, context: Context) -> bytes:
        t_ingress_ns = time.monotonic_ns()
        request = await parsed(raw, contract.ReferenceData, context)
        revision = self._core.state.revision
        try:
            inputs.load_reference_data(self._core.state, request)
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if self._core.state.revision != revision:
            self._core.commitment.journal(InputKind.REFERENCE_DATA, raw)
        return await self._acknowledged(t_ingress_ns)

    async def seed(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        """Credit starting balances; the first faulty record ends the call and is named."""
        t_ingress_ns = time.monotonic_ns()
        chunk: list[tuple[int, int, int]] = []
        async for raw in requests:
            row = await parsed(raw, contract.SeedRecord, context)
            chunk.append((row.account_id, row.asset_id, row.amount_minor))
            if len(chunk) == SEED_CHUNK_COUNT:
                await self._seed_chunk(chunk, context)
                chunk = []
        await self._seed_chunk(chunk, context)
        return await self._acknowledged(t_ingress_ns)

    async def get_state_digest(self, _raw: bytes, _context: Context) -> bytes:
        journal_seq, digest = self._core.state.journal_seq, state_digest(self._core.state)
        await self._core.commitment.durable()
        return contract.Digest(blake2b_256=digest, journal_seq=journal_seq).SerializeToString()

    async def get_totals(self, _raw: bytes, _context: Context) -> bytes:
        """Sums per asset and bucket over the users, and each system account's own."""
        t_ingress_ns = time.monotonic_ns()
        reply = contract.TotalsReply(assets=_totals(self._core.state))
        reply.ack.ParseFromString(await self._acknowledged(t_ingress_ns))
        return reply.SerializeToString()

    async def list_accounts(self, raw: bytes, context: Context) -> AsyncIterator[bytes]:
        """Every account from the one asked for on, with its open orders."""
        request = await parsed(raw, contract.ListRequest, context)
        dump = _account_states(self._core.state, request.from_account_id)
        await self._core.commitment.durable()
        for message in dump:
            yield message

    async def get_stats(self, _raw: bytes, _context: Context) -> bytes:
        state, streams = self._core.state, self._core.streams
        return contract.Stats(
            journal_seq=state.journal_seq,
            durable_seq=self._core.commitment.durable_seq,
            ledger_emitted_seq=streams["ledger"].emitted_seq if streams else 0,
            balances_emitted_seq=streams["balances"].emitted_seq if streams else 0,
            counters=dict(self._core.counters),
            consumers=[
                contract.ConsumerPosition(
                    topic=self._core.topics.executions, partition=partition, next_offset=offset
                )
                for partition, offset in sorted(state.next_offsets.items())
            ],
            sources=[
                contract.SourcePosition(
                    src=src,
                    instrument_id=instrument_id,
                    last_seq=source.last_seq,
                    waiting_count=len(source.waiting),
                )
                for (src, instrument_id), source in sorted(state.sources.items())
            ],
            account_count=sum(1 for number in state.accounts if number >= USER_ACCOUNT_ID_MIN),
            open_order_count=len(state.orders),
            dedupe_count=state.outcome_count,
            dead_letter_count=state.dead_letter_count,
            duplicate_count=state.duplicate_count,
        ).SerializeToString()

    async def _seed_chunk(self, chunk: list[tuple[int, int, int]], context: Context) -> None:
        """Apply one chunk when there is room for its events, and wait for the disk."""
        if not chunk:
            return
        try:
            async with asyncio.timeout(SEED_WAIT_S):
                await self._core.room()
        except TimeoutError:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._core.refusal())
        payload = inputs.seed_payload(chunk)
        revision = self._core.state.revision
        fault = inputs.apply_seeds(self._core.state, payload)
        if self._core.state.revision != revision:
            self._core.commitment.journal(InputKind.SEED, payload)
        await self._core.commitment.durable()
        if fault:
            detail = f"seed {self._core.state.seed_count + 1}: {fault}; those before it are applied"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, detail)

    async def _acknowledged(self, t_ingress_ns: int) -> bytes:
        journal_seq = self._core.state.journal_seq
        t_commit_ns = await self._core.commitment.durable()
        outcome = (OK, journal_seq, 0, 0, 0, 0, False)
        return ack(outcome, t_ingress_ns, t_commit_ns).SerializeToString()


def _totals(state: State) -> list[contract.AssetTotals]:
    users = {asset_id: [0, 0, 0, 0] for asset_id in state.assets}
    system: dict[int, dict[int, str]] = {asset_id: {} for asset_id in state.assets}
    for account_id, account in state.accounts.items():
        for asset_id, balance in account.balances.items():
            if account_id < USER_ACCOUNT_ID_MIN:
                system[asset_id][account_id] = str(sum(balance))
            else:
                users[asset_id] = [
                    total + amount for total, amount in zip(users[asset_id], balance, strict=True)
                ]
    return [
        contract.AssetTotals(
            asset_id=asset_id,
            users_available_minor=str(totals[0]),
            users_locked_orders_minor=str(totals[1]),
            users_locked_isolated_minor=str(totals[2]),
            users_locked_withdrawal_minor=str(totals[3]),
            system_minor=system[asset_id],
        )
        for asset_id, totals in sorted(users.items())
    ]


def _account_states(state: State, from_account_id: int) -> list[bytes]:
    open_orders: dict[int, list[Order]] = {}
    for order in state.orders.values():
        open_orders.setdefault(order.account_id, []).append(order)
    pending: dict[int, list[PendingKey]] = {}
    for key in state.pending:
        pending.setdefault(key[0], []).append(key)
    return [
        _account_state(state, account, open_orders.get(account_id, []), pending.get(account_id, []))
        for account_id, account in sorted(state.accounts.items())
        if account_id >= from_account_id
    ]


def _account_state(
    state: State, account: Account, orders: list[Order], pending: list[PendingKey]
) -> bytes:
    message = contract.AccountState(
        account_id=account.account_id,
        account_seq=account.seq,
        balances=balance_messages(account),
        positions=position_messages(account),
    )
    for order in sorted(orders, key=lambda order: order.order_id):
        message.open_orders.add(
            order_id=order.order_id,
            instrument_id=order.instrument.instrument_id,
            side=order.side,
            price_ticks=order.limit_ticks,
            leaves_lots=order.leaves_lots,
            asset_id=order.asset_id,
            locked_minor=order.locked_minor,
        )
    for key in sorted(pending):
        asset_id, amount_minor = state.pending[key]
        message.pending.add(
            pending_id=key[1].to_bytes(16, "big"), asset_id=asset_id, amount_minor=amount_minor
        )
    return message.SerializeToString()


def _build_version() -> str:
    try:
        return version("acctbench")
    except PackageNotFoundError:
        return "not installed"
