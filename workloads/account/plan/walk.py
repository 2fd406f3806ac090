"""
From slots in time to operations that make sense: which kind goes where, and on what it depends.

The arrivals fix when something is sent; this walk fixes what: each slot draws its kind by the mix.
Orders are order_walk.py's; here are transfers with their phases, repetitions and reads. They too
refer only to what should have been answered by then.
"""

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from workloads.account.plan.order_walk import OrderWalk
from workloads.account.plan.pool import NONE
from workloads.account.plan.rows import Rows, Slots, Walked
from workloads.account.plan.senders import Senders
from workloads.account.terms.workload import Workload
from workloads.account.wire.kinds import Kind

Handler = Callable[[int, int], None]
"""What a slot sends at its time."""


class _MoneyWalk:
    """Transfers, their phases, repetitions and reads of one walk."""

    def __init__(
        self, slots: Slots, rows: Rows, senders: Senders, workload: Workload, chance: random.Random
    ) -> None:
        self._rows, self._senders, self._chance = rows, senders, chance
        self._workload, self._mix = workload, workload.mix
        self._account = slots.account.data
        self._ripening: deque[tuple[int, int]] = deque()
        self._pends: deque[int] = deque()  # first phases that are to be settled
        self._owed = {Kind.POST: 0, Kind.VOID: 0}

    def ripen(self, now_ns: int) -> None:
        """Let first phases in that should have been answered by *now_ns*."""
        ripening = self._ripening
        while ripening and ripening[0][0] <= now_ns:
            self._pends.append(ripening.popleft()[1])

    def transfer(self, slot: int, now_ns: int) -> None:
        if self._senders.may_send(slot, now_ns):
            self._rows.kind[slot] = Kind.TRANSFER
            self._senders.wrote(slot, now_ns)

    def internal_transfer(self, slot: int, now_ns: int) -> None:
        if self._senders.may_send(slot, now_ns):
            self._rows.kind[slot] = Kind.INTERNAL_TRANSFER

    def create_account(self, slot: int, now_ns: int) -> None:
        del now_ns  # of an account that nobody else knows: no cap is on it
        self._rows.kind[slot] = Kind.CREATE_ACCOUNT

    def pend(self, slot: int, now_ns: int) -> None:
        """A first phase; or a second one that is owed."""
        for kind in (Kind.POST, Kind.VOID):
            if self._owed[kind] and self._settle(slot, now_ns, kind):
                self._owed[kind] -= 1
                return
        if self._senders.may_send(slot, now_ns):
            self._rows.kind[slot] = Kind.PEND
            self._senders.wrote(slot, now_ns)
            if self._chance.random() < self._mix.settled_share:
                self._ripening.append((now_ns + self._workload.expected_reply, slot))

    def duplicate(self, slot: int, now_ns: int, first: Handler) -> None:
        """Repeat a write; before there is any, make one by *first*."""
        original = self._senders.recent_write()
        if original == NONE:
            first(slot, now_ns)
        elif self._senders.is_allowed(original, now_ns):
            rows = self._rows
            rows.kind[slot] = rows.kind[original]
            rows.original[slot] = rows.needs_a[slot] = original
            self._senders.repeated(original, now_ns)
        else:
            self._senders.leave_out(slot)

    def settle_or_owe(self, kind: Kind, slot: int, now_ns: int) -> None:
        if not self._settle(slot, now_ns, kind):
            self._owed[kind] += 1
            self.pend(slot, now_ns)

    def _settle(self, slot: int, now_ns: int, kind: Kind) -> bool:
        if not self._pends or not self._senders.is_allowed(self._pends[0], now_ns):
            return False
        pending = self._pends.popleft()
        rows = self._rows
        rows.kind[slot] = kind
        rows.pending[slot] = rows.needs_a[slot] = pending
        self._senders.sent(slot, pending, now_ns)
        return True

    def read(self, kind: Kind, slot: int, now_ns: int) -> None:
        write, rows = NONE, self._rows
        if self._chance.random() < self._workload.read_your_writes:
            write = self._senders.recent_write()
        if write == NONE:
            if self._senders.may_send(slot, now_ns):
                rows.kind[slot] = kind
        elif self._senders.is_allowed(write, now_ns):
            rows.kind[slot] = kind
            rows.write[slot] = rows.needs_a[slot] = write
            self._account[slot] = self._account[write]
            self._senders.repeated(write, now_ns)
        else:
            self._senders.leave_out(slot)


def walk(
    slots: Slots, workload: Workload, chance: random.Random, *, mid_ticks: NDArray[np.int32]
) -> Walked:
    """What each slot sends; the same for the same slots and state of *chance*."""
    rows = Rows(slots, has_ticks=workload.reprice > 0)
    senders = Senders(slots, rows, workload, chance)
    money = _MoneyWalk(slots, rows, senders, workload, chance)
    orders = OrderWalk(slots, rows, senders, workload, chance, mid_ticks=mid_ticks.tolist())
    mix = workload.mix
    any_write: Handler = orders.order_slot
    if mix.transfer or mix.pend:
        any_write = money.transfer if mix.transfer else money.pend
    choices: tuple[tuple[float, Handler], ...] = (
        (mix.transfer, money.transfer),
        (mix.duplicate, lambda slot, now_ns: money.duplicate(slot, now_ns, any_write)),
        (mix.internal_transfer, money.internal_transfer),
        (mix.create_account, money.create_account),
        (mix.fill, partial(orders.try_or_owe, Kind.FILL)),
        (mix.amend, partial(orders.try_or_owe, Kind.AMEND)),
        (mix.ioc, partial(orders.try_or_owe, Kind.RESERVE)),
        (mix.pend, money.pend),
        (mix.post, partial(money.settle_or_owe, Kind.POST)),
        (mix.void, partial(money.settle_or_owe, Kind.VOID)),
        (mix.get_balances, partial(money.read, Kind.GET_BALANCES)),
        (mix.list_ledger, partial(money.read, Kind.LIST_LEDGER)),
        (mix.reserve + mix.release, orders.order_slot),
    )
    chosen = [(share, handler) for share, handler in choices if share]
    # The last one has what rounding leaves of 1.
    limits = np.cumsum([share for share, _ in chosen])[:-1].tolist()
    handlers = [handler for _, handler in chosen]
    ripens = [orders.ripen]
    if mix.pend:
        ripens.append(money.ripen)
    if mix.duplicate or workload.read_your_writes:
        ripens.append(senders.ripen)
    times = slots.offset_ns.data
    for slot, u in enumerate(slots.chance.data):
        now_ns = times[slot]
        for ripen in ripens:
            ripen(now_ns)
        handlers[bisect_right(limits, u)](slot, now_ns)
    return rows.walked()
