"""Sides of a comparison made of seeded noise, for tests."""

from collections.abc import Sequence

import numpy as np

from harness.model.record import Better
from reports.compare.judge import judge
from reports.compare.policy import ComparisonPolicy
from reports.compare.verdicts import Comparison, MetricVerdict
from reports.figures.samples import MeasuredMetric, RunSamples, RunTails, RunValues, Side

BASE_NS = 1_000_000.0


def metric(
    values: Sequence[float],
    *,
    name: str = "work",
    unit: str = "ns",
    better: Better = Better.LESS,
) -> MeasuredMetric:
    """A metric with a number a run."""
    return MeasuredMetric(name=name, unit=unit, better=better, data=RunValues(values=tuple(values)))


def noisy(count: int, *, noise: float = 0.01, factor: float = 1.0, seed: int = 0) -> list[float]:
    """*count* runs with normal noise of that share."""
    chance = np.random.default_rng(seed)
    values: list[float] = (BASE_NS * factor * np.exp(noise * chance.normal(size=count))).tolist()
    return values


def tail(
    run_count: int,
    *,
    sample_count: int = 2_000,
    q: float = 0.99,
    factor: float = 1.0,
    run_noise: float = 0.03,
    seed: int = 0,
) -> MeasuredMetric:
    """A quantile over runs that differ from one another, each with lognormal samples."""
    chance = np.random.default_rng(seed)
    runs = []
    for _ in range(run_count):
        middle = BASE_NS * factor * np.exp(run_noise * chance.normal())
        samples = middle * np.exp(0.5 * chance.normal(size=sample_count))
        runs.append(RunSamples(ordered=np.sort(samples)))
    return MeasuredMetric(
        name="work.p99", unit="ns", better=Better.LESS, data=RunTails(q=q, runs=tuple(runs))
    )


def side(*metrics: MeasuredMetric, name: str = "side", faults: tuple[str, ...] = ()) -> Side:
    """A side of these metrics."""
    return Side(name=name, metrics=metrics, faults=faults)


def compare(
    a: MeasuredMetric, b: MeasuredMetric, policy: ComparisonPolicy | None = None
) -> MetricVerdict:
    """The verdict of one metric."""
    (verdict,) = compare_sides(side(a), side(b), policy).metrics
    return verdict


def compare_sides(a: Side, b: Side, policy: ComparisonPolicy | None = None) -> Comparison:
    """The comparison of two sides."""
    return judge(a, b, policy or ComparisonPolicy())
