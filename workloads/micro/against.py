"""
Instruction counts against those of a stored run. Pure.

A count repeats on one build, so a single one has no noise: no interval, no test. It is the build's
and not the kernel's alone: unrelated changes move it through the layout of memory. It is evidence
of nothing where the interpreter, a compiled module, valgrind or the kernel's own work is another.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.model.record import (
    Check,
    KernelSamples,
    Objective,
    PerformanceSection,
    RunRecord,
    ValiditySection,
)
from harness.model.text import signed_share
from harness.model.verdict import Performance, Validity

CALLGRIND = "callgrind"
_BUILD_FIELDS = ("python", "machine", "features", "valgrind", "modules")


def has_counts(record: RunRecord) -> bool:
    return record.complete and record.instrumentation == CALLGRIND


def judge_validity(
    baseline: RunRecord,
    kernels: Sequence[KernelSamples],
    build: Mapping[str, Any],
    missing: Sequence[str],
) -> ValiditySection:
    """
    Whether the counts of *kernels* can be compared with those of *baseline*.

    Args:
        baseline: The stored run.
        kernels: What was counted now.
        build: What counted it.
        missing: Kernels that were asked for, that the baseline has, and that are gone.
    """
    before = {item.name: item for item in baseline.kernels}
    changed = [item.name for item in kernels if _is_other_work(item, before.get(item.name))]
    checks = (
        _check(
            "baseline",
            "the baseline is a whole run of counts",
            "" if has_counts(baseline) else f"{baseline.run_id} has no instruction counts",
        ),
        _check(
            "build",
            "both sides ran on one build",
            ", ".join(_build_differences(baseline.target.get("build"), build)),
        ),
        _check(
            "work",
            "every kernel does the same work",
            f"its definition changed: {', '.join(changed)}" if changed else "",
        ),
        _check(
            "kernels",
            "no kernel of the baseline is missing",
            f"not in this suite: {', '.join(missing)}" if missing else "",
        ),
        _check(
            "overlap",
            "the baseline has kernels of this run",
            "" if any(item.name in before for item in kernels) else "it has none of them",
        ),
    )
    is_valid = all(check.status is Validity.VALID for check in checks)
    return ValiditySection(status=Validity.VALID if is_valid else Validity.INVALID, checks=checks)


def judge_counts(
    baseline: RunRecord, kernels: Sequence[KernelSamples], *, margin_ratio: float
) -> PerformanceSection:
    """Each kernel's count as a ratio to the baseline's; a kernel that is new is not judged."""
    before = {item.name: item for item in baseline.kernels}
    objectives = tuple(
        _objective(before[item.name], item, margin_ratio) for item in kernels if item.name in before
    )
    statuses = {objective.status for objective in objectives}
    worst_first = (Performance.REGRESSED, Performance.IMPROVED, Performance.UNCHANGED)
    status = next((item for item in worst_first if item in statuses), Performance.INCONCLUSIVE)
    return PerformanceSection(status=status, objectives=objectives)


def _objective(before: KernelSamples, after: KernelSamples, margin_ratio: float) -> Objective:
    a, b = _count(before), _count(after)
    ratio = b / a
    limit = 1 + margin_ratio
    status = Performance.UNCHANGED
    if ratio > limit:
        status = Performance.REGRESSED
    elif ratio < 1 / limit:
        status = Performance.IMPROVED
    return Objective(
        id=after.name,
        title=f"instructions: {after.title}",
        status=status,
        value=ratio,
        limit=limit,
        unit="ratio",
        sentence=f"{a:,} instructions a round became {b:,}: {signed_share(ratio - 1, 3)}",
    )


def _count(kernel: KernelSamples) -> int:
    """The instructions of a round; the number of operations is a power of two, so it is exact."""
    ((value,),) = kernel.processes
    return round(value * kernel.operation_count)


def _is_other_work(now: KernelSamples, before: KernelSamples | None) -> bool:
    return before is not None and (now.digest, now.unit) != (before.digest, before.unit)


def _build_differences(before: Any, after: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(before, Mapping):
        yield "the baseline does not say what it ran on"
        return
    for key in _BUILD_FIELDS:
        if key not in before or key not in after:
            yield f"{key} is not known of both sides"
        elif before[key] != after[key]:
            yield f"{key}: {_differing(before[key], after[key])}"


def _differing(before: Any, after: Any) -> str:
    if isinstance(before, str):
        return f"{before!r} and {after!r}"
    names = sorted({str(item).split()[0] for item in set(before) ^ set(after)})
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _check(identity: str, title: str, fault: str) -> Check:
    return Check(
        id=identity,
        title=title,
        status=Validity.INVALID if fault else Validity.VALID,
        value=None,
        limit=None,
        unit="",
        sentence=fault or title,
    )
