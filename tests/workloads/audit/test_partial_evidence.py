"""A target that tells only part: what can still be decided is, with the faults found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.record import Invariant
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import EXTERNAL, FEES, FIRST_ID, Run, run
from tests.workloads.audit.test_judge import (
    broken,
    change_balance,
    drop_event,
    drop_update,
    judged,
    lock_for_nobody,
    losing,
)
from workloads.account.audit.tally import Tally
from workloads.account.audit.target_state import TargetState
from workloads.account.system import SYSTEM


def read_one_by_one(state: TargetState) -> TargetState:
    """What GetBalances alone tells of a state: no totals, no orders, no positions."""
    assert state.accounts is not None
    seqs = {EXTERNAL: 0, FEES: 0, **state.accounts.account_seq}
    accounts = replace(
        state.accounts,
        account_seq=seqs,
        open_orders=None,
        pending=None,
        asked=frozenset({*seqs, *range(FIRST_ID, FIRST_ID + 1_000)}),
    )
    return TargetState(
        journal_seq=state.journal_seq,
        accounts=accounts,
        absent=("the target has no ControlService",),
    )


def partial(spoiled: Run) -> Run:
    """The run of a target without ControlService."""
    spoiled.opening = read_one_by_one(spoiled.opening)
    spoiled.closing = read_one_by_one(spoiled.closing)
    return spoiled


def passed(found: dict[str, Invariant]) -> set[str]:
    """The invariants that held."""
    return {key for key, item in found.items() if item.status is Correctness.PASSED}


def test_money_and_locks_are_decided_by_reads(scenario: Scenario, tmp_path: Path) -> None:
    """What needs lists of orders or positions is not, and says what is missing."""
    found = judged(partial(run(scenario)), tmp_path)

    assert broken(found) == set()
    assert passed(found) == {"I1", "I2", "I3", "I4", "I6", "I7", "I19", "I22"}
    assert found["I5"].missing == ("the open orders are not known",)
    assert found["I8"].missing == ("the target's positions in the executions are not known",)


@pytest.mark.parametrize(
    ("spoil", "law"), [(change_balance, "I1"), (drop_event, "I8"), (drop_update, "I8")]
)
def test_faults_are_found_as_far_as_reads_show_them(
    scenario: Scenario, tmp_path: Path, spoil: Callable[[Run], None], law: str
) -> None:
    """Less evidence hides no fault that the rest shows."""
    spoiled = run(scenario)
    spoil(spoiled)

    assert law in broken(judged(partial(spoiled), tmp_path))


def test_lost_transaction_is_found(scenario: Scenario, tmp_path: Path) -> None:
    """An acknowledged transfer without an effect is one, whoever lists accounts."""
    honest = run(scenario)
    row = next(
        index
        for index, kind in enumerate(honest.table["kind"].tolist())
        if kind == "transfer" and honest.table["code"].tolist()[index] == 0
    )
    spoiled = run(scenario, losing(scenario, row))

    assert "I7" in broken(judged(partial(spoiled), tmp_path))


def test_unread_system_accounts_leave_conservation_open(scenario: Scenario, tmp_path: Path) -> None:
    """Where EXTERNAL and FEES can't be read, neither the sums nor the fees are proved."""
    spoiled = partial(run(scenario))
    for name in ("opening", "closing"):
        state = getattr(spoiled, name)
        seqs = {key: seq for key, seq in state.accounts.account_seq.items() if key >= FIRST_ID}
        balances = {key: b for key, b in state.accounts.balances.items() if key[0] >= FIRST_ID}
        asked = frozenset(key for key in state.accounts.asked if key >= FIRST_ID)
        accounts = replace(state.accounts, account_seq=seqs, balances=balances, asked=asked)
        setattr(spoiled, name, replace(state, accounts=accounts))
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    assert {"I1", "I19"}.isdisjoint(passed(found))
    assert "neither totals nor the system's accounts" in found["I1"].sentence


