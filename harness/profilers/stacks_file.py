"""
Folded stacks that somebody else's profiler made, as a profile of a stored run.

For services in any language: perf, pprof and async-profiler all end in "root;...;leaf count". A
file says neither who sampled nor when, so its samples are scaled to the CPU time that the kernel
accounts to the target in the measured phase, and the profile says that. One file is one segment:
its noise is that of its samples, and what starts of one build differ by. Several files are
consecutive segments; operations are shared out among them by samples, since their lengths are not
known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from math import gcd
from pathlib import Path

from harness.errors import UsageError
from harness.model.profile import Metric, Profile, ProfileSegment, StackTable
from harness.model.record import RunRecord
from harness.model.text import duration
from harness.model.units import NANOS_PER_SECOND
from harness.profilers.frames import parse_folded
from harness.profilers.profiled_run import write_profile
from harness.profilers.symbols import symbol_frame
from harness.storage.run_folder import StoredRun, load_run, write_record
from harness.targets.target_file import AttachSpec, TargetSpec

STACKS = "stacks"  # how the profiler is called that is not ours
_FILE_BYTES_MAX = 64 << 20
_COUNT_SUM_MAX = 10**15
_DEPTH_MAX = 2_000
_PROCESS_NUMBER = re.compile(r"-(\?|\d+)(/\d+)?$")  # of stackcollapse --pid and --tid
_SECOND_COUNT = re.compile(r"\S \d+$")  # before the last one: difffolded's first
# No sampling profiler of a service goes faster; above it counts are cycles or nanoseconds.
_SAMPLES_PER_S_MAX = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StacksFile:
    """
    What a file holds.

    Attributes:
        counts: By stack, names of functions, root first.
        count_sum: Of all stacks.
    """

    name: str
    counts: Mapping[tuple[str, ...], int]
    count_sum: int


def check_stacks(paths: Sequence[Path], target: TargetSpec) -> None:
    """Reject before a run against *target* what can't be used after it; raises UsageError."""
    _check_paths(paths)
    if paths and isinstance(target.how, AttachSpec) and target.how.pid is None:
        raise UsageError(
            f"--stacks: samples are scaled to the CPU time of {target.name}, whose process is not"
            " known; write its pid in the target file: [attach] pid"
        )


def attach_stacks(
    run: StoredRun, paths: Sequence[Path], *, not_before: datetime | None = None
) -> StoredRun:
    """
    Store the stacks in *paths* as a profile of *run*, replacing those attached before.

    Args:
        run: Where they belong.
        paths: One segment each, in order of time.
        not_before: A file last written earlier is not of this run; None: it is not known.

    Raises UsageError (a file is missing, damaged or too old, or the run can't have any) or
    RecordError.
    """
    _check_paths(paths)
    files = [read_stacks(path, not_before=not_before) for path in paths]
    entry = write_profile(run.folder, _profile(run, files), f"{STACKS}.{Metric.CPU_NS}")
    others = tuple(item for item in run.record.profiles if item.file != entry.file)
    note = "Stacks sampled by another program are shown: it ran while the figures were taken."
    notes = run.record.notes if note in run.record.notes else (*run.record.notes, note)
    write_record(run.folder, replace(run.record, profiles=(*others, entry), notes=notes))
    return load_run(run.folder)


def read_stacks(path: Path, *, not_before: datetime | None = None) -> StacksFile:
    """The folded stacks in *path*; a UsageError if they can't be used."""
    try:
        about = path.stat()
        if about.st_size > _FILE_BYTES_MAX:
            raise UsageError(
                f"--stacks {path}: {about.st_size:,} bytes; at most {_FILE_BYTES_MAX:,}: fold the"
                " samples first, so that each stack is one line with its count"
            )
        if not_before is not None and about.st_mtime < not_before.timestamp():
            raise UsageError(
                f"--stacks {path}: last written before the run began, so not of this run; fold the"
                " stacks while it runs, or use acctbench report RUN --stacks for another run"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--stacks {path}: byte {error.start:,} is not UTF-8 text; fold perf.data or a pprof"
            " profile first (perf script | stackcollapse-perf.pl)"
        ) from error
    except OSError as error:
        raise UsageError(f"--stacks {path}: can't be read: {error.strerror or error}") from error
    try:
        return _parsed(path.name, text)
    except ValueError as error:
        raise UsageError(f"--stacks {path}: {error}") from error


def _check_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.exists() and not path.is_file():
            raise UsageError(f"--stacks {path}: not a regular file; write folded stacks to a file")
        if not path.parent.is_dir():
            raise UsageError(f"--stacks {path}: there is no folder {path.parent}")
    if len({path.resolve() for path in paths}) != len(paths):
        raise UsageError("--stacks: the same file twice; name each segment's file once")


