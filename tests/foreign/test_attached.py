"""The foreign core attached to: on a broker of its own, seeded by transfers, run after run."""

from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from tests.end_to_end.attached import SCENARIO, staging

pytestmark = pytest.mark.timeout(900)


def test_run_twice_without_control(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ControlService: accounts topped up and read by the public calls, both times."""
    scenario = tmp_path / "reference.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    assert exit_code_of(["plan", str(scenario), "--reference-data"]) == 0
    traded = tmp_path / "traded.json"
    traded.write_text(capsys.readouterr().out, encoding="utf-8")
    command = (
        *(str(built / "service"), "--kafka", "{kafka}", "--topic-prefix", "staging."),
        *("--without", "control", "--reference-data", str(traded)),
    )

    with staging(tmp_path, *command) as at:
        # Others may trade on an attached target: without lists of orders, locks stay open too.
        undecided = frozenset({"I4", "I5", "I8"})
        digests = {at.check_green(undecided=undecided) for _ in range(2)}

    assert len(digests) == 1
