"""The scenario whose run the audit's tests spoil."""

import pytest

from harness.model.scenario import Scenario
from harness.model.scenario_file import load_scenario

SCENARIO = """
name = "everything"
title = "Operations of every kind"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "200/s"
[phases]
warmup = "500ms"
measure = "3s"
[load]
workers = 2
[workload]
accounts = { kind = "zipf", count = 60, theta = 0.8 }
instruments = 5
market = "varied"
mix = { reserve = "40%", release = "36%", fill = "6%", amend = "6%", transfer = "6%", \
internal_transfer = "3%", create_account = "1%", duplicate = "2%" }
new_accounts = "10%"
insufficient = "3%"
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Two shards, every kind of operation, some refused."""
    path = tmp_path_factory.mktemp("scenario") / "everything.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load_scenario(str(path))
