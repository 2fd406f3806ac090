"""
Every invariant once: its id, its title, what it means, and what the audit needs to judge it.

The page beside this module is made from it:
`python -m workloads.account.audit.laws > workloads/account/audit/invariants.md`.
"""

import sys
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

_HEAD = """\
# The invariants of the audit

Made from `laws.py` by
`python -m workloads.account.audit.laws > workloads/account/audit/invariants.md`.

After a run each invariant is PASSED, FAILED or UNKNOWN. Any that is FAILED makes the exit code 5.
One whose evidence is missing, or that had nothing to check, is UNKNOWN: exit code 3 if the scenario
requires it in `[audit] required = ["I1", "I7"]`, or requires all (the default) and evidence is
missing. Where the ledger has a gap, I23 and I8 are listed first: the others may follow from it.

| id | invariant | what is true when it is PASSED | what it needs | judged in |
|---|---|---|---|---|
"""


class AuditPart(Enum):
    """Which part of the audit decides: if it breaks down, all that it decides is UNKNOWN."""

    LEDGER = 1
    PARTS = 2
    UPDATES = 3
    REPLAY = 4
    PLAN = 5


class When(StrEnum):
    """In which runs an invariant is judged; a page says so in these words."""

    ALWAYS = "every run"
    READS = "runs with reads"
    REPLAYED = "runs of a target with a `[replay]` command, or that require it"
    KILLED = "runs that kill the target or the broker"


class ListOrder(IntEnum):
    """What is listed first where the ledger has a gap: the others may follow from it alone."""

    LOSS = 0
    GAP = 1
    OTHERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """
    One invariant.

    Attributes:
        title: As a record says it.
        facts: What is counted, for "3 of 1,200 ... violate it".
        holds: What is true when it passes, as a clause.
        needs: The evidence without which it is UNKNOWN.
    """

    title: str
    facts: str
    holds: str
    needs: str
    check: AuditPart = AuditPart.LEDGER
    when: When = When.ALWAYS
    order: ListOrder = ListOrder.OTHERS


LAWS = {
    "I1": Law(
        title="Money is conserved",
        facts="transactions, totals and balances",
        holds="Every transaction sums to 0 per asset, and opening balances plus the ledger are "
        "the closing balances",
        needs="`acct.ledger.v1`; balances before and after the run; totals, or the accounts of "
        "the system",
    ),
    "I2": Law(
        title="No balance is ever negative",
        facts="balances after a transaction",
        holds="Available and locked stayed at or above 0 at every event",
        needs="`acct.ledger.v1`; balances before the run",
    ),
    "I3": Law(
        title="Totals are the sum of their parts",
        facts="balances in updates and in the closing dump",
        holds="Total is available plus the three locked buckets",
        needs="`acct.balances.v1`; balances after the run",
        check=AuditPart.PARTS,
    ),
    "I4": Law(
        title="Locked is what open orders need",
        facts="lock movements, orders and balances",
        holds="locked_orders is the sum over open orders of what each must lock",
        needs="`acct.ledger.v1`; balances before and after the run; of an attached target its "
        "list of open orders",
    ),
    "I5": Law(
        title="No lock without an open order",
        facts="orders and lock movements",
        holds="Ended orders lock nothing, and none released more than it had locked",
        needs="`acct.ledger.v1`; the lists of open orders before and after the run",
    ),
    "I6": Law(
        title="What is told of accounts is what they are",
        facts="updates and balances",
        holds="Replaying all updates over the opening balances gives the closing balances",
        needs="`acct.balances.v1`; the subscriptions that the scenario asks for; balances before "
        "and after the run",
        check=AuditPart.UPDATES,
    ),
    "I7": Law(
        title="Each request and match has exactly one effect",
        facts="operations and transactions",
        holds="Every acknowledged operation is on the ledger once, as asked, and nothing else is",
        needs="`acct.ledger.v1`",
    ),
    "I8": Law(
        title="Sequences have no gaps",
        facts="sequence numbers",
        holds="journal_seq, account_seq and the sources' numbers follow each other",
        needs="`acct.ledger.v1`; journal_seq and sources from `GetStats`; `acct.balances.v1`",
        order=ListOrder.GAP,
    ),
    "I19": Law(
        title="Fees are right to the unit",
        facts="matches and assets",
        holds="The fees of every match, and their sum, are as recomputed",
        needs="`acct.ledger.v1`; the FEES account before and after the run",
    ),
    "I20": Law(
        title="The journal makes the state",
        facts="replays",
        holds="Replaying the journal into a fresh instance gives the digest of the state at rest",
        needs="`GetStateDigest`; a `[replay]` command in the target file",
        check=AuditPart.REPLAY,
        when=When.REPLAYED,
    ),
    "I21": Law(
        title="Reads are never older than was asked for",
        facts="reads",
        holds="Every read shows a state that its account had, no older than the read required",
        needs="`acct.ledger.v1`; balances before the run; journal_seq in the replies of writes",
        when=When.READS,
    ),
    "I22": Law(
        title="The operations are those of scenario and seed, and all have an end",
        facts="operations and statistics",
        holds="Every operation has one outcome, and the generated stream is the scenario's",
        needs="the operation log",
        check=AuditPart.PLAN,
    ),
    "I23": Law(
        title="What was acknowledged survives a kill",
        facts="operations acknowledged before a kill",
        holds="Every operation acknowledged before a kill has exactly one effect after it",
        needs="`acct.ledger.v1`; a step that kills the target or the broker",
        when=When.KILLED,
        order=ListOrder.LOSS,
    ),
}


def page() -> str:
    rows = (
        f"| {identity} | {law.title} | {law.holds} | {law.needs} | {law.when} |\n"
        for identity, law in LAWS.items()
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
