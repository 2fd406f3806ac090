"""The audit on refusals: a reason that is a statement must be true, and so must the list."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.model.operation import Outcome
from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import BUY, RUN_TAG, Run, run
from tests.workloads.audit.test_flows import MAKERS, broken, judged, of
from tests.workloads.audit.test_judge import losing
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.wire.identity import REQUEST_ID, id_base

PHASES = {
    "accounts": {"kind": "uniform", "count": 30},
    "mix": {"transfer": "30%", "pend": "40%", "post": "20%", "void": "10%"},
}
ORDERS = {
    "accounts": {"kind": "uniform", "count": 30},
    "instruments": 3,
    "mix": {"reserve": "45%", "release": "45%", "transfer": "10%"},
    "order_life": "300ms",
}


def acknowledged(left: Run, kind: str) -> list[int]:
    """The rows of a kind that were applied."""
    table = left.table
    chosen = (table["kind"] == kind) & (table["outcome"] == int(Outcome.ACKNOWLEDGED))
    rows: list[int] = np.flatnonzero(chosen).tolist()
    return rows


def refused(chosen: Scenario, row: int, code: int) -> Run:
    """The run of a service that did not apply one request, and answered it with a refusal."""
    spoiled = run(chosen, losing(chosen, row))
    spoiled.table.loc[row, ["outcome", "code"]] = [int(Outcome.REJECTED), code]
    return spoiled


def row_of(left: Run, row: int, column: str) -> int:
    """The row that *column* of a row names."""
    table = left.table
    is_named = (table["shard"] == table["shard"][row]) & (table["index"] == table[column][row])
    return int(np.flatnonzero(is_named)[0])


def request_id(left: Run, row: int) -> bytes:
    """Of a row."""
    return REQUEST_ID.pack(RUN_TAG, left.table["shard"][row], left.table["index"][row])


def listing(left: Run, pending: frozenset[bytes]) -> None:
    """Let the target list other pending transfers at the end."""
    assert left.closing.accounts is not None
    accounts = replace(left.closing.accounts, pending=pending)
    left.closing = replace(left.closing, accounts=accounts)


def listed(left: Run) -> frozenset[bytes]:
    """The pending transfers that the target lists at the end."""
    assert left.closing.accounts is not None
    assert left.closing.accounts.pending is not None
    return left.closing.accounts.pending


@pytest.mark.parametrize("code", [contract.ORDER_UNKNOWN, contract.ORDER_TERMINAL])
def test_an_open_order_must_be_released(scenario: Scenario, tmp_path: Path, code: int) -> None:
    """Refused because it is over, while ledger and list have it open: its lock stays for ever."""
    chosen = of(scenario, ORDERS)
    spoiled = refused(chosen, acknowledged(run(chosen), "release")[3], code)
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I7"}
    assert "but its order is open" in found["I7"].first


def test_an_open_order_must_be_amended(scenario: Scenario, tmp_path: Path) -> None:
    """The same of an amendment."""
    chosen = of(scenario, MAKERS)
    honest = run(chosen)
    assert honest.closing.accounts is not None
    open_orders = honest.closing.accounts.open_orders
    assert open_orders
    table = honest.table
    row = next(
        row
        for row in acknowledged(honest, "amend")
        if table["side"][row] != BUY
        and id_base(RUN_TAG, int(table["shard"][row])) | int(table["order"][row]) in open_orders
    )
    spoiled = refused(chosen, row, contract.ORDER_TERMINAL)

    assert "but its order is open" in judged(spoiled, tmp_path)["I7"].sentence


def without_an_answer(spoiled: Run, row: int) -> None:
    """It was never learnt whether the order was reserved."""
    spoiled.table.loc[row_of(spoiled, row, "order"), "outcome"] = int(Outcome.TIMED_OUT)


def answered_late(spoiled: Run, row: int) -> None:
    """The order was reserved, and the answer came when the release was on its way."""
    reserve = row_of(spoiled, row, "order")
    spoiled.table.loc[reserve, "done_ns"] = int(spoiled.table["sent_ns"][row]) + 1


def for_another_reason(spoiled: Run, row: int) -> None:
    """The refusal says nothing of the order."""
    spoiled.table.loc[row, "code"] = int(contract.OVERLOADED)


@pytest.mark.parametrize("doubt", [without_an_answer, answered_late, for_another_reason])
def test_a_refusal_in_doubt_is_none(
    scenario: Scenario, tmp_path: Path, doubt: Callable[[Run, int], None]
) -> None:
    """What may have been true when it was said is no violation."""
    chosen = of(scenario, ORDERS)
    row = acknowledged(run(chosen), "release")[3]
    spoiled = refused(chosen, row, contract.ORDER_UNKNOWN)
    doubt(spoiled, row)

    assert broken(judged(spoiled, tmp_path)) == set()


def test_an_order_that_is_over_may_be_refused(scenario: Scenario, tmp_path: Path) -> None:
    """A release and a fill may cross: the order was filled when the release came."""
    chosen = of(scenario, MAKERS)
    spoiled = run(chosen)
    filled = row_of(spoiled, acknowledged(spoiled, "fill")[0], "peer_order")
    shard, index = spoiled.table["shard"][filled], spoiled.table["index"][filled]
    other = acknowledged(spoiled, "release")
    row = next(row for row in other if spoiled.table["shard"][row] == shard)
    spoiled = refused(chosen, row, contract.ORDER_TERMINAL)
    spoiled.table.loc[row, "order"] = index

    assert "I7" not in broken(judged(spoiled, tmp_path))


@pytest.mark.parametrize("kind", ["post", "void"])
@pytest.mark.parametrize(
    "code",
    [
        contract.PENDING_UNKNOWN,
        contract.PENDING_ALREADY_POSTED,
        contract.PENDING_ALREADY_VOIDED,
        contract.PENDING_MISMATCH,
    ],
)
def test_a_pending_transfer_must_be_settled(
    scenario: Scenario, tmp_path: Path, kind: str, code: int
) -> None:
    """A first phase that was acknowledged, and that nobody settled, is there to be settled."""
    chosen = of(scenario, PHASES)
    row = acknowledged(run(chosen), kind)[1]
    spoiled = refused(chosen, row, code)
    first = row_of(spoiled, row, "pending")
    listing(spoiled, listed(spoiled) | {request_id(spoiled, first)})
    found = judged(spoiled, tmp_path)

    assert "but its first phase is pending" in found["I7"].first
    assert broken(found) == {"I7"}


def test_a_second_phase_that_came_second_may_be_refused(scenario: Scenario, tmp_path: Path) -> None:
    """Whether the other one was applied was never learnt: it may have been."""
    chosen = of(scenario, PHASES)
    honest = run(chosen)
    row, *_ = acknowledged(honest, "post")
    shard = honest.table["shard"][row]
    other = next(r for r in acknowledged(honest, "void") if honest.table["shard"][r] == shard)
    spoiled = refused(chosen, row, contract.PENDING_ALREADY_VOIDED)
    left_alone = request_id(spoiled, row_of(spoiled, other, "pending"))
    spoiled.table.loc[other, "outcome"] = int(Outcome.TIMED_OUT)
    spoiled.table.loc[other, "pending"] = spoiled.table["pending"][row]
    listing(spoiled, listed(spoiled) | {left_alone})

    assert "I7" not in broken(judged(spoiled, tmp_path))


def test_an_unanswered_first_phase_may_be_unknown(scenario: Scenario, tmp_path: Path) -> None:
    """It may have come after the second one, or never."""
    chosen = of(scenario, PHASES)
    row = acknowledged(run(chosen), "post")[1]
    spoiled = refused(chosen, row, contract.PENDING_UNKNOWN)
    spoiled.table.loc[row_of(spoiled, row, "pending"), "outcome"] = int(Outcome.TIMED_OUT)

    assert broken(judged(spoiled, tmp_path)) == set()


# ---------------------------------------------------------------------------------------- the list


def test_what_is_pending_is_listed(scenario: Scenario, tmp_path: Path) -> None:
    """A transfer that was acknowledged and that the target forgot will never be settled."""
    spoiled = run(of(scenario, PHASES))
    listing(spoiled, frozenset(sorted(listed(spoiled))[1:]))
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I7"}
    assert "is pending, but the target doesn't list it" in found["I7"].first


def test_what_is_settled_is_not_listed(scenario: Scenario, tmp_path: Path) -> None:
    """Listed still, it could be settled once more."""
    spoiled = run(of(scenario, PHASES))
    first = row_of(spoiled, acknowledged(spoiled, "post")[0], "pending")
    listing(spoiled, listed(spoiled) | {request_id(spoiled, first), b"another's", bytes(16)})
    found = judged(spoiled, tmp_path)

    assert broken(found) == {"I7"}
    assert "is not pending, but the target lists it" in found["I7"].first


def test_a_list_without_any_is_no_list(scenario: Scenario, tmp_path: Path) -> None:
    """Forgotten, or never listed: that is not decided."""
    spoiled = run(of(scenario, PHASES))
    listing(spoiled, frozenset())
    found = judged(spoiled, tmp_path)

    assert broken(found) == set()
    assert found["I7"].status is Correctness.UNKNOWN
    assert found["I7"].missing == ("the pending transfers are not listed",)
