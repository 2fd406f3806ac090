"""
Fold acct.balances.v1: do an account's numbers follow each other, is each total its parts' sum.

Streaming, so that a long run costs a few bytes an account, not a record an update.
"""

from workloads.account.audit.evidence import AccountsDump, UpdatesDump
from workloads.account.contract.accounts_pb2 import AccountUpdate


class UpdatesFold:
    """Fed with every record of the topic since the opening, in order per account."""

    def __init__(self, opening: AccountsDump | None) -> None:
        """*opening*: the accounts before; of those it doesn't cover, any first number will do."""
        self._opening = opening
        self._last_seq: dict[int, int] = {}
        self._update_count = self._balance_count = self._repeated_count = 0
        self._mismatch_count = self._gap_count = 0
        self._mismatch_first = self._gap_first = ""

    def fold(self, value: bytes) -> None:
        """
        Take one record.

        Raises:
            google.protobuf.message.DecodeError: it is no AccountUpdate.
        """
        update = AccountUpdate.FromString(value)
        account_id, seq = update.account_id, update.account_seq
        last = self._last_of(account_id)
        self._update_count += 1
        for balance in update.balances:
            self._balance_count += 1
            parts = (
                balance.available_minor
                + balance.locked_orders_minor
                + balance.locked_isolated_minor
                + balance.locked_withdrawal_minor
            )
            if parts != balance.total_minor:
                self._mismatch_count += 1
                self._mismatch_first = self._mismatch_first or (
                    f"account {account_id} asset {balance.asset_id} at account_seq {seq}: "
                    f"total {balance.total_minor}, its parts sum to {parts}"
                )
        if last is not None and seq <= last:
            self._repeated_count += 1
            return
        if last is not None and seq != last + 1 and not update.snapshot:
            self._gap_count += 1
            self._gap_first = self._gap_first or (
                f"account {account_id}: account_seq {seq} follows {last}"
            )
        self._last_seq[account_id] = seq

    def result(self) -> UpdatesDump:
        """What was found so far."""
        return UpdatesDump(
            update_count=self._update_count,
            balance_count=self._balance_count,
            mismatch_count=self._mismatch_count,
            mismatch_first=self._mismatch_first,
            gap_count=self._gap_count,
            gap_first=self._gap_first,
            repeated_count=self._repeated_count,
            last_seq=self._last_seq,
        )

    def _last_of(self, account_id: int) -> int | None:
        known = self._last_seq.get(account_id)
        if known is not None or self._opening is None or not self._opening.covers(account_id):
            return known
        return self._opening.account_seq.get(account_id, 0)
