"""A run of the micro suite: timed or counted, judged, and stored as a record like any other."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import EngineError, HarnessError, UsageError
from harness.machine.environment import environment_to_json, read_environment
from harness.model.metrics import INSTRUCTIONS
from harness.model.quantiles import distribution
from harness.model.record import (
    PLAIN,
    SCHEMA_VERSION,
    Better,
    Check,
    CorrectnessSection,
    Invariant,
    KernelSamples,
    PerformanceSection,
    Rate,
    RunRecord,
    ValiditySection,
)
from harness.model.text import share
from harness.model.validity import count_operations
from harness.model.verdict import Correctness, Performance, Validity, exit_code, worst
from harness.storage.run_folder import INCOMPLETE_SUFFIX, StoredRun, load_run, write_record
from workloads.micro.against import CALLGRIND, judge_counts, judge_validity
from workloads.micro.instructions import count_instructions, find_valgrind
from workloads.micro.kernel import chosen
from workloads.micro.suite import BY_NAME, kernel_digests, suite_digest
from workloads.micro.timing import Timing, time_kernels

NAME = "micro"
_BUSY_SHARE_MAX = 0.5  # of the CPUs; beyond it timings are mostly of the neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A baseline, and by how much a count may exceed it (0.01 = 1 %)."""

    baseline: RunRecord
    margin_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroRequest:
    """
    What to run and where to keep it.

    Attributes:
        pattern: Of the kernels' names, see `chosen`; "" for all.
        counts: Count instructions, once; otherwise time them as `timing` says.
        command: Repeats the run.
    """

    pattern: str
    timing: Timing
    counts: bool
    against: Against | None
    runs_folder: Path
    command: str


