"""
Sides that others measured: a plain file of samples, or what pytest-benchmark stored.

Pure: parsed JSON in, metrics out. The plain file, for any language and any tool:

    {
      "acctbench_samples": 1,
      "metrics": [
        {
          "name": "parse",                 any text; the same on both sides
          "unit": "ns",                    shown as is; ns and bytes are scaled
          "better": "less",                or "more"
          "runs": [[812, 790, ...], ...]   the samples of each process start, or one number each
          "quantile": 0.99                 if a quantile of the samples is meant; else their median
        }
      ],
      "facts": {"machine": "ci-4"}         optional: what must be the same on both sides
    }

A file of pytest-benchmark (--benchmark-json) is one process start: give several files a side. The
metric is the median of a benchmark's rounds, its name that of the benchmark.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from harness.model.file_faults import plain_faults
from harness.model.record import Better
from reports.figures.samples import MeasuredMetric, RunSamples, RunTails, RunValues

VERSION = 1
_NANOS_PER_SECOND = 1e9
_Text = Annotated[str, StringConstraints(min_length=1)]
_MACHINE_FACTS = ("machine", "processor", "system", "release", "cpu")


class SamplesFileError(ValueError):
    """A document that is no such file; each fault is a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredElsewhere:
    """
    The metrics of one file.

    Attributes:
        facts: What must be the same on both sides.
        short_names: Of metrics that have two names, by the full one that they are given.
    """

    metrics: tuple[MeasuredMetric, ...]
    facts: Mapping[str, str]
    short_names: Mapping[str, str] = field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=True)


class _MetricTable(_Strict):
    name: _Text
    unit: _Text
    better: Literal["less", "more"]
    runs: list[float | list[float]]
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None

    def to_metric(self) -> MeasuredMetric:
        """As a metric; a run without samples stays one, and is found by the judge."""
        samples = [run if isinstance(run, list) else [run] for run in self.runs]
        return MeasuredMetric(
            self.name,
            self.unit,
            Better(self.better),
            RunValues(values=tuple(map(_middle, samples)))
            if self.quantile is None
            else RunTails(
                q=self.quantile,
                runs=tuple(RunSamples(ordered=np.sort(np.array(run, float))) for run in samples),
            ),
        )


class _SamplesTable(_Strict):
    acctbench_samples: Literal[1]
    metrics: list[_MetricTable]
    facts: dict[str, str] = Field(default_factory=dict)


class _Stats(BaseModel):
    median: float
    data: list[float] = Field(default_factory=list)


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True)

    timer: str = "perf_counter"
    disable_gc: bool = False


class _Benchmark(BaseModel):
    name: _Text
    fullname: _Text
    stats: _Stats
    options: _Options = Field(default_factory=_Options)


class _BenchmarkFile(BaseModel):
    machine_info: dict[str, Any] = Field(default_factory=dict)
    benchmarks: list[_Benchmark]


def read_measured(document: Any) -> MeasuredElsewhere:
    """
    The metrics of a parsed file of either kind.

    Raises:
        SamplesFileError: it is neither; all its faults are listed.
    """
    if isinstance(document, dict) and "benchmarks" in document:
        return _of_benchmarks(document)
    if not isinstance(document, dict) or "acctbench_samples" not in document:
        raise SamplesFileError(
            "neither a file of samples (acctbench_samples) nor of pytest-benchmark (benchmarks);"
            " `acctbench compare --help` shows the form"
        )
    try:
        table = _SamplesTable.model_validate(document)
    except ValidationError as error:
        raise _faults(error, _SamplesTable) from error
    _check_unique([item.name for item in table.metrics])
    return MeasuredElsewhere(
        metrics=tuple(item.to_metric() for item in table.metrics), facts=table.facts
    )


def short_named(parts: Sequence[MeasuredElsewhere]) -> tuple[MeasuredElsewhere, ...]:
    """
    The same files, benchmarks by their short names if these name the same in all of them.

    Decided over all files of both sides: else one of them would have other names than the rest.
    """
    full_names: dict[str, set[str]] = {}
    for part in parts:
        for full_name, name in part.short_names.items():
            full_names.setdefault(name, set()).add(full_name)
    if any(len(names) > 1 for names in full_names.values()):
        return tuple(parts)
    return tuple(
        replace(
            part,
            metrics=tuple(
                replace(metric, name=part.short_names.get(metric.name, metric.name))
                for metric in part.metrics
            ),
        )
        for part in parts
    )


