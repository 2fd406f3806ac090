"""I21 on what an honest service told, and on replies that were tampered with."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from harness.engine.event_log import Values
from harness.model.record import Invariant
from harness.model.verdict import Correctness
from tests.workloads.reference.world import (
    ALICE,
    BASE,
    BOB,
    BUY,
    QUOTE,
    World,
    pend,
    release,
    reserve,
)
from workloads.account.audit.ledger_table import Transactions, decode
from workloads.account.audit.reads import ReadFold, Reads
from workloads.account.audit.target_state import AccountsDump, BalanceDump, TargetState
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference.inputs import InputKind
from workloads.account.reference.ledger import Ledger, balance_message
from workloads.account.wire.read_replies import Flaw, decode_balances, decode_page

USERS = (ALICE, BOB)
PAGE = 5  # entries a page
OPENED_AT = 8  # operations before the opening


class Log:
    """The part of an operation log that puts rows into words."""

    def describe(self, row: int) -> str:
        return f"read {row}"


@dataclass
class Read:
    """One read: what was asked, and the reply's own bytes."""

    account_id: int
    wanted_seq: int
    from_seq: int
    reply: bytes

    @property
    def is_page(self) -> bool:
        """A page of ListLedger; otherwise balances."""
        return self.from_seq >= 0


