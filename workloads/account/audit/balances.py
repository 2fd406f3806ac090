"""
I1 and I2: no money appears or vanishes, and nobody is ever below zero.

A fold of the ledger over the opening balances; what comes out must be the closing dump, entry by
entry, or something changed a balance without saying so.
"""

from collections import defaultdict
from collections.abc import Mapping

from workloads.account.audit.evidence import AccountsDump, TargetState, TotalsDump
from workloads.account.audit.tally import Tally
from workloads.account.audit.transaction import Transaction
from workloads.account.plan.accounts import FIRST_ACCOUNT_ID

_BUCKETS = ("available", "locked_orders", "locked_isolated", "locked_withdrawal")


class BalanceFold:
    """Fed with every new transaction, in order."""

    def __init__(self, opening: TargetState) -> None:
        self.conserved = Tally(
            "I1",
            "Money is conserved",
            facts="transactions, totals and balances",
            law="Every transaction sums to 0 per asset, and opening balances plus the ledger are "
            "the closing balances",
        )
        self.non_negative = Tally(
            "I2",
            "No balance is ever negative",
            facts="balances after a transaction",
            law="Available and locked stayed at or above 0 at every event",
        )
        self._opening = opening.accounts
        self._balances: dict[tuple[int, int], list[int]] = {}
        if self._opening is None:
            for tally in (self.conserved, self.non_negative):
                tally.lacks("the opening balances are not known")
        else:
            for key, dump in self._opening.balances.items():
                self._balances[key] = list(dump[:4])

    def take(self, transaction: Transaction) -> bool:
        """One transaction; whether it balances."""
        sums: dict[int, int] = {}
        balances = self._balances
        for (account_id, asset_id, bucket), delta_minor in transaction.effect.items():
            if not 0 <= bucket < len(_BUCKETS):
                self.conserved.violate(
                    f"journal_seq {transaction.journal_seq} moves {delta_minor} of account "
                    f"{account_id} asset {asset_id} to a bucket {bucket} that there is not",
                    size=abs(delta_minor),
                )
                continue
            sums[asset_id] = sums.get(asset_id, 0) + delta_minor
            balance = balances.get((account_id, asset_id))
            if balance is None:
                balance = balances[account_id, asset_id] = [0, 0, 0, 0]
            balance[bucket] += delta_minor
            if account_id >= FIRST_ACCOUNT_ID and self._opening is not None:
                self.non_negative.checked_count += 1
                if balance[bucket] < 0:
                    self.non_negative.violate(
                        f"account {account_id} asset {asset_id} {_BUCKETS[bucket]} is "
                        f"{balance[bucket]} after journal_seq {transaction.journal_seq}",
                        size=-balance[bucket],
                    )
        self.conserved.checked_count += 1
        is_balanced = not any(sums.values())
        if not is_balanced:
            wrong = {asset_id: total for asset_id, total in sums.items() if total}
            self.conserved.violate(
                f"journal_seq {transaction.journal_seq} sums to {wrong} by asset, not to 0",
                size=max(abs(total) for total in wrong.values()),
            )
        return is_balanced

    def finish(self, closing: TargetState) -> None:
        """Hold the fold to the closing dump and totals."""
        if closing.totals is None:
            self.conserved.lacks("the closing totals are not known")
        else:
            self._check_totals(closing.totals, closing.accounts)
        if closing.accounts is None:
            self.conserved.lacks("the closing balances are not known")
        elif self._opening is not None:
            self._check_dump(closing.accounts)

    def _check_totals(
        self, totals: Mapping[int, TotalsDump], accounts: AccountsDump | None
    ) -> None:
        users: dict[int, int] = defaultdict(int)
        for (account_id, asset_id), dump in accounts.balances.items() if accounts else ():
            if account_id >= FIRST_ACCOUNT_ID:
                users[asset_id] += sum(dump[:4])  # a total that is not its parts is I3's
        for asset_id, total in totals.items():
            left_minor = total.users_minor + sum(total.system_minor.values())
            self.conserved.check(
                left_minor == 0,
                f"asset {asset_id}: all accounts sum to {left_minor}, not to 0",
                size=abs(left_minor),
            )
            if accounts is not None:
                self.conserved.check(
                    users[asset_id] == total.users_minor,
                    f"asset {asset_id}: users' total is {total.users_minor}, "
                    f"their accounts sum to {users[asset_id]}",
                    size=abs(users[asset_id] - total.users_minor),
                )

    def _check_dump(self, accounts: AccountsDump) -> None:
        zero = (0, 0, 0, 0)
        for key in {**self._balances, **accounts.balances}:
            folded = tuple(self._balances.get(key, zero))
            dump = accounts.balances.get(key)
            listed = tuple(dump[:4]) if dump is not None else zero
            self.conserved.checked_count += 1
            if folded != listed:
                self.conserved.violate(
                    f"account {key[0]} asset {key[1]}: opening and ledger make "
                    f"{_named(folded)}, the account says {_named(listed)}",
                    size=max(abs(a - b) for a, b in zip(folded, listed, strict=True)),
                )


def _named(buckets: tuple[int, ...]) -> str:
    return (
        ", ".join(
            f"{name} {amount}" for name, amount in zip(_BUCKETS, buckets, strict=True) if amount
        )
        or "nothing"
    )


def check_parts(closing: TargetState) -> Tally:
    """I3: each total is the sum of its parts, in every update and in the closing dump."""
    tally = Tally(
        "I3",
        "Totals are the sum of their parts",
        facts="balances in updates and in the closing dump",
        law="Total is available plus the three locked buckets",
    )
    updates, accounts = closing.updates, closing.accounts
    if updates is None:
        tally.lacks("acct.balances.v1 was not read")
    else:
        tally.checked_count += updates.balance_count
        if updates.mismatch_count:
            tally.violate(updates.mismatch_first)
            tally.violation_count += updates.mismatch_count - 1
    if accounts is None:
        tally.lacks("the closing balances are not known")
        return tally
    for (account_id, asset_id), dump in accounts.balances.items():
        parts_minor = sum(dump[:4])
        tally.check(
            parts_minor == dump.total_minor,
            f"account {account_id} asset {asset_id}: total {dump.total_minor}, its parts sum to "
            f"{parts_minor}",
            size=abs(parts_minor - dump.total_minor),
        )
    return tally
