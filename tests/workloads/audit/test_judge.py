"""The audit: a clean run passes, and each planted corruption turns the right invariant red."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.model.operation import Outcome
from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import (
    AVAILABLE,
    EXTERNAL,
    FEES,
    FIRST_ID,
    ISOLATED,
    LOCKED,
    RUN_TAG,
    Run,
    Tamper,
    Txn,
    run,
)
from workloads.account.audit.target_state import TargetState
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.system import SYSTEM
from workloads.account.wire.identity import REQUEST_ID
from workloads.account.wire.kinds import Kind

ALL = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I19", "I22")


def judged(spoiled: Run, folder: Path) -> dict[str, Invariant]:
    """Every invariant by id."""
    return {item.id: item for item in SYSTEM.auditor.audit(spoiled.evidence(folder))}


def broken(found: dict[str, Invariant]) -> set[str]:
    """The ids of those that failed."""
    return {key for key, item in found.items() if item.status is Correctness.FAILED}


def test_a_clean_run_passes(scenario: Scenario, tmp_path: Path) -> None:
    """Every invariant holds, on facts."""
    found = judged(run(scenario), tmp_path)

    assert tuple(found) == ALL
    for item in found.values():
        assert item.status is Correctness.PASSED, item.sentence
        assert item.checked_count > 0
        assert item.violation_count == 0


def test_a_run_without_matches_has_no_fees(scenario: Scenario, tmp_path: Path) -> None:
    """Where nothing is traded, that FEES did not grow is what I19 checks, asset by asset."""
    accounts = {"kind": "uniform", "count": 20}
    deposits = replace(scenario, workload={"accounts": accounts, "mix": {"transfer": "100%"}})
    found = judged(run(deposits), tmp_path)

    assert broken(found) == set()
    assert found["I19"].status is Correctness.PASSED


# ------------------------------------------------------- faults of a service, by transaction


def once(
    kind: Kind, change: Callable[[Txn], Iterable[Txn]], *, skip: int = 3
) -> Callable[[], Tamper]:
    """A fault that strikes one transaction of *kind*, after *skip* honest ones."""

    def make() -> Tamper:
        seen = 0

        def tamper(actual: Kind, txn: Txn) -> Iterable[Txn]:
            nonlocal seen
            seen += actual is kind
            return change(txn) if actual is kind and seen == skip + 1 else (txn,)

        return tamper

    return make


def without_contra(txn: Txn) -> Iterable[Txn]:
    """A deposit out of nothing."""
    kept = [line for line in txn.postings if line.account_id != EXTERNAL]
    del txn.postings[:]
    txn.postings.extend(kept)
    return (txn,)


def overdrawn(txn: Txn) -> Iterable[Txn]:
    """A withdrawal of more than there is."""
    for line in txn.postings:
        line.delta_minor = 10**14 if line.account_id == EXTERNAL else -(10**14)
    return (txn,)


def dearer(txn: Txn) -> Iterable[Txn]:
    """A fee that is one unit too high, at the cost of one of the two."""
    fee = next(p for p in txn.postings if p.account_id == FEES)
    fee.delta_minor += 1
    payer = next(p for p in txn.postings if p.account_id >= FIRST_ID and p.bucket == AVAILABLE
                 and p.asset_id == fee.asset_id)  # fmt: skip
    payer.delta_minor -= 1
    return (txn,)


def lost(_: Txn) -> Iterable[Txn]:
    """Acknowledged, and nothing done."""
    return ()


def doubled(txn: Txn) -> Iterable[Txn]:
    """Applied twice."""
    return (txn, txn)


def one_more_locked(txn: Txn) -> Iterable[Txn]:
    """A lock that is one unit too large."""
    for line in txn.postings:
        line.delta_minor += 1 if line.bucket == LOCKED else -1
    return (txn,)


def to_another(txn: Txn) -> Iterable[Txn]:
    """A transfer to the wrong account."""
    receiver = next(p for p in txn.postings if p.delta_minor > 0)
    receiver.account_id = FIRST_ID if receiver.account_id != FIRST_ID else FIRST_ID + 1
    return (txn,)


def isolated(txn: Txn) -> Iterable[Txn]:
    """A credit to a part of the balance that nothing here uses, and that nobody can spend."""
    credit = next(
        line
        for line in txn.postings
        if line.account_id >= FIRST_ID and line.bucket == AVAILABLE and line.delta_minor > 0
    )
    credit.bucket = ISOLATED  # type: ignore[assignment]
    return (txn,)


TRANSACTION_FAULTS = [
    ("deposit out of nothing", once(Kind.TRANSFER, without_contra), {"I1"}, {"I1"}),
    ("overdrawn", once(Kind.TRANSFER, overdrawn), {"I2", "I7"}, {"I2", "I7"}),
    ("fee off by one", once(Kind.FILL, dearer), {"I19"}, {"I19"}),
    ("lost release", once(Kind.RELEASE, lost), {"I5", "I7"}, {"I5", "I7"}),
    ("lost transfer", once(Kind.TRANSFER, lost), {"I7"}, {"I7"}),
    ("double transfer", once(Kind.TRANSFER, doubled), {"I7"}, {"I7"}),
    ("double fill", once(Kind.FILL, doubled), {"I7"}, {"I2", "I4", "I5", "I7", "I19"}),
    ("skipped fill", once(Kind.FILL, lost), {"I7"}, {"I5", "I7"}),
    ("lock too large", once(Kind.RESERVE, one_more_locked), {"I4"}, {"I4", "I5"}),
    ("release to isolated", once(Kind.RELEASE, isolated), {"I7"}, {"I7"}),
    ("fill to isolated", once(Kind.FILL, isolated), {"I7"}, {"I7"}),
    ("receipt to isolated", once(Kind.INTERNAL_TRANSFER, isolated), {"I7"}, {"I7"}),
    ("wrong receiver", once(Kind.INTERNAL_TRANSFER, to_another), {"I7"}, {"I6", "I7", "I8"}),
]


@pytest.mark.parametrize(
    ("fault", "must", "may"), [case[1:] for case in TRANSACTION_FAULTS],
    ids=[case[0] for case in TRANSACTION_FAULTS],
)  # fmt: skip
def test_a_fault_of_the_service(
    scenario: Scenario,
    tmp_path: Path,
    fault: Callable[[], Tamper],
    must: set[str],
    may: set[str],
) -> None:
    """One wrong transaction among a thousand fails its invariant, and only what follows from it."""
    red = broken(judged(run(scenario, fault()), tmp_path))

    assert must <= red <= may


# ---------------------------------------------------------------- faults seen in the evidence


def change_balance(spoiled: Run) -> None:
    """Overwrite a balance without a transaction."""
    assert spoiled.closing.accounts is not None
    balances = dict(spoiled.closing.accounts.balances)
    key = next(key for key in balances if key[0] >= FIRST_ID)
    old = balances[key]
    balances[key] = old._replace(
        available_minor=old.available_minor + 7, total_minor=old.total_minor + 7
    )
    accounts = replace(spoiled.closing.accounts, balances=balances)
    spoiled.closing = replace(spoiled.closing, accounts=accounts)


def drop_event(spoiled: Run) -> None:
    """Lose one record of the ledger topic."""
    del spoiled.events[20]


def drop_update(spoiled: Run) -> None:
    """Lose one record of the balances topic."""
    del spoiled.updates[20]


def break_total(spoiled: Run) -> None:
    """Write a total that is not the sum of its parts into an update."""
    position, update = next(
        (at, parsed)
        for at, parsed in enumerate(map(contract.AccountUpdate.FromString, spoiled.updates))
        if parsed.balances
    )
    update.balances[0].total_minor += 1
    spoiled.updates[position] = update.SerializeToString()


def fall_behind(spoiled: Run) -> None:
    """Skip the last execution of a source."""
    assert spoiled.closing.sources is not None
    sources = dict(spoiled.closing.sources)
    sources[next(iter(sources))] -= 1
    spoiled.closing = replace(spoiled.closing, sources=sources)


def answer_anew(spoiled: Run) -> None:
    """Answer a repeated request as if it were a new one."""
    repeats = np.flatnonzero(spoiled.table["duplicate_of"] >= 0)
    spoiled.table.loc[repeats[0], "replayed"] = False


def uninvited(spoiled: Run) -> None:
    """Move money that nobody asked to move, back and forth."""
    assert spoiled.closing.journal_seq is not None
    for amount in (5, -5):
        seq = spoiled.closing.journal_seq + 1
        txn = Txn(journal_seq=seq, cause=contract.Cause(request_id=b"somebody elses!!"))
        txn.postings.add(account_id=EXTERNAL, asset_id=1, delta_minor=amount)
        txn.postings.add(account_id=FEES, asset_id=1, delta_minor=-amount)
        spoiled.events.append(txn.SerializeToString())
        spoiled.closing = replace(spoiled.closing, journal_seq=seq)


def refuse_after_applying(spoiled: Run) -> None:
    """Answer a transfer that was applied with a refusal."""
    row = _first(spoiled, "transfer")
    spoiled.table.loc[row, "outcome"] = int(Outcome.REJECTED)


def forget_an_operation(spoiled: Run) -> None:
    """Leave an operation without an outcome."""
    spoiled.table.loc[_first(spoiled, "transfer"), "outcome"] = int(Outcome.IN_FLIGHT)


def lock_for_nobody(spoiled: Run) -> None:
    """List an open order that nobody reserved."""
    assert spoiled.closing.accounts is not None
    orders = dict(spoiled.closing.accounts.open_orders)
    some = next(iter(orders.values()))
    orders[7] = some._replace(order_id=7, locked_minor=0)
    accounts = replace(spoiled.closing.accounts, open_orders=orders)
    spoiled.closing = replace(spoiled.closing, accounts=accounts)


def send_another_plan(spoiled: Run) -> None:
    """Send what the seed doesn't plan."""
    spoiled.scenario = replace(spoiled.scenario, seed=spoiled.scenario.seed + 1)


