"""Stacks made elsewhere become a profile of the run, or one clear sentence."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model.profile import Metric, Profile
from harness.profilers.stacks_file import attach_stacks, check_stacks, read_stacks
from harness.profilers.symbols import symbol_frame
from harness.storage.run_folder import StoredRun, load_run, write_record
from harness.targets.target_file import parse_target
from tests.reports.synthetic import Shape, write_synthetic_run

SMALL = Shape(rate_per_s=200.0, measure_s=5, warmup_s=1, freeze_ns=0)
FOLDED = "core;main.(*Server).Reserve;main.journal 60\ncore;main.(*Server).Reserve 40\n"


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    """A stored run of 1,000 operations."""
    return write_synthetic_run(tmp_path / "run", SMALL)


def written(folder: Path, text: str | bytes, name: str = "perf.folded") -> Path:
    """A file with *text*."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def attached(run: StoredRun, *paths: Path) -> Profile:
    """The one profile of *run* once *paths* are attached."""
    (profile,) = attach_stacks(run, paths).profiles()
    return profile


def test_samples_are_scaled_to_the_cpu_time_of_the_target(run: StoredRun, tmp_path: Path) -> None:
    """Their sum is what the kernel accounts to it in the measured phase, whoever sampled."""
    profile = attached(run, written(tmp_path, FOLDED))
    (segment,) = profile.segments
    cores = run.record.resources["target"].cpu_cores_mean
    assert cores is not None

    assert profile.metric is Metric.CPU_NS
    assert sum(segment.weights.values()) == pytest.approx(cores * 5e9, rel=1e-6)
    assert sorted(segment.weights.values())[1] / sum(segment.weights.values()) == pytest.approx(0.6)
    assert segment.sample_count == 100
    done_ns = run.operations(["done_ns"])["done_ns"]
    assert segment.operation_count == int(done_ns.between(0, 5e9, inclusive="left").sum())
    assert any("kernel accounts" in note for note in profile.notes)


def test_several_files_are_consecutive_segments(run: StoredRun, tmp_path: Path) -> None:
    """By their samples, with all operations among them; the cost of an operation is the same."""
    half = written(tmp_path, "core;a 10\ncore;b 20\n", "1.folded")
    whole = written(tmp_path, "core;a 20\ncore;b 40\n", "2.folded")
    first, second = attached(run, half, whole).segments

    assert (first.start_ns, second.end_ns) == (0, 5 * 10**9)
    assert first.end_ns == second.start_ns == pytest.approx(5e9 / 3, rel=1e-6)
    assert second.operation_count == pytest.approx(2 * first.operation_count, abs=3)


def test_attached_twice_is_attached_once(run: StoredRun, tmp_path: Path) -> None:
    """The later file stands for the run; the record says so once."""
    attach_stacks(run, [written(tmp_path, FOLDED)])
    again = attach_stacks(load_run(run.folder), [written(tmp_path, "core;other 7\n")])

    assert len(again.record.profiles) == 1
    assert len([note for note in again.record.notes if "Stacks sampled" in note]) == 1
    assert {str(frame) for frame in again.profiles()[0].frames} == {"native:core", "native:other"}


def test_nanoseconds_are_not_taken_for_samples(run: StoredRun, tmp_path: Path) -> None:
    """A pprof of 10 ms a sample has as many samples as that; cycles at least one a line."""
    pprof = written(tmp_path, "m;a 600000000\nm;b 390000000\n", "a")
    cycles = written(tmp_path, "m;a 600000001\nm;b 390000017\nm;c 5\n", "b")

    assert attached(run, pprof).segments[0].sample_count == 33  # their divisor is 30 ms
    assert attached(run, cycles).segments[0].sample_count == 3


