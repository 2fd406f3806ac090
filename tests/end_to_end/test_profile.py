"""`acctbench profile` against the real reference: what it stores, and what it leaves alone."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from harness.model.profile import Metric, Profile
from harness.model.record import PLAIN
from harness.model.verdict import Correctness
from harness.storage.run_folder import StoredRun, load_run
from tests.commands import Done, acctbench

SCENARIO = """
name = "profiled"
title = "A short run to be profiled"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "200/s"
[phases]
warmup = "1500ms"
measure = "4s"
drain = "10s"
[load]
timeout = "20s"         # tests run on machines that are busy
[limits]
lateness_p99 = "5s"
generator_cpu = "99%"
rate_error = "50%"
[workload]
accounts = { count = 60, kind = "uniform" }
instruments = 4
order_life = "200ms"
seed_minor = 10000000000
[workload.mix]
reserve = "43%"
release = "40%"
fill = "5%"
transfer = "12%"
"""


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """One `acctbench profile`, all passes."""
    folder = tmp_path_factory.mktemp("profiled")
    scenario = folder / "profiled.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    done = acctbench(
        *("profile", str(scenario), "--runs", str(folder / "runs"), "--sample-rate", "100")
    )
    assert done.stdout, done.stderr  # whatever a busy machine makes of its objectives
    page = Path(done.stdout.strip())
    assert page.name == "report.html"
    return load_run(page.parent)


def test_one_plan_three_passes_all_audited(profiled: StoredRun) -> None:
    """The twins send what the plain run sent, and lose nothing."""
    twins = profiled.profiled_runs()

    assert sorted(twins) == ["cpu", "memory"]
    assert profiled.record.instrumentation == PLAIN
    for name, twin in twins.items():
        assert twin.record.instrumentation == name
        assert twin.record.correctness.status is Correctness.PASSED
        assert twin.record.operations.scheduled == profiled.record.operations.scheduled
        counts = {kind: done.scheduled for kind, done in twin.record.operations_by_kind.items()}
        assert counts == {
            kind: done.scheduled for kind, done in profiled.record.operations_by_kind.items()
        }


def test_a_profiled_run_is_never_a_timing(profiled: StoredRun) -> None:
    """Whatever was demanded, figures taken under a profiler decide nothing."""
    for twin in profiled.profiled_runs().values():
        assert twin.record.performance.objectives
        assert {item.status for item in twin.record.performance.objectives} == {"INCONCLUSIVE"}


def test_cpu_adds_up_to_what_the_kernel_says(profiled: StoredRun) -> None:
    """Samples are scaled to the CPU time of the segment; the reference's functions are in it."""
    (profile,) = profiled.profiled_runs()["cpu"].profiles()

    assert profile.metric is Metric.CPU_NS
    assert len(profile.segments) == 4
    for segment in profile.segments:
        assert sum(segment.weights.values()) == pytest.approx(segment.cpu_ns, rel=1e-3)
        assert segment.operation_count > 0
        assert 0 < sum(segment.samples.values()) <= segment.sample_count
    assert {"workloads", "asyncio"} <= _packages(profile)


def test_only_the_measured_phase_is_profiled(profiled: StoredRun) -> None:
    """Segments lie within the phase, one after the other."""
    for twin in profiled.profiled_runs().values():
        measure_ns = twin.record.phases["measure_ns"]
        for profile in twin.profiles():
            inside = [segment for segment in profile.segments if segment.start_ns >= 0]
            assert inside
            assert all(a.end_ns <= b.start_ns for a, b in pairwise(inside))
            # A segment ends when the profiler says so: a little late on a busy machine.
            assert inside[-1].end_ns <= measure_ns + 1_500_000_000


def test_memory_by_function(profiled: StoredRun) -> None:
    """Peak, survivors and allocations, with the reference's functions in them."""
    profiles = {
        profile.metric: profile for profile in profiled.profiled_runs()["memory"].profiles()
    }

    assert set(profiles) >= {
        Metric.HIGH_WATER_BYTES,
        Metric.SURVIVING_BYTES,
        Metric.ALLOCATED_BYTES,
        Metric.ALLOCATED_COUNT,
    }
    for profile in profiles.values():
        assert all(
            sum(segment.by_allocator.values()) == sum(segment.weights.values())
            for segment in profile.segments
        )
        assert sum(sum(segment.weights.values()) for segment in profile.segments) > 0
        assert "workloads" in _packages(profile)


