"""I6: updates on the topic and on subscriptions, honest ones and others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.subscription_log import HEADER, Arrival, Entry
from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import Run, run
from workloads.account.audit.account_updates import check_account_updates
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import AccountsDump, BalanceDump, TargetState
from workloads.account.audit.updates import UpdatesFold
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.watched_accounts import watched_accounts
from workloads.account.system import SYSTEM
from workloads.account.terms.workload import parse_workload

ALICE, BOB = 1001, 1002
USD = 1
STREAM_END = b"14 UNAVAILABLE: gone"
Update = contract.AccountUpdate


def update(seq: int, available: int, locked: int = 0, *, snapshot: bool = False) -> Update:
    """An update of Alice's dollars."""
    balance = contract.Balance(
        asset_id=USD,
        total_minor=available + locked,
        available_minor=available,
        locked_withdrawal_minor=locked,
    )
    return Update(account_id=ALICE, account_seq=seq, snapshot=snapshot, balances=[balance])


def message(item: Update, number: int = 0) -> Entry:
    """As it came."""
    return Entry(number, Arrival.MESSAGE, 1, item.SerializeToString())


OPENED = Entry(0, Arrival.OPENED, 1, b"")
ENDED = Entry(0, Arrival.ENDED, 1, STREAM_END)
SNAPSHOT, SECOND, THIRD = update(7, 100, snapshot=True), update(8, 90, 10), update(9, 90)
HONEST = [OPENED, message(SNAPSHOT), message(SECOND), message(THIRD)]
OVERFLOWED = [OPENED, message(SNAPSHOT), message(update(9, 90, snapshot=True))]
REOPENED = [*HONEST[:3], ENDED, OPENED, message(update(9, 90, snapshot=True))]
QUIET = [OPENED, message(update(9, 90, snapshot=True))]


def state(seq: int, available: int) -> AccountsDump:
    """Alice, and Bob who does nothing."""
    return AccountsDump(
        account_seq={ALICE: seq, BOB: 3},
        balances={
            (ALICE, USD): BalanceDump(available, 0, 0, 0, available),
            (BOB, USD): BalanceDump(5, 0, 0, 0, 5),
        },
        open_orders={},
    )


def told(log: list[Entry] | None, *updates: Update, **closing: Any) -> Invariant:
    """The verdict on what came, after Alice went from 100 to 90 in two steps."""
    opening = state(7, 100)
    fold = UpdatesFold(opening)
    fold.fold([item.SerializeToString() for item in updates or (SECOND, THIRD)])
    end = TargetState(**{"accounts": state(9, 90), "updates": fold.result(), **closing})
    return check_account_updates(
        TargetState(accounts=opening), end, watched=(ALICE,), log=log
    ).result()


@pytest.mark.parametrize(
    ("log", "note"),
    [
        (HONEST, ""),
        (OVERFLOWED, "a new snapshot stood for lost deltas 1 times"),
        (REOPENED, "a subscription ended and was opened again 1 times"),
        (QUIET, ""),
    ],
)
def test_honest_subscriptions_pass(log: list[Entry], note: str) -> None:
    """Deltas, a new snapshot after an overflow, and a stream that was opened again."""
    found = told(log)

    assert found.status is Correctness.PASSED, found.sentence
    assert note in found.sentence


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ([*HONEST[:2], message(THIRD)], "account_seq 9 follows 7"),
        ([OPENED, message(SECOND), message(THIRD)], "begins with account_seq 8"),
        ([*HONEST[:3], message(SECOND)], "account_seq 8 follows 8"),
        ([*HONEST, message(SNAPSHOT)], "a snapshot at 7 follows 9"),
        (HONEST[:3], "ends at account_seq 8, the account is at 9"),
        ([*HONEST[:3], message(update(9, 91))], "makes (91, 0, 0, 0) of asset 1"),
        ([*HONEST, Entry(0, Arrival.MESSAGE, 1, b"\xff")], "not an AccountUpdate"),
        ([*REOPENED[:-1], message(THIRD)], "begins with account_seq 9"),
        (
            [*HONEST[:3], message(Update(account_id=BOB, account_seq=9))],
            "tells of account 1002",
        ),
        (
            [OPENED, message(Update(account_id=ALICE, account_seq=9, snapshot=True))],
            "makes (0, 0, 0, 0) of asset 1",
        ),
    ],
)
def test_a_subscription_that_lies_is_found(log: list[Entry], words: str) -> None:
    """A skipped delta, no snapshot, one that is repeated or older, a wrong end."""
    found = told(log)

    assert found.status is Correctness.FAILED
    assert words in found.sentence


def test_a_total_that_is_not_its_parts_is_found() -> None:
    """In an update of a subscription too."""
    wrong = update(9, 90)
    wrong.balances[0].total_minor = 89
    found = told([*HONEST[:3], message(wrong)])

    assert found.status is Correctness.FAILED
    assert "the total of asset 1" in found.sentence


