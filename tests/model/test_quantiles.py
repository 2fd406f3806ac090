"""Quantiles: right values, honest intervals, and withheld where they would be guesses."""

import numpy as np
import pytest

from harness.model.quantiles import distribution, needed_count, quantile


@pytest.mark.parametrize(("q", "count"), [(0.99, 662), (0.999, 6_636), (0.9999, 66_381)])
def test_needed_counts_are_the_published_ones(q: float, count: int) -> None:
    """One sample fewer than MLPerf's table and the quantile is withheld."""
    samples = np.arange(count, dtype=np.int64)

    assert needed_count(q) == count
    assert quantile(samples, q).value is not None
    assert quantile(samples[:-1], q).value is None


def test_quantile_is_the_nearest_rank() -> None:
    """Of 1..1000 the p99 is 990 and the median 500."""
    found = distribution(np.arange(1, 1001, dtype=np.int64))

    assert (found.at(0.5), found.at(0.99), found.at(0.999)) == (500, 990, None)
    assert (found.count, found.min, found.max, found.mean) == (1000, 1, 1000, 500.5)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The 95 % interval of p99 holds the true p99 in 93 to 98 % of 1,000 seeded samples."""
    generator = np.random.default_rng(7)
    truth = -np.log(0.01)
    covered = 0
    for _ in range(1_000):
        scaled = np.sort((generator.exponential(size=2_000) * 1e6).astype(np.int64))
        found = quantile(scaled, 0.99)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth * 1e6 <= found.high

    assert 930 <= covered <= 980


def test_no_samples_say_nothing() -> None:
    """An empty set has a count of 0 and no other number."""
    found = distribution(np.array([], dtype=np.int64))

    assert (found.count, found.mean, found.max, found.at(0.5)) == (0, None, None, None)


def test_unanswered_operations_are_slower_than_all_samples() -> None:
    """Two of a hundred without an answer leave p90 alone and take p99 away."""
    found = distribution(np.full(980, 1_000, np.int64), unanswered_count=20)

    p90, p99 = (next(item for item in found.quantiles if item.q == q) for q in (0.9, 0.99))
    assert (p90.value, p90.is_unanswered) == (1_000, False)
    assert (p99.value, p99.is_unanswered) == (None, True)
    assert (found.count, found.unanswered_count) == (980, 20)


def test_nothing_answered_is_not_the_same_as_nothing_asked() -> None:
    """A thousand questions without one answer have no median, and say why."""
    found = distribution(np.array([], dtype=np.int64), unanswered_count=1_000)

    median = next(item for item in found.quantiles if item.q == 0.5)
    assert (median.value, median.is_unanswered) == (None, True)
