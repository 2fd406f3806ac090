"""The table of invariants: its page is made from it, and the audit judges these and no others."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.scenario import Scenario
from harness.model.verdict import Correctness, ExitCode, Performance, Validity, exit_code
from tests.workloads.audit.bank import run
from workloads.account.audit import judge as judge_module
from workloads.account.audit import laws
from workloads.account.audit.laws import LAWS, AuditPart
from workloads.account.system import SYSTEM

PAGE = Path(laws.__file__).with_name("invariants.md").read_text(encoding="utf-8")


def test_the_page_is_that_of_the_table() -> None:
    """Made again, the page is the same: it has each invariant once, with its title."""
    rows = re.findall(r"^\| (I\d+) \| ([^|]+) \|", PAGE, re.MULTILINE)

    assert laws.page() == PAGE
    assert rows == [(identity, law.title) for identity, law in LAWS.items()]


def test_a_run_with_all_evidence_judges_all_of_the_table(
    scenario: Scenario, tmp_path: Path
) -> None:
    """Each invariant has a check, each check an invariant; the record says the table's titles."""
    required = replace(scenario, required_invariants=tuple(LAWS))
    table = {**scenario.workload, "mix": {**scenario.workload["mix"], "reserve": "39%"}}
    table["mix"]["get_balances"] = "1%"
    left = run(replace(required, workload=table))
    left.restarts_ns = (10**9,)
    found = SYSTEM.auditor.audit(left.evidence(tmp_path))

    assert [(item.id, item.title) for item in found] == [
        (identity, law.title) for identity, law in LAWS.items()
    ]


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (AuditPart.LEDGER, "_Ledger"),
        (AuditPart.PARTS, "check_parts"),
        (AuditPart.UPDATES, "_account_updates"),
        (AuditPart.REPLAY, "check_replay"),
        (AuditPart.PLAN, "check_generation"),
    ],
)
def test_a_check_that_breaks_down_leaves_its_own_unknown(
    what: AuditPart, name: str, scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly the invariants that the table gives to a check go with it."""
    evidence = run(scenario).evidence(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(judge_module, name, fail)
    found = SYSTEM.auditor.audit(
        replace(evidence, scenario=replace(scenario, required_invariants=("I20",)))
    )

    failed = {item.id for item in found if "planted" in item.sentence}
    assert failed == {item.id for item in found if LAWS[item.id].check is what}
    assert failed


def test_any_that_is_failed_is_exit_5() -> None:
    """As the page says, whichever it is: the exit code knows the worst status alone."""
    code = exit_code(
        Validity.VALID, Correctness.FAILED, Performance.PASSED, is_required_unknown=False
    )

    assert code is ExitCode.AUDIT_FAILED
    assert code == 5
    assert "FAILED makes the exit code 5" in PAGE