def test_accounts_that_do_not_sum_to_nothing_are_seen(scenario: Scenario, tmp_path: Path) -> None:
    """Without the target's totals its accounts are summed."""
    spoiled = partial(run(scenario))
    for name in ("opening", "closing"):
        state = getattr(spoiled, name)
        balances = dict(state.accounts.balances)
        held = balances[EXTERNAL, 1]
        balances[EXTERNAL, 1] = held._replace(available_minor=held.available_minor + 1)
        accounts = replace(state.accounts, balances=balances)
        setattr(spoiled, name, replace(state, accounts=accounts))

    assert "asset 1: all accounts sum to 1" in judged(spoiled, tmp_path)["I1"].sentence


def listed_by_the_target(spoiled: Run, *, hidden_minor: int) -> None:
    """The system's accounts too, EXTERNAL by *hidden_minor* off, and no total of asset 1."""
    for name in ("opening", "closing"):
        state = getattr(spoiled, name)
        held = state.accounts.balances[EXTERNAL, 1]
        wrong = held._replace(
            available_minor=held.available_minor + hidden_minor,
            total_minor=held.total_minor + hidden_minor,
        )
        accounts = replace(
            state.accounts,
            account_seq={EXTERNAL: 0, FEES: 0, **state.accounts.account_seq},
            balances={**state.accounts.balances, (EXTERNAL, 1): wrong},
        )
        totals = {key: total for key, total in state.totals.items() if key != 1}
        setattr(spoiled, name, replace(state, accounts=accounts, totals=totals))


def test_a_total_that_is_left_out_hides_nothing(scenario: Scenario, tmp_path: Path) -> None:
    """The accounts are summed too, so an asset without a total can't be out of balance unseen."""
    spoiled = run(scenario)
    listed_by_the_target(spoiled, hidden_minor=1)
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I1"}
    assert "asset 1: all accounts sum to 1" in found["I1"].first


@pytest.mark.parametrize("is_attached", [False, True])
def test_a_total_that_is_left_out_leaves_conservation_open(
    scenario: Scenario, tmp_path: Path, is_attached: bool
) -> None:
    """A target that gives totals gives those of every asset that anyone holds."""
    spoiled = run(scenario)
    listed_by_the_target(spoiled, hidden_minor=0)
    spoiled.is_attached = is_attached
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    assert found["I1"].missing == ("the target's totals leave out asset 1, which accounts hold",)


def test_without_updates_silence_is_a_gap(scenario: Scenario, tmp_path: Path) -> None:
    """An empty acct.balances.v1 is not a topic without faults."""
    spoiled = run(scenario)
    spoiled.updates.clear()
    found = judged(spoiled, tmp_path)

    assert "I8" in broken(found)
    assert "its updates end at" in found["I8"].sentence


@pytest.mark.parametrize(("spoil", "law"), [(lock_for_nobody, "I5"), (None, "")])
def test_without_a_ledger_the_closing_state_still_disproves(
    scenario: Scenario, tmp_path: Path, spoil: Callable[[Run], None] | None, law: str
) -> None:
    """Nothing passes that needs the ledger; a lock that nobody holds is one without it."""
    spoiled = run(scenario)
    if spoil is not None:
        spoil(spoiled)
    evidence = replace(spoiled.evidence(tmp_path), events_path=None)
    found = {item.id: item for item in SYSTEM.auditor.audit(evidence)}

    assert broken(found) == ({law} if law else set())
    assert passed(found) == {"I3", "I6", "I22"}


def test_vacuous_is_told_from_unproved() -> None:
    """An invariant without facts lacks nothing; one without evidence says what."""
    vacuous, unproved = (Tally("I19") for _ in range(2))
    unproved.lacks("the FEES account is not known")

    assert vacuous.result().status is unproved.result().status is Correctness.UNKNOWN
    assert vacuous.result().missing == ()
    assert unproved.result().missing == ("the FEES account is not known",)
