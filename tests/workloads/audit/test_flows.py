"""The audit on market makers, sweeps, two-phase transfers and disturbed records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.model.operation import Outcome
from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import AVAILABLE, LOCKED, SET_ASIDE, Run, Tamper, Txn, honest, run
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.system import SYSTEM
from workloads.account.wire.kinds import Kind

MAKERS = {
    "accounts": {"kind": "uniform", "count": 8},
    "instruments": 3,
    "holdings": "all",
    "mix": {"reserve": "14%", "ioc": "6%", "release": "8%", "amend": "72%"},
    "reprice": "1%",
    "order_life": "300ms",
}
SWEEPS = {
    "accounts": {"kind": "uniform", "count": 40},
    "instruments": 3,
    "holdings": "all",
    "mix": {"fill": "100%"},
    "sweeps": {"mean": 3.0, "max": 30},
    "order_life": "200ms",
}
PHASES = {
    "accounts": {"kind": "uniform", "count": 30},
    "mix": {"transfer": "40%", "pend": "35%", "post": "18%", "void": "5%", "duplicate": "2%"},
}
DISTURBED = {
    "accounts": {"kind": "uniform", "count": 40},
    "instruments": 3,
    "mix": {
        "reserve": "40%",
        "release": "30%",
        "fill": "15%",
        "transfer": "5%",
        "duplicate": "10%",
    },
    "changed_duplicates": "50%",
    "repeated_records": "10%",
    "late_records": "10%",
    "late_max": 8,
}  # fmt: skip
FLOWS = {"makers": MAKERS, "sweeps": SWEEPS, "phases": PHASES, "disturbed": DISTURBED}


def of(scenario: Scenario, workload: Mapping[str, Any]) -> Scenario:
    """The scenario with another workload."""
    return replace(scenario, workload=workload)


def judged(left: Run, folder: Path) -> dict[str, Invariant]:
    """Every invariant by id."""
    return {item.id: item for item in SYSTEM.auditor.audit(left.evidence(folder))}


def broken(found: Mapping[str, Invariant]) -> set[str]:
    """The ids of those that failed."""
    return {key for key, item in found.items() if item.status is Correctness.FAILED}


@pytest.mark.parametrize("flow", list(FLOWS))
def test_a_clean_run_passes(scenario: Scenario, flow: str, tmp_path: Path) -> None:
    """Every invariant holds; what has no facts is not decided, and says so."""
    found = judged(run(of(scenario, FLOWS[flow])), tmp_path)

    assert {key: item.sentence for key, item in found.items() if key in broken(found)} == {}
    decided = {key for key, item in found.items() if item.status is Correctness.PASSED}
    # A run without a match or an order has no fees, or locks, to judge.
    assert decided >= {"I1", "I2", "I3", "I7", "I8", "I22"}
    if flow != "phases":
        assert decided >= {"I4", "I5", "I19"}


def tampered(kind: Kind, change: Callable[[Txn], Iterable[Txn]], *, skip: int = 5) -> Tamper:
    """A fault in one transaction of *kind*, after *skip* honest ones."""
    seen = 0

    def tamper(actual: Kind, txn: Txn) -> Iterable[Txn]:
        nonlocal seen
        strikes = actual is kind and bool(txn.postings)
        seen += strikes
        return change(txn) if strikes and seen == skip + 1 else honest(actual, txn)

    return tamper


def without(txn: Txn) -> Iterable[Txn]:
    """Not applied, though it was answered."""
    return ()


def off_by_one(txn: Txn) -> Iterable[Txn]:
    """A lock moves by one unit more."""
    for line in txn.postings:
        if line.bucket in {AVAILABLE, LOCKED}:
            line.delta_minor += 1 if line.bucket == LOCKED else -1
    return (txn,)


def not_set_aside(txn: Txn) -> Iterable[Txn]:
    """A pending withdrawal that stays available."""
    del txn.postings[:]
    return (txn,)


def back_instead_of_out(txn: Txn) -> Iterable[Txn]:
    """A posted withdrawal that comes back."""
    for line in txn.postings:
        if line.account_id < 1_000:
            other = next(item for item in txn.postings if item.account_id >= 1_000)
            line.account_id, line.bucket = other.account_id, AVAILABLE
    return (txn,)


def unheard(kind: Kind, *, skip: int = 5) -> Tamper:
    """A service that answers one request of *kind* that moves no money, and does nothing."""
    seen = 0

    def tamper(actual: Kind, txn: Txn) -> Iterable[Txn]:
        nonlocal seen
        seen += actual is kind and not txn.postings
        return () if actual is kind and not txn.postings and seen == skip + 1 else (txn,)

    return tamper


def twice(txn: Txn) -> Iterable[Txn]:
    """Applied again."""
    again = Txn()
    again.CopyFrom(txn)
    return (txn, again)


def withdrawals_only(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Every pending transfer sets something aside."""
    return {**workload, "withdrawals": "100%"}


