"""
A service that uses another instrument's numbers: found where instruments differ, and only there.

The bank takes one field of every instrument from its neighbour. In the uniform market neighbours
are alike, so that nothing can be seen; that is why the packaged scenarios trade the varied one.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.scenario import Scenario
from harness.model.verdict import Correctness
from tests.workloads.audit.bank import run
from workloads.account.system import SYSTEM

MIXED_UP = {
    "base_per_lot_minor": {"I4", "I7"},
    "quote_per_tick_lot_minor": {"I4", "I7", "I19"},
    "base_asset_id": {"I4", "I7"},
    "quote_asset_id": {"I4", "I7", "I19"},
    "fee_kind": {"I4", "I19"},
    "taker_fee_per_lot_minor": {"I4", "I19"},
    "maker_fee_per_lot_minor": {"I19"},
}
ALIKE = tuple(field for field in MIXED_UP if field != "base_asset_id")  # that is each one's own
NEVER = {"I1", "I3", "I6", "I8", "I22"}  # it adds up, and all is told as it is


def failed(scenario: Scenario, folder: Path, mixed_up: str) -> set[str]:
    """The invariants that FAILED; the others are PASSED."""
    found = SYSTEM.auditor.audit(run(scenario, mixed_up=mixed_up).evidence(folder))
    statuses = {item.id: item.status for item in found}
    assert set(statuses.values()) <= {Correctness.PASSED, Correctness.FAILED}, found
    return {key for key, status in statuses.items() if status is Correctness.FAILED}


@pytest.mark.parametrize("field", MIXED_UP)
def test_mixed_up_instruments_are_found(field: str, scenario: Scenario, tmp_path: Path) -> None:
    """Whichever field it is, what depends on it is FAILED."""
    found = failed(scenario, tmp_path, field)

    assert found >= MIXED_UP[field]
    assert not found & NEVER


@pytest.mark.parametrize("field", ALIKE)
def test_where_all_are_alike_it_is_not_seen(field: str, scenario: Scenario, tmp_path: Path) -> None:
    """In the uniform market a service may use one instrument for all, and every invariant holds."""
    uniform = replace(scenario, workload={**scenario.workload, "market": "uniform"})

    assert failed(uniform, tmp_path, field) == set()
