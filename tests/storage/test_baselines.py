"""Named baselines: what can be one, what a name means later, and who may move it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from harness.errors import RecordError, UsageError
from harness.model.baseline import EventKind, Signature, baseline_from_json, baseline_to_json
from harness.model.record import CorrectnessSection, RunRecord, ValiditySection
from harness.model.verdict import Correctness, Validity
from harness.storage.baselines import (
    baseline_names,
    baseline_path,
    load_baseline,
    pin,
    promote,
    read_baseline,
    remove,
    unpin,
)
from harness.storage.run_folder import StoredRun, write_record
from tests.reports.synthetic import Shape, write_synthetic_run

ADA = Signature(who="ada", at="2026-11-25T20:00:00+00:00", why="first release")
BOB = Signature(who="bob", at="2026-11-26T08:00:00+00:00")
RUNS = ("20261122-100000-spot-steady-0001", "20261122-110000-spot-steady-0002")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredRun, ...]:
    """Two runs of the same thing."""
    folder = tmp_path_factory.mktemp("runs")
    shape = Shape(rate_per_s=100.0, measure_s=2, warmup_s=1, freeze_ns=0)
    return tuple(write_synthetic_run(folder / name, shape) for name in RUNS)


@pytest.fixture
def runs(made: tuple[StoredRun, ...], tmp_path: Path) -> Path:
    """A folder of one's own with these two."""
    for run in made:
        copytree(run.folder, tmp_path / "runs" / run.folder.name)
    return tmp_path / "runs"


def both(runs: Path) -> list[Path]:
    """The folders of both runs."""
    return [runs / name for name in RUNS]


def _is_incomplete(record: RunRecord) -> RunRecord:
    return replace(record, complete=False)


def _is_invalid(record: RunRecord) -> RunRecord:
    return replace(
        record, validity=ValiditySection(status=Validity.INVALID, checks=record.validity.checks)
    )


def _is_unchecked(record: RunRecord) -> RunRecord:
    return replace(record, validity=ValiditySection(status=Validity.VALID, checks=()))


def _has_failed_audit(record: RunRecord) -> RunRecord:
    return _with_correctness(record, Correctness.FAILED)


def _has_open_audit(record: RunRecord) -> RunRecord:
    return _with_correctness(record, Correctness.UNKNOWN)


def _is_profiled(record: RunRecord) -> RunRecord:
    return replace(record, instrumentation="cpu")


def _has_other_schedule(record: RunRecord) -> RunRecord:
    return replace(record, schedule_digest="other")


def _is_of_other_machine(record: RunRecord) -> RunRecord:
    return replace(record, environment={**record.environment, "core_count": 64})


def _is_the_first_again(record: RunRecord) -> RunRecord:
    return replace(record, run_id=RUNS[0])


def _with_correctness(record: RunRecord, status: Correctness) -> RunRecord:
    first = replace(record.correctness.invariants[0], status=status, missing=("balances",))
    invariants = (first, *record.correctness.invariants[1:])
    return replace(record, correctness=CorrectnessSection(status=status, invariants=invariants))


def test_a_name_means_what_was_promoted_last(runs: Path) -> None:
    """Both runs, then one of them; everything that was done is kept, with who and why."""
    promote("main", both(runs), runs, ADA)
    assert load_baseline("main", runs) == tuple(both(runs))
    promote("main", both(runs)[1:], runs, BOB)

    assert load_baseline("main", runs) == (both(runs)[1],)
    assert baseline_names(runs) == ("main",)
    events = read_baseline("main", runs).events
    assert [event.signature for event in events] == [ADA, BOB]
    assert [len(event.runs) for event in events] == [2, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_is_incomplete, "it is incomplete"),
        (_is_invalid, "it is INVALID"),
        (_is_unchecked, "its validity was never checked"),
        (_has_failed_audit, "its audit failed"),
        (_has_open_audit, "could not decide what its scenario requires: I1"),
        (_is_profiled, 'it ran under "cpu"'),
        (_has_other_schedule, 'its schedule digest is "other"'),
        (_is_of_other_machine, 'its number of cores is "64", but "2"'),
        (_is_the_first_again, "given 2 times; a run counts once"),
    ],
)
def test_what_can_not_be_a_baseline(
    change: Callable[[RunRecord], RunRecord], said: str, runs: Path, made: tuple[StoredRun, ...]
) -> None:
    """It is refused with the run and the reason, and nothing is written."""
    write_record(runs / RUNS[1], change(made[1].record))

    with pytest.raises(UsageError, match=r"these runs can't be one") as caught:
        promote("main", both(runs), runs, ADA)
    assert said in str(caught.value)
    assert baseline_names(runs) == ()


def test_what_the_scenario_does_not_require_may_stay_open(
    runs: Path, made: tuple[StoredRun, ...]
) -> None:
    """A service without ControlService can have a baseline, if its scenario says so."""
    record = _has_open_audit(made[1].record)
    scenario = {**record.scenario, "parameters": {"audit": {"required": ["I3"]}}}
    write_record(runs / RUNS[1], replace(record, scenario=scenario))

    assert promote("main", both(runs)[1:], runs, ADA).runs[0].run_id == RUNS[1]


def test_a_run_without_its_operations_is_refused(runs: Path) -> None:
    """Percentiles come from samples: a record alone is not enough."""
    (runs / RUNS[1] / "operations.parquet").unlink()

    with pytest.raises(UsageError, match=r"operations\.parquet is missing"):
        promote("main", both(runs), runs, ADA)