Fault = tuple[Mapping[str, Any], Kind, Callable[[Txn], Iterable[Txn]], set[str]]
FAULTS: list[tuple[str, Fault]] = [
    ("an amendment's lock is off by one", (MAKERS, Kind.AMEND, off_by_one, {"I4"})),
    ("an amendment is forgotten", (MAKERS, Kind.AMEND, without, {"I7"})),
    ("an expired rest stays locked", (MAKERS, Kind.ORDER_EVENT, without, {"I5", "I7"})),
    ("an order event frees twice", (MAKERS, Kind.ORDER_EVENT, twice, {"I5", "I7"})),
    ("a sweep's fill is lost", (SWEEPS, Kind.FILL, without, {"I5", "I7"})),
    ("a sweep's fill counts twice", (SWEEPS, Kind.FILL, twice, {"I7"})),
    ("a withdrawal is not set aside", (withdrawals_only(PHASES), Kind.PEND, not_set_aside, {"I7"})),
    ("a void is forgotten", (withdrawals_only(PHASES), Kind.VOID, without, {"I4", "I7"})),
    ("a post comes back", (withdrawals_only(PHASES), Kind.POST, back_instead_of_out, {"I7"})),
]  # fmt: skip


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS])
def test_a_fault_is_found(scenario: Scenario, fault: Fault, tmp_path: Path) -> None:
    """One wrong transaction violates the invariant that forbids it."""
    workload, kind, change, expected = fault
    found = judged(run(of(scenario, workload), tampered(kind, change)), tmp_path)

    assert expected <= broken(found), {key: item.sentence for key, item in found.items()}


def test_an_amendment_that_moves_no_money_is_on_the_ledger(
    scenario: Scenario, tmp_path: Path
) -> None:
    """A seller's new limit leaves the lock as it is; lost, the order trades at the old one."""
    found = judged(run(of(scenario, MAKERS), unheard(Kind.AMEND)), tmp_path)

    assert broken(found) == {"I7"}
    assert "was acknowledged and has no effect" in found["I7"].first


def test_a_changed_repetition_must_be_refused(scenario: Scenario, tmp_path: Path) -> None:
    """Taken, or refused for another reason, it breaks I7; so does a true repetition refused."""
    chosen = of(scenario, DISTURBED)
    table = run(chosen).table
    is_changed = table["is_changed"].to_numpy()
    is_same = (table["duplicate_of"].to_numpy() >= 0) & ~is_changed
    for rows, outcome, code in (
        (is_changed, Outcome.ACKNOWLEDGED, 0),
        (is_changed, Outcome.REJECTED, int(contract.INSUFFICIENT_AVAILABLE)),
        (is_same, Outcome.REJECTED, int(contract.IDEMPOTENCY_MISMATCH)),
    ):
        spoiled = run(chosen)
        row = int(np.flatnonzero(rows)[0])
        spoiled.table.loc[row, ["outcome", "code"]] = [int(outcome), code]

        assert broken(judged(spoiled, tmp_path)) == {"I7"}


def test_what_stays_set_aside_is_needed(scenario: Scenario, tmp_path: Path) -> None:
    """An account that holds more for withdrawals than is pending breaks I4."""
    spoiled = run(of(scenario, withdrawals_only(PHASES)))
    accounts = spoiled.closing.accounts
    assert accounts is not None
    key = next(key for key in accounts.balances if key[0] >= 1_000)
    balance = accounts.balances[key]
    moved = balance._replace(
        available_minor=balance.available_minor - 7,
        locked_withdrawal_minor=balance.locked_withdrawal_minor + 7,
    )
    balances = {**accounts.balances, key: moved}
    spoiled.closing = replace(spoiled.closing, accounts=replace(accounts, balances=balances))

    found = judged(spoiled, tmp_path)
    assert "I4" in broken(found)
    assert "locked for withdrawals" in found["I4"].first


def test_pending_withdrawals_are_there(scenario: Scenario) -> None:
    """The clean run that the others spoil does leave some money set aside."""
    accounts = run(of(scenario, withdrawals_only(PHASES))).closing.accounts

    assert accounts is not None
    assert any(balance[SET_ASIDE] for balance in accounts.balances.values())