def _first(spoiled: Run, kind: str, *, skip: int = 0) -> int:
    chosen = (
        (spoiled.table["kind"] == kind)
        & (spoiled.table["duplicate_of"] < 0)
        & (spoiled.table["outcome"] == int(Outcome.ACKNOWLEDGED))
    )
    return int(np.flatnonzero(chosen)[skip])


EVIDENCE_FAULTS = [
    (change_balance, {"I1", "I6"}),
    (drop_event, {"I1", "I7", "I8"}),
    (drop_update, {"I8"}),
    (break_total, {"I3"}),
    (fall_behind, {"I8"}),
    (answer_anew, {"I7"}),
    (uninvited, {"I7"}),
    (refuse_after_applying, {"I7"}),
    (forget_an_operation, {"I22"}),
    (lock_for_nobody, {"I5"}),
    (send_another_plan, {"I22"}),
]


@pytest.mark.parametrize(
    ("spoil", "must"), EVIDENCE_FAULTS, ids=[case[0].__name__ for case in EVIDENCE_FAULTS]
)
def test_a_fault_in_the_evidence(
    scenario: Scenario, tmp_path: Path, spoil: Callable[[Run], None], must: set[str]
) -> None:
    """One wrong piece of evidence violates exactly its invariants."""
    spoiled = run(scenario)
    spoil(spoiled)

    assert must == broken(judged(spoiled, tmp_path)) - _follow(must)