def test_a_run_from_elsewhere_is_refused(runs: Path, tmp_path: Path) -> None:
    """Whoever gets the folder must get the baseline's runs with it."""
    copytree(runs / RUNS[0], tmp_path / "elsewhere" / RUNS[0])

    with pytest.raises(UsageError, match="does not lie in"):
        promote("main", [tmp_path / "elsewhere" / RUNS[0]], runs, ADA)


@pytest.mark.parametrize(
    "name", ["", "latest", "20261122", "../main", "a/b", "a b", ".lock", "x" * 65, "a\n"]
)
def test_names_that_can_not_be(name: str, runs: Path) -> None:
    """None leaves the folder, is hidden, or could be taken for a run."""
    with pytest.raises(UsageError, match="can't be a name"):
        promote(name, both(runs), runs, ADA)


@pytest.mark.parametrize("file", ["record.json", "operations.parquet"])
def test_a_run_that_was_changed_is_noticed(file: str, runs: Path) -> None:
    """One byte more in what figures are taken from, and the name can't be used."""
    promote("main", both(runs), runs, ADA)
    path = runs / RUNS[1] / file
    path.write_bytes(path.read_bytes() + b"\n")

    with pytest.raises(RecordError, match=f"{RUNS[1]} was changed since: {file}"):
        load_baseline("main", runs)


def test_a_run_that_is_lost_is_noticed(runs: Path) -> None:
    """A baseline is never quietly smaller than it was; its table counts as part of a run."""
    promote("main", both(runs), runs, ADA)
    (runs / RUNS[0] / "operations.parquet").unlink()
    (runs / RUNS[1]).rename(runs / f"{RUNS[1]}.incomplete")

    with pytest.raises(RecordError) as caught:
        load_baseline("main", runs)
    assert f"{RUNS[0]} was changed since: operations.parquet" in str(caught.value)
    assert f"{RUNS[1]} is missing" in str(caught.value)


def test_the_folder_can_be_moved(runs: Path, tmp_path: Path) -> None:
    """Places are relative, so that a team can copy or synchronise it."""
    promote("main", both(runs), runs, ADA)
    moved = runs.rename(tmp_path / "shared")

    assert load_baseline("main", moved) == tuple(both(moved))


def test_a_pin_holds_until_force(runs: Path) -> None:
    """A pinned name is moved or removed only by force, and that is written down."""
    promote("main", both(runs), runs, ADA)
    pin("main", runs, ADA)
    with pytest.raises(UsageError, match=r"pinned by ada .*first release"):
        promote("main", both(runs)[:1], runs, BOB)
    with pytest.raises(UsageError, match="pinned by ada"):
        remove("main", runs, BOB)
    promote("main", both(runs)[:1], runs, BOB, is_forced=True)
    with pytest.raises(UsageError, match="pinned by ada"):
        promote("main", both(runs), runs, BOB)
    unpin("main", runs, BOB)
    last = promote("main", both(runs), runs, BOB)

    assert [event.is_forced for event in last.events] == [False, False, True, False, False]
    assert not last.is_pinned


def test_a_removed_name_keeps_its_history(runs: Path) -> None:
    """It means nothing until it is promoted again; the runs are untouched."""
    promote("main", both(runs), runs, ADA)
    remove("main", runs, BOB)
    with pytest.raises(UsageError, match="none of that name"):
        load_baseline("main", runs)
    with pytest.raises(UsageError, match="none of that name"):
        pin("main", runs, BOB)
    again = promote("main", both(runs), runs, ADA)

    kinds = [EventKind.PROMOTED, EventKind.REMOVED, EventKind.PROMOTED]
    assert [event.kind for event in again.events] == kinds
    assert load_baseline("main", runs) == tuple(both(runs))


def test_an_unknown_name_says_which_there_are(runs: Path) -> None:
    """The message has the names and the command."""
    promote("main", both(runs), runs, ADA)

    with pytest.raises(UsageError, match=r"there are: main\. .*promote minor RUN"):
        load_baseline("minor", runs)


def _with_place(place: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        document["events"][0]["runs"][0]["folder"] = place

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update(schema_version=2), "newer than this program's 1"),
        (lambda document: document.pop("schema_version"), "no schema_version"),
        (lambda document: document.update(events=[{"kind": "stolen"}]), "can't be read"),
        (lambda document: document.update(name="other"), "was it renamed"),
        (_with_place("../secrets"), "outside the runs folder"),
        (_with_place("/etc"), "outside the runs folder"),
        (_with_place("."), "outside the runs folder"),
    ],
)
def test_a_damaged_or_hostile_file_is_never_a_baseline(
    change: Callable[[dict[str, Any]], object], said: str, runs: Path
) -> None:
    """It is told with its path, and nothing outside the folder is read."""
    promote("main", both(runs), runs, ADA)
    path = baseline_path("main", runs)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))

    with pytest.raises(RecordError, match=said):
        load_baseline("main", runs)


def test_a_torn_file_is_never_a_baseline(runs: Path) -> None:
    """Half a file is a fault, not an empty baseline."""
    promote("main", both(runs), runs, ADA)
    path = baseline_path("main", runs)
    path.write_text(path.read_text()[:-40])

    with pytest.raises(RecordError, match=r"main\.json: can't be read as a baseline"):
        load_baseline("main", runs)


def test_promotions_at_the_same_time_are_all_kept(runs: Path) -> None:
    """Writers take turns: none overwrites another's."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: promote("main", both(runs)[:1], runs, ADA), range(16)))

    assert len(read_baseline("main", runs).events) == 16


def test_a_baseline_is_its_json(runs: Path) -> None:
    """What is written is read as the same value."""
    made = promote("main", both(runs), runs, ADA)

    assert baseline_from_json(json.loads(json.dumps(baseline_to_json(made)))) == made
