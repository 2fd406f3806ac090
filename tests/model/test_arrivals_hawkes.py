"""Hawkes arrivals, held against fits and laws that share no code with what made them."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from harness.model.arrivals import (
    Arrivals,
    HawkesArrivals,
    PoissonArrivals,
    fano_factor,
    offsets_ns,
)
from harness.model.arrivals_hawkes import view_hawkes
from harness.model.arrivals_statistics import arrival_statistics

SECOND_NS = 1_000_000_000
TRADES = HawkesArrivals(rate_per_s=800.0, branching_ratio=0.66, decay_per_s=1.8)
BURST = HawkesArrivals(rate_per_s=300.0, branching_ratio=0.9, decay_per_s=1.8)


def times_s(arrivals: HawkesArrivals, *, duration_s: int, seed: int) -> NDArray[np.float64]:
    """One realisation."""
    offsets = offsets_ns(arrivals, warmup_ns=0, measure_ns=duration_s * SECOND_NS, seed=seed)
    return offsets / SECOND_NS


def fano_in_windows(times: NDArray[np.float64], *, duration_s: int, width_s: float) -> float:
    """Variance over mean of the counts."""
    counts, _ = np.histogram(times, bins=round(duration_s / width_s), range=(0, duration_s))
    return float(counts.var() / counts.mean())


def negative_log_likelihood(parameters: NDArray[np.float64], times: list[float]) -> float:
    """Of immigrants' rate, branching and decay, by the plain recursion over arrivals."""
    immigrants_per_s, branching, decay_per_s = parameters
    if immigrants_per_s <= 0 or not 0 < branching < 1 or decay_per_s <= 0:
        return math.inf
    total, excitement, before = 0.0, 0.0, times[0]
    for time in times:
        excitement *= math.exp(-decay_per_s * (time - before))
        total += math.log(immigrants_per_s + branching * decay_per_s * excitement)
        excitement += 1.0
        before = time
    expected = immigrants_per_s * (times[-1] - times[0]) + branching * sum(
        -math.expm1(-decay_per_s * (times[-1] - time)) for time in times
    )
    return expected - total


@pytest.mark.parametrize(("branching", "decay_per_s"), [(0.66, 1.8), (0.3, 6.0)])
def test_all_parameters_are_recovered_by_likelihood(branching: float, decay_per_s: float) -> None:
    """An independent maximum-likelihood fit finds the mean rate, the branching and the decay."""
    arrivals = HawkesArrivals(rate_per_s=5.0, branching_ratio=branching, decay_per_s=decay_per_s)
    times = times_s(arrivals, duration_s=2_400, seed=3)
    fit = minimize(
        negative_log_likelihood,
        x0=np.array([3.0, 0.5, 3.0]),
        args=(times.tolist(),),
        method="Nelder-Mead",
        options={"xatol": 1e-3, "fatol": 0.05},
    )

    immigrants_per_s, found_branching, found_decay_per_s = fit.x
    assert found_branching == pytest.approx(branching, abs=0.05)
    assert found_decay_per_s == pytest.approx(decay_per_s, rel=0.15)
    assert immigrants_per_s / (1 - found_branching) == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("branching", [0.0, 0.5, 0.66])
def test_long_windows_have_the_limit_of_the_fano_factor(branching: float) -> None:
    """It is 1 / (1 - n)^2 in windows far longer than the process remembers, and so n is told."""
    arrivals = HawkesArrivals(rate_per_s=1_000.0, branching_ratio=branching, decay_per_s=200.0)
    times = times_s(arrivals, duration_s=1_000, seed=5)
    fano = fano_in_windows(times, duration_s=1_000, width_s=1.0)

    assert fano == pytest.approx(1 / (1 - branching) ** 2, rel=0.18)  # 4 sigma of 1,000 windows
    assert 1 - fano**-0.5 == pytest.approx(branching, abs=0.09)
    assert len(times) / 1_000 == pytest.approx(1_000.0, rel=0.01)