def test_the_page_shows_them(profiled: StoredRun) -> None:
    """What each pass saw, the flame graphs, and CPU by kind, which the record's addresses allow."""
    page = (profiled.folder / "report.html").read_text(encoding="utf-8")
    addresses = profiled.profiled_runs()["cpu"].record.load["addresses"]

    assert addresses["reserve"] == "/accounts.v1.AccountService/Reserve"
    assert addresses["fill"] == "me.executions.v1"
    for name in ("passes-table", "flame-cpu", "flame-high-water", "flame-allocated", "growth"):
        assert f'id="{name}"' in page
    # Some eighty samples on a busy machine: one kind or another is among them.
    assert "AccountService." in page.split('id="cpu-by-kind"')[1].split("</table>")[0]


def test_folded_stacks_lie_beside_it(profiled: StoredRun) -> None:
    """For other programs: a stack and its weight a line."""
    folded = profiled.profiled_runs()["cpu"].folder / "profile" / f"{Metric.CPU_NS}.folded"

    lines = folded.read_text(encoding="utf-8").splitlines()

    assert lines
    assert all(line.rpartition(" ")[2].isdigit() for line in lines)


def test_the_record_names_every_profile(profiled: StoredRun) -> None:
    """With a digest of its bytes."""
    for twin in profiled.profiled_runs().values():
        document = json.loads((twin.folder / "record.json").read_text(encoding="utf-8"))
        assert document["profiles"]
        assert all((twin.folder / entry["file"]).is_file() for entry in document["profiles"])


@pytest.fixture(scope="module")
def against(profiled: StoredRun) -> tuple[StoredRun, Done]:
    """Another start of the same build, profiled against the first."""
    done = acctbench(
        *("profile", str(profiled.folder.parents[1] / "profiled.toml"), "--only", "cpu"),
        *("--runs", str(profiled.folder.parent), "--against", str(profiled.folder)),
    )
    assert done.stdout, done.stderr
    return load_run(Path(done.stdout.strip()).parent), done


def test_what_changed_between_two_starts(
    profiled: StoredRun, against: tuple[StoredRun, Done]
) -> None:
    """A page and the same as JSON; what only one of them has is said."""
    second, done = against
    document = json.loads((second.folder / "profile-diff.json").read_text(encoding="utf-8"))

    assert Path(done.stdout.strip()).name == "profile-diff.html"
    assert "data-flame=" in Path(done.stdout.strip()).read_text(encoding="utf-8")
    assert "changed  cpu_ns (py-spy): " in done.stderr
    assert [item["metric"] for item in document["metrics"]] == ["cpu_ns"]
    assert document["base"] == profiled.record.run_id
    assert len(document["metrics"][0]["functions"]) > 20
    assert any("allocated_bytes by memray" in sentence for sentence in document["missing"])


def test_two_stored_runs(
    profiled: StoredRun,
    against: tuple[StoredRun, Done],
    tmp_path: Path,
) -> None:
    """The same comparison, of what is stored; other scenarios and options of a run are refused."""
    second, _ = against
    stored = ("profile", "--against", str(profiled.folder), "--run", str(second.folder))
    page = tmp_path / "changed.html"
    done = acctbench(*stored, "--output", str(page))
    refused = acctbench(*stored, "--native")
    itself = acctbench("profile", "--against", str(second.folder), "--run", str(second.folder))
    other = acctbench("profile", "--against", str(second.folder), "--profile", "smoke")

    assert done.returncode == 0, done.stderr
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8")) == json.loads(
        (second.folder / "profile-diff.json").read_text(encoding="utf-8")
    )
    assert (refused.returncode, itself.returncode, other.returncode) == (2, 2, 4)
    assert "--native" in refused.stderr
    assert "with itself" in itself.stderr
    assert "scenario.name" in other.stderr


def _packages(profile: Profile) -> set[str]:
    return {frame.package for frame in profile.frames}
