"""`acctbench run --profiler` of a service that somebody else started."""

import sys
from pathlib import Path

import pytest

from harness.model.profile import Metric
from harness.model.record import PLAIN, RunRecord
from harness.storage.run_folder import StoredRun, load_run
from tests.end_to_end.attached import Staging, staging

REFERENCE = (
    *(sys.executable, "-m", "workloads.account.reference", "--workdir", "{folder}"),
    *("--kafka", "{kafka}", "--topic-prefix", "staging."),
)


def run(at: Staging, *options: str) -> StoredRun:
    """A run that ends in a record, whose exit code is not that of a timing."""
    done = at.command(*options)
    assert done.stdout, done.stderr
    stored = load_run(Path(done.stdout.strip()).parent)
    assert done.returncode == stored.record.exit_code != 0
    return stored


def statuses(record: RunRecord) -> set[str]:
    """Of the objectives."""
    return {objective.status for objective in record.performance.objectives}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The service, for all tests of this module."""
    with staging(tmp_path_factory.mktemp("staging"), *REFERENCE) as found:
        yield found


def test_cpu_profile_by_pid(at: Staging) -> None:
    """Its functions are seen, nothing of it was prepared, and it runs on."""
    stored = run(at, "--profiler", "cpu")
    (profile,) = stored.profiles()

    assert profile.metric is Metric.CPU_NS
    assert "workloads" in {frame.package for frame in profile.frames}
    assert stored.record.instrumentation == "cpu"
    assert stored.record.correctness.status == "PASSED"
    assert statuses(stored.record) == {"INCONCLUSIVE"}
    assert at.service.exit_words() == ""


def test_no_memory_profile_of_a_service_that_we_did_not_start(at: Staging) -> None:
    """The run goes on, says what is missing and why, and leaves the service alone."""
    stored = run(at, "--profiler", "memory")

    assert stored.profiles() == ()
    (note,) = [note for note in stored.record.notes if note.startswith("The profile")]
    assert "launched by a target file" in note
    assert stored.record.correctness.status == "PASSED"
    assert at.service.exit_words() == ""


def test_without_a_pid_the_target_file_is_named(at: Staging) -> None:
    """What to write, and where."""
    text = at.target_file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("pid")]
    at.target_file.write_text("\n".join(lines), encoding="utf-8")
    try:
        stored = run(at, "--profiler", "cpu")
    finally:
        at.target_file.write_text(text, encoding="utf-8")

    assert any("[attach] pid" in note for note in stored.record.notes)
    assert stored.record.instrumentation != PLAIN
