"""
What a target reports of itself at rest, before and after a run: values only.

workloads.account.probe.survey fills them over the wire; the audit reads them. None always means
"could not be had", and `absent` says why: what is None makes its invariants UNKNOWN, never PASSED.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class BalanceDump(NamedTuple):
    """One account's balance of one asset, in minor units."""

    available_minor: int
    locked_orders_minor: int
    locked_isolated_minor: int
    locked_withdrawal_minor: int
    total_minor: int


class OrderDump(NamedTuple):
    """One open order as the target lists it."""

    order_id: int
    account_id: int
    asset_id: int
    leaves_lots: int
    locked_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsDump:
    """
    Accounts at one instant.

    Attributes:
        account_seq: By account_id, of those that are there.
        balances: By (account_id, asset_id).
        open_orders: By order_id; None: the target doesn't list them.
        pending: The ids of transfers that are neither posted nor voided; None: as above.
        asked: The accounts that were asked for one by one; None: all that there are.
    """

    account_seq: Mapping[int, int]
    balances: Mapping[tuple[int, int], BalanceDump]
    open_orders: Mapping[int, OrderDump] | None
    asked: frozenset[int] | None = None
    pending: frozenset[bytes] | None = None

    def covers(self, account_id: int) -> bool:
        """Whether the dump says if that account exists."""
        return self.asked is None or account_id in self.asked


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsDump:
    """Sums of one asset, in minor units; *system_minor* is by system account."""

    users_minor: int
    system_minor: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesDump:
    """
    What acct.balances.v1 said during a run.

    Attributes:
        update_count, balance_count: How many updates, and balances in them, were read.
        mismatch_count, mismatch_first: Balances whose total is not the sum of its parts.
        gap_count, gap_first: Updates whose account_seq did not follow the one before.
        repeated_count: Updates that came again (legal after a restart).
        last_seq: The newest account_seq by account_id.
        balances: The newest amounts by (account_id, asset_id), in the order of the buckets.
    """

    update_count: int
    balance_count: int
    mismatch_count: int
    mismatch_first: str
    gap_count: int
    gap_first: str
    repeated_count: int
    last_seq: Mapping[int, int]
    balances: Mapping[tuple[int, int], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """
    A target at rest.

    Attributes:
        capabilities: What it can do, as plain JSON values.
        journal_seq: Of its newest transaction.
        sources: Newest sequence number by (src, instrument_id).
        dead_letter_count: Records it could not apply.
        updates_from: Where acct.balances.v1 ended, by partition.
        updates: What was on it since the opening; only in a closing state.
        opening_journal_seq: Of the opening; only in a closing state.
        unrest: Work still pending at time-out, "" if quiescent. With pending work a missing effect
            may still come, so it disproves nothing.
    """

    capabilities: Mapping[str, Any] | None = None
    journal_seq: int | None = None
    sources: Mapping[tuple[str, int], int] | None = None
    dead_letter_count: int | None = None
    accounts: AccountsDump | None = None
    totals: Mapping[int, TotalsDump] | None = None
    digest: str = ""
    updates_from: Mapping[int, int] | None = None
    updates: UpdatesDump | None = None
    opening_journal_seq: int | None = None
    unrest: str = ""
    absent: tuple[str, ...] = ()
