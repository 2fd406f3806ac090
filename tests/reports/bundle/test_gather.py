"""Which runs a sign-off looks at: all of the build, good or bad, and those left out by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError, UsageError
from harness.profilers.profiled_run import write_profile
from harness.storage.run_folder import load_run, write_json, write_record
from reports.bundle.gather import Found, chosen_runs, read_run_evidence
from reports.bundle.write import BundleRequest, write_bundle
from tests.reports.profile.made_passes import made_profile
from tests.reports.release.made import CIRCUMSTANCES, change_json, policy, write_run

RUNS = ("20261124-1-spot-steady-a", "20261124-2-spot-steady-b", "20261124-3-spot-steady-c")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs of one build, and one of the build before."""
    folder = tmp_path / "runs"
    for name in (*RUNS, "20261101-0-spot-steady-o"):
        write_run(folder / name, run_id=name)
    old = load_run(folder / "20261101-0-spot-steady-o").record
    target = {"name": "reference", "capabilities": {"git_revision": "0" * 40}}
    write_record(
        folder / old.run_id, replace(old, target=target, created_at="2026-11-20T10:00:00+00:00")
    )
    return folder


def chosen(runs: Path, *given: str, build: str = "") -> dict[str, bool]:
    """The names of the runs that are looked at, and whether they are collected."""
    circumstances = replace(CIRCUMSTANCES, build=build)
    found = chosen_runs(policy(), [runs / name for name in given], runs, circumstances)
    return {item.folder.name: item.is_collected for item in found}


def test_all_of_the_newest_build_are_collected(runs: Path) -> None:
    """Not those of the build before, unless it is asked for."""
    assert chosen(runs) == dict.fromkeys(RUNS, True)
    assert chosen(runs, build="reference 000") == {"20261101-0-spot-steady-o": True}
    assert chosen(runs, build="reference beef") == {}
    assert chosen(runs / "none") == {}


def test_what_is_given_is_collected_and_its_like_is_looked_at(runs: Path) -> None:
    """Choosing one of three can be seen."""
    assert chosen(runs, RUNS[1]) == {RUNS[1]: True, RUNS[0]: False, RUNS[2]: False}


def test_a_run_that_broke_off_is_listed(runs: Path) -> None:
    """With its reason, and it proves nothing."""
    broken = runs / "20261124-4-spot-steady-d.incomplete"
    broken.mkdir()
    write_json(broken / "failure.json", {"error": "TargetError", "message": "it died"})
    item = read_run_evidence(Found(folder=broken))

    assert broken.name in chosen(runs)
    assert (item.record, item.fault) == (None, "it died")


def test_a_renamed_incomplete_run_stays_incomplete(runs: Path) -> None:
    """The folder's suffix counts, and so does the record's own word."""
    folder = runs / RUNS[0]
    marked = folder.rename(folder.with_name(f"{RUNS[0]}.incomplete"))

    assert (
        read_run_evidence(Found(folder=marked)).fault == "it was not finished, and no file says why"
    )


def test_a_damaged_run_that_is_given_stops_the_sign_off(runs: Path) -> None:
    """Truncated, contradicting itself, or with a damaged twin."""
    path = runs / RUNS[0] / "record.json"
    path.write_text(path.read_text(encoding="utf-8")[:-50], encoding="utf-8")
    with pytest.raises(RecordError, match="can't be read"):
        chosen(runs, RUNS[0])
    assert RUNS[0] not in chosen(runs)

    change_json(runs / RUNS[1] / "record.json", "exit_code", value=3)
    with pytest.raises(RecordError, match="contradicts itself: the exit code is 3"):
        chosen(runs, RUNS[1])

    (runs / RUNS[2] / "passes" / "cpu").mkdir(parents=True)
    with pytest.raises(RecordError, match=r"no record\.json"):
        chosen(runs, RUNS[2])


def test_what_lies_beside_a_record_says_the_same(runs: Path) -> None:
    """verdict.json and audit.json of a run, or of a twin: readers must not be told otherwise."""
    folder = runs / RUNS[0]
    change_json(folder / "verdict.json", "exit_code", value=1)
    assert "verdict.json does not say" in read_run_evidence(Found(folder=folder)).fault

    folder = runs / RUNS[1]
    change_json(folder / "audit.json", "invariants", 0, "checked_count", value=0)
    assert "audit.json does not say" in read_run_evidence(Found(folder=folder)).fault
    (folder / "audit.json").write_text("", encoding="utf-8")  # torn
    assert "audit.json does not say" in read_run_evidence(Found(folder=folder)).fault

    folder = write_run(runs / RUNS[2] / "passes" / "cpu", instrumentation="cpu")
    change_json(folder / "verdict.json", "correctness", value="FAILED")
    assert "cpu/verdict.json does not say" in read_run_evidence(Found(folder=runs / RUNS[2])).fault


def remove(path: Path) -> None:
    """The profile is gone."""
    path.unlink()


def cut(path: Path) -> None:
    """The profile is torn."""
    path.write_bytes(path.read_bytes()[:-20])


def swap(path: Path) -> None:
    """The profile is another one."""
    other = path.with_name("other.profile.json.gz")
    write_profile(path.parents[1], made_profile(segment_count=3), "other")
    other.replace(path)


@pytest.mark.parametrize("harm", [remove, cut, swap])
def test_a_profile_is_looked_at(runs: Path, harm: Callable[[Path], None]) -> None:
    """Gone, torn or another: the twin is named, whatever its record says."""
    folder = write_run(runs / RUNS[0] / "passes" / "cpu", instrumentation="cpu")
    entry = write_profile(folder, made_profile(), "cpu_ns")
    write_record(folder, replace(load_run(folder).record, profiles=(entry,)))
    whole = read_run_evidence(Found(folder=runs / RUNS[0]))
    harm(folder / entry.file)
    harmed = read_run_evidence(Found(folder=runs / RUNS[0]))

    assert set(whole.damaged_profiles) == set()
    assert set(harmed.damaged_profiles) == {"cpu"}


def test_a_bundle_is_whole_or_not_there(small_request: BundleRequest, tmp_path: Path) -> None:
    """What is there is not replaced unasked, and a run counts once."""
    folder = tmp_path / "release-1.4"
    folder.mkdir()
    with pytest.raises(UsageError, match="there already"):
        write_bundle(small_request, folder, is_forced=False)
    assert list(folder.iterdir()) == []

    twice = replace(small_request, found=[*small_request.found, small_request.found[0]])
    with pytest.raises(UsageError, match="counts once"):
        write_bundle(twice, folder, is_forced=True)

    made = write_bundle(small_request, folder, is_forced=True)
    assert made.page.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["release-1.4"]
