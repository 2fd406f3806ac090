"""The foreign core attached to: on a broker of its own, seeded by transfers, run after run."""

import json
from pathlib import Path

import pytest

from harness.cli.options import checked_scenario
from harness.model.scenario_file import ScenarioOverrides
from harness.system import load_system
from tests.end_to_end.attached import SCENARIO, staging

pytestmark = pytest.mark.timeout(900)


def test_run_twice_without_control(built: Path, tmp_path: Path) -> None:
    """Without ControlService: accounts topped up and read by the public calls, both times."""
    (tmp_path / "reference.toml").write_text(SCENARIO, encoding="utf-8")
    scenario = checked_scenario(str(tmp_path / "reference.toml"), ScenarioOverrides())
    traded = tmp_path / "traded.json"
    traded.write_bytes(load_system(scenario.system).reference_data(scenario))
    assert json.loads(traded.read_text())["instruments"]
    command = (
        *(str(built / "service"), "--kafka", "{kafka}", "--topic-prefix", "staging."),
        *("--without", "control", "--reference-data", str(traded)),
    )

    with staging(tmp_path, *command) as at:
        # Others may trade on an attached target: without lists of orders, locks stay open too.
        undecided = frozenset({"I4", "I5", "I8"})
        digests = {at.check_green(undecided=undecided) for _ in range(2)}

    assert len(digests) == 1
