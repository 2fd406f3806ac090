"""
The digest of the whole state: two services with the same digest hold the same money and memory.

The canonical form is the text of nested tuples of integers, text and bytes in sorted order; it
depends on no clock, no hash seed and no order of insertion.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from workloads.account.reference.state import State


def state_digest(state: State) -> bytes:
    """BLAKE2b-256 over the canonical form of *state*."""
    digest = hashlib.blake2b(digest_size=32)
    for fact in _facts(state):
        digest.update(repr(fact).encode())
    return digest.digest()


def _facts(state: State) -> Iterator[tuple[Any, ...]]:
    yield ("state", 3, state.journal_seq, state.epoch, state.seed_count, state.outcome_count)
    yield ("records", state.duplicate_count, state.dead_letter_count)
    yield ("offsets", *sorted(state.next_offsets.items()), *sorted(state.stopped_partitions))
    for asset in sorted(state.assets.values(), key=lambda asset: asset.asset_id):
        yield ("asset", asset.asset_id, asset.symbol, asset.scale)
    for _, instrument in sorted(state.instruments.items()):
        yield (
            "instrument",
            instrument.instrument_id,
            instrument.symbol,
            instrument.base_asset_id,
            instrument.quote_asset_id,
            instrument.base_per_lot_minor,
            instrument.quote_per_tick_lot_minor,
            instrument.charges_per_lot,
            instrument.taker_fee_per_lot_minor,
            instrument.maker_fee_per_lot_minor,
        )
    for account_id, account in sorted(state.accounts.items()):
        balances = sorted((asset_id, *balance) for asset_id, balance in account.balances.items())
        positions = sorted(
            (
                instrument_id,
                position.size_lots,
                position.entry_value_minor,
                position.isolated_margin_minor,
                position.funding_index,
            )
            for instrument_id, position in account.positions.items()
        )
        # A balance of nothing is the same as none: which lookups happened is not state.
        yield ("account", account_id, account.seq, [b for b in balances if any(b[1:])], positions)
    for _, order in sorted(state.orders.items()):
        yield (
            "order",
            order.order_id,
            order.account_id,
            order.instrument.instrument_id,
            order.side,
            order.limit_ticks,
            order.leaves_lots,
            order.fee_ppm,
            order.fee_basis_ppm_minor,
            order.charged_minor,
            order.locked_minor,
        )
    for generation, closed in state.closed_orders.generations():
        yield ("closed", generation, *sorted(closed.items()))
    yield ("pending", *sorted(state.pending.items()))
    for generation, settled in state.settled.generations():
        yield ("settled", generation, *sorted(settled.items()))
    for (src, instrument_id), source in sorted(state.sources.items()):
        waiting = sorted(source.waiting.items())
        yield ("source", src, instrument_id, source.last_seq, waiting)
    for generation, remembered in state.outcomes.generations():
        for account_id, outcomes in sorted(remembered.items()):
            yield ("outcomes", generation, account_id, sorted(outcomes.items()))
