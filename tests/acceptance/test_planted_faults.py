"""
The audit, against services that lie: each planted fault fails the right invariant.

Patched copies of the reference service are given one plan, in this process where a whole run would
show no more. A fault names the invariants that must fail and those that it leaves alone; of the
others a fault may break some, as one lie leads to another.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import Correctness, ExitCode
from harness.storage.run_folder import StoredRun
from harness.targets.target_file import LaunchSpec, parse_target
from harness.workflows.scenarios import checked_scenario
from tests.acceptance.conftest import RunOnce
from tests.acceptance.faults import (
    FAULTS,
    ONE_FEE_KIND,
    ONE_LOT_SIZE,
    ONE_QUOTE_ASSET,
    ONE_TICK_VALUE,
)
from tests.acceptance.mutants import Patch, PatchError, make_copy, target_text
from tests.acceptance.offline import Planned, evidence_of, planned_of
from workloads.account.system import SYSTEM

SCENARIO = """
name = "planted-fault"
title = "A little of everything that moves money"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "500/s"
[phases]
warmup = "200ms"
measure = "1200ms"
drain = "10s"
[load]
timeout = "20s"
[limits]
lateness_p99 = "5s"    # the audit is tested, on machines that are busy
generator_cpu = "99%"
[workload]
accounts = { count = 40, kind = "uniform" }
instruments = 4
market = "varied"
mix = { reserve = "28%", release = "24%", fill = "16%", transfer = "7%", \
pend = "5%", post = "2%", void = "2%", get_balances = "11%", list_ledger = "5%" }
order_life = "200ms"
read_your_writes = "50%"
page = 20
subscriptions = 8
"""
KILL_RESTART = """
[[steps]]
at = "600ms"
action = "kill-restart-target"
"""


def scenario(*, is_killed: bool) -> str:
    """The scenario file, with a kill and restart or without."""
    return SCENARIO + KILL_RESTART if is_killed else SCENARIO


def of_status(run: StoredRun, status: Correctness) -> set[str]:
    """The invariants of that status."""
    return {item.id for item in run.record.correctness.invariants if item.status is status}


def sentences(run: StoredRun) -> str:
    """What the audit says, for a message."""
    return "\n".join(
        f"{item.id} {item.status}: {item.sentence}" for item in run.record.correctness.invariants
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """What every copy is asked to do."""
    return planned_of(_without_subscribers(SCENARIO, tmp_path_factory.mktemp("scenario")))


def _without_subscribers(text: str, folder: Path) -> Scenario:
    file = folder / "scenario.toml"
    file.write_text(text.replace("subscriptions = 8\n", ""), encoding="utf-8")
    return checked_scenario(str(file), ScenarioOverrides())


def judged(planned: Planned, copy: Path, folder: Path) -> dict[str, Correctness]:
    """The status of every invariant when *copy* has served the plan."""
    folder.mkdir()
    evidence = evidence_of(copy, planned, folder=folder)
    return {item.id: item.status for item in SYSTEM.auditor.audit(evidence)}


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.is_live])
def test_fault_is_found_and_named(name: str, planned: Planned, tmp_path: Path) -> None:
    """What the faulty copy violates is FAILED, what it leaves alone PASSED."""
    fault = FAULTS[name]

    found = judged(planned, make_copy(tmp_path / "copy", fault.patches), tmp_path / "work")

    assert {found[item] for item in fault.broken} == {Correctness.FAILED}, found
    assert {found[item] for item in fault.intact} == {Correctness.PASSED}, found


def test_honest_copy_violates_nothing(planned: Planned, tmp_path: Path) -> None:
    """Every invariant is decided, and holds: what fails the others is their fault."""
    found = judged(planned, make_copy(tmp_path / "copy"), tmp_path / "work")

    named = [fault.broken | fault.intact for fault in FAULTS.values() if not fault.is_live]
    assert set(found.values()) == {Correctness.PASSED}, found
    assert set(found) >= frozenset().union(*named)


def test_one_instrument_for_all_is_legal_where_all_are_alike(tmp_path: Path) -> None:
    """In the uniform market no invariant can find what mixes instruments up; so it is not used."""
    mixed_up = (*ONE_LOT_SIZE, *ONE_TICK_VALUE, *ONE_QUOTE_ASSET, *ONE_FEE_KIND)
    uniform = _without_subscribers(SCENARIO.replace('market = "varied"\n', ""), tmp_path)

    found = judged(planned_of(uniform), make_copy(tmp_path / "copy", mixed_up), tmp_path / "work")

    assert set(found.values()) == {Correctness.PASSED}, found


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.is_live])
def test_fault_is_found_by_a_run(name: str, run_once: RunOnce, tmp_path: Path) -> None:
    """A run against the faulty copy exits 5; what it violates is named, others are not."""
    fault = FAULTS[name]
    copy = make_copy(tmp_path / "copy", fault.patches)

    run = run_once(scenario(is_killed=fault.is_killed), target_text(copy, name=name))

    failed = of_status(run, Correctness.FAILED)
    assert run.record.exit_code == ExitCode.AUDIT_FAILED
    assert run.record.correctness.status is Correctness.FAILED
    assert fault.broken <= failed, sentences(run)
    assert not fault.intact & failed, sentences(run)


@pytest.mark.parametrize("is_killed", [False, True], ids=["undisturbed", "killed and restarted"])
def test_copy_without_a_fault_is_green(is_killed: bool, run_once: RunOnce, tmp_path: Path) -> None:
    """Every invariant of the unchanged copy is PASSED: what turns the others red is their fault."""
    copy = make_copy(tmp_path / "copy")

    run = run_once(scenario(is_killed=is_killed), target_text(copy))

    subscriber = run.record.load["subscriber"]
    assert subscriber["message_count"] > 8, "more than snapshots"
    assert subscriber["end_count"] >= (8 if is_killed else 0)
    assert (run.record.resources["subscriber"].cpu_cores_mean or 0) > 0
    assert not subscriber["is_cut_off"]
    passed = of_status(run, Correctness.PASSED)
    assert len(passed) == len(run.record.correctness.invariants), sentences(run)
    assert {fault_id for fault in FAULTS.values() for fault_id in fault.broken} <= (
        passed if is_killed else passed | {"I23"}
    )
    assert run.record.correctness.status is Correctness.PASSED


def test_copy_is_what_is_run(tmp_path: Path) -> None:
    """The launch of a copy finds the copy's modules, all of them, and not the original's."""
    copy = make_copy(tmp_path / "copy")
    how = parse_target(target_text(copy), file=tmp_path / "target.toml").how
    assert isinstance(how, LaunchSpec)
    program = (
        "import sys, workloads.account.reference.__main__\n"
        "for name, module in sys.modules.items():\n"
        "    if name.startswith('workloads'): print(module.__file__)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(how.environment),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) > 10
    assert all(file.is_relative_to(copy) for file in files)


@pytest.mark.parametrize("old", ["no such text", "import"])
def test_patch_that_does_not_match_once_is_refused(old: str, tmp_path: Path) -> None:
    """A patch whose text is not there, or there more than once, never makes a copy unnoticed."""
    with pytest.raises(PatchError, match=r"state\.py: found \d+ times, must be once"):
        make_copy(tmp_path / "copy", [Patch(file="state.py", old=old, new="")])