def run_micro(request: MicroRequest) -> StoredRun:
    """
    Run the kernels and store the run.

    Raises:
        UsageError: no kernel has such a name, or valgrind is needed and missing.
        EngineError: a kernel failed or returned something wrong; the folder is kept.
    """
    names = chosen(BY_NAME, request.pattern)
    if not names:
        raise UsageError(
            f'--only: "{request.pattern}" is no kernel; the kernels are: {", ".join(BY_NAME)}'
        )
    if request.counts:
        find_valgrind()  # before there is a folder
    created_at = datetime.now(UTC)
    run_id = f"{created_at:%Y%m%d-%H%M%S}-{NAME}-{secrets.token_hex(2)}"
    folder = request.runs_folder / (run_id + INCOMPLETE_SUFFIX)
    environment = environment_to_json(read_environment())
    try:
        folder.mkdir(parents=True)
        measured = _measure(request, names, folder)
    except OSError as error:
        raise EngineError(f"{folder}: {error}") from error
    except HarnessError as error:
        (folder / "failure.txt").write_text(f"{error}\n", encoding="utf-8")
        raise
    record = _record(request, run_id, created_at, environment, measured)
    write_record(folder, record)
    return load_run(folder.rename(folder.with_name(run_id)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    kernels: tuple[KernelSamples, ...]
    build: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def _measure(request: MicroRequest, names: Sequence[str], folder: Path) -> _Measured:
    if not request.counts:
        samples = time_kernels(names, request.timing, folder)
        return _Measured(kernels=_kernels(samples, "ns"), build={})
    counting = count_instructions(names)
    counted = {
        name: [[count / BY_NAME[name].operation_count]] for name, count in counting.counts.items()
    }
    note = "Addresses are randomised: personality() is not allowed here; counts may vary a little."
    return _Measured(
        kernels=_kernels(counted, INSTRUCTIONS),
        build=counting.build,
        notes=() if counting.has_fixed_layout else (note,),
    )


def _kernels(
    samples: Mapping[str, Sequence[Sequence[float]]], unit: str
) -> tuple[KernelSamples, ...]:
    digests = kernel_digests()
    return tuple(
        KernelSamples(
            name=name,
            title=BY_NAME[name].title,
            unit=unit,
            better=Better.LESS,
            digest=digests[name],
            operation_count=BY_NAME[name].operation_count,
            processes=tuple(tuple(rounds) for rounds in processes),
        )
        for name, processes in samples.items()
    )


def _record(
    request: MicroRequest,
    run_id: str,
    created_at: datetime,
    environment: Mapping[str, Any],
    measured: _Measured,
) -> RunRecord:
    kernels = measured.kernels
    validity, performance = _judge(request, measured, environment)
    correctness = _correctness(kernels)
    digest = suite_digest(item.digest for item in kernels)
    code = exit_code(
        validity.status, correctness.status, performance.status, is_required_unknown=False
    )
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        complete=True,
        created_at=created_at.isoformat(timespec="seconds"),
        command=request.command,
        exit_code=int(code),
        incomplete_reason="",
        scenario=_describe_suite(request, digest),
        schedule_digest=digest,
        seed=0,
        phases={"warmup_ns": 0, "measure_ns": 0, "drain_ns": 0},
        target={"name": "kernels", "kind": "in-process", "build": measured.build},
        broker={"kind": "none", "version": "", "settings": {}, "floor_ns": {}},
        load={"driver": "none", "worker_count": 0},
        instrumentation=CALLGRIND if request.counts else PLAIN,
        environment=environment,
        validity=validity,
        correctness=correctness,
        performance=performance,
        operations=count_operations(np.zeros(0, np.uint8)),
        operations_by_kind={},
        outcomes=(),
        rate=Rate(offered_per_s=0.0, sent_per_s=0.0, achieved_per_s=0.0),
        latency={},
        lateness_ns=distribution(np.zeros(0, np.int64)),
        resources={},
        notes=measured.notes,
        kernels=kernels,
    )


def _judge(
    request: MicroRequest, measured: _Measured, environment: Mapping[str, Any]
) -> tuple[ValiditySection, PerformanceSection]:
    against = request.against
    if against is not None:
        before = [item.name for item in against.baseline.kernels]
        missing = [name for name in chosen(before, request.pattern) if name not in BY_NAME]
        validity = judge_validity(against.baseline, measured.kernels, measured.build, missing)
        if validity.status is Validity.INVALID:  # counts of two builds say nothing
            return validity, PerformanceSection(status=Performance.INCONCLUSIVE, objectives=())
        return validity, judge_counts(
            against.baseline, measured.kernels, margin_ratio=against.margin_ratio
        )
    checks = [_check_samples(measured.kernels)]
    if not request.counts:
        checks.append(_check_quiet(environment))
    status = worst((check.status for check in checks), Validity.VALID)
    return (
        ValiditySection(status=status, checks=tuple(checks)),
        PerformanceSection(status=Performance.PASSED, objectives=()),
    )


def _check_samples(kernels: Sequence[KernelSamples]) -> Check:
    bad = [
        item.name
        for item in kernels
        if not item.processes
        or not all(0 < value < math.inf for rounds in item.processes for value in rounds)
    ]
    return Check(
        id="samples",
        title="every sample is a positive number",
        status=Validity.INVALID if bad else Validity.VALID,
        value=float(len(bad)),
        limit=0.0,
        unit="kernels",
        sentence=f"not of {', '.join(bad)}" if bad else f"so for all {len(kernels)} kernels",
    )


def _check_quiet(environment: Mapping[str, Any]) -> Check:
    part = environment["load_average"] / len(environment["cores_given"])
    return Check(
        id="quiet",
        title="the machine had nothing else to do",
        status=Validity.WARN if part > _BUSY_SHARE_MAX else Validity.VALID,
        value=part,
        limit=_BUSY_SHARE_MAX,
        unit="share",
        sentence=f"{share(part)} of its CPUs were in use in the minute before",
    )


def _correctness(kernels: Sequence[KernelSamples]) -> CorrectnessSection:
    """A kernel that returned something wrong ends the run: those that are here did not."""
    return CorrectnessSection(
        status=Correctness.PASSED,
        invariants=tuple(
            Invariant(
                id=item.name,
                title=f"what it returns is right: {item.title}",
                status=Correctness.PASSED,
                checked_count=len(item.processes),
                violation_count=0,
                first="",
                worst="",
                sentence="checked in every process",
            )
            for item in kernels
        ),
    )


def _describe_suite(request: MicroRequest, digest: str) -> dict[str, Any]:
    timing = {
        "processes": request.timing.process_count,
        "rounds": request.timing.round_count,
    }
    return {
        "name": NAME,
        "title": "Instructions of the hot kernels"
        if request.counts
        else "Times of the hot kernels",
        "profile": "",
        "digest": digest,
        "system": "workloads.micro",
        "citations": [],
        "parameters": {"only": request.pattern, **({} if request.counts else timing)},
    }