def merged(
    parts: Sequence[MeasuredElsewhere],
) -> tuple[tuple[MeasuredMetric, ...], tuple[str, ...]]:
    """
    The metrics of several files, run after run, and their faults.

    A run that lacks a metric is kept as one without a value.
    """
    known: dict[str, MeasuredMetric] = {}
    faults: list[str] = []
    for part in parts:
        for metric in part.metrics:
            known.setdefault(metric.name, metric)
    metrics = []
    for name, first in known.items():
        own = [next((m for m in part.metrics if m.name == name), None) for part in parts]
        present = [metric for metric in own if metric is not None]
        if any(_kind(metric) != _kind(first) for metric in present):
            faults.append(f"{name}: unit, orientation or quantile is not the same in all files")
        elif isinstance(first.data, RunValues):
            values = [
                value
                for metric in own
                for value in (
                    metric.data.values
                    if metric is not None and isinstance(metric.data, RunValues)
                    else (float("nan"),)
                )
            ]
            metrics.append(_with(first, RunValues(values=tuple(values))))
        else:
            runs = [
                run
                for metric in own
                for run in (
                    metric.data.runs
                    if metric is not None and isinstance(metric.data, RunTails)
                    else (RunSamples(ordered=np.zeros(0)),)
                )
            ]
            metrics.append(_with(first, RunTails(q=first.data.q, runs=tuple(runs))))
    return tuple(metrics), tuple(faults)


def facts_unlike(parts: Sequence[MeasuredElsewhere]) -> tuple[str, ...]:
    """What must be the same in all files and is not, each in a sentence."""
    first = parts[0].facts
    found: dict[str, str] = {}
    for part in parts:
        for name in dict.fromkeys((*first, *part.facts)):
            a, b = first.get(name, "not recorded"), part.facts.get(name, "not recorded")
            if a != b:
                found.setdefault(name, f"not comparable: {name} is {a!r} and {b!r}")
    return tuple(found.values())


def _of_benchmarks(document: Mapping[str, Any]) -> MeasuredElsewhere:
    try:
        table = _BenchmarkFile.model_validate(document)
    except ValidationError as error:
        raise _faults(error, _BenchmarkFile) from error
    _check_unique([item.fullname for item in table.benchmarks])
    metrics = tuple(
        MeasuredMetric(
            item.fullname,
            "ns",
            Better.LESS,
            RunValues(
                values=(
                    _NANOS_PER_SECOND
                    * (
                        statistics.median(item.stats.data) if item.stats.data else item.stats.median
                    ),
                )
            ),
        )
        for item in table.benchmarks
    )
    machine = table.machine_info
    facts = {name: str(machine[name]) for name in _MACHINE_FACTS if name in machine}
    cpu = machine.get("cpu")
    if isinstance(cpu, dict):
        facts["cpu"] = f"{cpu.get('brand_raw', 'unknown')}, {cpu.get('count', 'unknown')} CPUs"
    options = {item.options for item in table.benchmarks}
    for option in _Options.model_fields:
        facts[f"options.{option}"] = ", ".join(sorted({str(getattr(o, option)) for o in options}))
    return MeasuredElsewhere(
        metrics=metrics,
        facts=facts,
        short_names={item.fullname: item.name for item in table.benchmarks},
    )


def _faults(error: ValidationError, model: type[BaseModel]) -> SamplesFileError:
    lines = [f"{fault.key}: {fault.value}: {fault.remedy}" for fault in plain_faults(error, model)]
    return SamplesFileError("\n".join(lines))


def _check_unique(names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SamplesFileError(f"metrics: {twice[0]!r} is there twice; name each once")


def _middle(samples: Sequence[float]) -> float:
    return statistics.median(samples) if samples else float("nan")


def _kind(metric: MeasuredMetric) -> tuple[object, ...]:
    q = metric.data.q if isinstance(metric.data, RunTails) else None
    return metric.unit, metric.better, q


def _with(metric: MeasuredMetric, data: RunValues | RunTails) -> MeasuredMetric:
    return MeasuredMetric(metric.name, metric.unit, metric.better, data)
