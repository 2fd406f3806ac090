"""One transaction of acct.ledger.v1, parsed once for all folds."""

from typing import NamedTuple

from workloads.account.audit.order_model import Effect
from workloads.account.contract.accounts_pb2 import JournalTxn


class PostingLine(NamedTuple):
    """One posting, as plain numbers."""

    account_id: int
    asset_id: int
    bucket: int
    delta_minor: int
    order_id: int


class Transaction(NamedTuple):
    """
    A transaction that is new on the ledger (not one that was emitted again).

    Attributes:
        row: Of the operation that caused it, -1 for none of this run's.
        effect: Sum of its postings by account, asset and bucket.
    """

    journal_seq: int
    kind: int
    row: int
    postings: tuple[PostingLine, ...]
    effect: Effect


def parse_transaction(message: JournalTxn, row: int) -> Transaction:
    """The transaction of an operation."""
    effect: Effect = {}
    lines = []
    for posting in message.postings:
        line = PostingLine(
            posting.account_id,
            posting.asset_id,
            posting.bucket,
            posting.delta_minor,
            posting.order_id,
        )
        lines.append(line)
        key = line[:3]
        total = effect.get(key, 0) + line.delta_minor
        if total:
            effect[key] = total
        else:
            effect.pop(key, None)
    return Transaction(message.journal_seq, message.kind, row, tuple(lines), effect)
