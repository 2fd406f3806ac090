"""Whether resident memory grows: leaks are seen, and nothing else is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.model.memory_slope import (
    BLOCK_COUNT,
    BLOCK_SAMPLE_COUNT_MIN,
    LeakVerdict,
    memory_slope,
)

MEBIBYTE = 2.0**20


def verdict_of(held: NDArray[np.float64]) -> LeakVerdict:
    """Of one sample a second."""
    return memory_slope([at * 10**9 for at in range(len(held))], held.tolist()).verdict


def wandering(kind: str, seed: int, number: int = 300) -> NDArray[np.float64]:
    """Memory of a service that does not leak."""
    chance = np.random.default_rng(seed)
    noise = chance.normal(0, MEBIBYTE, number)
    if kind == "random walk":
        return 100 * MEBIBYTE + np.cumsum(noise) / 10
    if kind == "autoregressive":
        for index in range(1, number):
            noise[index] += 0.9 * noise[index - 1]
    if kind == "high-water marks":
        return 100 * MEBIBYTE + np.maximum.accumulate(noise)
    return 100 * MEBIBYTE + noise


@pytest.mark.parametrize("kind", ["noise", "autoregressive", "random walk", "high-water marks"])
def test_memory_that_wanders_is_no_leak(kind: str) -> None:
    """At most five of a hundred seeds cry wolf, however the samples depend on each other."""
    cries = sum(verdict_of(wandering(kind, seed)) is LeakVerdict.LEAK for seed in range(100))

    assert cries <= 5


@pytest.mark.parametrize("kind", ["noise", "autoregressive", "random walk"])
def test_a_leak_is_seen_through_it(kind: str) -> None:
    """Growth of 12 MiB a minute in five minutes, under noise of one or two."""
    growth = np.arange(300) * 0.2 * MEBIBYTE

    seen = sum(verdict_of(wandering(kind, seed) + growth) is LeakVerdict.LEAK for seed in range(50))

    assert seen >= 48


def test_the_slope_is_the_slope() -> None:
    """Bytes a second, within its interval, which is narrow where nothing wanders."""
    held = 50 * MEBIBYTE + np.arange(600) * 1_000.0

    slope = memory_slope([at * 10**9 for at in range(600)], held.tolist())

    assert slope.verdict is LeakVerdict.LEAK
    assert slope.slope_bytes_per_s == pytest.approx(1_000.0)
    assert slope.low_bytes_per_s == pytest.approx(1_000.0)
    assert slope.high_bytes_per_s == pytest.approx(1_000.0)


def test_a_cache_that_fills_up_is_no_leak() -> None:
    """Growth that has ended before the last quarter of the run."""
    held = 50 * MEBIBYTE + np.minimum(np.arange(600), 420) * 10_000.0

    assert verdict_of(held) is LeakVerdict.NONE_SEEN


def test_memory_that_never_moves_is_no_leak() -> None:
    """No variance, no slope, no division by it."""
    assert verdict_of(np.full(600, MEBIBYTE)) is LeakVerdict.NONE_SEEN


def test_too_few_samples_tell_nothing() -> None:
    """Also where most of them could not be read."""
    enough = BLOCK_COUNT * BLOCK_SAMPLE_COUNT_MIN
    unread = np.full(600, np.nan)
    unread[: enough - 1] = np.arange(enough - 1) * MEBIBYTE

    assert verdict_of(np.arange(enough - 1) * MEBIBYTE) is LeakVerdict.TOO_SHORT
    assert verdict_of(unread) is LeakVerdict.TOO_SHORT
    assert verdict_of(np.arange(enough) * MEBIBYTE) is LeakVerdict.LEAK
