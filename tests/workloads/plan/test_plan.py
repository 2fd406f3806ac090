"""Plans: seeded, stationary, with dependencies that make sense and the mix that was asked for."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest

from harness.engine.plan_digest import plan_digest
from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides, load_scenario
from harness.system import ShardPlan
from workloads.account.plan.describe import describe_plans, plan_statistics
from workloads.account.plan.mixed import REFUSED_QTY_LOTS
from workloads.account.plan.planner import make_plan
from workloads.account.terms.workload import Workload, parse_workload, workload_faults
from workloads.account.wire.kinds import Kind

PACKAGED = resources.files("workloads.scenarios")
MIX = {"reserve": "48%", "release": "45%", "fill": "4%", "transfer": "3%"}


def scenario(name: str = "spot-steady", *, rate_per_s: float = 2_000.0, **changes: Any) -> Scenario:
    """A packaged scenario of some 12,000 operations."""
    return load_scenario(
        name,
        folder=PACKAGED,
        overrides=ScenarioOverrides(
            rate_per_s=rate_per_s, warmup_ns=10**9, measure_ns=5 * 10**9, **changes
        ),
    )


def with_workload(table: Mapping[str, Any]) -> Scenario:
    """spot-steady with another workload."""
    return replace(scenario(), workload=table)


def plans_of(chosen: Scenario, shard_count: int = 1, seed: int = 42) -> list[ShardPlan]:
    """Every shard's plan."""
    return [
        make_plan(chosen, seed=seed, shard=shard, shard_count=shard_count)
        for shard in range(shard_count)
    ]


@pytest.fixture(scope="module")
def steady() -> ShardPlan:
    """One plan of spot-steady."""
    return make_plan(scenario(), seed=42, shard=0, shard_count=1)


class TestSeeding:
    """The seed decides everything, and nothing else does."""

    def test_same_seed_same_plan(self, steady: ShardPlan) -> None:
        """Made again, a plan is the same to the last column; another seed makes another."""
        again = make_plan(scenario(), seed=42, shard=0, shard_count=1)
        other = make_plan(scenario(), seed=43, shard=0, shard_count=1)

        assert plan_digest(steady) == plan_digest(again)
        assert plan_digest(steady) != plan_digest(other)

    @pytest.mark.parametrize("shard_count", [2, 3])
    def test_shards_share_one_schedule(self, steady: ShardPlan, shard_count: int) -> None:
        """All shards together send at exactly the times of one."""
        plans = plans_of(scenario(), shard_count)
        together = np.sort(np.concatenate([plan.intended_offset_ns for plan in plans]))

        assert together.tolist() == steady.intended_offset_ns.tolist()

    @pytest.mark.parametrize("name", ["spot-steady", "deposit-storm", "hot-account-zipf"])
    def test_shards_own_their_accounts(self, name: str) -> None:
        """No account, new ones included, is in two shards."""
        plans = plans_of(scenario(name), 2)
        for shard, plan in enumerate(plans):
            for column in ("account", "peer_account"):
                assert set((plan.columns[column] % 2).tolist()) <= {shard}


