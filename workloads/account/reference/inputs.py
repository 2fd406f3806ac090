"""
Inputs as they come and as the journal keeps them: bytes to commands, commands to the state.

The same functions serve live requests and recovery, so a replay takes the very path that the
first application took. The one idea: the journal keeps the request's own bytes, so nothing can
be lost between what was asked and what is replayed.
"""

import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import machine
from workloads.account.reference.executions import consume
from workloads.account.reference.orders import BUY, SELL, Instrument
from workloads.account.reference.state import Asset, Command, Outcome, State

BATCH_MAX_COUNT = 1000
REQUEST_ID_BYTES = 16
ASSET_SCALE_MAX = 9

_SEED = struct.Struct("<QIq")
_EXECUTION = struct.Struct("<IQH")  # partition, offset, length of src

_NEW_TRANSFERS: dict[int, int] = {
    contract.TransferRequest.SINGLE: machine.TRANSFER,
    contract.TransferRequest.PENDING: machine.PEND,
}
_SETTLEMENTS: dict[int, int] = {
    contract.TransferRequest.POST: machine.POST,
    contract.TransferRequest.VOID: machine.VOID,
}

# (request_id, client_epoch, command): what `machine.apply` takes
Call = tuple[bytes, int, Command]


class InputKind(IntEnum):
    """What a journal entry holds; the numbers are stored and final."""

    CREATE_ACCOUNT = 1
    TRANSFER = 2
    INTERNAL_TRANSFER = 3
    RESERVE = 4
    AMEND = 5
    RELEASE = 6
    BATCH = 7
    REFERENCE_DATA = 8
    SEED = 9
    EXECUTION = 10
    OPERATION = 11
    FORGET = 12


class MalformedError(Exception):
    """A request that no account core could answer with a domain code."""


class UnsupportedError(Exception):
    """A request for a capability that this service does not declare."""


def create_account_call(request: contract.CreateAccountRequest) -> Call:
    meta = request.meta
    return _id_of(meta), meta.client_epoch, (machine.CREATE_ACCOUNT, request.account_id)


def transfer_call(request: contract.TransferRequest) -> Call:
    meta, phase, pending_id = request.meta, request.phase, request.pending_id
    account_id, asset_id, amount_minor = request.account_id, request.asset_id, request.amount_minor
    command: Command
    if phase in _NEW_TRANSFERS:
        if pending_id:
            raise MalformedError("pending_id: only POST and VOID have one")
        creates_account = int(request.create_account)
        command = (_NEW_TRANSFERS[phase], account_id, asset_id, amount_minor, creates_account)
    elif phase in _SETTLEMENTS:
        if len(pending_id) != REQUEST_ID_BYTES:
            raise MalformedError(f"pending_id: {len(pending_id)} bytes; 16 are needed")
        number = int.from_bytes(pending_id, "big")
        command = (_SETTLEMENTS[phase], account_id, number, asset_id, amount_minor)
    else:
        raise MalformedError(f"phase: {phase} is none")
    return _id_of(meta), meta.client_epoch, command


def internal_transfer_call(request: contract.InternalTransferRequest) -> Call:
    meta = request.meta
    command = (
        machine.INTERNAL_TRANSFER,
        request.account_id,
        request.to_account_id,
        request.asset_id,
        request.amount_minor,
    )
    return _id_of(meta), meta.client_epoch, command


def reserve_call(request: contract.ReserveRequest) -> Call:
    """The call that a ReserveRequest asks for; only cash, without a time to live."""
    side = request.side
    if side not in {BUY, SELL}:
        raise MalformedError(f"side: {side} is neither BUY (1) nor SELL (2)")
    if request.mode != contract.CASH:
        raise UnsupportedError("mode: only CASH is supported (see Capabilities)")
    if request.ttl_ms:
        raise UnsupportedError("ttl_ms: expiry is not supported (see Capabilities); use 0")
    meta = request.meta
    command = (
        machine.RESERVE,
        request.account_id,
        request.instrument_id,
        request.order_id,
        side,
        request.price_ticks,
        request.qty_lots,
        request.limit_protect_ticks,
        int(request.reduce_only),
        request.fee_ppm,
    )
    return _id_of(meta), meta.client_epoch, command


def amend_call(request: contract.AmendRequest) -> Call:
    meta = request.meta
    command = (
        machine.AMEND,
        request.account_id,
        request.order_id,
        request.price_ticks,
        request.leaves_lots,
    )
    return _id_of(meta), meta.client_epoch, command


def release_call(request: contract.ReleaseRequest) -> Call:
    meta = request.meta
    command = (machine.RELEASE, request.account_id, request.order_id, request.reason)
    return _id_of(meta), meta.client_epoch, command


def operation_call(operation: contract.ReserveOp) -> Call:
    match operation.WhichOneof("op"):
        case "reserve":
            return reserve_call(operation.reserve)
        case "amend":
            return amend_call(operation.amend)
        case "release":
            return release_call(operation.release)
    raise MalformedError("op is not set")


def batch_calls(request: contract.BatchReserveRequest) -> list[Call]:
    """The calls of a batch in its order; all of them are checked before any is applied."""
    if len(request.items) > BATCH_MAX_COUNT:
        raise MalformedError(f"items: {len(request.items)} are more than {BATCH_MAX_COUNT}")
    calls = []
    for index, item in enumerate(request.items):
        try:
            calls.append(operation_call(item))
        except (MalformedError, UnsupportedError) as error:
            raise type(error)(f"items[{index}].{error}") from error
    return calls


