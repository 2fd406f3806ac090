"""
A service that has only part of the contract: driven all the same, held to what can be known.

The foreign core leaves parts out on request. Each test says which laws are still decided; what is
not is UNKNOWN with the reason, and keeps the exit code from 0.
"""

import pytest

from harness.errors import UsageError
from harness.model.verdict import Correctness, ExitCode
from harness.storage.run_folder import StoredRun
from tests.foreign.conftest import RunForeign

pytestmark = pytest.mark.timeout(900)

BY_TRANSFERS = """
[seed]
by = "transfers"
"""
NO_CONTROL = ("--without", "control", "--reference-data", "{reference_data}")
REQUIRES = 'requires = ["amend"]\n'
ALL = {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I19", "I22"}


def laws(run: StoredRun, status: str) -> set[str]:
    """The invariants of a run that have this status."""
    return {item.id for item in run.record.correctness.invariants if item.status == status}


def sentence(run: StoredRun, identity: str) -> str:
    """What a run says of an invariant."""
    return next(i.sentence for i in run.record.correctness.invariants if i.id == identity)


def test_without_control_the_accounts_are_read_one_by_one(run_foreign: RunForeign) -> None:
    """
    Seeded by transfers, surveyed by GetBalances: money, locks and fees are still decided.

    What the scenario requires is met by the word of the target file, where there is no other.
    """
    features = '[contract]\nfeatures = ["amend", "executions"]\n'
    run = run_foreign(*NO_CONTROL, tables=BY_TRANSFERS + features, before=REQUIRES)

    assert laws(run, "FAILED") == set()
    assert laws(run, "PASSED") == {"I1", "I2", "I3", "I4", "I6", "I7", "I19", "I22"}, run.record
    assert "the open orders are not known" in sentence(run, "I5")
    assert "positions in the executions are not known" in sentence(run, "I8")
    assert "no ControlService" in sentence(run, "I8")
    assert run.record.target["capabilities"] == {}
    assert run.record.correctness.status is Correctness.UNKNOWN
    assert run.record.exit_code != ExitCode.OK
    assert any("not decided: I5, I8" in note for note in run.record.notes)


def test_without_any_reads_only_effects_are_decided(run_foreign: RunForeign) -> None:
    """No ControlService and no GetBalances: each operation's effect is on the ledger, and that."""
    run = run_foreign("--without", "control,balances_read", *NO_CONTROL[2:], tables=BY_TRANSFERS)

    assert laws(run, "FAILED") == set()
    assert laws(run, "PASSED") == {"I7", "I22"}
    assert "the opening balances are not known" in sentence(run, "I1")
    assert "no GetBalances" in sentence(run, "I1")


def test_without_a_ledger_nothing_waits_for_it(run_foreign: RunForeign) -> None:
    """A topic that the file says is absent is not observed, and no release waits for a fill's."""
    run = run_foreign(
        "--without", "ledger", tables='[contract]\nabsent_topics = ["acct.ledger.v1"]\n'
    )

    assert laws(run, "FAILED") == set()
    assert laws(run, "PASSED") == {"I3", "I6", "I22"}
    assert "the ledger topic was not observed" in sentence(run, "I7")
    assert "by its file the target never writes acct.ledger.v1" in sentence(run, "I7")
    assert run.record.load["invisible_count"] == 0
    assert run.record.operations.acknowledged > 300
    assert run.record.correctness.status is Correctness.UNKNOWN
    assert run.record.exit_code != ExitCode.OK


def test_without_balances_the_ledger_still_decides(run_foreign: RunForeign) -> None:
    """Only what that topic proves is left open."""
    run = run_foreign(
        "--without", "balances", tables='[contract]\nabsent_topics = ["acct.balances.v1"]\n'
    )

    assert laws(run, "PASSED") == ALL - {"I3", "I6", "I8"}
    assert laws(run, "FAILED") == set()
    assert "by its file the target never writes acct.balances.v1" in sentence(run, "I8")


@pytest.mark.parametrize(("topic", "law"), [("ledger", "I7"), ("balances", "I8")])
def test_silence_that_nobody_announced_is_a_failure(
    run_foreign: RunForeign, topic: str, law: str
) -> None:
    """A topic that should be written and isn't fails the run: it is no missing evidence."""
    run = run_foreign("--without", topic)

    assert law in laws(run, "FAILED")
    assert run.record.exit_code == ExitCode.AUDIT_FAILED


def test_what_it_declares_not_to_have_is_not_asked(run_foreign: RunForeign) -> None:
    """A scenario that amends is refused by Capabilities, with what asks for it."""
    with pytest.raises(UsageError, match=r"can't do \"amend\" \(needed by workload.mix.amend\)"):
        run_foreign("--without", "amend")


def test_what_has_no_disk_is_not_killed(run_foreign: RunForeign) -> None:
    """It declares no durability, so a scenario that kills it is refused, not failed."""
    kill = '[[steps]]\nat = "1s"\naction = "kill-restart-target"\n'

    with pytest.raises(UsageError, match=r"\"durable\" \(needed by steps: kill-restart-target"):
        run_foreign(scenario=kill)


def test_what_nobody_declares_is_not_met(run_foreign: RunForeign) -> None:
    """Without ControlService and without a word in its file: refused, with what to write."""
    with pytest.raises(UsageError, match=r"requires of scenario .*write \[contract\] features"):
        run_foreign(*NO_CONTROL, tables=BY_TRANSFERS, before=REQUIRES)