def _parsed(name: str, text: str) -> StacksFile:
    counts: dict[tuple[str, ...], int] = {}
    is_differential = True
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not line.strip().isprintable():
            raise ValueError(f"line {number}: control characters; is it text of folded stacks?")
        ((frames, count),) = parse_folded([line], first_number=number)
        is_differential &= _SECOND_COUNT.search(frames[-1]) is not None
        if len(frames) > _DEPTH_MAX:
            raise ValueError(f"line {number}: {len(frames):,} frames; at most {_DEPTH_MAX:,}")
        if count:
            frames[0] = _PROCESS_NUMBER.sub("", frames[0])
            stack = tuple(frame.strip() or "<unknown>" for frame in frames)
            counts[stack] = counts.get(stack, 0) + count
    count_sum = sum(counts.values())
    if counts and is_differential:
        raise ValueError(
            "two counts on every line: stacks of a difference; give the folded stacks of one"
            " profile, and acctbench profile --against the other run"
        )
    if not count_sum:
        raise ValueError('no samples in it; a line is "root;...;leaf count"')
    if count_sum > _COUNT_SUM_MAX:
        raise ValueError(f"{count_sum:,} counts; at most {_COUNT_SUM_MAX:,}")
    return StacksFile(name=name, counts=counts, count_sum=count_sum)


def _profile(run: StoredRun, files: Sequence[StacksFile]) -> Profile:
    record = run.record
    measure_ns = int(record.phases.get("measure_ns", 0))
    cpu_ns = _cpu_ns(record, measure_ns)
    operation_counts = _answered(run, measure_ns)
    whole = sum(file.count_sum for file in files)
    ends = list(accumulate(file.count_sum for file in files))
    table = StackTable()
    segments, is_estimated = [], False
    for file, end in zip(files, ends, strict=True):
        share, start = file.count_sum / whole, end - file.count_sum
        sample_count, is_guess = _sample_count(file, share * measure_ns / NANOS_PER_SECOND)
        is_estimated |= is_guess
        counts: dict[int, int] = {}
        for symbols, count in file.counts.items():
            number = table.number(tuple(map(symbol_frame, symbols)))
            counts[number] = counts.get(number, 0) + count
        segments.append(
            ProfileSegment(
                start_ns=measure_ns * start // whole,
                end_ns=measure_ns * end // whole,
                operation_counts={
                    kind: round(count * end / whole) - round(count * start / whole)
                    for kind, count in operation_counts.items()
                },
                cpu_ns=round(cpu_ns * share),
                sample_count=sample_count,
                weights={number: round(cpu_ns * count / whole) for number, count in counts.items()},
                samples={} if is_guess else counts,
            )
        )
    return Profile(
        metric=Metric.CPU_NS,
        profiler={"name": STACKS, "version": "", "settings": "made elsewhere"},
        frames=table.frames,
        stacks=table.stacks,
        segments=tuple(segments),
        notes=_notes(files, cpu_ns, is_estimated=is_estimated),
    )


def _cpu_ns(record: RunRecord, measure_ns: int) -> float:
    resources = record.resources.get("target")
    if resources is None or not resources.cpu_cores_mean or not measure_ns:
        raise UsageError(
            f"--stacks: {record.run_id} does not know the target's CPU time, to which samples are"
            " scaled; for a service that runs already write its pid in the target file: [attach]"
            " pid"
        )
    return resources.cpu_cores_mean * measure_ns


def _answered(run: StoredRun, measure_ns: int) -> dict[str, int]:
    table = run.operations(["kind", "done_ns"])
    done_ns = table["done_ns"]
    counts = table["kind"][((done_ns >= 0) & (done_ns < measure_ns)).fillna(False)].value_counts()
    if not counts.sum():
        raise UsageError(f"--stacks: in {run.record.run_id} no operation was answered to share")
    return {str(kind): int(count) for kind, count in counts.items() if count}


def _sample_count(file: StacksFile, length_s: float) -> tuple[int, bool]:
    """
    How many samples a file stands for, and whether that is an estimate.

    Counts of nanoseconds share the sampling interval as a divisor. Where they don't (cycles), each
    line is one sample at least: fewer samples make a test that names less, never more.
    """
    sample_count = file.count_sum // gcd(*file.counts.values())
    if file.count_sum <= _SAMPLES_PER_S_MAX * max(1.0, length_s):
        return file.count_sum, False
    if sample_count <= _SAMPLES_PER_S_MAX * max(1.0, length_s):
        return sample_count, True
    return len(file.counts), True


def _notes(files: Sequence[StacksFile], cpu_ns: float, *, is_estimated: bool) -> tuple[str, ...]:
    names = ", ".join(file.name for file in files)
    about = (
        f"Stacks of {names}, made elsewhere: who sampled, and when, is not known here. They are"
        f" scaled to the {duration(cpu_ns)} of CPU time that the kernel accounts to"
        " the target in the measured phase."
    )
    notes = [about]
    if len(files) == 1:
        notes.append(
            "One file is one segment: a test on it knows the noise of its samples, not that from"
            " second to second. Several files, one after the other, tell it too."
        )
    if is_estimated:
        notes.append(
            "The counts are no samples but a time or cycles; how many samples there were is"
            " estimated from below, so less is named than could be."
        )
    return tuple(notes)
