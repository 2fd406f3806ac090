"""
The instruments that were traded, as columns: what their lots, ticks and fees are worth.

Taken from the reference data that the target was given, never from what planned the load: so the
audit knows of each instrument what a service can know.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.column_types import Column

FEE_PER_LOT: int = contract.FEE_PER_LOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """
    Every column is by instrument_id; ids that there are not have rows of zeros.

    Attributes:
        base_asset_id, quote_asset_id: What is traded, and what for.
        base_per_lot_minor, quote_per_tick_lot_minor: Of a lot, and of a lot at a price of one tick.
        taker_fee_ppm, maker_fee_ppm: What requests and matches say, where fees are in ppm; else 0.
        taker_fee_per_lot_minor, maker_fee_per_lot_minor: Where fees are per lot; else 0.
    """

    base_asset_id: Column
    quote_asset_id: Column
    base_per_lot_minor: Column
    quote_per_tick_lot_minor: Column
    taker_fee_ppm: Column
    maker_fee_ppm: Column
    taker_fee_per_lot_minor: Column
    maker_fee_per_lot_minor: Column

    @classmethod
    def of(
        cls, reference: contract.ReferenceData, *, taker_fee_ppm: int, maker_fee_ppm: int
    ) -> Self:
        """The instruments that the target was given, with the fees of the workload's orders."""
        listed = list(reference.instruments)
        count = max((row.instrument_id for row in listed), default=0) + 1
        ids = [row.instrument_id for row in listed]

        def column(name: str) -> Column:
            values = np.zeros(count, np.int64)
            values[ids] = [getattr(row, name) for row in listed]
            return values

        per_lot = column("fee_kind") == FEE_PER_LOT
        return cls(
            base_asset_id=column("base_asset_id"),
            quote_asset_id=column("quote_asset_id"),
            base_per_lot_minor=column("base_per_lot_minor"),
            quote_per_tick_lot_minor=column("quote_per_tick_lot_minor"),
            taker_fee_ppm=np.where(per_lot, 0, taker_fee_ppm),
            maker_fee_ppm=np.where(per_lot, 0, maker_fee_ppm),
            taker_fee_per_lot_minor=np.where(per_lot, column("taker_fee_per_lot_minor"), 0),
            maker_fee_per_lot_minor=np.where(per_lot, column("maker_fee_per_lot_minor"), 0),
        )
