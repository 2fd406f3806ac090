"""
The target before and after a run: seeded, waited for, dumped. Blocking gRPC, off the hot path.

A target without ControlService is driven too: what it can't tell is left None, with the reason.
Before a run trouble is a TargetError; after it the audit must still speak, so trouble is absence.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import grpc
from google.protobuf.json_format import MessageToDict

from harness.drivers.credentials import channel_credentials, channel_options
from harness.errors import TargetError
from harness.system import Endpoint
from workloads.account.audit.evidence import (
    AccountsDump,
    BalanceDump,
    OrderDump,
    TargetState,
    TotalsDump,
)
from workloads.account.audit.updates import UpdatesFold
from workloads.account.balances_topic import end_offsets, read_updates
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.contract.accounts_pb2_grpc import AccountServiceStub, ControlServiceStub
from workloads.account.plan.kinds import BALANCES_TOPIC
from workloads.account.plan.parameters import Workload
from workloads.account.plan.seeds import Seed, reference_data, seed_request, seeds

CONTRACT_VERSION = "accounts.v1"

_CALL_TIMEOUT_S = 30.0
_READY_TIMEOUT_S = 10.0
_SETTLE_TIMEOUT_S = 60.0
_POLL_S = 0.02
_STALLED_S = 3.0  # at rest and not where it should be for so long: it won't get there
_SEED_IN_FLIGHT_COUNT = 256
_MESSAGE_BYTES_MAX = 64 << 20


def _channel(endpoint: Endpoint) -> grpc.Channel:
    options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX)]
    if endpoint.tls is None:
        return grpc.insecure_channel(endpoint.grpc_address, options)
    options += channel_options(endpoint.tls)
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
        """
        Wait until the target takes connections.

        Raises:
            TargetError: it does not.
        """
        try:
            grpc.channel_ready_future(self._channel).result(timeout=_READY_TIMEOUT_S)
        except grpc.FutureTimeoutError as error:
            raise TargetError(
                f"target {self._endpoint.grpc_address}: no connection within "
                f"{_READY_TIMEOUT_S:.0f} s; is it running, and is this its gRPC port?"
            ) from error

    def capabilities(self) -> contract.Capabilities | None:
        """What the target can do; None if it has no ControlService."""
        try:
            reply: contract.Capabilities = self._call(
                self._control.GetCapabilities, contract.Empty()
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise
        return reply

    def load_reference_data(self, workload: Workload) -> None:
        """
        Make the workload's assets and instruments known.

        Raises:
            TargetError: they were refused.
        """
        ack = self._call(self._control.LoadReferenceData, reference_data(workload))
        _require_ok(ack, "LoadReferenceData")

    def seed(self, items: Iterator[Seed]) -> None:
        """
        Give accounts their starting balances in one stream.

        Raises:
            TargetError: they were refused.
        """
        records = (contract.SeedRecord(**item._asdict()) for item in items)
        ack = self._control.Seed(records, timeout=_SETTLE_TIMEOUT_S * 5, metadata=self._metadata)
        _require_ok(ack, "Seed")

    def deposit(self, items: Iterator[Seed]) -> None:
        """
        The same by plain deposits, some hundred on their way at a time.

        Raises:
            TargetError: one was refused.
        """
        waiting: deque[Any] = deque()

        def take() -> None:
            _require_ok(waiting.popleft().result().ack, "ApplyTransfer of a starting balance")

        for item in items:
            waiting.append(
                self._accounts.ApplyTransfer.future(
                    seed_request(item), timeout=_CALL_TIMEOUT_S, metadata=self._metadata
                )
            )
            if len(waiting) >= _SEED_IN_FLIGHT_COUNT:
                take()
        while waiting:
            take()

    def stats(self) -> contract.Stats:
        """Sequence numbers and positions."""
        reply: contract.Stats = self._call(self._control.GetStats, contract.Empty())
        return reply

    def digest(self) -> str:
        """Of the whole state, in hex."""
        reply: contract.Digest = self._call(self._control.GetStateDigest, contract.DigestRequest())
        return reply.blake2b_256.hex()

    def totals(self) -> dict[int, TotalsDump]:
        """Sums by asset."""
        reply = self._call(self._control.GetTotals, contract.TotalsRequest())
        return {item.asset_id: _totals(item) for item in reply.assets}

    def accounts(self) -> AccountsDump:
        """Every account."""
        states = self._control.ListAccounts(
            contract.ListRequest(), timeout=_SETTLE_TIMEOUT_S * 5, metadata=self._metadata
        )
        seqs: dict[int, int] = {}
        balances: dict[tuple[int, int], BalanceDump] = {}
        orders: dict[int, OrderDump] = {}
        for state in states:
            seqs[state.account_id] = state.account_seq
            for balance in state.balances:
                balances[state.account_id, balance.asset_id] = BalanceDump(
                    balance.available_minor,
                    balance.locked_orders_minor,
                    balance.locked_isolated_minor,
                    balance.locked_withdrawal_minor,
                    balance.total_minor,
                )
            for order in state.open_orders:
                orders[order.order_id] = OrderDump(
                    order.order_id,
                    state.account_id,
                    order.asset_id,
                    order.leaves_lots,
                    order.locked_minor,
                )
        return AccountsDump(account_seq=seqs, balances=balances, open_orders=orders)

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        return method(request, timeout=_CALL_TIMEOUT_S, metadata=self._metadata)


def open_target(
    endpoint: Endpoint, workload: Workload, *, requires: tuple[str, ...], seed: int, seed_by: str
) -> TargetState:
    """
    Seed the target, wait until it is at rest, and dump it.

    Raises:
        TargetError: it can't be reached, refuses, or can't do what is required.
    """
    try:
        with Control(endpoint) as control:
            control.await_ready()
            capabilities = control.capabilities()
            _check_capabilities(capabilities, requires, seed_by)
            if capabilities is not None:
                control.load_reference_data(workload)
            _seed(control, seeds(workload, seed=seed), seed_by)
            if capabilities is None:
                reason = "the target has no ControlService"
                return TargetState(absent=(reason,), updates_from=_updates_from(endpoint))
            await_rest(control, produced_count=0, opening=None, timeout_s=_SETTLE_TIMEOUT_S)
            described = MessageToDict(capabilities, preserving_proto_field_name=True)
            return replace(
                dump(control, capabilities),
                capabilities=described,
                updates_from=_updates_from(endpoint),
            )
    except grpc.RpcError as error:
        raise TargetError(
            f"target {endpoint.grpc_address}: {error.code().name}: {error.details()}"
        ) from error


def close_target(
    endpoint: Endpoint, *, opening: TargetState, produced_count: int, timeout_s: float
) -> TargetState:
    """Wait until the target is at rest, at most *timeout_s*, and dump it."""
    state = TargetState(absent=opening.absent)
    if opening.capabilities is not None:
        try:
            with Control(endpoint) as control:
                at_rest = await_rest(
                    control, produced_count=produced_count, opening=opening, timeout_s=timeout_s
                )
                capabilities = control.capabilities()
                assert capabilities is not None, "it had a ControlService before the run"
                state = dump(control, capabilities)
                state = replace(state, absent=(*state.absent, *at_rest))
        except grpc.RpcError as error:
            reason = f"the target did not answer after the run ({error.code().name})"
            state = replace(state, absent=(*state.absent, reason))
    opening_seq = opening.accounts.account_seq if opening.accounts is not None else None
    fold = UpdatesFold(opening_seq)
    problem = read_updates(
        endpoint.kafka_address,
        endpoint.topic_prefix + BALANCES_TOPIC,
        start=opening.updates_from,
        fold=fold.fold,
    )
    if problem:
        state = replace(state, absent=(*state.absent, problem))
    else:
        state = replace(state, updates=fold.result())
    return replace(state, opening_journal_seq=opening.journal_seq)


def dump(control: Control, capabilities: contract.Capabilities) -> TargetState:
    """All that the target can tell of its state."""
    features, stats, absent = set(capabilities.features), control.stats(), []
    totals, digest = None, ""
    if "totals" in features:
        totals = control.totals()
    else:
        absent.append("the target has no totals")
    if "digest" in features:
        digest = control.digest()
    try:
        accounts = control.accounts()
    except grpc.RpcError as error:
        accounts = None
        absent.append(f"the target lists no accounts ({error.code().name})")
    return TargetState(
        capabilities=MessageToDict(capabilities, preserving_proto_field_name=True),
        journal_seq=stats.journal_seq,
        emitted_seq=stats.ledger_emitted_seq,
        sources={(item.src, item.instrument_id): item.last_seq for item in stats.sources},
        dead_letter_count=stats.dead_letter_count,
        accounts=accounts,
        totals=totals,
        digest=digest,
        absent=tuple(absent),
    )


def await_rest(
    control: Control, *, produced_count: int, opening: TargetState | None, timeout_s: float
) -> tuple[str, ...]:
    """
    Wait until all that was produced is consumed, and all that happened is emitted.

    Returns:
        What is still missing, as a sentence; nothing when it is at rest.
    """
    before = sum(opening.sources.values()) if opening is not None and opening.sources else 0
    deadline_s = time.monotonic() + timeout_s
    last: bytes = b""
    stalled_s = time.monotonic() + _STALLED_S
    while True:
        stats = control.stats()
        consumed_count = sum(source.last_seq for source in stats.sources) - before
        emitted = min(stats.ledger_emitted_seq, stats.balances_emitted_seq)
        if consumed_count >= produced_count and emitted >= stats.journal_seq:
            return ()
        now_s, this = time.monotonic(), stats.SerializeToString(deterministic=True)
        if this != last:
            last, stalled_s = this, now_s + _STALLED_S
        if now_s > min(deadline_s, stalled_s):
            missing = (
                f"the target did not come to rest: {consumed_count} of {produced_count} "
                f"executions consumed, {emitted} of {stats.journal_seq} transactions emitted"
            )
            return (missing,)
        time.sleep(_POLL_S)


def _seed(control: Control, items: Iterator[Seed], seed_by: str) -> None:
    if seed_by != "control":
        control.deposit(items)
        return
    # A target that ran before keeps what it has: only what is short is added.
    held = control.accounts().balances
    short = (
        item._replace(amount_minor=item.amount_minor - _available(held, item)) for item in items
    )
    control.seed(item for item in short if item.amount_minor > 0)


def _available(held: Any, item: Seed) -> int:
    balance = held.get((item.account_id, item.asset_id))
    return balance.available_minor if balance is not None else 0


def _check_capabilities(
    capabilities: contract.Capabilities | None, requires: tuple[str, ...], seed_by: str
) -> None:
    if capabilities is None:
        if requires or seed_by == "control":
            raise TargetError(
                "target: has no ControlService, so it can't say that it can "
                f"{', '.join(requires) or 'be seeded'}; in the target file seed by transfers, "
                "and use a scenario that requires nothing"
            )
        return
    if capabilities.contract_version != CONTRACT_VERSION:
        raise TargetError(
            f'target: speaks contract "{capabilities.contract_version}", '
            f'not "{CONTRACT_VERSION}"; use a build that does'
        )
    needed = {*requires, "seed"} if seed_by == "control" else set(requires)
    missing = sorted(needed - set(capabilities.features))
    if missing:
        raise TargetError(
            f"target: can't do {', '.join(missing)} "
            f"(it declares {', '.join(capabilities.features) or 'nothing'}); use another scenario"
        )


def _updates_from(endpoint: Endpoint) -> dict[int, int] | None:
    return end_offsets(endpoint.kafka_address, endpoint.topic_prefix + BALANCES_TOPIC)


def _totals(item: contract.AssetTotals) -> TotalsDump:
    locked_orders_minor = int(item.users_locked_orders_minor or 0)
    return TotalsDump(
        users_minor=int(item.users_available_minor or 0)
        + locked_orders_minor
        + int(item.users_locked_isolated_minor or 0)
        + int(item.users_locked_withdrawal_minor or 0),
        users_locked_orders_minor=locked_orders_minor,
        system_minor={key: int(value) for key, value in item.system_minor.items()},
    )


def _require_ok(ack: contract.Ack, what: str) -> None:
    if ack.code != contract.OK:
        raise TargetError(
            f"target: refused {what}: {contract.Code.Name(ack.code)} {ack.detail}".rstrip()
        )
