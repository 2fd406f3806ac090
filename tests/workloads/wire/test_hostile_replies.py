"""Readers of a service's bytes, fed with anything: a value or a stated error, never another."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message

from harness.system import MalformedReplyError, Replies, ShardPlan
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.kinds import Kind
from workloads.account.wire.read_replies import decode_page
from workloads.account.wire.write_replies import (
    ack_of,
    decode_replies,
    event_reader,
    reply_code,
    stream_reply,
)

UINT64_MAX = 2**64 - 1
INT64_MAX = 2**63 - 1
INPUT_COUNT = 3_000
BIG = (0, 1, 127, 128, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, UINT64_MAX)


def ack(chance: random.Random) -> contract.Ack:
    """An Ack with any numbers."""
    return contract.Ack(
        code=chance.choice((0, 1, 4_001, 2**31 - 1)),
        journal_seq=chance.choice(BIG),
        account_seq=chance.choice(BIG),
        replayed=chance.random() < 0.5,
        t_ingress_ns=chance.choice(BIG),
        t_commit_ns=chance.choice(BIG),
    )


def balances(chance: random.Random) -> contract.BalancesReply:
    """A reply to GetBalances with any numbers."""
    reply = contract.BalancesReply(ack=ack(chance))
    for _ in range(chance.randrange(4)):
        amount_minor = chance.choice((0, 1, INT64_MAX, -INT64_MAX - 1))
        reply.balances.add(asset_id=chance.choice((1, 2**32 - 1)), available_minor=amount_minor)
    return reply


def page(chance: random.Random) -> bytes:
    """A page of an account's history with any numbers."""
    whole = b""
    for _ in range(chance.randrange(4)):
        entry = contract.LedgerEntry(account_seq=chance.choice(BIG), journal_seq=chance.choice(BIG))
        entry.postings.add(asset_id=2**32 - 1, order_id=UINT64_MAX, delta_minor=-INT64_MAX - 1)
        raw = entry.SerializeToString()
        whole += b"\0" + len(raw).to_bytes(4, "big") + raw
    return whole


def message_of(kind: Kind, chance: random.Random) -> bytes:
    """A reply to an operation of *kind*."""
    made: Message
    match kind:
        case Kind.LIST_LEDGER:
            return page(chance)
        case Kind.CREATE_ACCOUNT:
            made = ack(chance)
        case Kind.GET_BALANCES:
            made = balances(chance)
        case Kind.RESERVE | Kind.AMEND | Kind.RELEASE:
            made = contract.ReserveReply(ack=ack(chance), locked_minor=INT64_MAX)
        case _:
            made = contract.TransferReply(ack=ack(chance), available_minor=-INT64_MAX - 1)
    return made.SerializeToString()


def spoilt(raw: bytes, chance: random.Random) -> bytes:
    """*raw*, cut, grown or with other bits."""
    body = bytearray(raw)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                del body[place:]
            case 1:
                body[place:place] = chance.randbytes(chance.randrange(1, 12))
            case 2 if body:
                body[place % len(body)] ^= 1 << chance.randrange(8)
            case _:
                body[place : place + chance.randrange(1, 9)] = b"\xff" * chance.randrange(1, 12)
    return bytes(body)


KINDS = (
    *(Kind.RESERVE, Kind.AMEND, Kind.RELEASE, Kind.TRANSFER, Kind.CREATE_ACCOUNT),
    *(Kind.GET_BALANCES, Kind.LIST_LEDGER),
)


def plan_of(kinds: list[Kind]) -> ShardPlan:
    """Operations of these kinds, one behind the other."""
    none = np.full(len(kinds), -1, dtype=np.int32)
    return ShardPlan(
        shard=0,
        shard_count=1,
        intended_offset_ns=np.arange(len(kinds)),
        kind=np.array(kinds, dtype=np.uint8),
        needs_a=none,
        needs_b=none,
        after=none,
        stream=none,
        columns={},
    )


def inputs(seed: int, *, is_spoilt: bool) -> Iterator[tuple[Kind, bytes]]:
    """Replies of all kinds, in turn."""
    chance = random.Random(seed)
    for number in range(INPUT_COUNT):
        kind = KINDS[number % len(KINDS)]
        raw = message_of(kind, chance)
        yield kind, spoilt(raw, chance) if is_spoilt else raw


@pytest.mark.parametrize("is_spoilt", [False, True])
def test_replies_of_any_bytes_become_columns(is_spoilt: bool) -> None:
    """Legal numbers past 63 bits and bytes that are no message end no run."""
    made = list(inputs(1, is_spoilt=is_spoilt))
    sizes = [len(raw) for _, raw in made]
    replies = Replies(
        operation=np.arange(len(made)),
        start=np.concatenate([[0], np.cumsum(sizes)]),
        blob=b"".join(raw for _, raw in made),
    )
    columns = decode_replies(plan_of([kind for kind, _ in made]), replies)

    assert columns["malformed"].any() == is_spoilt
    assert columns["journal_seq"].max() == INT64_MAX
    assert columns["journal_seq"].min() >= 0


def test_readers_of_the_hot_path_raise_what_they_say() -> None:
    """Code, Ack and stream tag of any bytes: a number, or MalformedReplyError."""
    for _, raw in inputs(2, is_spoilt=True):
        for read in (reply_code, ack_of, stream_reply):
            try:
                read(raw)
            except MalformedReplyError:
                continue


def test_pages_and_events_raise_what_they_say() -> None:
    """A page of any bytes is a value or a DecodeError, an event an operation or none."""
    read_event = event_reader(7)
    for _, raw in inputs(3, is_spoilt=True):
        assert read_event(raw) >= -1
        try:
            decode_page(raw)
        except DecodeError:
            continue