@pytest.mark.parametrize("width_s", [0.05, 0.5, 5.0])
def test_the_law_of_finite_windows(width_s: float) -> None:
    """The stated Fano factor of any width is what long realisations show."""
    arrivals = HawkesArrivals(rate_per_s=200.0, branching_ratio=0.8, decay_per_s=5.0)
    found = fano_in_windows(
        times_s(arrivals, duration_s=4_000, seed=11), duration_s=4_000, width_s=width_s
    )

    assert found == pytest.approx(fano_factor(arrivals, round(width_s * SECOND_NS)), rel=0.15)


def test_the_start_is_as_busy_as_the_end() -> None:
    """The schedule begins in the middle of things: without a lead, its start had 1 - n of it."""
    arrivals = HawkesArrivals(rate_per_s=100.0, branching_ratio=0.9, decay_per_s=1.0)
    first, last = [], []
    for seed in range(400):
        times = times_s(arrivals, duration_s=3, seed=seed)
        first.append(np.count_nonzero(times < 0.5))
        last.append(np.count_nonzero(times >= 2.5))

    for counts in (first, last):
        error = np.std(counts) / len(counts) ** 0.5
        assert np.mean(counts) == pytest.approx(50.0, abs=4 * error)
        fano = fano_factor(arrivals, SECOND_NS // 2)
        assert fano is not None
        assert np.var(counts) / np.mean(counts) == pytest.approx(fano, rel=0.5)


@pytest.mark.parametrize("branching", [0.0, 0.4, 0.9])
def test_the_most_likely_branching_is_the_plain_one(branching: float) -> None:
    """The view's vectorised estimate is where the plain recursion's likelihood is highest."""
    arrivals = HawkesArrivals(rate_per_s=50.0, branching_ratio=branching, decay_per_s=2.0)
    times = times_s(arrivals, duration_s=400, seed=2)
    view = view_hawkes(times, rate_per_s=50.0, branching_ratio=branching, decay_per_s=2.0)
    assert view is not None
    tried = np.linspace(0.01, 0.98, 98)
    likely = [
        negative_log_likelihood(np.array([50.0 * (1 - n), n, 2.0]), times.tolist()) for n in tried
    ]

    assert view.branching_ratio == pytest.approx(tried[int(np.argmin(likely))], abs=0.02)
    assert view.branching_ratio == pytest.approx(branching, abs=4 * view.branching_error)


def test_other_arrivals_are_found_out() -> None:
    """Poisson arrivals miss Hawkes targets, Hawkes arrivals Poisson's, less branching is told."""
    phases = {"warmup_ns": 5 * SECOND_NS, "measure_ns": 60 * SECOND_NS}
    memoryless = PoissonArrivals(rate_per_s=800.0)
    quick = HawkesArrivals(rate_per_s=800.0, branching_ratio=0.66, decay_per_s=20.0)
    calmer = HawkesArrivals(rate_per_s=800.0, branching_ratio=0.3, decay_per_s=1.8)

    def missed(asked: Arrivals, made: Arrivals) -> set[str]:
        found = arrival_statistics(asked, offsets_ns(made, seed=1, **phases), **phases)
        return {item.name for item in found if not item.is_met}

    assert "branching_ratio" in missed(TRADES, memoryless)
    assert "branching_ratio" in missed(TRADES, calmer)
    assert {"fano_factor", "gaps_ks_distance"} <= missed(memoryless, quick)
    assert missed(memoryless, memoryless) == set()


@pytest.mark.parametrize("arrivals", [TRADES, BURST])
@pytest.mark.parametrize("measure_s", [4, 60])
def test_statistics_are_met(arrivals: HawkesArrivals, measure_s: int) -> None:
    """What is made meets what is asked for, in short and long schedules, for any seed."""
    phases = {"warmup_ns": SECOND_NS, "measure_ns": measure_s * SECOND_NS}
    for seed in range(12):
        offsets = offsets_ns(arrivals, seed=seed, **phases)
        found = arrival_statistics(arrivals, offsets, **phases)

        assert {item.name for item in found} >= {"rate_per_s", "fano_factor", "branching_ratio"}
        assert [item for item in found if not item.is_met] == []