def test_functions_of_two_starts_are_the_same(tmp_path: Path) -> None:
    """What a runtime numbers anew at each start, and a mark of Windows, are no part of a name."""
    texts = [
        "\ufeffjava-{n};[pool-{n}-thread-{n} tid={n}];com/shop/A$$Lambda${n}/0x{n:016x}.apply 7",
        "java-{n}/{n};com/shop/Ledger$$Lambda/0x{n:016x}.apply_[j] 7",
        "svc-{n};jdk/internal/reflect/GeneratedMethodAccessor{n}.invoke 7",
    ]
    for place, text in enumerate(texts):
        one, other = (
            read_stacks(written(tmp_path, text.format(n=number) + "\n", f"{place}-{number}"))
            for number in (14_000_001, 31_000_002)
        )
        frames = [tuple(map(symbol_frame, stack)) for file in (one, other) for stack in file.counts]

        assert frames[0] == frames[1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no samples"),
        (b"\n \n", "no samples"),
        (b"a;b 0\n", "no samples"),
        (b"a;b -3\n", "line 1: 'a;b -3' is not"),
        (b"a;b 3\na;b\n", "line 2: 'a;b' is not"),
        (b"a;b 1.5\n", "line 1"),
        (b"a;b " + b"9" * 5_000 + b"\n", "line 1"),
        ("a;b \u0663\n".encode(), "line 1"),
        (b"12\n", "line 1"),
        (b"PERFILE2h\x00\x00\x00 1\n", "control characters"),
        (b"a;\x1b[31mred 3\n", "line 1: control characters"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "not UTF-8"),
        (b"a;b \xff 3\n", "byte 4 is not UTF-8"),
        (b";".join([b"f"] * 3_000) + b" 1\n", "3,000 frames"),
        (b"m;count 3 7\nm;x 0 12\n", "two counts on every line"),
        (b"a 999999999999999999\nb 999999999999999999\n", "at most"),
    ],
)
def test_what_is_no_file_of_stacks_is_one_sentence(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    """With the file, the line and what is wrong with it."""
    path = written(tmp_path, content)

    with pytest.raises(UsageError, match=sentence) as caught:
        read_stacks(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """Its size says it."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 30)

    with pytest.raises(UsageError, match="at most"):
        read_stacks(path)


def test_what_can_not_be_read_at_all(run: StoredRun, tmp_path: Path) -> None:
    """Missing, a folder, a pipe nobody writes to, the same file twice: nothing waits for it."""
    os.mkfifo(tmp_path / "pipe")
    path = written(tmp_path, FOLDED)

    for paths, sentence in (
        ([tmp_path / "missing"], "No such file"),
        ([tmp_path], "not a regular file"),
        ([tmp_path / "pipe"], "not a regular file"),
        ([tmp_path / "nowhere" / "perf.folded"], "there is no folder"),
        ([path, path], "the same file twice"),
    ):
        with pytest.raises(UsageError, match=sentence):
            attach_stacks(run, paths)
    assert load_run(run.folder).record.profiles == ()


def test_stacks_from_before_the_run_are_not_of_it(tmp_path: Path) -> None:
    """A file left over from yesterday's run is refused."""
    path = written(tmp_path, FOLDED)
    os.utime(path, (1_000_000_000, 1_000_000_000))

    with pytest.raises(UsageError, match="before the run began"):
        read_stacks(path, not_before=datetime(2026, 1, 1, tzinfo=UTC))


def test_cpu_time_that_is_not_known(run: StoredRun, tmp_path: Path) -> None:
    """Nothing is scaled to a guess; a run that would end so is refused before it begins."""
    path = written(tmp_path, FOLDED)
    resources = {**run.record.resources}
    del resources["target"]
    write_record(run.folder, replace(run.record, resources=resources))
    attached_target = parse_target(
        'name = "staging"\n[attach]\ngrpc = "127.0.0.1:50051"\n', file=tmp_path / "x.toml"
    )

    with pytest.raises(UsageError, match=r"\[attach\] pid"):
        attach_stacks(load_run(run.folder), [path])
    with pytest.raises(UsageError, match=r"\[attach\] pid"):
        check_stacks([path], attached_target)
