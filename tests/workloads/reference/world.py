"""A small exchange for these tests: one market, a few users, and inputs in short."""

import itertools
from collections.abc import Iterable

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.inputs import (
    InputKind,
    execution_payload,
    replay_input,
    seed_payload,
)
from workloads.account.reference.state import State, Transaction

BASE, QUOTE = 1, 2
INSTRUMENT = 1
ALICE, BOB, CAROL = 1001, 1002, 1003
BUY, SELL = contract.BUY, contract.SELL
_numbers = itertools.count(1 << 40)


def meta(number: int | None = None, epoch: int = 0) -> contract.Meta:
    """The Meta of a request; a fresh id where no number is given."""
    number = next(_numbers) if number is None else number
    return contract.Meta(request_id=number.to_bytes(16, "big"), client_epoch=epoch)


def market(
    *,
    base_per_lot_minor: int = 1,
    quote_per_tick_lot_minor: int = 1,
    fees_per_lot_minor: tuple[int, int] | None = None,
) -> contract.ReferenceData:
    """Two assets and one instrument; fees (taker, maker) per lot, or in ppm."""
    taker, maker = fees_per_lot_minor or (0, 0)
    return contract.ReferenceData(
        assets=[
            contract.Asset(asset_id=BASE, symbol="BASE", scale=8),
            contract.Asset(asset_id=QUOTE, symbol="QUOTE", scale=8),
        ],
        instruments=[
            contract.Instrument(
                instrument_id=INSTRUMENT,
                symbol="BASE/QUOTE",
                base_asset_id=BASE,
                quote_asset_id=QUOTE,
                base_per_lot_minor=base_per_lot_minor,
                quote_per_tick_lot_minor=quote_per_tick_lot_minor,
                fee_kind=contract.FEE_PER_LOT if fees_per_lot_minor else contract.FEE_PPM,
                taker_fee_per_lot_minor=taker,
                maker_fee_per_lot_minor=maker,
            )
        ],
    )


def reserve(
    account_id: int,
    order_id: int,
    side: "contract.Side.ValueType",
    price_ticks: int,
    qty_lots: int,
    *,
    fee_ppm: int = 0,
    number: int | None = None,
    epoch: int = 0,
) -> contract.ReserveRequest:
    """A limit order's reservation."""
    return contract.ReserveRequest(
        meta=meta(number, epoch),
        account_id=account_id,
        instrument_id=INSTRUMENT,
        order_id=order_id,
        side=side,
        price_ticks=price_ticks,
        qty_lots=qty_lots,
        fee_ppm=fee_ppm,
    )


def release(
    account_id: int, order_id: int, *, number: int | None = None
) -> contract.ReleaseRequest:
    """The release of an order."""
    return contract.ReleaseRequest(meta=meta(number), account_id=account_id, order_id=order_id)


def pend(
    account_id: int, asset_id: int, amount_minor: int, *, number: int | None = None
) -> contract.TransferRequest:
    """The first phase of a deposit, or (negative) of a withdrawal."""
    return contract.TransferRequest(
        meta=meta(number),
        account_id=account_id,
        asset_id=asset_id,
        amount_minor=amount_minor,
        phase=contract.TransferRequest.PENDING,
    )


def settle_pending(
    account_id: int,
    phase: "contract.TransferRequest.Phase.ValueType",
    number: int,
    *,
    id_number: int | None = None,
    **fields: int,
) -> contract.TransferRequest:
    """The POST or VOID of the PENDING that was asked for as *number*."""
    return contract.TransferRequest(
        meta=meta(id_number),
        account_id=account_id,
        phase=phase,
        pending_id=number.to_bytes(16, "big"),
        **fields,
    )


def match(  # noqa: PLR0917  # a match is these numbers
    seq: int,
    price_ticks: int,
    qty_lots: int,
    taker: contract.Leg,
    maker: contract.Leg,
    instrument_id: int = INSTRUMENT,
) -> bytes:
    """An ExecutionEvent with a match."""
    return contract.ExecutionEvent(
        instrument_id=instrument_id,
        seq=seq,
        match=contract.MatchEvent(
            match_id=seq, price_ticks=price_ticks, qty_lots=qty_lots, taker=taker, maker=maker
        ),
    ).SerializeToString()


def leg(
    account_id: int, order_id: int, side: "contract.Side.ValueType", fee_ppm: int = 0
) -> contract.Leg:
    """One side of a match."""
    return contract.Leg(account_id=account_id, order_id=order_id, side=side, fee_ppm=fee_ppm)


def order_event(
    seq: int,
    account_id: int,
    order_id: int,
    kind: "contract.OrderEvent.Kind.ValueType",
    **fields: int,
) -> bytes:
    """An ExecutionEvent with an order event."""
    event = contract.OrderEvent(order_id=order_id, account_id=account_id, kind=kind, **fields)
    return contract.ExecutionEvent(
        instrument_id=INSTRUMENT, seq=seq, order=event
    ).SerializeToString()


class World:
    """A state and the inputs that made it, as a journal would hold them."""

    def __init__(self, data: contract.ReferenceData | None = None) -> None:
        self.state = State()
        self.inputs: list[tuple[int, bytes]] = []
        self.transactions: list[Transaction] = []
        self._offset = 0
        self.put(InputKind.REFERENCE_DATA, (data or market()).SerializeToString())

    def put(self, kind: int, payload: bytes) -> None:
        """Apply one input."""
        self.inputs.append((kind, payload))
        replay_input(self.state, kind, payload)
        self.transactions += self.state.transactions
        self.state.transactions.clear()

    def seed(self, *rows: tuple[int, int, int]) -> None:
        """Starting balances (account_id, asset_id, amount_minor)."""
        self.put(InputKind.SEED, seed_payload(rows))

    def ask(
        self,
        request: contract.ReserveRequest
        | contract.ReleaseRequest
        | contract.AmendRequest
        | contract.TransferRequest,
    ) -> int:
        """Apply a request: its code."""
        kinds = {
            contract.ReserveRequest: InputKind.RESERVE,
            contract.ReleaseRequest: InputKind.RELEASE,
            contract.AmendRequest: InputKind.AMEND,
            contract.TransferRequest: InputKind.TRANSFER,
        }
        self.put(kinds[type(request)], request.SerializeToString())
        return self.state.outcomes.newer[request.account_id][request.meta.request_id][1][0]

    def execute(self, *values: bytes, src: str = "s", partition: int = 0) -> None:
        """Records of me.executions.v1, one after the other."""
        for value in values:
            payload = execution_payload(partition, self._offset, src, value)
            self._offset += 1
            self.put(InputKind.EXECUTION, payload)

    def available(self, account_id: int, asset_id: int) -> int:
        """Available amount."""
        return self.state.accounts[account_id].balance(asset_id)[contract.AVAILABLE]

    def locked(self, account_id: int, asset_id: int) -> int:
        """Amount locked by orders."""
        return self.state.accounts[account_id].balance(asset_id)[contract.LOCKED_ORDERS]


def sum_by_asset(amounts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Sums of (asset_id, amount_minor)."""
    sums: dict[int, int] = {}
    for asset_id, amount_minor in amounts:
        sums[asset_id] = sums.get(asset_id, 0) + amount_minor
    return sums
