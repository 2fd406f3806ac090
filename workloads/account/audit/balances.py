"""
I1 and I2: money is conserved, and no balance is ever negative.

The ledger is replayed over the opening balances. The result must be the closing dump, entry by
entry; otherwise a balance was changed without a transaction.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.account.audit.grouped import Groups, Numbering, exact
from workloads.account.audit.ledger_table import Transactions
from workloads.account.audit.movements import BUCKETS, EXTERNAL, Movements, Places
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump, TargetState, TotalsDump
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.column_types import Mask


class BalanceFold:
    """Fed with every new transaction, in order."""

    def __init__(self, opening: TargetState, places: Places) -> None:
        self.conserved = Tally("I1")
        self.non_negative = Tally("I2")
        self._opening = opening.accounts
        self._places = places
        self._pairs = Numbering(np.zeros(0, np.int64))  # of account and asset
        self._balances: NDArray[Any] = np.zeros((0, len(BUCKETS)), np.int64)  # by pair
        self._covered: NDArray[Any] | None = None  # accounts; None: all
        if self._opening is None:
            for tally in (self.conserved, self.non_negative):
                tally.lacks("the opening balances are not known")
        else:
            self._open(self._opening)
            if self._opening.asked is not None:
                self._covered = np.array(sorted(self._opening.asked), np.uint64)

    def take(self, part: Transactions, moves: Movements) -> Mask:
        """Fold some movements; which transactions sum to 0."""
        is_legal = moves.bucket < len(BUCKETS)
        if not is_legal.all():
            self._check_buckets(part, moves, ~is_legal)
            moves = moves.rows(is_legal)
        self._check_never_negative(part, moves)
        return self._check_sums(part, moves)

    def _check_sums(self, part: Transactions, moves: Movements) -> Mask:
        """Every transaction sums to 0 in every asset."""
        asset_count = len(self._places.assets)
        by_asset = Groups(moves.owner * asset_count + moves.asset)
        sums = by_asset.sums(exact(moves.delta_minor))
        wrong = sums != 0
        owner, asset = np.divmod(by_asset.key[wrong], max(1, asset_count))
        sums = sums[wrong]
        is_balanced = np.ones(len(part), np.bool_)
        is_balanced[owner] = False
        worst = np.zeros(len(part), sums.dtype)
        np.maximum.at(worst, owner, np.abs(sums))

        def describe(row: int) -> str:
            assets = self._places.assets.ids[asset[owner == row]].tolist()
            by_asset = dict(zip(assets, sums[owner == row].tolist(), strict=True))
            return f"journal_seq {part.journal_seq[row]} sums to {by_asset} by asset, not to 0"

        self.conserved.violate_all(
            ~is_balanced, describe, size=worst, at=part.number, checked_count=len(part)
        )
        return is_balanced

    def _check_never_negative(self, part: Transactions, moves: Movements) -> None:
        """Every balance that a transaction changes, after it."""
        pair = self._places.pair(moves.account, moves.asset)
        by_place = Groups(pair * len(BUCKETS) + moves.bucket)
        place_pair, bucket = np.divmod(by_place.key, len(BUCKETS))
        pair_number = self._numbered(place_pair)
        held = self._balances[pair_number, bucket]
        delta_minor = exact(moves.delta_minor, float(np.abs(held).max(initial=0)))
        if delta_minor.dtype == object:
            self._balances = self._balances.astype(object)
        after = by_place.running(delta_minor) + by_place.back(held[by_place.number])
        self._balances[pair_number, bucket] = after[by_place.last]
        if self._opening is None:
            return
        account_id = self._places.accounts.ids[moves.account]
        is_user = account_id >= FIRST_ACCOUNT_ID
        if self._covered is not None:
            is_user &= np.isin(account_id, self._covered)  # what others began with is not known
        self.non_negative.violate_all(
            is_user & (after < 0),
            lambda row: (
                f"account {self._places.accounts.ids[moves.account[row]]} "
                f"asset {self._places.assets.ids[moves.asset[row]]} {BUCKETS[moves.bucket[row]]} "
                f"is {after[row]} after journal_seq {part.journal_seq[moves.owner[row]]}"
            ),
            size=-after,
            at=part.number[moves.owner],
            checked_count=int(np.count_nonzero(is_user)),
        )

    def _check_buckets(self, part: Transactions, moves: Movements, is_illegal: Mask) -> None:
        places = self._places
        self.conserved.violate_all(
            is_illegal,
            lambda row: (
                f"journal_seq {part.journal_seq[moves.owner[row]]} moves {moves.delta_minor[row]} "
                f"of account {places.accounts.ids[moves.account[row]]} "
                f"asset {places.assets.ids[moves.asset[row]]} "
                f"to an unknown bucket {places.buckets.ids[moves.bucket[row]]}"
            ),
            size=np.abs(moves.delta_minor),
            at=part.number[moves.owner],
        )

    def _open(self, opening: AccountsDump) -> None:
        keys = np.array(list(opening.balances), np.uint64).reshape(-1, 2)
        amounts = np.array([dump[: len(BUCKETS)] for dump in opening.balances.values()], object)
        account = self._places.accounts.of(keys[:, 0])
        asset = self._places.assets.of(keys[:, 1].astype(np.int64))
        numbers = self._numbered(self._places.pair(account, asset))
        held = amounts.reshape(-1, len(BUCKETS))
        if np.abs(held).max(initial=0) < 1 << 62:
            held = held.astype(np.int64)
        else:
            self._balances = self._balances.astype(object)
        self._balances[numbers] = held

    def _numbered(self, pair: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of *pair* in the table of balances, which grows as it must."""
        numbers = self._pairs.of(pair)
        missing = len(self._pairs) - len(self._balances)
        if missing > 0:
            room = max(missing, len(self._balances))  # twice as many: grown seldom
            more = np.zeros((room, len(BUCKETS)), self._balances.dtype)
            self._balances = np.concatenate([self._balances, more])
        return numbers

    def finish(self, closing: TargetState, *, is_attached: bool) -> None:
        self.check_sums(closing, is_attached=is_attached)
        if closing.accounts is None:
            self.conserved.lacks("the closing balances are not known")
        elif self._opening is not None:
            self._check_dump(closing.accounts)

    def check_sums(self, closing: TargetState, *, is_attached: bool) -> None:
        """All accounts of an asset sum to 0: by the target's own totals, and by its accounts."""
        accounts = closing.accounts
        if closing.totals is not None:
            self._check_totals(closing.totals, accounts)
            if accounts is not None and EXTERNAL in accounts.account_seq and not is_attached:
                self._check_accounts_sum(accounts)
        elif accounts is None:
            self.conserved.lacks("the closing totals are not known")
        elif EXTERNAL not in accounts.account_seq:
            self.conserved.lacks("neither totals nor the system's accounts are known")
        elif accounts.asked is not None and is_attached:
            self.conserved.note("others may have accounts too, so those of the run were not summed")
        else:
            self._check_accounts_sum(accounts)

    def check_signs(self, accounts: AccountsDump) -> None:
        """No balance of the closing dump is negative: all that can be checked without a ledger."""
        for (account_id, asset_id), dump in accounts.balances.items():
            if account_id >= FIRST_ACCOUNT_ID:
                self.non_negative.check(
                    min(dump[: len(BUCKETS)]) >= 0,
                    f"account {account_id} asset {asset_id} has {_named(tuple(dump[:4]))}",
                    size=-min(dump[: len(BUCKETS)]),
                )

    def _check_accounts_sum(self, accounts: AccountsDump) -> None:
        sums: dict[int, int] = defaultdict(int)
        for (_, asset_id), dump in accounts.balances.items():
            sums[asset_id] += sum(dump[:4])
        for asset_id, left_minor in sums.items():
            self._check_sum(asset_id, left_minor)

    def _check_sum(self, asset_id: int, left_minor: int) -> None:
        self.conserved.check_equal(
            left_minor, 0, f"asset {asset_id}: all accounts sum to {left_minor}, not to 0"
        )

    def _check_totals(
        self, totals: Mapping[int, TotalsDump], accounts: AccountsDump | None
    ) -> None:
        users: dict[int, int] = defaultdict(int)
        held: set[int] = set()  # assets that anyone has
        for (account_id, asset_id), dump in accounts.balances.items() if accounts else ():
            if any(dump[:4]):
                held.add(asset_id)
            if account_id >= FIRST_ACCOUNT_ID:
                users[asset_id] += sum(dump[:4])  # a total that is not its parts is I3's
        left_out = sorted(held - totals.keys())
        if left_out:
            self.conserved.lacks(
                f"the target's totals leave out asset {left_out[0]}, which accounts hold"
                + (f", and {len(left_out) - 1} more" if len(left_out) > 1 else "")
            )
        for asset_id, total in totals.items():
            left_minor = total.users_minor + sum(total.system_minor.values())
            self._check_sum(asset_id, left_minor)
            if accounts is not None:
                self.conserved.check_equal(
                    users[asset_id],
                    total.users_minor,
                    f"asset {asset_id}: users' total is {total.users_minor}, "
                    f"their accounts sum to {users[asset_id]}",
                )

    def _check_dump(self, accounts: AccountsDump) -> None:
        zero = (0, 0, 0, 0)
        balances = self._by_key()
        for key in {**balances, **accounts.balances}:
            if not accounts.covers(key[0]):
                continue
            folded = balances.get(key, zero)
            dump = accounts.balances.get(key)
            listed = tuple(dump[:4]) if dump is not None else zero
            self.conserved.check(
                folded == listed,
                f"account {key[0]} asset {key[1]}: opening and ledger make "
                f"{_named(folded)}, the account says {_named(listed)}",
                size=max(abs(a - b) for a, b in zip(folded, listed, strict=True)),
            )

    def _by_key(self) -> dict[tuple[int, int], tuple[int, ...]]:
        pair, count = self._pairs.ids, len(self._pairs)
        accounts, assets = self._places.account_ids(pair), self._places.asset_ids(pair)
        keys = zip(accounts.tolist(), assets.tolist(), strict=True)
        return dict(zip(keys, map(tuple, self._balances[:count].tolist()), strict=True))


def _named(buckets: tuple[int, ...]) -> str:
    return (
        ", ".join(
            f"{name} {amount}" for name, amount in zip(BUCKETS, buckets, strict=True) if amount
        )
        or "nothing"
    )


def check_parts(closing: TargetState) -> Tally:
    """I3: each total is the sum of its parts, in every update and in the closing dump."""
    tally = Tally("I3")
    updates, accounts = closing.updates, closing.accounts
    if updates is None:
        tally.lacks("acct.balances.v1 was not read")
    else:
        tally.checked_count += updates.balance_count
        if updates.mismatch_count:
            tally.violate(updates.mismatch_first, count=updates.mismatch_count)
    if accounts is None:
        tally.lacks("the closing balances are not known")
        return tally
    for (account_id, asset_id), dump in accounts.balances.items():
        parts_minor = sum(dump[:4])
        tally.check_equal(
            parts_minor,
            dump.total_minor,
            f"account {account_id} asset {asset_id}: total {dump.total_minor}, its parts sum to "
            f"{parts_minor}",
        )
    return tally
