"""
From slots in time to operations that make sense: which kind goes where, and on what it depends.

The arrivals fix when something is sent; this walk fixes what. Each slot draws transfer, fill or
"order" by the mix; an order slot releases the order whose life is over, or reserves a new one if
there is none. So open orders settle at half the order rate times the mean life and can't grow, and
the schedule stays exactly the arrivals that were asked for. A kind that has no ripe order yet is
owed and made up for at the next order slot.

An order is ripe once its reserve should have been answered, and is filled at most once: fills that
follow each other depend on a settled quantity, which a refused leg would change.
"""

import random
from array import array
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.kinds import Kind
from workloads.account.plan.parameters import Workload

_NEVER = -1
_PAIR_TRIES = 16  # random looks for a second side before the fill is owed
_RECENT_COUNT = 1_024  # transfers that may be repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """What is known of each slot before the walk; arrays of equal length."""

    offset_ns: NDArray[np.int64]
    chance: NDArray[np.float64]  # chooses by the mix
    life_ns: NDArray[np.int64]  # of the order, if one is reserved
    account: NDArray[np.uint32]
    instrument: NDArray[np.uint16]
    side: NDArray[np.uint8]
    qty_lots: NDArray[np.int32]
    is_refused: NDArray[np.bool_]  # a reserve that is meant to be refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """
    What became of each slot.

    Attributes:
        order: The reserve that a release, amend or fill (its taker) belongs to; -1 for none.
        peer_order: The maker's reserve of a fill.
        after: The fill or amend that a release must follow.
        original: The transfer that a duplicate repeats.
        fill_lots: Quantity of a fill.
    """

    kind: NDArray[np.uint8]
    order: NDArray[np.int32]
    peer_order: NDArray[np.int32]
    after: NDArray[np.int32]
    original: NDArray[np.int32]
    fill_lots: NDArray[np.int32]


class _Pool:
    """Ripe orders, to be drawn at random by instrument and side, in constant time."""

    def __init__(self, slots: Slots) -> None:
        self._book = (slots.instrument.astype(np.int32) * 2 + (slots.side - 1)).data
        count = len(slots.offset_ns)
        self._all: list[int] = []
        self._by_book: dict[int, list[int]] = {}
        self._at_all = array("i", bytes(4 * count))
        self._at_book = array("i", bytes(4 * count))
        self._inside = bytearray(count)

    def add(self, order: int) -> None:
        book = self._by_book.setdefault(self._book[order], [])
        self._at_all[order], self._at_book[order] = len(self._all), len(book)
        self._all.append(order)
        book.append(order)
        self._inside[order] = 1

    def discard(self, order: int) -> None:
        if self._inside[order]:
            self._inside[order] = 0
            _swap_out(self._all, self._at_all, order)
            _swap_out(self._by_book[self._book[order]], self._at_book, order)

    def draw(self, chance: random.Random) -> int:
        """Any ripe order, -1 if there is none."""
        return self._all[int(chance.random() * len(self._all))] if self._all else _NEVER

    def draw_opposite(self, order: int, chance: random.Random) -> int:
        """Any ripe order of the other side of the same instrument, -1 if there is none."""
        book = self._by_book.get(self._book[order] ^ 1)
        return book[int(chance.random() * len(book))] if book else _NEVER


def _swap_out(orders: list[int], positions: "array[int]", order: int) -> None:
    last = orders.pop()
    if last != order:
        orders[positions[order]] = last
        positions[last] = positions[order]


class _Walk:
    """The state of one walk."""

    def __init__(self, slots: Slots, workload: Workload, chance: random.Random) -> None:
        count = len(slots.offset_ns)
        self._workload = workload
        self._chance = chance
        self._account = slots.account.data
        self._qty_lots = slots.qty_lots.data
        self._life_ns = slots.life_ns.data
        self._is_refused = slots.is_refused.data
        self._pool = _Pool(slots)
        self._due_ns = array("q", bytes(8 * count))  # when an order's release is due; _NEVER: done
        self._due: list[tuple[int, int]] = []
        self._ripening: deque[tuple[int, int]] = deque()
        self._ripening_transfers: deque[tuple[int, int]] = deque()
        self._recent: deque[int] = deque(maxlen=_RECENT_COUNT)
        self._owed = {Kind.FILL: 0, Kind.AMEND: 0}
        self._to_close = (
            0.0  # orders that fills should have closed for good by now, less those done
        )
        self.kind = bytearray(count)
        none = array("i", [_NEVER]) * count
        self.order, self.peer_order, self.after = none[:], none[:], none[:]
        self.original, self.fill_lots = none[:], array("i", bytes(4 * count))

    def ripen(self, now_ns: int) -> None:
        """Let in what should have been answered by *now_ns*."""
        ripening, transfers = self._ripening, self._ripening_transfers
        while ripening and ripening[0][0] <= now_ns:
            self._pool.add(ripening.popleft()[1])
        while transfers and transfers[0][0] <= now_ns:
            self._recent.append(transfers.popleft()[1])

    def transfer(self, slot: int, now_ns: int) -> None:
        self.kind[slot] = Kind.TRANSFER
        if self._workload.mix.duplicate:
            ripe_ns = now_ns + self._workload.expected_reply
            self._ripening_transfers.append((ripe_ns, slot))

    def duplicate(self, slot: int, now_ns: int) -> None:
        """Repeat a transfer; before there is any, make one."""
        if not self._recent:
            self.transfer(slot, now_ns)
            return
        self.kind[slot] = Kind.TRANSFER
        self.original[slot] = self._recent[int(self._chance.random() * len(self._recent))]

    def order_slot(self, slot: int, now_ns: int) -> None:
        for kind, attempt in ((Kind.FILL, self._fill), (Kind.AMEND, self._amend)):
            if self._owed[kind] and attempt(slot, now_ns):
                self._owed[kind] -= 1
                return
        if not self._release(slot, now_ns):
            self._reserve(slot, now_ns)

    def fill_slot(self, slot: int, now_ns: int) -> None:
        if not self._fill(slot, now_ns):
            self._owed[Kind.FILL] += 1
            self.order_slot(slot, now_ns)

    def amend_slot(self, slot: int, now_ns: int) -> None:
        if not self._amend(slot, now_ns):
            self._owed[Kind.AMEND] += 1
            self.order_slot(slot, now_ns)

    def _reserve(self, slot: int, now_ns: int) -> None:
        self.kind[slot] = Kind.RESERVE
        if self._is_refused[slot]:
            return
        ripe_ns = now_ns + self._workload.expected_reply
        self._ripening.append((ripe_ns, slot))
        self._plan_release(slot, ripe_ns + self._life_ns[slot])

    def _release(self, slot: int, now_ns: int) -> bool:
        while self._due and self._due[0][0] <= now_ns:
            due_ns, order = heappop(self._due)
            if self._due_ns[order] != due_ns:
                continue  # planned anew, or filled
            self._due_ns[order] = _NEVER
            self._pool.discard(order)
            self.kind[slot], self.order[slot] = Kind.RELEASE, order
            self.after[slot] = self.after[order]
            return True
        return False

    def _amend(self, slot: int, now_ns: int) -> bool:
        order = self._pool.draw(self._chance)
        if order == _NEVER:
            return False
        # Not filled after this: whether the new limit holds is known only with the reply.
        self._pool.discard(order)
        self.kind[slot], self.order[slot] = Kind.AMEND, order
        self.after[order] = slot
        self._plan_release(order, max(self._due_ns[order], now_ns + self._workload.expected_reply))
        return True

    def _fill(self, slot: int, now_ns: int) -> bool:
        taker, maker = self._pair()
        if taker == _NEVER:
            return False
        smaller = min(self._qty_lots[taker], self._qty_lots[maker])
        self._to_close += self._workload.mix.closed_by_fill_count
        lots = smaller
        if smaller > 1 and self._to_close < 0.5:
            lots = 1 + int(self._chance.random() * (smaller - 1))
        self.kind[slot] = Kind.FILL
        self.order[slot], self.peer_order[slot], self.fill_lots[slot] = taker, maker, lots
        for order in (taker, maker):
            self._pool.discard(order)
            if lots == self._qty_lots[order]:
                self._to_close -= 1
                self._due_ns[order] = _NEVER
            else:
                self.after[order] = slot
                visible_ns = now_ns + self._workload.expected_visible
                self._plan_release(order, max(self._due_ns[order], visible_ns))
        return True

    def _pair(self) -> tuple[int, int]:
        """Two ripe orders that trade, the later one first (it is the taker)."""
        found = (_NEVER, _NEVER)
        for _ in range(_PAIR_TRIES):
            first = self._pool.draw(self._chance)
            if first == _NEVER:
                break
            second = self._pool.draw_opposite(first, self._chance)
            if second == _NEVER or self._account[first] == self._account[second]:
                continue
            found = max(first, second), min(first, second)
            closes = self._to_close + self._workload.mix.closed_by_fill_count >= 0.5
            if closes or min(self._qty_lots[first], self._qty_lots[second]) > 1:
                break
        return found

    def _plan_release(self, order: int, due_ns: int) -> None:
        self._due_ns[order] = due_ns
        heappush(self._due, (due_ns, order))


def walk(slots: Slots, workload: Workload, chance: random.Random) -> Walked:
    """What each slot sends; the same for the same slots and state of *chance*."""
    state, mix = _Walk(slots, workload, chance), workload.mix
    transfer = mix.transfer
    duplicate = transfer + mix.duplicate
    internal = duplicate + mix.internal_transfer
    create = internal + mix.create_account
    fill = create + mix.fill
    amend = fill + mix.amend
    times = slots.offset_ns.data
    for slot, u in enumerate(slots.chance.data):
        now_ns = times[slot]
        state.ripen(now_ns)
        if u >= amend:
            state.order_slot(slot, now_ns)
        elif u < transfer:
            state.transfer(slot, now_ns)
        elif u < duplicate:
            state.duplicate(slot, now_ns)
        elif u < internal:
            state.kind[slot] = Kind.INTERNAL_TRANSFER
        elif u < create:
            state.kind[slot] = Kind.CREATE_ACCOUNT
        elif u < fill:
            state.fill_slot(slot, now_ns)
        else:
            state.amend_slot(slot, now_ns)
    return Walked(
        kind=np.frombuffer(bytes(state.kind), dtype=np.uint8),
        order=np.frombuffer(state.order, dtype=np.int32),
        peer_order=np.frombuffer(state.peer_order, dtype=np.int32),
        after=np.frombuffer(state.after, dtype=np.int32),
        original=np.frombuffer(state.original, dtype=np.int32),
        fill_lots=np.frombuffer(state.fill_lots, dtype=np.int32),
    )
