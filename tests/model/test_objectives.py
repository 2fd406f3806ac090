"""Objectives: met, missed, or not decided for want of data."""

import numpy as np
import pytest

from harness.model.objectives import judge_objectives
from harness.model.quantiles import distribution
from harness.model.record import Latency
from harness.model.scenario import ObjectiveSpec
from harness.model.scenario_tables import ObjectiveTable
from harness.model.verdict import Performance
from tests.model.made import operations, record

SAMPLES = distribution(np.arange(1, 1001, dtype=np.int64) * 1_000_000)
LATENCY = Latency(response_ns=SAMPLES, service_ns=SAMPLES, visible_ns=SAMPLES, wait_ns=SAMPLES)


def judged(specs: list[ObjectiveSpec], **counts: int) -> dict[str, Performance]:
    """The objectives that did not pass, of a thousand operations that ended as *counts* say."""
    made = record(operations=operations(**counts), latency={"reserve": LATENCY})
    section = judge_objectives(specs, made)
    return {item.id: item.status for item in section.objectives if item.status != "PASSED"}


def test_nothing_missed_passes() -> None:
    """Without demands of its own a run is held to the built-in ones, and passes when clean."""
    assert judged([]) == {}


def test_target_that_refuses_its_load_fails() -> None:
    """Refusals are answered in no time: unless the scenario plans them they are a failure."""
    planned = [ObjectiveSpec(metric="operations.rejected_share", limit=0.05, at_most=True)]

    assert judged([], rejected=30) == {"operations.rejected_share": Performance.FAILED}
    assert judged(planned, rejected=30) == {}


@pytest.mark.parametrize(
    ("metric", "limit", "at_most", "status"),
    [
        ("reserve.response_ns.p99", 990e6, True, None),
        ("reserve.response_ns.p99", 989e6, True, Performance.FAILED),
        ("reserve.response_ns.p999", 1e12, True, Performance.INCONCLUSIVE),
        ("amend.response_ns.p99", 1e12, True, Performance.INCONCLUSIVE),
        ("target.rss_bytes_max", 1 << 19, True, Performance.FAILED),
        ("profile.cpu_ns_per_operation", 1.0, True, Performance.INCONCLUSIVE),
        ("rate.achieved_per_s", 499.0, False, None),
        ("rate.achieved_per_s", 501.0, False, Performance.FAILED),
    ],
)
def test_metric_against_its_limit(
    metric: str, limit: float, at_most: bool, status: Performance | None
) -> None:
    """On the right side passes, on the wrong side fails, without data nobody can say."""
    found = judged([ObjectiveSpec(metric=metric, limit=limit, at_most=at_most)])

    assert found == ({} if status is None else {metric: status})


def test_scenario_replaces_a_built_in_demand() -> None:
    """A scenario that allows drops is not failed for them by the built-in rule."""
    allowed = [ObjectiveSpec(metric="operations.dropped_share", limit=0.5, at_most=True)]

    assert judged([], dropped=200) == {"operations.dropped_share": Performance.FAILED}
    assert judged(allowed, dropped=200) == {}


@pytest.mark.parametrize(
    ("metric", "text", "limit"),
    [
        ("all.visible_ns.p99", "20ms", 20e6),
        ("rate.achieved_share", "99%", 0.99),
        ("operations.rejected_share", "1%", 0.01),
        ("target.cpu_cores_mean", "80%", 0.8),
        ("target.rss_bytes_max", "2MiB", 2 << 20),
    ],
)
def test_every_metric_can_be_written_in_a_scenario(metric: str, text: str, limit: float) -> None:
    """A limit is read in the unit of its metric."""
    assert ObjectiveTable(metric=metric, at_most=text).to_spec().limit == pytest.approx(limit)


@pytest.mark.parametrize("statistic", ["p99", "mean", "max"])
def test_statistic_of_the_unanswered_is_missed(statistic: str) -> None:
    """A limit on what counts an operation without an answer is missed, not inconclusive."""
    samples = distribution(np.full(980, 1_000, np.int64), unanswered_count=20)
    latency = Latency(response_ns=samples, service_ns=samples, visible_ns=samples, wait_ns=samples)
    spec = ObjectiveSpec(metric=f"reserve.response_ns.{statistic}", limit=1e9, at_most=True)

    section = judge_objectives([spec], record(latency={"reserve": latency}))

    (found,) = (item for item in section.objectives if item.id == spec.metric)
    assert found.status is Performance.FAILED
    assert found.value is None
    assert "never answered" in found.sentence