def test_a_reply_names_its_transaction(scenario: Scenario, tmp_path: Path) -> None:
    """A later read is told to wait for that number: one less, and it may show the state before."""
    told = run(scenario)
    seqs: dict[tuple[int, int], int] = {}
    for event in told.events:
        txn = Txn.FromString(event)
        if txn.cause.request_id:
            _, shard, index = REQUEST_ID.unpack(txn.cause.request_id)
            seqs[shard, index] = txn.journal_seq
    told.table["journal_seq"] = [
        seqs.get((int(shard), int(index)), 0)
        for shard, index in zip(told.table["shard"], told.table["index"], strict=True)
    ]
    assert broken(judged(told, tmp_path)) == set()

    told.table.loc[_first(told, "transfer"), "journal_seq"] -= 1
    assert broken(judged(told, tmp_path)) == {"I7"}


def _follow(must: set[str]) -> set[str]:
    """A transaction that is not on the ledger is missing from every fold of it."""
    return {"I2", "I4", "I5", "I19"} if must == {"I1", "I7", "I8"} else set()


# -------------------------------------------------------------------------------- what is not known


def lonely_transfer(scenario: Scenario) -> int:
    """The row of a transfer that is applied and that no duplicate speaks for."""
    table = run(scenario).table
    repeated = set(zip(table["shard"], table["duplicate_of"], strict=True))
    applied = (table["kind"] == "transfer") & (table["outcome"] == int(Outcome.ACKNOWLEDGED))
    return next(
        row
        for row in np.flatnonzero(applied & (table["duplicate_of"] < 0)).tolist()
        if (table["shard"][row], table["index"][row]) not in repeated
    )


def losing(scenario: Scenario, row: int) -> Tamper:
    """A service that answers one operation and does nothing."""
    table = run(scenario).table
    identity = REQUEST_ID.pack(RUN_TAG, table["shard"][row], table["index"][row])
    return lambda _, txn: () if txn.cause.request_id == identity else (txn,)


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.FAILED])
def test_unknown_outcomes_may_be_either(
    scenario: Scenario, tmp_path: Path, is_applied: bool, outcome: Outcome
) -> None:
    """An operation whose outcome was never learnt is no violation, applied or not."""
    row = lonely_transfer(scenario)
    spoiled = run(scenario) if is_applied else run(scenario, losing(scenario, row))
    spoiled.table.loc[row, "outcome"] = int(outcome)
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    assert "with unknown outcome" in found["I7"].sentence