class Service:
    """An honest one: a world of the reference's own, read as it goes."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.world = World()
        self.world.seed(*((user, asset, 10_000) for user in USERS for asset in (BASE, QUOTE)))
        self.ledger = Ledger("me.executions.v1")
        self.told = 0
        self.reads: list[Read] = []
        self.opening = self.dump()
        for number in range(60):
            if number == OPENED_AT:
                self.opening = self.dump()
            self.act(chance, number)
            if number > OPENED_AT and chance.random() < 0.7:
                self.read(chance)
        self.closing = self.dump()

    def act(self, chance: random.Random, number: int) -> None:
        """One operation."""
        user = chance.choice(USERS)
        kind = chance.randint(0, 3)
        if kind == 0:
            self.world.ask(reserve(user, number, BUY, 10, chance.randint(1, 9)))
        elif kind == 1:
            self.world.ask(release(user, chance.randint(0, number)))
        elif kind == 2:
            self.world.ask(pend(user, QUOTE, chance.choice([-5, 5])))
        else:
            request = contract.InternalTransferRequest(
                meta=pend(user, QUOTE, 1).meta,
                account_id=ALICE,
                to_account_id=BOB,
                asset_id=QUOTE,
                amount_minor=chance.randint(1, 99),
            )
            self.world.put(InputKind.INTERNAL_TRANSFER, request.SerializeToString())
        for transaction in self.world.transactions[self.told :]:
            self.ledger.append(transaction, 1)
        self.told = len(self.world.transactions)

    def read(self, chance: random.Random) -> None:
        """Balances, and a page from anywhere."""
        user = chance.choice(USERS)
        wanted_seq = self.world.state.journal_seq - chance.randint(0, 3)
        self.reads.append(Read(user, wanted_seq, -1, self.balances(user)))
        seq = self.world.state.accounts[user].seq
        from_seq = chance.choice([0, 1, seq - 2, seq + 1, chance.randint(1, seq)])
        self.reads.append(Read(user, wanted_seq, from_seq, self.page(user, from_seq)))

    def balances(self, user: int) -> bytes:
        """A GetBalances reply."""
        account = self.world.state.accounts[user]
        return contract.BalancesReply(
            ack=contract.Ack(journal_seq=self.world.state.journal_seq, account_seq=account.seq),
            balances=[
                balance_message((asset, *balance))  # type: ignore[arg-type]  # four buckets
                for asset, balance in account.balances.items()
            ],
        ).SerializeToString()

    def page(self, user: int, from_seq: int) -> bytes:
        """A page as a client reads it."""
        entries = self.ledger.page(user, from_seq, PAGE)
        return b"".join(b"\0" + len(entry).to_bytes(4, "big") + entry for entry in entries)

    def dump(self) -> TargetState:
        """What the audit knows of a state."""
        state = self.world.state
        return TargetState(
            journal_seq=state.journal_seq,
            accounts=AccountsDump(
                account_seq={key: account.seq for key, account in state.accounts.items()},
                balances={
                    (key, asset): BalanceDump(*balance, sum(balance))
                    for key, account in state.accounts.items()
                    for asset, balance in account.balances.items()
                },
                open_orders=None,
            ),
        )

    def parts(self) -> list[tuple[Transactions, Any]]:
        """The ledger since the opening, in three parts, and who asked."""
        first = self.opening.journal_seq or 0
        transactions = self.world.transactions[first:]
        events = [self.ledger._events[number - 1] for number, *_ in transactions]
        table, error = decode(Values.joined(events), run_tag=1)
        assert error is None
        asked_by = np.array([cause[0] for _, _, cause, _, _ in transactions])
        cuts = [0, len(table) // 3, len(table) // 2, len(table)]
        return [(table.part(low, high), asked_by[low:high]) for low, high in pairwise(cuts)]


def columns(reads: list[Read], *, is_page: bool) -> Reads:
    """As the operation log holds them."""
    chosen = [(row, read) for row, read in enumerate(reads) if read.is_page == is_page]
    told = [
        decode_page(read.reply)
        if is_page
        else decode_balances(contract.BalancesReply.FromString(read.reply))
        for _, read in chosen
    ]

    def column(values: list[int], kind: Any = np.int64) -> Any:
        return np.array(values, kind)

    return Reads(
        row=column([row for row, _ in chosen]),
        account_id=column([read.account_id for _, read in chosen], np.uint64),
        wanted_seq=column([read.wanted_seq for _, read in chosen]),
        journal_seq=column([item.journal_seq for item in told]),
        account_seq=column([item.account_seq for item in told]),
        print=column([item.told_print for item in told]).view(np.uint64),
        flaw=column([item.told_flaw for item in told]),
        from_seq=column([read.from_seq for _, read in chosen]),
        limit_count=column([PAGE] * len(chosen)),
        first_seq=column([item.told_first_seq for item in told]),
        entry_count=column([item.told_count for item in told]),
    )


def judged(service: Service, *, skip: int = -1, closing: TargetState | None = None) -> Invariant:
    """The verdict; *skip* leaves a part of the ledger out."""
    log: Any = Log()
    law = ReadFold(
        log,
        columns(service.reads, is_page=False),
        columns(service.reads, is_page=True),
        opening=service.opening,
    )
    for number, (part, asked_by) in enumerate(service.parts()):
        if number != skip:
            law.take(part, asked_by)
    law.finish(closing or service.closing)
    return law.tally.result()


@pytest.mark.parametrize("seed", range(12))
def test_honest_reads_pass(seed: int) -> None:
    """Balances and pages, from before the opening too, read at any time."""
    service = Service(seed)
    found = judged(service)

    assert found.status is Correctness.PASSED, found.sentence
    assert found.checked_count == len(service.reads) > 20


def spoil_balances(change: Callable[[contract.BalancesReply, Service], None]) -> Any:
    """Change the last reply with balances."""

    def spoil(service: Service) -> Read:
        read = next(read for read in reversed(service.reads) if not read.is_page)
        reply = contract.BalancesReply.FromString(read.reply)
        change(reply, service)
        read.reply, read.wanted_seq = reply.SerializeToString(), 0
        return read

    return spoil


def one_unit_less(reply: contract.BalancesReply, service: Service) -> None:
    """An amount that is wrong by one."""
    reply.balances[0].available_minor -= 1
    reply.balances[0].total_minor -= 1


def moved_between_buckets(reply: contract.BalancesReply, service: Service) -> None:
    """The right total in the wrong place."""
    reply.balances[0].available_minor -= 7
    reply.balances[0].locked_orders_minor += 7


def wrong_total(reply: contract.BalancesReply, service: Service) -> None:
    """Not the sum of its parts."""
    reply.balances[0].total_minor += 1


def an_asset_twice(reply: contract.BalancesReply, service: Service) -> None:
    """One entry more."""
    reply.balances.append(reply.balances[0])


def seq_of_the_future(reply: contract.BalancesReply, service: Service) -> None:
    """A number that nothing gave."""
    reply.ack.account_seq += 1000


def seq_ahead_of_its_time(reply: contract.BalancesReply, service: Service) -> None:
    """The true state, said to have been there before it was."""
    reply.ack.journal_seq = (service.opening.journal_seq or 0) + 1


def before_the_opening(reply: contract.BalancesReply, service: Service) -> None:
    """A number from long ago."""
    reply.ack.account_seq = 1


BALANCE_FAULTS = {
    one_unit_less: "not those of the ledger",
    moved_between_buckets: "not those of the ledger",
    wrong_total: "not the sum of its parts",
    an_asset_twice: "an asset twice",
    seq_of_the_future: "had not reached",
    seq_ahead_of_its_time: "had not reached",
    before_the_opening: "had changed again",
}


@pytest.mark.parametrize("change", BALANCE_FAULTS)
def test_wrong_balances_are_found(change: Any) -> None:
    """One reply of many, and it is named."""
    service = Service(1)
    read = spoil_balances(change)(service)
    found = judged(service)

    assert found.status is Correctness.FAILED
    assert BALANCE_FAULTS[change] in found.sentence
    assert f"read {service.reads.index(read)} " in found.sentence


@pytest.mark.parametrize("is_honest", [True, False])
def test_a_stale_read_is_found(is_honest: bool) -> None:
    """An older state violates I21 if it says its age, and if it claims to be newest."""
    service = Service(2)
    user = service.reads[0].account_id
    stale = contract.BalancesReply.FromString(service.reads[0].reply)
    newest = service.closing.journal_seq or 0
    if not is_honest:
        stale.ack.journal_seq = newest
    service.reads.append(Read(user, newest, -1, stale.SerializeToString()))
    found = judged(service)

    assert found.status is Correctness.FAILED
    assert (
        f"required {newest}" if is_honest else "the account had changed again"
    ) in found.sentence


def test_an_old_read_is_legal_where_any_age_will_do() -> None:
    """Without min_applied_seq a state of some time ago may be shown, if it tells its age."""
    service = Service(3)
    old = next(read for read in service.reads if not read.is_page)
    service.reads.append(replace(old, wanted_seq=0))

    assert judged(service).status is Correctness.PASSED


PageChange = Callable[[list[contract.LedgerEntry]], None]


def drop_last(entries: list[contract.LedgerEntry]) -> None:
    """A page that ends too early."""
    entries.pop()


def drop_middle(entries: list[contract.LedgerEntry]) -> None:
    """A hole."""
    del entries[1]


def drop_first(entries: list[contract.LedgerEntry]) -> None:
    """A page that begins too late."""
    del entries[0]


def swap(entries: list[contract.LedgerEntry]) -> None:
    """Out of order."""
    entries[0], entries[1] = entries[1], entries[0]


def wrong_amount(entries: list[contract.LedgerEntry]) -> None:
    """A posting of one unit more."""
    moved = [entry for entry in entries if entry.postings]
    moved[-1].postings[0].delta_minor += 1


def wrong_position(entries: list[contract.LedgerEntry]) -> None:
    """An entry with a journal_seq that is not its own."""
    entries[-1].journal_seq += 1


def one_more(entries: list[contract.LedgerEntry]) -> None:
    """An entry that never was."""
    extra = contract.LedgerEntry(
        account_seq=entries[-1].account_seq + 1, journal_seq=entries[-1].journal_seq + 1
    )
    entries.append(extra)


def empty(entries: list[contract.LedgerEntry]) -> None:
    """Nothing, where there was something."""
    entries.clear()


@pytest.mark.parametrize(
    "change",
    [drop_last, drop_middle, drop_first, swap, wrong_amount, wrong_position, one_more, empty],
)
@pytest.mark.parametrize("begins", ["before the opening", "after it"])
def test_a_wrong_page_is_found(change: PageChange, begins: str) -> None:
    """What a page of history leaves out, adds or alters."""
    service = Service(4)
    opening, state = service.opening.accounts, service.world.state
    assert opening is not None
    last = state.accounts[ALICE].seq
    from_seq = max(opening.account_seq[ALICE] + (-1 if begins == "before the opening" else 2), 1)
    service.reads = [
        Read(ALICE, 0, from_seq, service.page(ALICE, from_seq)),
        Read(ALICE, state.journal_seq, from_seq, service.page(ALICE, from_seq)),
    ]
    assert last > from_seq + PAGE
    assert judged(service).status is Correctness.PASSED
    entries = list(map(contract.LedgerEntry.FromString, service.ledger.page(ALICE, from_seq, PAGE)))
    change(entries)
    raw = [entry.SerializeToString() for entry in entries]
    service.reads[1].reply = b"".join(
        b"\0" + len(entry).to_bytes(4, "big") + entry for entry in raw
    )
    found = judged(service)

    assert found.status is Correctness.FAILED, found.sentence
    assert "read 1 " in found.sentence


def test_without_evidence_nothing_passes() -> None:
    """A gap, a missing end, no opening: UNKNOWN, and the reason is named."""
    service = Service(5)
    gap = judged(service, skip=1)
    cut = judged(service, skip=2)
    unknown_end = judged(service, closing=TargetState())
    service.opening = replace(service.opening, accounts=None)
    no_opening = judged(service)
    service = Service(5)
    service.reads.clear()
    no_reads = judged(service)

    for found, words in (
        (gap, "gap"),
        (cut, "the ledger topic ends at"),
        (unknown_end, "closing journal_seq is not known"),
        (no_opening, "opening balances are not known"),
        (no_reads, "there were no reads"),
    ):
        assert found.status is Correctness.UNKNOWN, found.sentence
        assert words in found.sentence


def test_replies_that_are_wrong_by_themselves_are_marked() -> None:
    """Each flaw has its own number, and one that is none is 0."""
    honest = Service(6)
    reply = next(read.reply for read in honest.reads if read.is_page and read.reply)

    assert decode_page(reply).told_flaw == Flaw.NONE
    assert decode_page(b"") == (0, 0, 0, 0, 0, 0)
