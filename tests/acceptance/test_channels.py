"""One schedule for every channel: calls, pages, streams and Kafka records go when they are due."""

from collections import Counter

import numpy as np
import pytest

from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import Correctness
from harness.storage.run_folder import StoredRun
from tests.acceptance.conftest import RunOnce, null_scenario
from tests.acceptance.mixed import NAMES, PATTERN

pytestmark = pytest.mark.alone
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


def assert_on_time(run: StoredRun, rate_per_s: float) -> None:
    """Each channel has its share of the rate, sent when it was due."""
    table = run.operations()
    measured = table[table["measured"]]
    assert set(measured["outcome"]) == {"acknowledged"}
    assert run.record.correctness.status is Correctness.PASSED
    for kind, of_kind in measured.groupby("kind"):
        expected = rate_per_s * SHARE[str(kind)] * MEASURE_S
        late_ms = (of_kind["sent_ns"] - of_kind["intended_ns"]).to_numpy(float) / 1e6
        assert len(of_kind) == pytest.approx(expected, abs=max(2, 4 * expected**0.5)), kind
        assert late_ms.min() >= 0, kind
        # Tests run on machines that are busy; one that waits for another is hundreds late.
        assert np.quantile(late_ms, 0.5) < 5.0, kind
        assert np.quantile(late_ms, 0.95) < 50.0, kind
    assert set(measured["kind"]) == set(SHARE)


@pytest.mark.parametrize("rate_per_s", [200, 1500])
def test_a_rate_told_at_run_time_is_the_rate_of_every_channel(
    rate_per_s: int, run_once: RunOnce
) -> None:
    """The scenario says 100/s, the command another rate: that one is met, channel by channel."""
    run = run_once(scenario("poisson"), "echo", ScenarioOverrides(rate_per_s=float(rate_per_s)))

    assert_on_time(run, rate_per_s)
    assert run.record.rate.offered_per_s == pytest.approx(rate_per_s, rel=0.1)


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_a_channel_that_stands_still_makes_no_other_late(driver: str, run_once: RunOnce) -> None:
    """While the service is frozen everything goes on time, and records are acknowledged at once."""
    overrides = ScenarioOverrides(rate_per_s=500.0, driver=driver)

    run = run_once(scenario("constant", FREEZE), "echo", overrides)

    assert_on_time(run, 500)
    table = run.operations()
    slowest_ms = (table["done_ns"] - table["intended_ns"]).groupby(table["kind"]).max() / 1e6
    assert slowest_ms["record"] < 300
    for kind in ("call", "pages", "message"):
        assert slowest_ms[kind] == pytest.approx(400, abs=100), kind
