"""Diurnal arrivals: a day of any length, with its peak, its trough and its mean."""

import numpy as np
import pytest

from harness.model.arrivals import DiurnalArrivals, Process, offsets_ns, rate_at, scaled_to
from harness.model.arrivals_statistics import arrival_statistics

SECOND_NS = 1_000_000_000


def diurnal(
    process: Process = Process.POISSON, *, day_s: int, start_hour: float = 0.0
) -> DiurnalArrivals:
    """The published curve: 0.53 around the mean, busiest at 16.5 h."""
    return DiurnalArrivals(
        process=process,
        mean_per_s=2_000.0,
        amplitude_share=0.53,
        peak_share=16.5 / 24,
        start_share=start_hour / 24,
        day_ns=day_s * SECOND_NS,
    )


@pytest.mark.parametrize("day_s", [24, 120])
@pytest.mark.parametrize("process", list(Process))
def test_each_hour_has_its_share(process: Process, day_s: int) -> None:
    """Counts an hour follow mean * (1 + 0.53 cos(2 pi (h - 16.5) / 24)), in any length of day."""
    arrivals = diurnal(process, day_s=day_s)
    offsets = offsets_ns(arrivals, warmup_ns=0, measure_ns=day_s * SECOND_NS, seed=4)
    counts, edges = np.histogram(offsets / SECOND_NS / day_s * 24, bins=24, range=(0, 24))
    hours = (edges[:-1] + edges[1:]) / 2
    expected = 2_000 * day_s / 24 * (1 + 0.53 * np.cos(2 * np.pi * (hours - 16.5) / 24))

    # An hour's mean is a little flatter than its middle; chance adds 4 sigma to Poisson arrivals.
    assert np.all(np.abs(counts - expected) <= 0.004 * expected + 4 * expected**0.5 + 1)
    assert counts.max() / counts.min() == pytest.approx(1.53 / 0.47, rel=0.12)
    assert len(offsets) / day_s == pytest.approx(2_000.0, rel=0.02)


def test_constant_process_hits_each_whole_count() -> None:
    """The inverse of the cumulated rate is exact: the n-th arrival is where the count is n."""
    arrivals = diurnal(Process.CONSTANT, day_s=10, start_hour=9.0)
    phases = {"warmup_ns": 0, "measure_ns": 25 * SECOND_NS}
    offsets = offsets_ns(arrivals, seed=0, **phases)
    since_s = offsets / SECOND_NS
    turn = 2 * np.pi / 10
    peak_s = (16.5 - 9.0) / 24 * 10
    counts = 2_000 * (
        since_s + 0.53 / turn * (np.sin((since_s - peak_s) * turn) + np.sin(peak_s * turn))
    )

    assert np.allclose(counts, np.arange(len(offsets)), atol=1e-4)


def test_warm_up_is_at_the_first_rate() -> None:
    """Before the day begins, the rate is that of its start hour."""
    arrivals = diurnal(day_s=60, start_hour=16.5)
    phases = {"warmup_ns": 10 * SECOND_NS, "measure_ns": 60 * SECOND_NS}
    offsets = offsets_ns(arrivals, seed=1, **phases)
    warmup_count = int(np.count_nonzero(offsets < 10 * SECOND_NS))

    assert warmup_count == pytest.approx(10 * 3_060, rel=0.03)
    assert rate_at(arrivals, 0, **phases) == pytest.approx(3_060.0)
    assert rate_at(arrivals, 40 * SECOND_NS, **phases) == pytest.approx(940.0)


@pytest.mark.parametrize("process", list(Process))
def test_statistics_are_met(process: Process) -> None:
    """Peak over trough is 3.26 over one day and over several, for any seed."""
    phases = {"warmup_ns": SECOND_NS, "measure_ns": 90 * SECOND_NS}
    for day_s in (90, 40):
        arrivals = diurnal(process, day_s=day_s)
        for seed in range(6):
            found = arrival_statistics(
                arrivals, offsets_ns(arrivals, seed=seed, **phases), **phases
            )
            by_name = {item.name: item for item in found}

            assert by_name["peak_to_trough"].target == pytest.approx(3.255, abs=0.01)
            assert by_name["peak_to_trough"].value == pytest.approx(3.255, rel=0.05)
            assert [item for item in found if not item.is_met] == []


def test_scaling_sets_the_peak() -> None:
    """The command line's rate is the highest one."""
    scaled = scaled_to(diurnal(day_s=60), 153.0)

    assert isinstance(scaled, DiurnalArrivals)
    assert scaled.mean_per_s == pytest.approx(100.0)
