"""
The broker is frozen, or killed and started again, while the load goes: nothing may be lost.

Real runs of the reference. A copy that forgets what the broker did not take shows that a loss would
be seen.
"""

from pathlib import Path

import pytest

from harness.model.verdict import Correctness, ExitCode
from harness.storage.run_folder import StoredRun
from tests.acceptance.conftest import RunOnce
from tests.acceptance.mutants import Patch, make_copy, target_text

SCENARIO = """
name = "broker-harm"
title = "The broker comes to harm"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "200/s"
[phases]
warmup = "500ms"
measure = "{measure}"
drain = "60s"            # a busy machine takes long to start a broker
[load]
timeout = "60s"
[limits]
lateness_p99 = "5s"
generator_cpu = "99%"
[workload]
accounts = {{ count = 40, kind = "uniform" }}
instruments = 4
mix = {{ reserve = "45%", release = "39%", fill = "8%", transfer = "8%" }}
order_life = "300ms"
"""
KILL = """
[[steps]]
at = "1500ms"
action = "kill-restart-broker"
"""
FREEZE = """
[[steps]]
at = "500ms"
action = "freeze-broker"
duration = "{duration}"
"""
# It gives a batch up after half a second, and goes on with the next.
FORGETFUL = (
    Patch(
        file="emission.py",
        old="            request_timeout_ms=BROKER_TIMEOUT_MS,\n",
        new="            request_timeout_ms=500,\n",
    ),
    Patch(
        file="emission.py",
        old="                await self._recover()\n                producer =",
        new="                by_partition = {}\n                producer =",
    ),
)


def broken(run: StoredRun) -> dict[str, str]:
    """What the audit says of every invariant that is not PASSED."""
    return {
        item.id: item.sentence
        for item in run.record.correctness.invariants
        if item.status is not Correctness.PASSED
    }


@pytest.mark.usefixtures("apache_installed")
def test_killed_broker_loses_nothing(run_once: RunOnce) -> None:
    """
    All that was acknowledged before the kill is there, once, and all that came while it was away.

    The target goes on answering meanwhile; what needs the broker waits for it. Frozen before that,
    it answers late, and all of it.
    """
    harm = FREEZE.format(duration="500ms") + KILL

    run = run_once(SCENARIO.format(measure="3s") + harm, "reference", kafka="apache")

    record = run.record
    assert broken(run) == {}
    assert record.broker["kind"] == "apache"
    assert "I23" in {item.id for item in record.correctness.invariants}
    assert (record.operations.failed, record.operations.timed_out) == (0, 0)
    freeze, kill = record.disturbances
    assert (freeze.action, kill.action) == ("freeze-broker", "kill-restart-broker")
    assert any("broker was killed on purpose" in note for note in record.notes)
    # Most of the matches of the outage had to wait for its end.
    assert (record.latency["fill"].response_ns.max or 0) > (kill.end_ns - kill.start_ns) / 2


def test_frozen_broker_loses_nothing(run_once: RunOnce) -> None:
    """It answers late, and all of it."""
    run = run_once(SCENARIO.format(measure="2s") + FREEZE.format(duration="1s"), "reference")

    assert broken(run) == {}
    assert run.record.broker["kind"] == "embedded"
    assert run.record.operations.failed == 0
    assert (run.record.latency["fill"].response_ns.max or 0) > 500_000_000


def test_what_the_broker_did_not_take_is_missed(run_once: RunOnce, tmp_path: Path) -> None:
    """A service that forgets events while the broker is away has gaps in its ledger topic."""
    copy = make_copy(tmp_path / "copy", FORGETFUL)
    scenario = SCENARIO.format(measure="3s") + FREEZE.format(duration="2s")

    run = run_once(scenario, target_text(copy))

    assert run.record.exit_code == ExitCode.AUDIT_FAILED
    assert "I8" in broken(run)
