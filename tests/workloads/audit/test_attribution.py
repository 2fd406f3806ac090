"""A suspect transaction always violates an invariant: none is looked at and let go."""

import pytest

from harness.engine.event_log import Values
from harness.model.scenario import Scenario
from tests.workloads.audit.bank import RUN_TAG, run
from workloads.account.audit.attribution import Attribution, Suspect
from workloads.account.audit.effects import EffectFold
from workloads.account.audit.ledger_table import decode
from workloads.account.audit.operation_log import OperationLog
from workloads.account.audit.tally import Tally


@pytest.mark.parametrize("is_balanced", [True, False])
def test_what_nothing_explains_is_the_effect(scenario: Scenario, is_balanced: bool) -> None:
    """Should no invariant name the difference, I7 does; what doesn't sum to 0 is named by I1."""
    left = run(scenario)
    log = OperationLog(left.table, run_tag=RUN_TAG)
    part, _ = decode(Values.joined(left.events[:1]), run_tag=RUN_TAG)
    effects = EffectFold(log, restarts_ns=(), is_attached=False)
    locks, fees = (Tally(key) for key in ("I4", "I19"))
    suspect = Suspect(
        part=part,
        index=0,
        row_index=int(log.rows_of(part.operation)[0]),
        expected={},
        actual={},
        leg_fees_minor={},
        is_balanced=is_balanced,
    )
    Attribution(log, locks=locks, fees=fees, effects=effects).attribute(suspect)

    assert effects.exactly_once.violation_count == int(is_balanced)
    assert locks.violation_count == fees.violation_count == 0