class TestDependencies:
    """An operation depends on earlier ones, of its own account and order."""

    def test_point_backwards(self, steady: ShardPlan) -> None:
        """Whatever an operation waits for is before it in the plan."""
        index = np.arange(len(steady))
        for needed in (steady.needs_a, steady.needs_b, steady.after):
            assert bool(np.all(needed < index))

    def test_each_order_ends_once(self, steady: ShardPlan) -> None:
        """An order is released at most once, and never after a fill that took all of it."""
        columns, kind = steady.columns, steady.kind
        released = columns["order"][kind == Kind.RELEASE].tolist()
        whole = set()
        for fill in np.flatnonzero(kind == Kind.FILL).tolist():
            for name in ("order", "peer_order"):
                order = int(columns[name][fill])
                if columns["qty_lots"][order] == columns["qty_lots"][fill]:
                    whole.add(order)

        assert len(set(released)) == len(released)
        assert not whole & set(released)

    def test_a_fill_pairs_two_sides(self, steady: ShardPlan) -> None:
        """Both orders of a match trade one instrument, on opposite sides, at crossing limits."""
        columns = steady.columns
        fills = np.flatnonzero(steady.kind == Kind.FILL)
        taker, maker = columns["order"][fills], columns["peer_order"][fills]
        price = columns["price_ticks"]
        buyer = np.where(columns["side"][taker] == 1, taker, maker)
        seller = np.where(columns["side"][taker] == 1, maker, taker)

        assert len(fills) > 100
        assert bool(np.all(columns["account"][taker] != columns["account"][maker]))
        assert bool(np.all(columns["side"][taker] != columns["side"][maker]))
        assert bool(np.all(columns["instrument"][taker] == columns["instrument"][maker]))
        assert bool(np.all(price[buyer] >= price[fills]))
        assert bool(np.all(price[seller] <= price[fills]))
        assert bool(np.all(price[fills] == price[maker]))
        lots = columns["qty_lots"]
        assert bool(np.all(lots[fills] <= np.minimum(lots[taker], lots[maker])))
        assert bool(np.all(steady.stream[fills] == columns["instrument"][fills]))

    def test_each_order_is_filled_at_most_once(self, steady: ShardPlan) -> None:
        """So that what is left after a fill never depends on another fill's fate."""
        fills = steady.kind == Kind.FILL
        orders = np.concatenate([steady.columns[name][fills] for name in ("order", "peer_order")])

        assert len(np.unique(orders)) == len(orders)

    def test_a_release_follows_its_fill(self, steady: ShardPlan) -> None:
        """The rest of a filled order is released after the fill, and planned to be visible."""
        columns = steady.columns
        filled = {}
        for fill in np.flatnonzero(steady.kind == Kind.FILL).tolist():
            filled[int(columns["order"][fill])] = fill
            filled[int(columns["peer_order"][fill])] = fill
        followers = 0
        for release in np.flatnonzero(steady.kind == Kind.RELEASE).tolist():
            fill = filled.get(int(columns["order"][release]), -1)
            assert steady.after[release] == fill
            if fill >= 0:
                followers += 1
                waited_ns = steady.intended_offset_ns[release] - steady.intended_offset_ns[fill]
                assert waited_ns >= 100_000_000

        assert followers > 50

    def test_dependents_leave_time_for_the_reply(self, steady: ShardPlan) -> None:
        """Nothing is planned before its cause should have been answered."""
        dependents = np.flatnonzero(steady.needs_a >= 0)
        offsets = steady.intended_offset_ns
        waited_ns = offsets[dependents] - offsets[steady.needs_a[dependents]]

        assert int(waited_ns.min()) >= 20_000_000