def test_a_resolved_outcome_counts(scenario: Scenario, tmp_path: Path) -> None:
    """If repeating the request says it was applied, and it was not, that is a violation."""
    row = lonely_transfer(scenario)
    spoiled = run(scenario, losing(scenario, row))
    spoiled.table.loc[row, "outcome"] = int(Outcome.TIMED_OUT)
    spoiled.table.loc[row, "resolved_outcome"] = int(Outcome.ACKNOWLEDGED)

    assert broken(judged(spoiled, tmp_path)) == {"I7"}


def test_a_duplicate_speaks_for_its_original(scenario: Scenario, tmp_path: Path) -> None:
    """Where the repetition was answered as applied, the request must be on the ledger."""
    accounts = {"kind": "uniform", "count": 20}
    mix = {"transfer": "90%", "duplicate": "10%"}
    deposits = replace(scenario, workload={"accounts": accounts, "mix": mix})
    table = run(deposits).table
    repeat = int(np.flatnonzero((table["duplicate_of"] >= 0) & (table["shard"] == 0))[0])
    original = int(table["duplicate_of"][repeat])
    spoiled = run(deposits, losing(deposits, original))
    spoiled.table.loc[original, "outcome"] = int(Outcome.TIMED_OUT)

    assert broken(judged(spoiled, tmp_path)) == {"I7"}


def test_what_a_target_did_not_finish_stands_beside_what_is_missing(
    scenario: Scenario, tmp_path: Path
) -> None:
    """A transaction that was not emitted in time is told apart from one that is simply gone."""
    spoiled = run(scenario)
    del spoiled.events[-1]
    spoiled.closing = replace(spoiled.closing, absent=("the target did not come to rest",))
    found = judged(spoiled, tmp_path)

    assert "I8" in broken(found)
    assert "the target did not come to rest" in found["I8"].sentence


def test_without_control_nothing_passes_that_needs_it(scenario: Scenario, tmp_path: Path) -> None:
    """What a silent target can't show is UNKNOWN, with the reason; I7 needs only the ledger."""
    spoiled = run(scenario)
    spoiled.opening = spoiled.closing = TargetState(absent=("no ControlService",))
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    passed = {key for key, item in found.items() if item.status is Correctness.PASSED}
    assert passed == {"I7", "I22"}
    assert all("Not decided" in found[key].sentence for key in set(ALL) - passed)


def test_without_a_ledger_nothing_passes(scenario: Scenario, tmp_path: Path) -> None:
    """No facts are no pass."""
    evidence = replace(run(scenario).evidence(tmp_path), events_path=None)
    found = {item.id: item.status for item in SYSTEM.auditor.audit(evidence)}

    assert {found.pop(key) for key in ("I3", "I6", "I22")} == {Correctness.PASSED}
    assert set(found.values()) == {Correctness.UNKNOWN}


def test_a_truncated_ledger_is_not_decided(scenario: Scenario, tmp_path: Path) -> None:
    """A file that ends inside a record can't make a run pass."""
    evidence = run(scenario).evidence(tmp_path)
    assert evidence.events_path is not None
    evidence.events_path.write_bytes(evidence.events_path.read_bytes()[:-3])
    found = {item.id: item.status for item in SYSTEM.auditor.audit(evidence)}

    assert {found.pop(key) for key in ("I3", "I6", "I22")} == {Correctness.PASSED}
    assert set(found.values()) == {Correctness.UNKNOWN}


def test_money_in_no_bucket_is_gone(scenario: Scenario, tmp_path: Path) -> None:
    """A posting to a part of the balance that the contract has not is a violation, not a crash."""
    spoiled = run(scenario)
    txn = Txn.FromString(spoiled.events[20])
    txn.postings[0].bucket = 9  # type: ignore[assignment]
    spoiled.events[20] = txn.SerializeToString()
    found = judged(spoiled, tmp_path)

    assert "bucket 9" in found["I1"].first
    assert Correctness.UNKNOWN not in {item.status for item in found.values()}


def test_violations_outlive_a_check_that_breaks_down(scenario: Scenario, tmp_path: Path) -> None:
    """Money that was made before the ledger became unreadable is still FAILED."""
    spoiled = run(scenario, once(Kind.TRANSFER, without_contra)())
    spoiled.events[-1] = b"\xff no transaction"
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I1"}
    assert found["I7"].status is Correctness.UNKNOWN
    assert "can't be read" in found["I7"].sentence


