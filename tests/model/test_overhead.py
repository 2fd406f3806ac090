"""What a profiled run says of its profiler, beside the plain run."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.objectives import not_timed
from harness.model.overhead import overhead
from harness.model.record import RunRecord
from harness.model.verdict import Performance
from tests.reports.synthetic import Shape, write_synthetic_run


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A plain run."""
    folder: Path = tmp_path_factory.mktemp("plain") / "run"
    return write_synthetic_run(folder, Shape(rate_per_s=200.0, measure_s=5, warmup_s=1)).record


def test_the_same_run_twice_has_no_overhead(plain: RunRecord) -> None:
    """All ratios are one."""
    found = overhead(plain, plain)

    assert found.stretch_ratio == 1
    assert found.rate_ratio == found.response_p50_ratio == found.cpu_ratio == 1
    assert "slower" not in found.sentence


def test_ratios_are_profiled_to_plain(plain: RunRecord) -> None:
    """Twice the phase at half the rate for the same CPU: twice the CPU an operation."""
    profiled = replace(
        plain,
        phases={**plain.phases, "measure_ns": plain.phases["measure_ns"] * 2},
        rate=replace(plain.rate, achieved_per_s=plain.rate.achieved_per_s / 2),
    )

    found = overhead(plain, profiled)

    assert found.rate_ratio == pytest.approx(0.5)
    assert found.cpu_ratio == pytest.approx(2)
    assert "sent 2.0 times slower" in found.sentence


def test_what_was_not_measured_is_left_out(plain: RunRecord) -> None:
    """No ratio is made of a missing value."""
    blind = {**plain.resources, "target": replace(plain.resources["target"], cpu_cores_mean=None)}

    found = overhead(plain, replace(plain, resources=blind))

    assert found.cpu_ratio is None
    assert "CPU" not in found.sentence


def test_objectives_of_a_profiled_run_decide_nothing(plain: RunRecord) -> None:
    """Met or missed, each becomes INCONCLUSIVE and says why; its value stays."""
    section = not_timed(plain.performance, "cpu")

    assert section.status is Performance.INCONCLUSIVE
    assert len(section.objectives) == len(plain.performance.objectives) > 0
    for before, after in zip(plain.performance.objectives, section.objectives, strict=True):
        assert after.status is Performance.INCONCLUSIVE
        assert after.value == before.value
        assert "under the cpu profiler" in after.sentence
