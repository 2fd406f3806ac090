"""Real runs on standing streams: a killed service, a full window, the order of an account."""

from pathlib import Path

import pandas as pd
import pytest

from harness.model.operation import Outcome
from harness.model.record import RunRecord
from harness.model.scenario import LoadTransport
from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import Correctness
from harness.storage.run_folder import StoredRun
from tests.acceptance.conftest import RunOnce, null_scenario
from tests.acceptance.mutants import Patch, make_copy, target_text
from tests.timing import TimeJudged

STREAM_COUNT = 4
ON_STREAMS = ("reserve", "release")
SCENARIO = """
name = "streams"
title = "Orders on standing streams"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "400/s"
[phases]
warmup = "300ms"
measure = "1500ms"
drain = "10s"
[load]
transport = "stream"
streams = 4
timeout = "20s"
[limits]
lateness_p99 = "5s"    # not what is tested, on machines that are busy
generator_cpu = "99%"
[workload]
accounts = { count = 40, kind = "uniform" }
instruments = 4
mix = { reserve = "38%", release = "34%", fill = "16%", transfer = "12%" }
order_life = "300ms"
"""
KILL_RESTART = """
[[steps]]
at = "1s"
action = "kill-restart-target"
"""
FREEZE = """
[[steps]]
at = "300ms"
action = "freeze-target"
duration = "500ms"
"""
# What is on the disk is told 40 ms later: at any time some operations are applied and unanswered.
TELLING = "            self._loop.call_soon_threadsafe(self._committed, group, "
TELLS_LATE = Patch(
    file="commitment.py", old=TELLING, new="            time.sleep(0.04)\n" + TELLING
)


def broken_laws(record: RunRecord) -> list[str]:
    """What the audit can't confirm."""
    invariants = record.correctness.invariants
    return [f"{item.id}: {item.sentence}" for item in invariants if item.status != "PASSED"]


def on_streams(run: StoredRun) -> pd.DataFrame:
    """Its operations that went on streams, as they went."""
    table = run.operations()
    chosen = table[table["kind"].isin(ON_STREAMS) & (table["sent_ns"] > 0)]
    return chosen.sort_values("sent_ns", kind="stable")


def assert_accounts_in_order(run: StoredRun) -> None:
    """What was sent later of an account was applied later to it."""
    table = on_streams(run)
    answered = table[table["outcome"] == "acknowledged"]
    steps = answered.groupby("account")["account_seq"].diff().dropna()
    assert len(steps) > 200
    assert (steps > 0).all()


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_killed_service_breaks_its_streams_and_nothing_is_lost(
    driver: str, run_once: RunOnce, tmp_path: Path
) -> None:
    """
    What was in flight is in doubt, is asked for again by its request id, and is proved to be right.

    What only waited goes on the stream that is opened next.
    """
    copy = make_copy(tmp_path / "copy", [TELLS_LATE])

    run = run_once(
        SCENARIO + KILL_RESTART, target_text(copy), overrides=ScenarioOverrides(driver=driver)
    )

    table, (stats,) = on_streams(run), run.record.load["driver_stats"]
    assert stats["reopened_count"] >= STREAM_COUNT
    in_doubt = table[table["outcome"].isin(["failed", "timed_out"])]
    assert len(in_doubt) >= 3
    assert not in_doubt["never_sent"].any()
    assert (in_doubt["resolved_outcome"] >= int(Outcome.ACKNOWLEDGED)).all()
    assert run.record.load["resolved_count"] >= len(in_doubt)
    assert in_doubt["resolved_replayed"].max() == 1, "some were applied before the kill"
    (disturbance,) = run.record.disturbances
    assert table["sent_ns"].max() > disturbance.end_ns
    assert (
        table.loc[table["sent_ns"] > disturbance.end_ns, "outcome"] == "acknowledged"
    ).mean() > 0.9
    assert_accounts_in_order(run)
    assert run.record.correctness.status is Correctness.PASSED
    assert broken_laws(run.record) == []


@pytest.mark.alone
def test_drivers_and_transports_agree(run_once: RunOnce, time_judged: TimeJudged) -> None:
    """One plan on streams by both drivers and as calls: each operation ends alike, as fast."""
    variants = {
        "streams": ScenarioOverrides(),
        "streams of grpcio": ScenarioOverrides(driver="grpcio"),
        "calls": ScenarioOverrides(transport=LoadTransport.UNARY),
    }

    runs = {name: run_once(SCENARIO, "reference", change) for name, change in variants.items()}

    ended = {name: run.operations()["outcome"].to_numpy() for name, run in runs.items()}
    fastest_ms = {
        name: float((table["done_ns"] - table["sent_ns"]).min()) / 1e6
        for name, table in ((name, on_streams(run)) for name, run in runs.items())
    }
    for name, run in runs.items():
        assert broken_laws(run.record) == [], name
        assert (ended[name] == ended["streams"]).mean() > 0.99, name
        assert run.record.rate.offered_per_s == pytest.approx(400, rel=0.1), name
        assert_accounts_in_order(run)
    with time_judged():
        assert fastest_ms == pytest.approx(dict.fromkeys(runs, fastest_ms["streams"]), abs=10.0)


@pytest.mark.alone
@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_full_window_is_the_services_time_and_no_lateness(
    driver: str, run_once: RunOnce, time_judged: TimeJudged
) -> None:
    """Behind a frozen service messages wait in the driver: counted, part of service, on time."""
    found = {}
    for window_count in (8, 1024):
        run = run_once(
            null_scenario(
                'kind = "constant"\nrate = "400/s"', measure="1200ms", driver=driver, rest=FREEZE
            ),
            "echo",
            ScenarioOverrides(
                transport=LoadTransport.STREAM, stream_count=2, stream_window_count=window_count
            ),
        )
        table = run.operations()
        assert set(table["outcome"]) == {"acknowledged"}
        found[window_count] = run.record.load["driver_stats"][0], table

    (stats, table), wide = found[8], found[1024]
    assert wide[0]["blocked_count"] <= 2  # the streams were not open yet
    with time_judged():
        for _, one in found.values():
            response_ms = (one["done_ns"] - one["intended_ns"]).to_numpy(float) / 1e6
            assert response_ms.max() == pytest.approx(500, abs=100)
        service_ns = int((table["done_ns"] - table["sent_ns"]).sum())
        blocked_count = 400 * 0.5 - 2 * 8
        assert stats["blocked_count"] == pytest.approx(blocked_count, rel=0.2)
        mean_ms = stats["blocked_ns_total"] / stats["blocked_count"] / 1e6
        assert mean_ms == pytest.approx(500 / 2, rel=0.3)
        lateness_ns = int((table["sent_ns"] - table["eligible_ns"]).sum())
        assert service_ns > stats["blocked_ns_total"] > 5 * lateness_ns
