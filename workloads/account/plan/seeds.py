"""What exists before the first operation: reference data, and what each account holds."""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from google.protobuf.json_format import MessageToJson

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.accounts import make_accounts
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.terms.workload import Workload

_SEED = struct.Struct(">QIqQ")


class Seed(NamedTuple):
    """One starting balance."""

    account_id: int
    asset_id: int
    amount_minor: int


def seeds(workload: Workload, *, seed: int) -> Iterator[Seed]:
    """What each account holds at the start: the quotes and the bases it trades; by account."""
    listed = workload.listed
    accounts = make_accounts(workload, listed, seed=seed)
    quotes, bases = listed.quote_asset_id.tolist(), listed.base_asset_id.tolist()
    for index in range(len(accounts)):
        held = accounts.held[accounts.held_start[index] : accounts.held_start[index + 1]]
        instruments = sorted({instrument_id - 1 for instrument_id in held.tolist()})
        assets = sorted(
            {quotes[item] for item in instruments} | {bases[item] for item in instruments}
        )
        for asset_id in assets:
            yield Seed(FIRST_ACCOUNT_ID + index, asset_id, workload.seed_minor)


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
    listed = workload.listed
    assets = [
        contract.Asset(asset_id=asset_id, symbol=quote.symbol, scale=quote.scale)
        for asset_id, quote in enumerate(listed.quotes, 1)
    ]
    instruments = []
    for index in range(listed.instrument_count):
        symbol, base_id = f"A{index + 1:03d}", int(listed.base_asset_id[index])
        quote_id = int(listed.quote_asset_id[index])
        assets.append(
            contract.Asset(asset_id=base_id, symbol=symbol, scale=int(listed.base_scale[index]))
        )
        instruments.append(
            contract.Instrument(
                instrument_id=index + 1,
                symbol=f"{symbol}-{listed.quotes[quote_id - 1].symbol}",
                base_asset_id=base_id,
                quote_asset_id=quote_id,
                base_per_lot_minor=int(listed.base_per_lot_minor[index]),
                quote_per_tick_lot_minor=int(listed.quote_per_tick_lot_minor[index]),
                fee_kind=contract.FEE_PER_LOT
                if listed.charges_per_lot[index]
                else contract.FEE_PPM,
                taker_fee_per_lot_minor=int(listed.taker_fee_per_lot_minor[index]),
                maker_fee_per_lot_minor=int(listed.maker_fee_per_lot_minor[index]),
            )
        )
    # The uniform market came first: what a target has been given of it keeps its identity.
    name = "market" if workload.market == "uniform" else f"{workload.market} market"
    identity = blake2b(f"{name} {listed.instrument_count}".encode(), digest_size=16).digest()
    return contract.ReferenceData(
        meta=contract.Meta(request_id=identity), assets=assets, instruments=instruments
    )


def reference_json(workload: Workload) -> bytes:
    """The same as a file, in the JSON form of protobuf (64-bit numbers are text there)."""
    text = MessageToJson(reference_data(workload), preserving_proto_field_name=True)
    return text.encode() + b"\n"
