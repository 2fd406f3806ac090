"""The planted faults: what each changes in the reference, and which invariants it violates."""

from dataclasses import dataclass

from tests.acceptance.mutants import Patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    A planted fault.

    Attributes:
        broken: Invariants that must be FAILED.
        intact: Invariants that must not be FAILED: the fault has nothing to do with them.
        is_live: Only a whole run shows it: what is told to subscribers, what the replay command
            prints, what a kill leaves; and one more, to see that runs find what copies show.
        is_killed: The service is killed and restarted mid-run.
    """

    patches: tuple[Patch, ...]
    broken: frozenset[str]
    intact: frozenset[str]
    is_live: bool = False
    is_killed: bool = False


def _first_for_all(field: str, own: str) -> tuple[Patch, ...]:
    """Every instrument has that field from the first one, and not its *own*."""
    first = f"next((item.{field} for item in instruments.values()), {own})"
    return (
        Patch(file="inputs.py", old=f"        {field}={own},\n", new=f"        {field}={first},\n"),
    )


# A service that mixes instruments up: found in the varied market, legal in the uniform one.
ONE_LOT_SIZE = _first_for_all("base_per_lot_minor", "row.base_per_lot_minor")
ONE_TICK_VALUE = _first_for_all("quote_per_tick_lot_minor", "row.quote_per_tick_lot_minor")
ONE_QUOTE_ASSET = _first_for_all("quote_asset_id", "row.quote_asset_id")
ONE_FEE_KIND = _first_for_all("charges_per_lot", "row.fee_kind == contract.FEE_PER_LOT")

FAULTS = {
    # One instrument's lot size serves for all: sells lock, and buyers get, another amount of base.
    "one lot size": Fault(
        patches=ONE_LOT_SIZE,
        broken=frozenset({"I4", "I7"}),
        intact=frozenset({"I1", "I3", "I6", "I8", "I19", "I21", "I22"}),
    ),
    # One instrument's tick value: buys lock, and both sides and their fees are, of another price.
    "one tick value": Fault(
        patches=ONE_TICK_VALUE,
        broken=frozenset({"I4", "I7", "I19"}),
        intact=frozenset({"I1", "I3", "I6", "I8", "I21", "I22"}),
    ),
    # One instrument's quote asset: what costs euros is paid in dollars.
    "one quote asset": Fault(
        patches=ONE_QUOTE_ASSET,
        broken=frozenset({"I4", "I7", "I19"}),
        intact=frozenset({"I1", "I3", "I6", "I8", "I21", "I22"}),
    ),
    # One instrument's kind of fee: fees are in ppm where they are per lot.
    "one fee kind": Fault(
        patches=ONE_FEE_KIND,
        broken=frozenset({"I4", "I19"}),
        intact=frozenset({"I1", "I2", "I3", "I6", "I7", "I8", "I21", "I22"}),
    ),
    # The order is closed and the release is on the ledger, but one order in five keeps its lock.
    "lost release": Fault(
        patches=(
            Patch(
                file="state.py",
                old="account, order, -order.locked_minor)",
                new="account, order, -order.locked_minor if order.order_id % 5 else 0)",
            ),
        ),
        broken=frozenset({"I4", "I5"}),
        intact=frozenset({"I1", "I2", "I3", "I7", "I8", "I19", "I22"}),
        is_live=True,
    ),
    # The match is posted once more while its orders can bear it. All of it adds up.
    "double fill": Fault(
        patches=(
            Patch(
                file="executions.py",
                old="        if reason:\n",
                new=(
                    '        if not reason and event.HasField("match"):\n'
                    "            apply_match(state, event.instrument_id, event.match, cause)\n"
                    "        if reason:\n"
                ),
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I8", "I22"}),
    ),
    # A seller's fee is rounded down where the contract rounds up: one unit, now and then.
    "wrong fee": Fault(
        patches=(
            Patch(
                file="orders.py",
                old="        quote_minor, base_minor = notional_minor - fee_minor, 0\n",
                new=(
                    "        fee_minor -= fee_basis_ppm_minor % PPM != 0\n"
                    "        quote_minor, base_minor = notional_minor - fee_minor, 0\n"
                ),
            ),
        ),
        broken=frozenset({"I19"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I7", "I8", "I22"}),
    ),
    # Each side of a match pays the other's fee. What FEES collects is right.
    "swapped fees": Fault(
        patches=(
            Patch(
                file="fills.py",
                old="(orders[0], match.taker, ",
                new="(orders[0], match.maker, ",
            ),
            Patch(
                file="fills.py",
                old="(orders[1], match.maker, ",
                new="(orders[1], match.taker, ",
            ),
        ),
        broken=frozenset({"I19"}),
        intact=frozenset({"I1", "I2", "I3", "I5", "I7", "I8", "I22"}),
    ),
    # One match in seven is read and forgotten: money stays where it was.
    "lost match": Fault(
        patches=(
            Patch(
                file="fills.py",
                old="    _fill(state, instrument, match.qty_lots, effects, cause)\n",
                new=(
                    "    if cause.source_seq % 7:\n"
                    "        _fill(state, instrument, match.qty_lots, effects, cause)\n"
                ),
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I8", "I19", "I22"}),
    ),
    # One order in five gives what it held to the isolated bucket, where nobody can use it.
    "release to isolated": Fault(
        patches=(
            Patch(
                file="state.py",
                old="        balance[AVAILABLE] -= delta_minor\n        balance[LOCKED_ORDERS]",
                new=(
                    "        is_lost = kind == contract.TXN_RELEASE and order.order_id % 5 == 0\n"
                    "        free = contract.LOCKED_ISOLATED if is_lost else AVAILABLE\n"
                    "        balance[free] -= delta_minor\n        balance[LOCKED_ORDERS]"
                ),
            ),
            Patch(
                file="state.py",
                old="(account_id, asset_id, AVAILABLE, -delta_minor, order.order_id)",
                new="(account_id, asset_id, free, -delta_minor, order.order_id)",
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I6", "I8", "I19", "I21", "I22"}),
    ),
    # A pending deposit can't be found when it is to be posted: the customer never gets it.
    "pending deposit forgotten": Fault(
        patches=(
            Patch(
                file="transfers.py",
                old="    if pending is None:\n",
                new="    if pending is None or pending[1] > 0:\n",
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I6", "I8", "I19", "I21", "I22"}),
    ),
    # One transaction in 97 happens and is told to nobody.
    "skipped event": Fault(
        patches=(
            Patch(
                file="core.py",
                old="journal_seq > ledger_stream.emitted_seq:",
                new="journal_seq > ledger_stream.emitted_seq and journal_seq % 97:",
            ),
        ),
        broken=frozenset({"I7", "I8"}),
        intact=frozenset({"I3", "I22"}),
    ),
    # A posted withdrawal leaves twice what was set aside: once from there, once from what is free.
    "transfer posted twice": Fault(
        patches=(
            Patch(
                file="transfers.py",
                old="_withdraw_locked(state, account, asset_id, -amount_minor)\n    elif",
                new=(
                    "_withdraw_locked(state, account, asset_id, -amount_minor)\n"
                    "        if account.balance(asset_id)[AVAILABLE] + amount_minor >= 0:\n"
                    "            postings += credit(state, account, asset_id, amount_minor)\n"
                    "    elif"
                ),
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I6", "I8", "I19", "I21", "I22"}),
    ),
    # A withdrawal is called off, and its money stays locked: no PENDING holds it any more.
    "void without unlocking": Fault(
        patches=(
            Patch(
                file="transfers.py",
                old="        postings = _lock(account, asset_id, amount_minor)\n    touched",
                new="        postings = ()\n    touched",
            ),
        ),
        broken=frozenset({"I7"}),
        intact=frozenset({"I1", "I2", "I3", "I6", "I8", "I19", "I21", "I22"}),
    ),
    # Balances are those of the first time that they were asked for, whatever a read had to see.
    "stale read": Fault(
        patches=(
            Patch(
                file="service.py",
                old=(
                    "        state = self._core.state\n        account = state.accounts.get(request"
                ),
                new=(
                    "        cache = self.__dict__.setdefault('cache', {})\n"
                    "        if request.account_id in cache:\n"
                    "            return cache[request.account_id]\n"
                    "        state = self._core.state\n"
                    "        account = state.accounts.get(request"
                ),
            ),
            Patch(
                file="service.py",
                old=(
                    "        reply.ack.CopyFrom(ack(seen, t_ingress_ns, t_commit_ns))\n"
                    "        return reply.SerializeToString()\n\n"
                    "    async def list_ledger"
                ),
                new=(
                    "        reply.ack.CopyFrom(ack(seen, t_ingress_ns, t_commit_ns))\n"
                    "        cache[request.account_id] = reply.SerializeToString()\n"
                    "        return reply.SerializeToString()\n\n"
                    "    async def list_ledger"
                ),
            ),
        ),
        broken=frozenset({"I21"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I19", "I22"}),
    ),
    # One row in 31 is missing from the history that a page is read from; the topic has it.
    "page skips a row": Fault(
        patches=(
            Patch(
                file="ledger.py",
                old="            entry = contract.LedgerEntry(\n",
                new=(
                    "            if event.journal_seq % 31 == 0:\n"
                    "                continue\n"
                    "            entry = contract.LedgerEntry(\n"
                ),
            ),
        ),
        broken=frozenset({"I21"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I19", "I22"}),
    ),
    # One write in 41 happens, is told to all, and is not in the journal: a restart would undo it.
    "not journalled": Fault(
        patches=(
            Patch(
                file="service.py",
                old=(
                    "        if state.revision != revision:\n"
                    "            self._core.commitment.journal(kind"
                ),
                new=(
                    "        if state.revision != revision and state.revision % 41:\n"
                    "            self._core.commitment.journal(kind"
                ),
            ),
        ),
        broken=frozenset({"I20"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I7", "I8", "I19", "I21", "I22"}),
        is_live=True,
    ),
    # One update in nine is not told to those who watch the account; the topic has it.
    "skipped delta": Fault(
        patches=(
            Patch(
                file="watchers.py",
                old="        else:\n            self._updates.append(update)\n",
                new=("        elif account_seq % 9:\n            self._updates.append(update)\n"),
            ),
        ),
        broken=frozenset({"I6"}),
        intact=frozenset({"I1", "I2", "I3", "I4", "I5", "I7", "I8", "I19", "I21", "I22"}),
        is_live=True,
    ),
    # Answers go out when a group is handed to the disk, which is 24 groups behind.
    "acknowledged but not durable": Fault(
        patches=(
            Patch(
                file="commitment.py",
                old=(
                    "        while (work := self._to_write.get()) is not None:\n"
                    "            group, emitted = work\n"
                ),
                new=(
                    "        late = []\n"
                    "        while (work := self._to_write.get()) is not None:\n"
                    "            self._loop.call_soon_threadsafe(\n"
                    "                self._committed, work[0], time.monotonic_ns()\n"
                    "            )\n"
                    "            late.append(work)\n"
                    "            if len(late) <= 24:\n"
                    "                continue\n"
                    "            group, emitted = late.pop(0)\n"
                ),
            ),
            Patch(
                file="commitment.py",
                old=(
                    "                return\n"
                    "            self._loop.call_soon_threadsafe"
                    "(self._committed, group, time.monotonic_ns())\n"
                ),
                new="                return\n",
            ),
        ),
        broken=frozenset({"I23"}),
        intact=frozenset({"I3", "I22"}),
        is_killed=True,
        is_live=True,
    ),
    # A deposit replaces what was available instead of adding to it; its posting is right.
    "balance overwritten": Fault(
        patches=(
            Patch(
                file="transfers.py",
                old="    account.balance(asset_id)[AVAILABLE] += amount_minor\n",
                new=(
                    "    held_minor = account.balance(asset_id)[AVAILABLE]\n"
                    "    account.balance(asset_id)[AVAILABLE] = amount_minor + (\n"
                    "        held_minor if amount_minor < 0 else 0\n"
                    "    )\n"
                ),
            ),
        ),
        broken=frozenset({"I1"}),
        intact=frozenset({"I2", "I3", "I4", "I5", "I7", "I8", "I19", "I22"}),
    ),
}
