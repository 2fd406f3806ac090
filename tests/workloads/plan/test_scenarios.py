"""What the packaged scenarios say of themselves is what their plans are, whatever the seed."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from harness.model.arrivals_statistics import Statistic
from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides, list_scenarios, load_scenario
from workloads.account.plan.describe import plan_statistics
from workloads.account.plan.flow_statistics import OperationFlow, flow_of
from workloads.account.plan.planner import make_plan
from workloads.account.wire.kinds import Kind

PACKAGED = resources.files("workloads.scenarios")
SIZES = {"smoke", "gate", "signoff", "soak"}
SEEDS = (1, 2, 3)
SECOND_NS = 10**9
NAMES = [listing.name for listing in list_scenarios(PACKAGED)]


def of_accounts() -> list[str]:
    """Names of the packaged scenarios of the account core."""
    assert len(NAMES) >= 9
    return [name for name in NAMES if not name.startswith("null")]


def scenario(name: str, *, seed: int, measure_s: int = 60, profile: str | None = None) -> Scenario:
    """A packaged scenario, so long."""
    overrides = ScenarioOverrides(measure_ns=measure_s * SECOND_NS, seed=seed, profile=profile)
    return load_scenario(name, folder=PACKAGED, overrides=overrides)


def stream(chosen: Scenario) -> OperationFlow:
    """All that it sends."""
    return flow_of(chosen, [make_plan(chosen, seed=chosen.seed, shard=0, shard_count=1)])


def statistics(chosen: Scenario) -> dict[str, Statistic]:
    """Of its plan, in two shards."""
    plans = [make_plan(chosen, seed=chosen.seed, shard=shard, shard_count=2) for shard in range(2)]
    return {item.name: item for item in plan_statistics(chosen, plans)}


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_four_sizes(name: str) -> None:
    """Each size is one that loads."""
    (listing,) = [item for item in list_scenarios(PACKAGED) if item.name == name]

    assert set(listing.profiles) >= SIZES
    for size in SIZES:
        assert load_scenario(
            name, folder=PACKAGED, overrides=ScenarioOverrides(profile=size)
        ).citations


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", of_accounts())
def test_plans_meet_their_statistics(name: str, seed: int) -> None:
    """Shares, skew, rate, bursts, caps: each within what chance explains at this size."""
    found = statistics(scenario(name, seed=seed))
    asked = {key: item for key, item in found.items() if item.is_asked_for}

    assert len(asked) >= 4
    assert {key: item.shown() for key, item in asked.items() if not item.is_met} == {}


def test_another_mix_is_told_apart() -> None:
    """The statistics can fail: a plan of one scenario is not one of another."""
    steady, churn = scenario("spot-steady", seed=1), scenario("mm-churn-cancel", seed=1)
    plans = [make_plan(churn, seed=1, shard=0, shard_count=1)]
    found = plan_statistics(replace(churn, workload=steady.workload), plans)

    assert {item.name for item in found if item.is_asked_for and not item.is_met} >= {
        "share_reserve",
        "share_fill",
        "top_1_percent_accounts",
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_most_orders_of_market_makers_are_cancelled(seed: int) -> None:
    """95 to 97 % of the orders that are placed, as in what is cited."""
    sent = stream(scenario("mm-churn-cancel", seed=seed, measure_s=200))
    order_count = np.count_nonzero(sent.kind == Kind.RESERVE)

    assert order_count > 20_000
    assert 0.95 <= np.count_nonzero(sent.kind == Kind.RELEASE) / order_count <= 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_bursts_feed_bursts_as_much_as_asked(seed: int) -> None:
    """The branching ratio, recovered by a fit over forty minutes; a process without is no burst."""
    found = statistics(scenario("fill-burst-hawkes", seed=seed, measure_s=2_400))

    branching = found["branching_ratio"]
    assert branching.value == pytest.approx(0.66, abs=0.06)
    assert branching.tolerance is not None
    assert branching.tolerance < 0.06
    assert found["fano_factor"].value > 2.5


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_odd_on_purpose(seed: int) -> None:
    """dup-reorder: a twentieth of the records twice, a hundredth of the fills late."""
    found = statistics(scenario("dup-reorder", seed=seed, measure_s=300))

    assert found["share_duplicate"].value == pytest.approx(0.02, abs=0.002)
    assert found["changed_duplicates"].value == pytest.approx(0.5, abs=0.05)
    assert found["repeated_records"].value == pytest.approx(0.05, abs=0.01)
    assert found["late_records"].value == pytest.approx(0.01, abs=0.004)
