"""Every packaged scenario of the account core, short and slow, against the reference: all green."""

from importlib import resources
from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from harness.model.scenario_file import list_scenarios
from harness.storage.run_folder import load_run

COVERED = {"spot-steady", "hot-account-zipf"}  # the same kinds as other tests of whole runs
NAMES = [
    listing.name
    for listing in list_scenarios(resources.files("workloads.scenarios"))
    if listing.name not in COVERED and not listing.name.startswith("null")
]
SIZE = ["--profile", "smoke", "--rate", "100/s", "--duration", "2s", "--warmup", "1s"]


@pytest.mark.parametrize("name", NAMES)
def test_every_cent_and_every_law(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing refused that should not be, no law broken, none that its evidence was missing for."""
    exit_code_of(["run", name, *SIZE, "--runs", str(tmp_path), "--quiet"])
    said = capsys.readouterr()
    assert said.out, said.err
    record = load_run(Path(said.out.strip()).parent).record
    laws = {item.id: item for item in record.correctness.invariants}

    assert record.correctness.status == "PASSED", record.correctness
    required = record.scenario["parameters"]["audit"]["required"]
    assert {laws[law].status for law in required} == {"PASSED"}
    assert record.operations.acknowledged > 100
    assert record.operations.failed == record.operations.dropped == 0
    assert {
        objective.id: objective.sentence
        for objective in record.performance.objectives
        if objective.id == "operations.rejected_share" and objective.status != "PASSED"
    } == {}