def test_a_broken_check_is_unknown(scenario: Scenario, tmp_path: Path) -> None:
    """An exception inside the audit is told, and never passes."""
    evidence = run(scenario).evidence(tmp_path)
    crippled: Any = evidence.operations.drop(columns=["amount_minor"])
    found = SYSTEM.auditor.audit(replace(evidence, operations=crippled))

    of_operations = [item for item in found if item.id not in {"I3", "I6"}]
    assert {item.status for item in of_operations} == {Correctness.UNKNOWN}
    assert all("KeyError" in item.sentence for item in of_operations)


# ---------------------------------------------------------------------------------------- restarts


def test_what_was_acknowledged_before_a_kill_must_be_there(
    scenario: Scenario, tmp_path: Path
) -> None:
    """I23 is judged only after a kill, and names what is gone."""
    spoiled = run(scenario, once(Kind.TRANSFER, lost)())
    spoiled.restarts_ns = (int(spoiled.table["done_ns"].max()),)
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I7", "I23"}
    assert "acknowledged before a kill" in found["I23"].sentence


def test_an_honest_restart_passes(scenario: Scenario, tmp_path: Path) -> None:
    """What is emitted again after a restart, byte for byte, breaks nothing."""
    spoiled = run(scenario)
    spoiled.restarts_ns = (int(spoiled.table["done_ns"].max()) // 2,)
    spoiled.events[100:100] = spoiled.events[80:100]
    spoiled.updates[100:100] = spoiled.updates[80:100]
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    assert found["I23"].status is Correctness.PASSED


def test_a_number_given_twice_is_a_violation(scenario: Scenario, tmp_path: Path) -> None:
    """A restart that forgets a transaction and gives its number to another one is found out."""
    spoiled = run(scenario)
    spoiled.restarts_ns = (int(spoiled.table["done_ns"].max()),)
    last = Txn.FromString(spoiled.events[-1])
    forgotten = Txn.FromString(spoiled.events[-1])
    del spoiled.events[-1]
    forgotten.postings.add(account_id=FEES, asset_id=1, delta_minor=0)
    spoiled.events += [forgotten.SerializeToString(), last.SerializeToString()]

    assert "I8" in broken(judged(spoiled, tmp_path))


def test_others_on_an_attached_target_are_not_judged(scenario: Scenario, tmp_path: Path) -> None:
    """Where others may trade too, what they ask for is folded and not held against anyone."""
    spoiled = run(scenario)
    uninvited(spoiled)
    spoiled.is_attached = True

    assert broken(judged(spoiled, tmp_path)) == set()


# ------------------------------------------------------------------------------ causes, and unrest


def test_a_gap_leads_and_what_follows_says_so(scenario: Scenario, tmp_path: Path) -> None:
    """I8 comes first; I1 and I7, which a missing transaction breaks too, name it as their cause."""
    spoiled = run(scenario)
    drop_event(spoiled)
    found = judged(spoiled, tmp_path)

    assert next(iter(found)) == "I8"
    assert {"I1", "I7"} <= broken(found)
    for key in broken(found) - {"I8"}:
        assert "gap in the ledger" in found[key].sentence
    assert "gap in the ledger" not in found["I8"].sentence


def unfinished(spoiled: Run) -> Run:
    """The end of the ledger is not there yet, and the target says so."""
    del spoiled.events[-20:]
    spoiled.closing = replace(
        spoiled.closing,
        unrest="the target did not come to rest: 20 transactions behind",
        absent=("the target did not come to rest: 20 transactions behind",),
    )
    return spoiled


def test_a_target_that_is_still_at_it_has_lost_nothing(scenario: Scenario, tmp_path: Path) -> None:
    """What may yet come disproves nothing: UNKNOWN, with the reason once."""
    found = judged(unfinished(run(scenario)), tmp_path)

    assert broken(found) == set()
    assert {key for key in found if found[key].status is Correctness.PASSED} == {"I3", "I22"}
    for key in {*found} - {"I3", "I22"}:
        assert found[key].sentence.count("did not come to rest") == 1


def test_what_is_wrong_already_is_found_all_the_same(scenario: Scenario, tmp_path: Path) -> None:
    """Money made on the ledger is made, whatever is still to come."""
    spoiled = unfinished(run(scenario, once(Kind.TRANSFER, without_contra)()))
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I1"}
    assert "did not come to rest" in found["I1"].sentence
