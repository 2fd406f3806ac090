"""
What the replies to reads told, as a row each: enough to hold every one of them to the ledger.

A GetBalances reply names the state that it shows (journal_seq, account_seq); what it holds becomes
one number (audit.fingerprint). A page of ListLedger becomes its ends, its length and one number.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from google.protobuf.message import DecodeError

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.row_digest import (
    HistoryEntry,
    Holding,
    LedgerLine,
    print_of_page,
    print_of_state,
    signed,
)

_PREFIX = struct.Struct(">BI")  # of a gRPC message: compressed or not, length


class Flaw(IntEnum):
    """What is wrong with a reply by itself."""

    NONE = 0
    TOTAL = 1  # a total is not the sum of its parts
    REPEATED = 2  # an asset is there twice
    ORDER = 3  # entries don't follow each other


class ReadReply(NamedTuple):
    """
    One reply.

    Attributes:
        journal_seq, account_seq: Of the state that is shown; of a page's last entry, 0 for none.
        told_first_seq: account_seq of a page's first entry.
        told_count: Balances, or entries.
        told_print: Of all of it, as int64.
        told_flaw: A Flaw.
    """

    journal_seq: int
    account_seq: int
    told_first_seq: int
    told_count: int
    told_print: int
    told_flaw: int


def buckets_of(balance: contract.Balance) -> tuple[int, int, int, int]:
    """Its amounts in minor units, in the order of the contract's buckets."""
    return (
        balance.available_minor,
        balance.locked_orders_minor,
        balance.locked_isolated_minor,
        balance.locked_withdrawal_minor,
    )


def decode_balances(reply: contract.BalancesReply) -> ReadReply:
    flaw, holdings, seen = Flaw.NONE, [], set()
    for balance in reply.balances:
        parts = buckets_of(balance)
        if sum(parts) != balance.total_minor:
            flaw = Flaw.TOTAL
        if balance.asset_id in seen:
            flaw = Flaw.REPEATED
        seen.add(balance.asset_id)
        holdings += [Holding(balance.asset_id, *item) for item in enumerate(parts)]
    return ReadReply(
        journal_seq=reply.ack.journal_seq,
        account_seq=reply.ack.account_seq,
        told_first_seq=0,
        told_count=len(reply.balances),
        told_print=signed(print_of_state(holdings)),
        told_flaw=flaw,
    )


def decode_page(reply: bytes | memoryview) -> ReadReply:
    """A page of ListLedger, each message with its gRPC prefix; DecodeError if it is none."""
    entries = [
        HistoryEntry(
            message.account_seq,
            message.journal_seq,
            message.kind,
            tuple(
                LedgerLine(line.asset_id, line.bucket, line.delta_minor, line.order_id)
                for line in message.postings
            ),
        )
        for message in _messages(reply)
    ]
    follows = all(
        after.account_seq == before.account_seq + 1 and after.journal_seq > before.journal_seq
        for before, after in pairwise(entries)
    )
    return ReadReply(
        journal_seq=entries[-1].journal_seq if entries else 0,
        account_seq=entries[-1].account_seq if entries else 0,
        told_first_seq=entries[0].account_seq if entries else 0,
        told_count=len(entries),
        told_print=signed(print_of_page(entries)),
        told_flaw=Flaw.NONE if follows else Flaw.ORDER,
    )


def _messages(reply: bytes | memoryview) -> Iterator[contract.LedgerEntry]:
    at = 0
    while at < len(reply):
        start = at + _PREFIX.size
        if start > len(reply):
            raise DecodeError("a page ends inside a message's length")
        is_compressed, length = _PREFIX.unpack_from(reply, at)
        at = start + length
        if is_compressed or at > len(reply):
            raise DecodeError("a page ends inside a message, or is compressed")
        yield contract.LedgerEntry.FromString(bytes(reply[start:at]))