def load_reference_data(state: State, request: contract.ReferenceData) -> None:
    """
    Add assets and instruments; what is there already may be told again, but not changed.

    Raises:
        MalformedError: every fault of the data, listed; nothing was loaded.
    """
    assets = dict(state.assets)
    instruments = dict(state.instruments)
    faults = [fault for row in request.assets for fault in _asset_faults(assets, row)]
    faults += [
        fault
        for row in request.instruments
        for fault in _instrument_faults(assets, instruments, row)
    ]
    if faults:
        raise MalformedError("; ".join(faults))
    if len(assets) > len(state.assets) or len(instruments) > len(state.instruments):
        state.assets, state.instruments = assets, instruments
        state.revision += 1


def seed_payload(rows: Iterable[tuple[int, int, int]]) -> bytes:
    """Seeds (account_id, asset_id, amount_minor) as the journal keeps them."""
    return b"".join(_SEED.pack(*row) for row in rows)


def apply_seeds(state: State, payload: bytes) -> str:
    """Apply seeds in order up to the first faulty one; what is wrong with it, "" if all applied."""
    for account_id, asset_id, amount_minor in _SEED.iter_unpack(payload):
        fault = machine.seed(state, account_id, asset_id, amount_minor)
        if fault:
            return fault
    return ""


def execution_payload(partition: int, offset: int, src: str, value: bytes) -> bytes:
    """A record of me.executions.v1 as the journal keeps it."""
    name = src.encode()
    return _EXECUTION.pack(partition, offset, len(name)) + name + value


def replay_input(state: State, kind: int, payload: bytes) -> None:
    if kind == InputKind.EXECUTION:
        partition, offset, name_bytes = _EXECUTION.unpack_from(payload)
        value_at = _EXECUTION.size + name_bytes
        src = payload[_EXECUTION.size : value_at].decode()
        consume(state, partition, offset, src, payload[value_at:])
    elif kind == InputKind.BATCH:
        apply_calls(state, batch_calls(contract.BatchReserveRequest.FromString(payload)))
    elif kind == InputKind.SEED:
        apply_seeds(state, payload)
    elif kind == InputKind.REFERENCE_DATA:
        load_reference_data(state, contract.ReferenceData.FromString(payload))
    elif kind == InputKind.FORGET:
        state.forget()
    else:
        message, call_of = _CALLS[kind]
        machine.apply(state, *call_of(message.FromString(payload)))


def apply_calls(state: State, calls: Iterable[Call]) -> list[Outcome]:
    return [
        machine.apply(state, request_id, epoch, command) for request_id, epoch, command in calls
    ]


def _id_of(meta: contract.Meta) -> bytes:
    request_id = meta.request_id
    if len(request_id) != REQUEST_ID_BYTES:
        raise MalformedError(f"meta.request_id: {len(request_id)} bytes; 16 are needed")
    return request_id


def _asset_faults(assets: dict[int, Asset], row: contract.Asset) -> list[str]:
    asset = Asset(asset_id=row.asset_id, symbol=row.symbol, scale=row.scale)
    faults = []
    if row.scale > ASSET_SCALE_MAX:
        faults.append(f"asset {row.asset_id}: scale {row.scale} is not within 0..9")
    if assets.setdefault(row.asset_id, asset) != asset:
        faults.append(f"asset {row.asset_id}: differs from the one that is loaded")
    return faults


def _instrument_faults(
    assets: dict[int, Asset], instruments: dict[int, Instrument], row: contract.Instrument
) -> list[str]:
    name = f"instrument {row.instrument_id}"
    instrument = Instrument(
        instrument_id=row.instrument_id,
        symbol=row.symbol,
        base_asset_id=row.base_asset_id,
        quote_asset_id=row.quote_asset_id,
        base_per_lot_minor=row.base_per_lot_minor,
        quote_per_tick_lot_minor=row.quote_per_tick_lot_minor,
        charges_per_lot=row.fee_kind == contract.FEE_PER_LOT,
        taker_fee_per_lot_minor=row.taker_fee_per_lot_minor,
        maker_fee_per_lot_minor=row.maker_fee_per_lot_minor,
    )
    faults = [
        f"{name}: asset {asset_id} is unknown"
        for asset_id in (row.base_asset_id, row.quote_asset_id)
        if asset_id not in assets
    ]
    if row.base_asset_id == row.quote_asset_id:
        faults.append(f"{name}: base and quote are the same asset")
    if row.base_per_lot_minor <= 0 or row.quote_per_tick_lot_minor <= 0:
        faults.append(f"{name}: a lot and a tick are worth more than nothing")
    if instruments.setdefault(row.instrument_id, instrument) != instrument:
        faults.append(f"{name}: differs from the one that is loaded")
    return faults


_CALLS: dict[int, tuple[Any, Callable[[Any], Call]]] = {
    InputKind.CREATE_ACCOUNT: (contract.CreateAccountRequest, create_account_call),
    InputKind.TRANSFER: (contract.TransferRequest, transfer_call),
    InputKind.INTERNAL_TRANSFER: (contract.InternalTransferRequest, internal_transfer_call),
    InputKind.RESERVE: (contract.ReserveRequest, reserve_call),
    InputKind.AMEND: (contract.AmendRequest, amend_call),
    InputKind.RELEASE: (contract.ReleaseRequest, release_call),
    InputKind.OPERATION: (contract.ReserveOp, operation_call),
}
