"""
A target's services as the harness calls them off the hot path: seeding and reading. Blocking gRPC.

What a target may lack is None where it answers UNIMPLEMENTED; any other trouble is an RpcError.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

import grpc

from harness.drivers.credentials import channel_credentials, channel_options
from harness.errors import TargetError
from harness.system import Endpoint
from workloads.account.audit.target_state import AccountsDump, BalanceDump, OrderDump, TotalsDump
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub, ControlServiceStub
from workloads.account.plan.seeds import Seed, reference_data, seed_request
from workloads.account.terms.workload import Workload
from workloads.account.wire.read_replies import buckets_of

_CALL_TIMEOUT_S = 30.0
_READY_TIMEOUT_S = 10.0
_STREAM_TIMEOUT_S = 300.0
_IN_FLIGHT_COUNT = 256
_MESSAGE_BYTES_MAX = 64 << 20


class Deposit(NamedTuple):
    """A starting balance to be paid in; *account_seq* is of the account before it."""

    item: Seed
    account_seq: int


class Reading(NamedTuple):
    """Accounts that were asked for one by one; None: the state changed meanwhile."""

    accounts: AccountsDump | None
    journal_seq: int


def _channel(endpoint: Endpoint) -> grpc.Channel:
    options = [
        *channel_options(endpoint.tls),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ]
    if endpoint.tls is None:
        return grpc.insecure_channel(endpoint.grpc_address, options)
    return grpc.secure_channel(endpoint.grpc_address, channel_credentials(endpoint.tls), options)


class Control:
    """A connection to a target's control and account services."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._metadata = tuple(endpoint.metadata)
        self._channel = _channel(endpoint)
        # The generated stubs are untyped: what their methods return is checked by the tests.
        self._control: Any = ControlServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._accounts: Any = AccountServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def await_ready(self) -> None:
        """Wait until the target takes connections; TargetError if it does not."""
        try:
            grpc.channel_ready_future(self._channel).result(timeout=_READY_TIMEOUT_S)
        except grpc.FutureTimeoutError as error:
            raise TargetError(
                f"target {self._endpoint.grpc_address}: no connection within "
                f"{_READY_TIMEOUT_S:g} s; is it running, and is this its gRPC port?"
            ) from error

    def capabilities(self) -> contract.Capabilities | None:
        """What the target can do; None if it has no ControlService."""
        reply: contract.Capabilities | None = self._optional(
            self._control.GetCapabilities, contract.Empty()
        )
        return reply

    def load_reference_data(self, workload: Workload) -> None:
        """Load the workload's assets and instruments; TargetError if they are rejected."""
        ack = self._call(self._control.LoadReferenceData, reference_data(workload))
        require_ok(ack, "LoadReferenceData")

    def seed(self, items: Iterator[Seed]) -> None:
        """Credit opening balances in one stream; TargetError if one is rejected."""
        records = (contract.SeedRecord(**item._asdict()) for item in items)
        ack = self._control.Seed(records, timeout=_STREAM_TIMEOUT_S, metadata=self._metadata)
        require_ok(ack, "Seed")

    def deposit(self, deposits: Iterable[Deposit]) -> int | None:
        """
        The same by plain deposits, some hundred on their way at a time.

        Returns:
            The newest journal_seq that they made; None if there was none, or one was made before.

        Raises:
            TargetError: one was rejected.
        """
        newest_seq, is_certain = 0, True
        requests = (seed_request(item, account_seq=seq) for item, seq in deposits)
        for reply in self._pipelined(self._accounts.ApplyTransfer, requests):
            require_ok(reply.ack, "ApplyTransfer of a starting balance")
            newest_seq = max(newest_seq, reply.ack.journal_seq)
            is_certain = is_certain and not reply.ack.replayed
        return newest_seq if newest_seq and is_certain else None

    def stats(self) -> contract.Stats | None:
        reply: contract.Stats | None = self._optional(self._control.GetStats, contract.Empty())
        return reply

    def digest(self) -> str:
        """Of the whole state, in hex; empty if there is none."""
        reply = self._optional(self._control.GetStateDigest, contract.DigestRequest())
        return "" if reply is None else reply.blake2b_256.hex()

    def totals(self) -> dict[int, TotalsDump] | None:
        reply = self._optional(self._control.GetTotals, contract.TotalsRequest())
        return None if reply is None else {item.asset_id: _totals(item) for item in reply.assets}

    def accounts(self) -> AccountsDump | None:
        """Every account, with its open orders and pending transfers."""
        states = self._control.ListAccounts(
            contract.ListRequest(), timeout=_STREAM_TIMEOUT_S, metadata=self._metadata
        )
        seqs: dict[int, int] = {}
        balances: dict[tuple[int, int], BalanceDump] = {}
        orders: dict[int, OrderDump] = {}
        pending: set[bytes] = set()
        try:
            for state in states:
                seqs[state.account_id] = state.account_seq
                balances |= _balances(state.account_id, state.balances)
                pending.update(transfer.pending_id for transfer in state.pending)
                for order in state.open_orders:
                    orders[order.order_id] = OrderDump(
                        order.order_id,
                        state.account_id,
                        order.asset_id,
                        order.leaves_lots,
                        order.locked_minor,
                    )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise
        return AccountsDump(
            account_seq=seqs, balances=balances, open_orders=orders, pending=frozenset(pending)
        )

    def newest_seq(self, account_id: int) -> int | None:
        """The newest journal_seq, from a read of any account, be it there or not."""
        reply = self._optional(
            self._accounts.GetBalances, contract.BalancesRequest(account_id=account_id)
        )
        return None if reply is None else int(reply.ack.journal_seq)

    def read_accounts(self, account_ids: Iterable[int]) -> Reading | None:
        """What GetBalances says of each account, of those that are there; no open orders."""
        asked = list(account_ids)
        first_seq = self.newest_seq(asked[0])
        if first_seq is None:
            return None
        seqs: dict[int, int] = {}
        balances: dict[tuple[int, int], BalanceDump] = {}
        requests = (contract.BalancesRequest(account_id=account_id) for account_id in asked)
        replies = self._pipelined(self._accounts.GetBalances, requests)
        newest_seq = first_seq
        for account_id, reply in zip(asked, replies, strict=True):
            newest_seq = max(newest_seq, reply.ack.journal_seq)
            if reply.ack.code == contract.OK:
                seqs[account_id] = reply.ack.account_seq
                balances |= _balances(account_id, reply.balances)
        if newest_seq != first_seq:
            return Reading(None, newest_seq)
        found = AccountsDump(
            account_seq=seqs, balances=balances, open_orders=None, asked=frozenset(asked)
        )
        return Reading(found, first_seq)

    def _pipelined(self, method: Any, requests: Iterable[Any]) -> Iterator[Any]:
        """Replies in order, some hundred requests on their way at a time."""
        waiting: deque[Any] = deque()
        for request in requests:
            waiting.append(method.future(request, timeout=_CALL_TIMEOUT_S, metadata=self._metadata))
            if len(waiting) >= _IN_FLIGHT_COUNT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _optional(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return self._call(method, request)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        return method(request, timeout=_CALL_TIMEOUT_S, metadata=self._metadata)


def require_ok(ack: contract.Ack, what: str) -> None:
    """Raise TargetError unless the request was applied."""
    if ack.code != contract.OK:
        raise TargetError(
            f"target: rejected {what}: {contract.Code.Name(ack.code)} {ack.detail}".rstrip()
        )


def _balances(account_id: int, balances: Iterable[Any]) -> dict[tuple[int, int], BalanceDump]:
    return {
        (account_id, balance.asset_id): BalanceDump(*buckets_of(balance), balance.total_minor)
        for balance in balances
    }


def _totals(item: contract.AssetTotals) -> TotalsDump:
    users_minor = (
        item.users_available_minor,
        item.users_locked_orders_minor,
        item.users_locked_isolated_minor,
        item.users_locked_withdrawal_minor,
    )
    return TotalsDump(
        users_minor=sum(int(amount or 0) for amount in users_minor),
        system_minor={key: int(value) for key, value in item.system_minor.items()},
    )
