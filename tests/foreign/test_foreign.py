"""
A whole account core in another language, driven like the reference and audited like it.

What it proves: nothing of the bench depends on Python, on one gRPC or Kafka library, or on a disk
behind the service; what a service declares is what it is held to.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.targets.build import LOG_NAME
from tests.foreign.conftest import SOURCE, TARGET_FILE, RunForeign, go, run_once

TOKEN = "t0ken-5a4b3c2d1e0f"

pytestmark = pytest.mark.timeout(900)  # a cold build of Go's modules takes a minute or two


def test_its_code_is_sound(built: Path) -> None:
    """Formatted, vetted, and its arithmetic agrees with arbitrary precision."""
    source = built / "source"
    root = Path(go("env", "GOROOT", folder=source).stdout.strip())
    files = [str(path) for path in source.glob("*.go")]
    unformatted = subprocess.run(
        [root / "bin" / "gofmt", "-l", *files], capture_output=True, text=True, check=True
    )
    vetted, tested = go("vet", ".", folder=source), go("test", ".", folder=source)

    assert files
    assert unformatted.stdout == ""
    assert vetted.returncode == 0, vetted.stderr
    assert tested.returncode == 0, tested.stdout


def test_it_is_built_by_its_target_file_and_green(built: Path, tmp_path: Path) -> None:
    """From source to a verdict: steps in the log, every invariant decided, not one against it."""
    shutil.copytree(SOURCE, tmp_path / "service")
    contract = Path(__file__).parents[2] / "workloads" / "account" / "contract"
    text = TARGET_FILE.read_text().replace("{here}/../../workloads/account/contract", str(contract))

    run = run_once(tmp_path, text)

    record = run.record
    assert record.correctness.status == "PASSED", record.correctness
    assert record.operations.failed == record.operations.timed_out == 0
    assert record.operations.acknowledged > 300
    assert {"control", "seed", "amend"} <= set(record.target["capabilities"]["features"])
    assert "digest" not in record.target["capabilities"]["features"]
    assert record.target["build_s"] > 0
    log = (run.folder / LOG_NAME).read_text().splitlines()
    assert len([line for line in log if line.startswith("$ ")]) == 5


def test_every_call_carries_the_token(
    run_foreign: RunForeign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses any call without it, and refused none: load, control and seeding have it."""
    monkeypatch.setenv("FOREIGN_TOKEN", f"Bearer {TOKEN}")
    monkeypatch.setenv("ACCTBENCH_TEST_TOKEN", TOKEN)
    metadata = """
[metadata]
authorization = { env = "ACCTBENCH_TEST_TOKEN", prefix = "Bearer " }
"""

    run = run_foreign("--token-env", "FOREIGN_TOKEN", tables=metadata)

    assert run.record.correctness.status == "PASSED"
    assert run.record.operations.failed == 0


def test_another_token_ends_the_run(
    run_foreign: RunForeign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong one is told by the first call, before any load."""
    monkeypatch.setenv("FOREIGN_TOKEN", f"Bearer {TOKEN}")

    with pytest.raises(HarnessError, match="UNAUTHENTICATED"):
        run_foreign("--token-env", "FOREIGN_TOKEN")
