"""
Orders of a walk: which slot reserves, amends, releases, fills, and what the engine then sends.

An order slot releases the order whose life is over, or reserves a new one if there is none. So open
orders settle at half the order rate times the mean life and can't grow, and the schedule stays
exactly the arrivals that were asked for. A kind that can't go yet (no order is ripe) is owed, and
made up for at the next order slot.

An order is ripe once what was last asked about it should have been answered. It is filled at most
once while it rests: fills that follow each other would depend on a settled quantity. What follows
an amendment needs it: a fill is at the limit that it set.
"""

import random
from array import array
from collections import deque
from heapq import heappop, heappush

from workloads.account.plan.pool import NONE, Pool
from workloads.account.plan.rows import Rows, Slots
from workloads.account.plan.senders import Senders
from workloads.account.terms.workload import Workload
from workloads.account.wire.kinds import Kind

_NEVER = -1
_TRIES = 16  # random looks for a fitting order before the kind is owed
_RETRY_NS = 50_000_000  # until a capped account is asked again for what it owes
_BUY_XOR_SELL = 3


class OrderWalk:
    """The orders of one walk; each public method says what a slot sends at its time."""

    def __init__(
        self,
        slots: Slots,
        rows: Rows,
        senders: Senders,
        workload: Workload,
        chance: random.Random,
        *,
        mid_ticks: list[int],
    ) -> None:
        count = len(slots.offset_ns)
        self._rows, self._senders, self._chance = rows, senders, chance
        self._workload, self._mix = workload, workload.mix
        self._reply_ns = workload.expected_reply
        self._account, self._side = slots.account.data, slots.side.data
        self._instrument = slots.instrument.data
        self._qty_lots, self._life_ns = slots.qty_lots.data, slots.life_ns.data
        self._limit_ticks = slots.limit_ticks.data
        self._is_refused = slots.is_refused.data
        self._pool = Pool(count)
        self._left_lots = array("i", slots.qty_lots.tobytes())  # of the order that a slot reserves
        self._terms = array("i", range(count))  # the row that set an order's limit
        self._last_act = array("i", [NONE]) * count  # what an order's next act must follow
        self._due_ns = array("q", bytes(8 * count))  # when an order's release is due; _NEVER: over
        self._due: list[tuple[int, int]] = []
        self._ripening: deque[tuple[int, int]] = deque()
        self._reprices = workload.reprice > 0
        self._last_ticks = mid_ticks  # by instrument - 1: of the last trade
        self._owed = {Kind.FILL: 0, Kind.AMEND: 0, Kind.RESERVE: 0}
        self._attempts = {Kind.FILL: self._fill, Kind.AMEND: self._amend, Kind.RESERVE: self._ioc}
        # Orders that fills should have closed for good by now, less those done.
        self._to_close = 0.0

    def ripen(self, now_ns: int) -> None:
        """Add to the pool the orders whose last request should have been answered by *now_ns*."""
        ripening = self._ripening
        while ripening and ripening[0][0] <= now_ns:
            order = ripening.popleft()[1]
            if self._due_ns[order] != _NEVER:
                self._pool.add(order, self._instrument[order] << 2 | self._side[order])

    def order_slot(self, slot: int, now_ns: int) -> None:
        """What is owed, or a release that is due, or a reserve."""
        for kind, attempt in self._attempts.items():
            if self._owed[kind] and attempt(slot, now_ns):
                self._owed[kind] -= 1
                return
        if not self._release(slot, now_ns):
            self._reserve(slot, now_ns)

    def try_or_owe(self, kind: Kind, slot: int, now_ns: int) -> None:
        """
        A FILL of two resting orders, an AMEND of one, or a RESERVE that takes one at once (ioc).

        Where no order fits, it is owed, and the slot is any order's.
        """
        if not self._attempts[kind](slot, now_ns):
            self._owed[kind] += 1
            self.order_slot(slot, now_ns)

    def _reserve(self, slot: int, now_ns: int) -> None:
        if not self._senders.may_send(slot, now_ns):
            return
        self._rows.kind[slot] = Kind.RESERVE
        if self._reprices:
            self._rows.ticks[slot] = self._limit_ticks[slot]
        if self._is_refused[slot]:
            return
        self._senders.wrote(slot, now_ns)
        ripe_ns = now_ns + self._reply_ns
        self._ripening.append((ripe_ns, slot))
        self._plan_release(slot, ripe_ns + self._life_ns[slot])

    def _release(self, slot: int, now_ns: int) -> bool:
        while self._due and self._due[0][0] <= now_ns:
            due_ns, order = heappop(self._due)
            if self._due_ns[order] != due_ns:
                continue  # planned anew, or filled
            if not self._senders.is_allowed(order, now_ns):
                self._plan_release(order, now_ns + _RETRY_NS)
                continue
            self._due_ns[order] = _NEVER
            self._pool.discard(order)
            self._rows.kind[slot], self._rows.order[slot] = Kind.RELEASE, order
            self._rows.needs_a[slot], self._rows.after[slot] = order, self._last_act[order]
            self._senders.sent(slot, order, now_ns)
            return True
        return False

    def _amend(self, slot: int, now_ns: int) -> bool:
        order = self._pool.draw(self._chance)
        for _ in range(_TRIES):
            if order == NONE or self._senders.is_allowed(order, now_ns):
                break
            order = self._pool.draw(self._chance)
        if order == NONE or not self._senders.is_allowed(order, now_ns):
            return False
        self._pool.discard(order)
        self._rows.kind[slot], self._rows.order[slot] = Kind.AMEND, order
        self._rows.needs_a[slot], self._rows.after[slot] = order, self._last_act[order]
        if self._reprices:
            self._rows.ticks[slot] = self._repriced(order)
        else:
            asked = order if self._is_refused[slot] else slot
            self._left_lots[order] = self._qty_lots[asked]
        self._last_act[order] = self._terms[order] = slot
        ripe_ns = now_ns + self._reply_ns
        self._ripening.append((ripe_ns, order))
        self._plan_release(order, max(self._due_ns[order], ripe_ns))
        self._senders.sent(slot, order, now_ns)
        return True

    def _repriced(self, order: int) -> int:
        """A share of the way to the last price, at least a tick; a tick away if it is there."""
        ticks = self._rows.ticks[self._terms[order]]
        distance = self._last_ticks[self._instrument[order] - 1] - ticks
        step = round(distance * self._workload.reprice)
        if not step:
            step = 1 if distance > 0 else -1
        return max(1, ticks + step)

    def _fill(self, slot: int, now_ns: int) -> bool:
        taker, maker = self._pair()
        if taker == NONE:
            return False
        smaller = min(self._left_lots[taker], self._left_lots[maker])
        self._to_close += self._mix.closed_by_fill_count
        lots = smaller
        if smaller > 1 and self._to_close < 0.5:
            lots = 1 + int(self._chance.random() * (smaller - 1))
        self._match(slot, taker, maker, lots)
        for order in (taker, maker):
            self._pool.discard(order)
            if lots == self._left_lots[order]:
                self._to_close -= 1
                self._due_ns[order] = _NEVER
            else:
                self._last_act[order] = slot
                visible_ns = now_ns + self._workload.expected_visible
                self._plan_release(order, max(self._due_ns[order], visible_ns))
        return True

    def _match(self, row: int, taker: int, maker: int, lots: int) -> None:
        self._rows.kind[row] = Kind.FILL
        rows, terms = self._rows, self._terms
        rows.order[row], rows.peer_order[row], rows.fill_lots[row] = taker, maker, lots
        rows.needs_a[row], rows.needs_b[row] = terms[taker], terms[maker]

    def _pair(self) -> tuple[int, int]:
        found = (NONE, NONE)
        for _ in range(_TRIES):
            first = self._pool.draw(self._chance)
            if first == NONE:
                break
            second = self._pool.draw_from(self._opposite_book(first), self._chance)
            if second == NONE or self._account[first] == self._account[second]:
                continue
            found = max(first, second), min(first, second)
            closes = self._to_close + self._mix.closed_by_fill_count >= 0.5
            if closes or min(self._left_lots[first], self._left_lots[second]) > 1:
                break
        return found

    def _opposite_book(self, order: int) -> int:
        return self._instrument[order] << 2 | self._side[order] ^ _BUY_XOR_SELL

    def _ioc(self, slot: int, now_ns: int) -> bool:
        """An order that takes a resting one whole, and what the engine then sends."""
        maker = self._maker_for(slot, now_ns)
        if maker == NONE:
            return False
        lots = self._left_lots[maker]
        has_rest = self._chance.random() < self._workload.ioc_rest
        rest_lots = self._qty_lots[slot] if has_rest and not self._is_refused[slot] else 0
        self._qty_lots[slot] = self._left_lots[slot] = lots + rest_lots
        self._pool.discard(maker)
        self._due_ns[maker] = self._due_ns[slot] = _NEVER
        self._rows.kind[slot], self._rows.is_ioc[slot] = Kind.RESERVE, True
        matched_ns = now_ns + self._reply_ns
        fill = self._rows.follow(matched_ns)
        self._match(fill, slot, maker, lots)
        if self._reprices:
            ticks = self._rows.ticks[self._terms[maker]]
            self._rows.ticks[slot] = self._rows.ticks[fill] = ticks
            self._last_ticks[self._instrument[slot] - 1] = ticks
        if rest_lots:
            event = self._rows.follow(matched_ns)
            self._rows.kind[event], self._rows.order[event] = Kind.ORDER_EVENT, slot
            self._rows.needs_a[event] = fill
        self._senders.sent(slot, slot, now_ns)
        return True

    def _maker_for(self, slot: int, now_ns: int) -> int:
        """A resting order of another account that the order of *slot* meets; its side may turn."""
        if not self._senders.finds_account(slot, now_ns):
            return NONE
        asked = self._side[slot]
        for attempt in range(_TRIES):
            maker = self._pool.draw_from(self._opposite_book(slot), self._chance)
            if maker != NONE and self._account[maker] != self._account[slot]:
                return maker
            if maker == NONE or attempt == _TRIES // 2:
                self._side[slot] ^= _BUY_XOR_SELL
        self._side[slot] = asked
        return NONE

    def _plan_release(self, order: int, due_ns: int) -> None:
        self._due_ns[order] = due_ns
        heappush(self._due, (due_ns, order))