@pytest.mark.parametrize(
    ("updates", "words"),
    [
        ((SECOND, update(9, 91)), "its updates make (91, 0, 0, 0) by bucket"),
        ((SECOND,), "its updates make (90, 0, 0, 10) by bucket"),
    ],
)
def test_a_topic_that_lies_is_found(updates: tuple[Update, ...], words: str) -> None:
    """Its newest balances are not the account's."""
    found = told(HONEST, *updates)

    assert found.status is Correctness.FAILED
    assert words in found.sentence


def test_what_the_topic_repeats_changes_nothing() -> None:
    """After a restart older updates come again, behind newer ones."""
    assert told(HONEST, SECOND, THIRD, SECOND).status is Correctness.PASSED
    assert told(HONEST, SECOND, THIRD, SECOND, THIRD).status is Correctness.PASSED


@pytest.mark.parametrize(
    ("log", "closing", "words"),
    [
        (None, {}, "subscriptions were not recorded"),
        (REOPENED[:4], {}, f"was not opened again ({STREAM_END.decode()})"),
        ([OPENED], {}, "received nothing"),
        ([], {}, "received nothing"),
        (HONEST, {"updates": None}, "acct.balances.v1 was not read"),
        (HONEST, {"accounts": None}, "balances are not known"),
        (HONEST[:3], {"unrest": "it still moves"}, "it still moves"),
    ],
)
def test_what_is_missing_never_passes(
    log: list[Entry] | None, closing: dict[str, Any], words: str
) -> None:
    """UNKNOWN, with what is missing."""
    found = told(log, **closing)

    assert found.status is Correctness.UNKNOWN, found.sentence
    assert words in found.sentence


# ------------------------------------------------------------------------------ in a whole audit


def subscribed(scenario: Scenario, count: int) -> Run:
    """A clean run of which some accounts are watched."""
    return run(replace(scenario, workload={**scenario.workload, "subscriptions": count}))


def log_of(spoiled: Run) -> list[Entry]:
    """What an honest service sends: each account as it began, then each of its updates."""
    opening = spoiled.opening.accounts
    assert opening is not None
    watched = watched_accounts(
        parse_workload(spoiled.scenario.workload), seed=spoiled.scenario.seed
    )
    entries = []
    for number, account_id in enumerate(watched):
        snapshot = Update(
            account_id=account_id, account_seq=opening.account_seq[account_id], snapshot=True
        )
        for (owner, asset_id), dump in opening.balances.items():
            if owner == account_id:
                snapshot.balances.add(
                    asset_id=asset_id, total_minor=dump[4], available_minor=dump[0]
                )
        entries += [Entry(number, Arrival.OPENED, 1, b""), message(snapshot, number)]
        entries += [
            Entry(number, Arrival.MESSAGE, 1, raw)
            for raw in spoiled.updates
            if Update.FromString(raw).account_id == account_id
        ]
    return entries


def judged(spoiled: Run, entries: list[Entry] | None, folder: Path) -> Invariant:
    """I6 of the whole audit."""
    evidence, path = spoiled.evidence(folder), folder / "subscriptions.log"
    if entries is not None:
        path.write_bytes(
            b"".join(HEADER.pack(*entry[:3], len(entry.body)) + entry.body for entry in entries)
        )
        evidence = replace(evidence, subscriptions_path=path)
    return next(item for item in SYSTEM.auditor.audit(evidence) if item.id == "I6")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda entries: entries, Correctness.PASSED),
        (lambda entries: entries[:-1], Correctness.FAILED),
        (lambda entries: [*entries[:4], *entries[5:]], Correctness.FAILED),
        (lambda _: None, Correctness.UNKNOWN),
    ],
    ids=["honest", "cut short", "a delta lost", "no log"],
)
def test_the_audit_judges_subscriptions(
    scenario: Scenario,
    tmp_path: Path,
    change: Callable[[list[Entry]], list[Entry] | None],
    status: Correctness,
) -> None:
    """From the file that the subscriber wrote, for the accounts that the scenario names."""
    spoiled = subscribed(scenario, 4)

    assert judged(spoiled, change(log_of(spoiled)), tmp_path).status is status


def test_half_of_the_watched_are_the_busiest(scenario: Scenario) -> None:
    """As many as asked for, each once; the busiest is among them."""
    table = {
        "accounts": {"kind": "zipf", "theta": 1.0, "count": 500},
        "mix": {"transfer": "100%"},
        "subscriptions": 9,
    }
    watched = watched_accounts(parse_workload(table), seed=3)
    everybody = watched_accounts(parse_workload({**table, "subscriptions": 1000}), seed=3)

    assert len(watched) == len(set(watched)) == 9
    assert sorted(everybody) == list(range(1000, 1500))
    assert everybody[:5] == watched[:5]


def test_a_tally_of_nothing_is_unknown() -> None:
    """No accounts, no updates: nothing was held to anything."""
    nothing = AccountsDump(account_seq={}, balances={}, open_orders={})
    fold = UpdatesFold(nothing)
    closing = TargetState(accounts=nothing, updates=fold.result())
    found: Tally = check_account_updates(
        TargetState(accounts=nothing), closing, watched=(), log=None
    )

    assert found.result().status is Correctness.UNKNOWN