class TestStatistics:
    """What is generated is what the scenario asks for."""

    @pytest.mark.parametrize("name", ["spot-steady", "deposit-storm", "hot-account-zipf"])
    @pytest.mark.parametrize("shard_count", [1, 2])
    @pytest.mark.parametrize("seed", [1, 2])
    def test_packaged_scenarios_meet_their_targets(
        self, name: str, shard_count: int, seed: int
    ) -> None:
        """Mix, skew, rate and dispersion are within tolerance, for any number of shards."""
        chosen = scenario(name, seed=seed)
        missed = [
            item
            for item in plan_statistics(chosen, plans_of(chosen, shard_count, seed))
            if not item.is_met
        ]

        assert missed == []

    def test_open_orders_do_not_grow(self, steady: ShardPlan) -> None:
        """Open orders settle at rate times life and stay there."""
        values = {item.name: item.value for item in plan_statistics(scenario(), [steady])}

        assert values["open_orders_max"] < 1.5 * values["open_orders_expected"]
        assert values["open_orders_end"] < 1.3 * values["open_orders_expected"]

    @pytest.mark.parametrize("theta", [0.0, 0.8, 1.02, 1.2, 2.0])
    def test_zipf_of_any_exponent(self, theta: float) -> None:
        """The busiest accounts get their exact theoretical share, below and above exponent 1."""
        table = {"accounts": {"kind": "zipf", "count": 1_000, "theta": theta}, "mix": MIX}
        chosen = with_workload(table)
        by_name = {item.name: item for item in plan_statistics(chosen, plans_of(chosen))}
        ranks = np.arange(1, 1_001, dtype=np.float64) ** -theta
        statistic = by_name["top_1_percent_accounts"]

        assert statistic.target == pytest.approx(ranks[:10].sum() / ranks.sum())
        assert statistic.is_met

    def test_hot_accounts(self) -> None:
        """Five accounts with 80 % of the operations have 80 % of them."""
        accounts = {"kind": "hot", "count": 1_000, "hot_count": 5, "hot_share": "80%"}
        plan = make_plan(
            with_workload({"accounts": accounts, "mix": MIX}), seed=1, shard=0, shard_count=1
        )
        reserves = plan.columns["account"][plan.kind == Kind.RESERVE]
        counts = np.sort(np.unique(reserves, return_counts=True)[1])[::-1]

        assert counts[:5].sum() / counts.sum() == pytest.approx(0.8, abs=0.03)

    def test_refusals_are_planned(self) -> None:
        """A share of reserves asks for more than anyone has, and nothing follows them."""
        table = {"accounts": {"kind": "uniform", "count": 100}, "mix": MIX, "insufficient": "10%"}
        plan = make_plan(with_workload(table), seed=1, shard=0, shard_count=1)
        reserves = np.flatnonzero(plan.kind == Kind.RESERVE)
        refused = reserves[plan.columns["qty_lots"][reserves] == REFUSED_QTY_LOTS]

        assert len(refused) / len(reserves) == pytest.approx(0.1, abs=0.03)
        assert not np.isin(plan.columns["order"], refused).any()

    def test_every_kind_can_be_mixed(self) -> None:
        """Amendments, internal transfers and new accounts come at their shares too."""
        mix = {
            "reserve": "40%", "release": "36%", "fill": "6%", "amend": "10%",
            "transfer": "3%", "internal_transfer": "3%", "create_account": "1%", "duplicate": "1%",
        }  # fmt: skip
        accounts = {"kind": "uniform", "count": 500}
        chosen = with_workload({"accounts": accounts, "mix": mix, "new_accounts": "20%"})
        missed = [i for i in plan_statistics(chosen, plans_of(chosen)) if not i.is_met]

        assert missed == []
        assert workload_faults(chosen.workload) == []

    def test_duplicates_repeat_every_field(self) -> None:
        """A repeated request has the terms of the first, and comes after its reply."""
        plan = make_plan(scenario("deposit-storm"), seed=1, shard=0, shard_count=1)
        repeats = np.flatnonzero(plan.columns["duplicate_of"] >= 0)
        originals = plan.columns["duplicate_of"][repeats]

        assert len(repeats) > 100
        assert plan.needs_a[repeats].tolist() == originals.tolist()
        for name in ("account", "asset", "amount_minor", "creates_account"):
            values = plan.columns[name]
            assert values[repeats].tolist() == values[originals].tolist()

    def test_small(self) -> None:
        """Plan columns and payload stay below 90 bytes an operation."""
        chosen = scenario()
        sizes = describe_plans(chosen, plans_of(chosen))["bytes_per_operation"]

        assert sizes["payload"] + sizes["columns"] < 90


BAD_WORKLOADS = [
    ({"mix": {"transfer": "100%"}}, "workload.accounts"),
    ({"accounts": {"kind": "zipf", "count": 10}, "mix": MIX}, "workload.accounts.theta"),
    ({"accounts": {"kind": "zpf", "count": 10}, "mix": MIX}, "workload.accounts.kind"),
    ({"accounts": {"kind": "uniform", "count": 10}, "mix": {"transfer": "90%"}}, "workload.mix"),
    (
        {"accounts": {"kind": "uniform", "count": 10}, "mix": {**MIX, "release": "47%"}},
        "workload.mix",
    ),
    (
        {"accounts": {"kind": "uniform", "count": 10}, "mix": {"reserve": "60%", "release": "40%"}},
        "workload.mix",
    ),
    (
        {
            "accounts": {"kind": "hot", "count": 9, "hot_count": 1, "hot_share": "100%"},
            "mix": MIX,
        },
        "workload",
    ),
    (
        {"accounts": {"kind": "uniform", "count": 10}, "mix": MIX, "insuficient": "1%"},
        "workload.insuficient",
    ),
]


@pytest.mark.parametrize(("table", "key"), BAD_WORKLOADS)
def test_workload_faults(table: Mapping[str, Any], key: str) -> None:
    """A workload that can't be planned is refused, with the key and a remedy."""
    faults = workload_faults(table)

    assert key in [fault[0] for fault in faults]
    assert all(remedy for _, _, remedy in faults)


def test_a_fill_closes_the_difference() -> None:
    """48 % reserves, 45 % releases, 4 % fills: three quarters of an order end with each fill."""
    table = {"accounts": {"kind": "uniform", "count": 10}, "mix": MIX}
    workload: Workload = parse_workload(table)

    assert workload.mix.closed_by_fill_count == pytest.approx(0.75)
