"""The markets: the uniform one is what it was, the varied one differs where a service may err."""

from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.engine.plan_digest import plan_digest
from harness.model.scenario import Scenario
from harness.model.scenario_file import load_scenario
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.plan.planner import make_plan
from workloads.account.plan.seeds import reference_data, reference_json, seeds
from workloads.account.terms.market import INSTRUMENT_COUNT_MAX, MarketKind, market
from workloads.account.terms.workload import Workload, parse_workload

SCENARIO = """
name = "mine"
title = "A user's own file, written before there was a varied market"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "1000/s"
[phases]
warmup = "1s"
measure = "3s"
[workload]
"""
TABLES = {
    "mixed": """
accounts = { kind = "zipf", count = 300, theta = 0.9 }
mix = { reserve = "40%", release = "34%", fill = "8%", amend = "4%", transfer = "6%", \
internal_transfer = "2%", pend = "2%", post = "1%", get_balances = "2%", list_ledger = "1%" }
new_accounts = "5%"
insufficient = "1%"
""",
    "sweeps": """
accounts = { kind = "uniform", count = 50 }
instruments = 7
mix = { fill = "100%" }
holdings = "all"
sweeps = { mean = 3.0, max = 30 }
""",
    "makers": """
accounts = { kind = "uniform", count = 20 }
instruments = 10
holdings = "all"
mix = { reserve = "9%", ioc = "3%", release = "6%", amend = "82%" }
reprice = "1%"
""",
}
# Of plan, reference data and seeds, made by the code that knew the uniform market alone.
DIGESTS = {
    "mixed": "5685029bdb3156d81a81b99d7711d88f",
    "sweeps": "ef10092c0fb68c0a8361e0d3cb519fd0",
    "makers": "2cf64a67866c1928fec14d2c286f0b7d",
}
FIELDS = ("base_per_lot_minor", "quote_per_tick_lot_minor", "quote_asset_id", "fee_kind")
LOTS_MAX, ABOVE_MID_MAX = 126, 1.005  # of one order, see plan/drawn.py


def mine(folder: Path, name: str, more: str = "") -> Scenario:
    """The user's file."""
    path = folder / "mine.toml"
    path.write_text(SCENARIO + TABLES[name] + more, encoding="utf-8")
    return load_scenario(str(path))


def digest_of(scenario: Scenario) -> str:
    """Of everything that a run sends and gives: in two shards."""
    digest = blake2b(digest_size=16)
    workload = parse_workload(scenario.workload)
    for shard in range(2):
        digest.update(plan_digest(make_plan(scenario, seed=42, shard=shard, shard_count=2)))
    digest.update(reference_json(workload))
    digest.update(repr([tuple(item) for item in seeds(workload, seed=42)]).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("name", TABLES)
def test_a_file_without_the_key_keeps_its_plan(name: str, tmp_path: Path) -> None:
    """The same operations, reference data and seeds as before there was a choice."""
    plain = digest_of(mine(tmp_path, name))

    assert plain == DIGESTS[name]
    assert digest_of(mine(tmp_path, name, 'market = "uniform"\n')) == plain
    assert digest_of(mine(tmp_path, name, 'market = "varied"\n')) != plain


def varied(**changes: Any) -> Workload:
    """A workload of the varied market."""
    table = {"accounts": {"kind": "uniform", "count": 200}, "mix": {"transfer": "100%"}}
    return parse_workload({**table, "market": "varied", **changes})


def test_neighbours_differ_in_every_field() -> None:
    """And every combination of the four comes up."""
    listed = reference_data(varied(instruments=INSTRUMENT_COUNT_MAX)).instruments

    for one, other in pairwise(listed):
        assert all(getattr(one, field) != getattr(other, field) for field in FIELDS)
    combinations = {tuple(getattr(item, field) for field in FIELDS) for item in listed}
    assert len(combinations) == 2 * 3 * 5 * 7


@pytest.mark.parametrize("kind", ["uniform", "varied"])
def test_a_longer_list_begins_with_the_shorter(kind: MarketKind) -> None:
    """A target that was given one may be given the other."""
    short = reference_data(varied(instruments=4, market=kind))
    long = reference_data(varied(instruments=40, market=kind))

    assert list(long.instruments[:4]) == list(short.instruments)
    assert list(long.assets[: len(short.assets)]) == list(short.assets)
    ids = [asset.asset_id for asset in long.assets]
    assert ids == list(range(1, len(ids) + 1))
    assert all(0 <= asset.scale <= 9 for asset in long.assets)


def test_fees_are_those_of_the_kind() -> None:
    """Per lot: about 1000 and 400 ppm of the mid price, at least one unit; in ppm: none per lot."""
    listed = reference_data(varied(instruments=INSTRUMENT_COUNT_MAX)).instruments
    mids = market(INSTRUMENT_COUNT_MAX, "varied").mid_ticks.tolist()

    for item, mid in zip(listed, mids, strict=True):
        fees = item.taker_fee_per_lot_minor, item.maker_fee_per_lot_minor
        if item.fee_kind == contract.FEE_PPM:
            assert fees == (0, 0)
        else:
            assert fees[0] > fees[1] >= 1
            assert fees[0] == pytest.approx(mid * item.quote_per_tick_lot_minor / 1_000, abs=1)


def test_accounts_hold_what_they_may_spend(tmp_path: Path) -> None:
    """Each account is seeded with both assets of every instrument that it is planned to trade."""
    scenario = mine(tmp_path, "mixed", 'market = "varied"\n')
    workload = parse_workload(scenario.workload)
    plan = make_plan(scenario, seed=42, shard=0, shard_count=1)
    held = {(item.account_id - 1_000, item.asset_id) for item in seeds(workload, seed=42)}
    listed = {item.instrument_id: item for item in reference_data(workload).instruments}
    columns = {name: values.tolist() for name, values in plan.columns.items()}

    rows = zip(columns["account"], columns["instrument"], columns["asset"], strict=True)
    existed = [row for row in rows if row[0] < workload.accounts.count]
    for account, instrument, asset in existed:
        if instrument:
            assert (account, listed[instrument].base_asset_id) in held
            assert (account, listed[instrument].quote_asset_id) in held
        assert not asset or (account, asset) in held
    assert {asset for _, _, asset in existed} >= {1, 2, 3}


def test_amounts_are_far_from_every_bound() -> None:
    """The largest order is a hundredth of an account's funds, and its fee basis fits 62 bits."""
    workload = varied(instruments=INSTRUMENT_COUNT_MAX)
    listed = workload.listed
    limits = np.ceil(listed.mid_ticks * ABOVE_MID_MAX).astype(np.int64)
    notional = limits * LOTS_MAX * listed.quote_per_tick_lot_minor
    fees_ppm = notional * workload.taker_fee_ppm

    assert LOTS_MAX * int(listed.base_per_lot_minor.max()) * 100 <= workload.seed_minor
    assert int(notional.max()) * 100 <= workload.seed_minor
    assert int(fees_ppm.max()) * 100_000 < 2**62  # the fills of a hundred thousand such orders
    assert workload.seed_minor * 1_000_000 < 2**62  # of an asset, with a million accounts
