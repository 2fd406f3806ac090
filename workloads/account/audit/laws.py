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

| id | invariant | what it means | what it needs | judged in |
|---|---|---|---|---|
"""


class Check(Enum):
    """Which part of the audit decides: if it breaks down, all that it decides is UNKNOWN."""

    LEDGER = 1
    PARTS = 2
    TOLD = 3
    REPLAY = 4
    PLAN = 5


class When(StrEnum):
    """In which runs an invariant is judged; a page says so in these words."""

    ALWAYS = "every run"
    READS = "runs with reads"
    REPLAYED = "runs of a target with a `[replay]` command, or that require it"
    KILLED = "runs that kill the target or the broker"


class Order(IntEnum):
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
        facts: What is counted, for "of 1,200 ... break it".
        holds: What is true when it passes, as a clause.
        means: What a failure would be, for who reads the table.
        needs: The evidence without which it is UNKNOWN.
    """

    title: str
    facts: str
    holds: str
    means: str
    needs: str
    check: Check = Check.LEDGER
    when: When = When.ALWAYS
    order: Order = Order.OTHERS


LAWS = {
    "I1": Law(
        title="Money is conserved",
        facts="transactions, totals and balances",
        holds="Every transaction sums to 0 per asset, and opening balances plus the ledger are "
        "the closing balances",
        means="Every transaction sums to 0 in each asset, all accounts sum to 0, and the opening "
        "balances plus the ledger are the closing balances.",
        needs="`acct.ledger.v1`; balances before and after the run; totals, or the accounts of "
        "the system",
    ),
    "I2": Law(
        title="No balance is ever negative",
        facts="balances after a transaction",
        holds="Available and locked stayed at or above 0 at every event",
        means="No user's available or locked amount is below 0 after any transaction.",
        needs="`acct.ledger.v1`; balances before the run",
    ),
    "I3": Law(
        title="Totals are the sum of their parts",
        facts="balances in updates and in the closing dump",
        holds="Total is available plus the three locked buckets",
        means="Each total that the target tells is available plus the three locked amounts.",
        needs="`acct.balances.v1`; balances after the run",
        check=Check.PARTS,
    ),
    "I4": Law(
        title="Locked is what open orders need",
        facts="lock movements, orders and balances",
        holds="locked_orders is the sum over open orders of what each must lock",
        means="Each reserve, amendment, fill and release moves the lock that the contract's "
        "formula gives; locked_orders is the sum of what the open orders need.",
        needs="`acct.ledger.v1`; balances before and after the run; of an attached target its "
        "list of open orders",
    ),
    "I5": Law(
        title="No lock without an open order",
        facts="orders and lock movements",
        holds="Ended orders lock nothing, and none freed more than it held",
        means="An order that has ended locks nothing, none freed more than it held, and no order "
        "is open that nobody reserved.",
        needs="`acct.ledger.v1`; the lists of open orders before and after the run",
    ),
    "I6": Law(
        title="What is told of accounts is what they are",
        facts="updates and balances",
        holds="Balances as they were told make the closing ones",
        means="The newest balances told on `acct.balances.v1`, and on each `StreamAccount`, are "
        "the closing ones; a stream begins with a snapshot and has no gap.",
        needs="`acct.balances.v1`; the subscriptions that the scenario asks for; balances before "
        "and after the run",
        check=Check.TOLD,
    ),
    "I7": Law(
        title="Each request and match has exactly one effect",
        facts="operations and transactions",
        holds="Every acknowledged operation is on the ledger once, as asked, and nothing else is",
        means="An acknowledged request or a match has one transaction, which does what was asked; "
        "a rejected one has none; a repeated one has no second effect.",
        needs="`acct.ledger.v1`",
    ),
    "I8": Law(
        title="Sequences have no gaps",
        facts="sequence numbers",
        holds="journal_seq, account_seq and the sources' numbers follow each other",
        means="journal_seq, account_seq and the sequence numbers of each source follow each other "
        "without a gap, and a repeated record says what it said before.",
        needs="`acct.ledger.v1`; journal_seq and sources from `GetStats`; `acct.balances.v1`",
        order=Order.GAP,
    ),
    "I19": Law(
        title="Fees are right to the unit",
        facts="matches and assets",
        holds="The fees of every match, and their sum, are as recomputed",
        means="The fee of each side of each match is the contract's formula to the unit, and FEES "
        "grew by their sum in each asset.",
        needs="`acct.ledger.v1`; the FEES account before and after the run",
    ),
    "I20": Law(
        title="The journal makes the state",
        facts="replays",
        holds="The journal replayed into a fresh instance gives the digest of the state at rest",
        means="The journal replayed into a fresh instance gives the digest that the target told "
        "at rest.",
        needs="`GetStateDigest`; a `[replay]` command in the target file",
        check=Check.REPLAY,
        when=When.REPLAYED,
    ),
    "I21": Law(
        title="Reads are never older than was asked for",
        facts="reads",
        holds="Every read shows a state that its account had, no older than what it had to see",
        means="Each GetBalances and each ledger page shows a state that the account had, no older "
        "than min_applied_seq.",
        needs="`acct.ledger.v1`; balances before the run; journal_seq in the replies of writes",
        when=When.READS,
    ),
    "I22": Law(
        title="The operations are those of scenario and seed, and all have an end",
        facts="operations and statistics",
        holds="Every operation has one outcome, and the generated stream is the scenario's",
        means="The harness checks itself: every operation has one outcome, the plan made again "
        "from scenario and seed is the one that was sent, and its statistics are those asked for.",
        needs="the operation log",
        check=Check.PLAN,
    ),
    "I23": Law(
        title="What was acknowledged survives a kill",
        facts="operations acknowledged before a kill",
        holds="Every operation acknowledged before a kill is there after it, once",
        means="What was acknowledged before a kill is on the ledger after it, once.",
        needs="`acct.ledger.v1`; a step that kills the target or the broker",
        when=When.KILLED,
        order=Order.LOSS,
    ),
}


def page() -> str:
    """The table of all invariants, in Markdown."""
    rows = (
        f"| {identity} | {law.title} | {law.means} | {law.needs} | {law.when} |\n"
        for identity, law in LAWS.items()
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
