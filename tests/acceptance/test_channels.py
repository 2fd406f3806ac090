"""One schedule for every channel: calls, pages, streams and Kafka records go when they are due."""

from collections import Counter

import pandas as pd
import pytest

from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import Correctness
from harness.storage.run_folder import StoredRun
from tests.acceptance.conftest import RunOnce, null_scenario
from tests.acceptance.mixed import NAMES, PATTERN
from tests.timing import TimeJudged

MEASURE_S = 2.0
SHARE = {NAMES[kind]: count / len(PATTERN) for kind, count in Counter(PATTERN).items()}
FREEZE = """
[[steps]]
at = "500ms"
action = "freeze-target"
duration = "400ms"
"""


def scenario(kind: str, rest: str = "") -> str:
    """Arrivals of *kind*, at a rate that the run is told."""
    text = null_scenario(f'kind = "{kind}"\nrate = "100/s"', measure="2s", rest=rest)
    return text.replace("workloads.null:SYSTEM", "tests.acceptance.mixed:SYSTEM")


def measured(run: StoredRun, rate_per_s: float) -> pd.DataFrame:
    """Its measured operations: all acknowledged, and each channel has its share of the rate."""
    table = run.operations()
    found = table[table["measured"]]
    assert set(found["outcome"]) == {"acknowledged"}
    assert run.record.correctness.status is Correctness.PASSED
    for kind, of_kind in found.groupby("kind"):
        expected = rate_per_s * SHARE[str(kind)] * MEASURE_S
        assert len(of_kind) == pytest.approx(expected, abs=max(2, 4 * expected**0.5)), kind
        assert (of_kind["sent_ns"] >= of_kind["intended_ns"]).all(), kind
    assert set(found["kind"]) == set(SHARE)
    return found


@pytest.mark.parametrize("rate_per_s", [200, 1500])
def test_a_rate_told_at_run_time_is_the_rate_of_every_channel(
    rate_per_s: int, run_once: RunOnce
) -> None:
    """The scenario says 100/s, the command another rate: that one is met, channel by channel."""
    run = run_once(scenario("poisson"), "echo", ScenarioOverrides(rate_per_s=float(rate_per_s)))

    measured(run, rate_per_s)
    assert run.record.rate.offered_per_s == pytest.approx(rate_per_s, rel=0.1)


@pytest.mark.alone
@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_a_channel_that_stands_still_makes_no_other_late(
    driver: str, run_once: RunOnce, time_judged: TimeJudged
) -> None:
    """While the service is frozen everything goes on time, and records are acknowledged at once."""
    overrides = ScenarioOverrides(rate_per_s=500.0, driver=driver)

    run = run_once(scenario("constant", FREEZE), "echo", overrides)

    table = measured(run, 500)
    late_ms = ((table["sent_ns"] - table["intended_ns"]) / 1e6).groupby(table["kind"])
    slowest_ms = (table["done_ns"] - table["intended_ns"]).groupby(table["kind"]).max() / 1e6
    with time_judged():
        # One that waits for another is hundreds late.
        assert late_ms.quantile(0.5).max() < 5.0
        assert late_ms.quantile(0.95).max() < 50.0
        assert slowest_ms["record"] < 300
        for kind in ("call", "pages", "message"):
            assert slowest_ms[kind] == pytest.approx(400, abs=100), kind
