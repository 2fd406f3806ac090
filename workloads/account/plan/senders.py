"""
Who sends in a walk: which account a slot may have, and what was written that others refer to.

A cap is on an account's own messages. An account that has used it up passes its slot on to another
one; if none may send, the slot is left out of the plan.
"""

import random
from array import array
from collections import deque
from collections.abc import Sequence

from workloads.account.plan.pool import NONE
from workloads.account.plan.rows import LEFT_OUT, Rows, Slots
from workloads.account.terms.workload import Cap, Workload

_TRIES = 16  # random looks for an account that may send
_RECENT_COUNT = 1_024  # writes that may be repeated, or read


class Senders:
    """The accounts of one walk and what they have sent."""

    def __init__(self, slots: Slots, rows: Rows, workload: Workload, chance: random.Random) -> None:
        self._rows, self._chance = rows, chance
        self._account = slots.account.data
        self._quotas = Quotas(workload.caps) if workload.caps else None
        self._reply_ns = workload.expected_reply
        self._keeps_writes = bool(workload.mix.duplicate or workload.read_your_writes)
        self._ripening: deque[tuple[int, int]] = deque()
        self._writes: deque[int] = deque(maxlen=_RECENT_COUNT)

    def ripen(self, now_ns: int) -> None:
        """Count as written what should have been answered by *now_ns*."""
        ripening = self._ripening
        while ripening and ripening[0][0] <= now_ns:
            self._writes.append(ripening.popleft()[1])

    def recent_write(self) -> int:
        """Any of the last writes, NONE if there is none yet."""
        writes = self._writes
        return writes[int(self._chance.random() * len(writes))] if writes else NONE

    def wrote(self, slot: int, now_ns: int) -> None:
        """*slot* is a write that may be repeated or read once it is answered."""
        if self._keeps_writes:
            self._ripening.append((now_ns + self._reply_ns, slot))

    def is_allowed(self, row: int, now_ns: int) -> bool:
        return self._quotas is None or self._quotas.allows(self._account[row], now_ns)

    def sent(self, slot: int, row: int, now_ns: int) -> None:
        """*slot* is a write by the account of *row*, which was allowed to."""
        self.repeated(row, now_ns)
        self.wrote(slot, now_ns)

    def repeated(self, row: int, now_ns: int) -> None:
        """The account of *row*, which was allowed to, sent something that writes nothing new."""
        if self._quotas is not None:
            self._quotas.note(self._account[row], now_ns)

    def may_send(self, slot: int, now_ns: int) -> bool:
        """Note a message of the slot's account, or of one that may; if none may, leave it out."""
        if self._quotas is None:
            return True
        if not self.finds_account(slot, now_ns):
            self.leave_out(slot)
            return False
        self._quotas.note(self._account[slot], now_ns)
        return True

    def finds_account(self, slot: int, now_ns: int) -> bool:
        """Whether the slot's account may send, or one that it is given instead."""
        if self._quotas is None:
            return True
        account = self._account
        for _ in range(_TRIES):
            if self._quotas.allows(account[slot], now_ns):
                return True
            account[slot] = account[int(self._chance.random() * len(account))]
        return False

    def leave_out(self, slot: int) -> None:
        self._rows.kind[slot] = LEFT_OUT


class Quotas:
    """How many messages each account may still send: at most so many in any window of time."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = [(cap.count, cap.window) for cap in caps]
        self._sent_ns: dict[int, array[int]] = {}  # by account, ascending

    def allows(self, account: int, now_ns: int) -> bool:
        """Whether *account* may send at *now_ns*: the message `count` before it is out of sight."""
        sent_ns = self._sent_ns.get(account)
        if sent_ns is None:
            return True
        return all(
            len(sent_ns) < count or sent_ns[-count] <= now_ns - window_ns
            for count, window_ns in self._caps
        )

    def note(self, account: int, now_ns: int) -> None:
        sent_ns = self._sent_ns.get(account)
        if sent_ns is None:
            sent_ns = self._sent_ns[account] = array("q")
        sent_ns.append(now_ns)
