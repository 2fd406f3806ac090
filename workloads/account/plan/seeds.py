"""What exists before the first operation: reference data, and what each account holds."""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from google.protobuf.json_format import MessageToJson

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.accounts import make_accounts
from workloads.account.terms.market import (
    BASE_ASSET_OFFSET,
    BASE_PER_LOT_MINOR,
    BASE_SCALE,
    FIRST_ACCOUNT_ID,
    QUOTE_ASSET_ID,
    QUOTE_PER_TICK_LOT_MINOR,
    QUOTE_SCALE,
    market,
)
from workloads.account.terms.workload import Workload

_SEED = struct.Struct(">QIqQ")


class Seed(NamedTuple):
    """One starting balance."""

    account_id: int
    asset_id: int
    amount_minor: int


def seeds(workload: Workload, *, seed: int) -> Iterator[Seed]:
    """What each account holds at the start: quote, and the bases it trades; by account."""
    accounts = make_accounts(workload, market(workload.instruments), seed=seed)
    for index in range(len(accounts)):
        account_id = FIRST_ACCOUNT_ID + index
        held = accounts.held[accounts.held_start[index] : accounts.held_start[index + 1]]
        yield Seed(account_id, QUOTE_ASSET_ID, workload.seed_minor)
        for instrument_id in np.unique(held).tolist():
            yield Seed(account_id, instrument_id + BASE_ASSET_OFFSET, workload.seed_minor)


def seed_request(item: Seed, *, account_seq: int) -> contract.TransferRequest:
    """
    A seed as a plain deposit.

    Its request id is made from its content and the account's number before it: repeated, it is one.
    """
    identity = blake2b(b"seed" + _SEED.pack(*item, account_seq), digest_size=16).digest()
    return contract.TransferRequest(
        meta=contract.Meta(request_id=identity),
        account_id=item.account_id,
        asset_id=item.asset_id,
        amount_minor=item.amount_minor,
        reason="seed",
        create_account=True,
    )


def reference_data(workload: Workload) -> contract.ReferenceData:
    """The assets and instruments of the workload."""
    listed = market(workload.instruments)
    assets = [contract.Asset(asset_id=QUOTE_ASSET_ID, symbol="USD", scale=QUOTE_SCALE)]
    instruments = []
    for instrument_id in range(1, listed.instrument_count + 1):
        base_id = instrument_id + BASE_ASSET_OFFSET
        assets.append(
            contract.Asset(asset_id=base_id, symbol=f"A{instrument_id:03d}", scale=BASE_SCALE)
        )
        instruments.append(
            contract.Instrument(
                instrument_id=instrument_id,
                symbol=f"A{instrument_id:03d}-USD",
                base_asset_id=base_id,
                quote_asset_id=QUOTE_ASSET_ID,
                base_per_lot_minor=BASE_PER_LOT_MINOR,
                quote_per_tick_lot_minor=QUOTE_PER_TICK_LOT_MINOR,
                fee_kind=contract.FEE_PPM,
            )
        )
    identity = blake2b(b"market %d" % listed.instrument_count, digest_size=16).digest()
    return contract.ReferenceData(
        meta=contract.Meta(request_id=identity), assets=assets, instruments=instruments
    )


def reference_json(workload: Workload) -> bytes:
    """The same as a file, in the JSON form of protobuf (64-bit numbers are text there)."""
    text = MessageToJson(reference_data(workload), preserving_proto_field_name=True)
    return text.encode() + b"\n"
