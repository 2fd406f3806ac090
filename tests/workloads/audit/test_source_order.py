"""I8 on order: records are applied in their source's order, amendments in the order they went."""

from pathlib import Path

import numpy as np
import pytest

from harness.engine.event_log import Values
from harness.model.operation import Outcome
from harness.model.scenario import Scenario
from tests.workloads.audit.bank import BUY, FIRST_TXN_SEQ, RUN_TAG, Run, Txn, run
from tests.workloads.audit.test_flows import MAKERS, SWEEPS, broken, judged, of
from workloads.account.audit.ledger_table import decode
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.source_order import SourceOrder
from workloads.account.audit.tally import Tally
from workloads.account.wire.identity import REQUEST_ID


def of_one_source(left: Run) -> tuple[int, int]:
    """Places on the ledger of the first two records of a source."""
    seen: dict[tuple[str, int], int] = {}
    for place, event in enumerate(left.events):
        cause = Txn.FromString(event).cause
        source = cause.kafka.src, cause.kafka.instrument_id
        if cause.HasField("kafka") and seen.setdefault(source, place) != place:
            return seen[source], place
    raise AssertionError("a source with two records")


def row_of(left: Run, event: bytes) -> int:
    """The row of the match that caused a transaction."""
    match_id = Txn.FromString(event).cause.kafka.match_id
    shard, index = match_id >> 32 & 0xFF, match_id & 0xFFFF_FFFF
    table = left.table
    return int(np.flatnonzero((table["shard"] == shard) & (table["index"] == index))[0])


def crossed(scenario: Scenario) -> Run:
    """
    A service without a reorder buffer, which drops duplicates by a set.

    Two records of a source came in the wrong order, and were applied as they came.
    """
    left = run(of(scenario, SWEEPS))
    places = of_one_source(left)
    rows = [row_of(left, left.events[place]) for place in places]
    left.table.loc[rows, "sequence"] = left.table["sequence"][rows[::-1]].to_numpy()
    for place, row in zip(places, rows, strict=True):
        txn = Txn.FromString(left.events[place])
        txn.cause.kafka.source_seq = int(left.table["sequence"][row])
        left.events[place] = txn.SerializeToString()
    return left


def test_records_are_applied_in_their_order(scenario: Scenario, tmp_path: Path) -> None:
    """As they arrived is not as they were numbered; that the last number is right proves little."""
    found = judged(crossed(scenario), tmp_path)

    assert broken(found) == {"I8"}
    assert found["I8"].violation_count == 1
    assert "is number 1 of its source and was applied after number 2" in found["I8"].first


def test_a_cause_names_the_number_that_was_sent(scenario: Scenario, tmp_path: Path) -> None:
    """A service that numbers records itself loses what it must order them by."""
    left = run(of(scenario, SWEEPS))
    place = of_one_source(left)[1]
    txn = Txn.FromString(left.events[place])
    txn.cause.kafka.source_seq = 77
    left.events[place] = txn.SerializeToString()
    found = judged(left, tmp_path)

    assert broken(found) == {"I8"}
    assert "its transaction says 77" in found["I8"].first


def test_a_cause_without_a_number_is_taken(scenario: Scenario, tmp_path: Path) -> None:
    """What a service doesn't tell is not held against it."""
    left = run(of(scenario, SWEEPS))
    for place, event in enumerate(left.events):
        txn = Txn.FromString(event)
        if txn.cause.HasField("kafka"):
            txn.cause.kafka.ClearField("source_seq")
        left.events[place] = txn.SerializeToString()

    assert broken(judged(left, tmp_path)) == set()


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_the_order_holds_across_parts(scenario: Scenario, size: int) -> None:
    """The ledger comes in parts; what was newest is remembered from one to the next."""
    left = crossed(scenario)
    log = OperationLog(left.table, run_tag=RUN_TAG)
    tally = Tally("I8")
    order = SourceOrder(log, tally)
    table, _ = decode(Values.joined(left.events), run_tag=RUN_TAG)
    for first in range(0, len(table), size):
        part = table.part(first, min(first + size, len(table)))
        row = log.rows_of(part.operation)
        order.take(part, row, is_first=row >= 0)

    assert tally.violation_count == 1
    assert tally.checked_count == int((left.table["sequence"] > 0).sum())


def test_amendments_are_applied_in_the_order_they_were_sent(
    scenario: Scenario, tmp_path: Path
) -> None:
    """The second was sent when the first was answered: swapped, the order keeps an old limit."""
    left = run(of(scenario, MAKERS))
    table = left.table
    places = {}
    for place, event in enumerate(left.events):
        if identity := Txn.FromString(event).cause.request_id:
            places[REQUEST_ID.unpack(identity)[1:]] = place
    keys = list(zip(table["shard"].tolist(), table["index"].tolist(), strict=True))
    table["journal_seq"] = [places[key] + FIRST_TXN_SEQ if key in places else 0 for key in keys]
    assert broken(judged(left, tmp_path)) == set()

    amends = (table["kind"] == "amend") & (table["side"] != BUY)  # that move no money
    amends &= table["outcome"] == int(Outcome.ACKNOWLEDGED)
    _, rows = next(
        group for group in table[amends].groupby(["shard", "order"]) if len(group[1]) >= 2
    )
    pair = rows.index[:2].tolist()
    table.loc[pair, "journal_seq"] = table["journal_seq"][pair[::-1]].to_numpy()
    first, second = (places[keys[row]] for row in pair)
    swapped = [Txn.FromString(left.events[place]) for place in (first, second)]
    swapped[0].cause.CopyFrom(Txn.FromString(left.events[second]).cause)
    swapped[1].cause.CopyFrom(Txn.FromString(left.events[first]).cause)
    left.events[first], left.events[second] = (txn.SerializeToString() for txn in swapped)
    found = judged(left, tmp_path)

    assert broken(found) == {"I8"}
    assert "was sent when the one before it was answered" in found["I8"].first
