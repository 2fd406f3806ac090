"""
Hawkes arrivals: each one may excite others, so they come in bursts, as trades do.

The rate at t is mu + sum over earlier arrivals of n * beta * exp(-beta (t - t_i)): every arrival
has on average n children, the mean rate is mu / (1 - n). Made by the cluster representation (Hawkes
and Oakes, A Cluster Process Representation of a Self-Exciting Process, 1974): immigrants are a
Poisson process of rate mu, each arrival has Poisson(n) children, each at an Exp(beta) delay. One
generation at a time is drawn as an array.

The schedule must not begin empty, as if nothing had ever happened before. So the process starts
earlier and that part is thrown away. From an empty start the mean rate is the stationary one but
for a factor 1 - n exp(-beta (1 - n) t), and its correlations die out as fast; the lead is long
enough for a millionth.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model.units import NANOS_PER_SECOND

_FORGOTTEN_COUNT = 7.0  # after so many decays the unknown past counts e^-7 of what it did
_VIEW_COUNT_MIN = 20  # arrivals that have a known past
_NEWTON_STEP_COUNT = 8
_BRANCHING_MAX = 0.999
_LEAD_RELAXATION_COUNT = math.log(1e6)  # exp of minus this: what an empty start leaves behind


def hawkes_lead_s(branching_ratio: float, decay_per_s: float) -> float:
    """How long before the schedule the process starts; thrown away."""
    return _LEAD_RELAXATION_COUNT / (decay_per_s * (1 - branching_ratio))


def hawkes_offsets_ns(
    *, rate_per_s: float, branching_ratio: float, decay_per_s: float, duration_ns: int, seed: int
) -> NDArray[np.int64]:
    """Ascending offsets in [0, duration_ns) of the stationary process of that mean rate."""
    chance = np.random.Generator(np.random.PCG64(seed))
    lead_s = hawkes_lead_s(branching_ratio, decay_per_s)
    end_s = duration_ns / NANOS_PER_SECOND
    immigrant_count = chance.poisson(rate_per_s * (1 - branching_ratio) * (lead_s + end_s))
    generation = chance.uniform(-lead_s, end_s, immigrant_count)
    parts = []
    while len(generation):
        parts.append(generation[generation >= 0])
        child_counts = chance.poisson(branching_ratio, len(generation))
        children = np.repeat(generation, child_counts)
        children += chance.standard_exponential(len(children)) / decay_per_s
        generation = children[children < end_s]  # children come later still
    times_s = np.sort(np.concatenate(parts)) if parts else np.zeros(0)
    offsets: NDArray[np.int64] = np.floor(times_s * NANOS_PER_SECOND).astype(np.int64)
    return offsets[offsets < duration_ns]


def hawkes_fano_factor(*, branching_ratio: float, decay_per_s: float, width_s: float) -> float:
    """
    Variance over mean of the counts in windows of *width_s*; 1 / (1 - n)^2 for long ones.

    1 + 2 C / k * (1 - (1 - exp(-k w)) / (k w)), with k = beta (1 - n), its rate of forgetting,
    and C = beta n (2 - n) / (2 (1 - n)): the covariance density, over the mean rate, is C exp(-k t)
    (Hawkes, Spectra of Some Self-Exciting and Mutually Exciting Point Processes, 1971).
    """
    forgets_per_s = decay_per_s * (1 - branching_ratio)
    forgotten = forgets_per_s * width_s
    excess = branching_ratio * (2 - branching_ratio) / (1 - branching_ratio) ** 2
    return 1 + excess * (1 + math.expm1(-forgotten) / forgotten)


def hawkes_count_correlations(
    *, branching_ratio: float, decay_per_s: float, width_s: float, lag_count: int
) -> NDArray[np.float64]:
    """Correlation of the counts of two windows of *width_s* that lie 1, 2, ... windows apart."""
    forgets_per_s = decay_per_s * (1 - branching_ratio)
    forgotten = forgets_per_s * width_s
    excess = branching_ratio * (2 - branching_ratio) / (1 - branching_ratio) ** 2
    fano = hawkes_fano_factor(
        branching_ratio=branching_ratio, decay_per_s=decay_per_s, width_s=width_s
    )
    neighbours = excess / 2 * math.expm1(-forgotten) ** 2 / forgotten / fano
    correlations: NDArray[np.float64] = neighbours * np.exp(-forgotten * np.arange(lag_count))
    return correlations


def hawkes_count_kurtosis(*, rate_per_s: float, branching_ratio: float, width_s: float) -> float:
    """
    Excess kurtosis of the counts in long windows, an upper bound for short ones.

    Clusters come as a Poisson process, so cumulants of counts are moments of cluster sizes, which
    are Borel distributed (Haight and Breuer, The Borel-Tanner Distribution, 1960).
    """
    n, left = branching_ratio, 1 - branching_ratio
    mean, variance = 1 / left, n / left**3
    third, fourth = n * (1 + 2 * n) / left**5, n * (1 + 8 * n + 6 * n**2) / left**7
    second_moment = variance + mean**2
    fourth_moment = fourth + 4 * third * mean + 3 * variance**2 + 6 * variance * mean**2 + mean**4
    return fourth_moment / (rate_per_s * left * width_s * second_moment**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class HawkesView:
    """
    What arrivals say of the process that may have made them.

    Attributes:
        gaps: Each gap in expected counts. They are independent and exponential with mean 1 if, and
            only if, the arrivals are this process (time rescaling; Ogata, Statistical Models for
            Earthquake Occurrences, 1988).
        branching_ratio: The most likely one for these arrivals at the given mean rate and decay.
        branching_error: Its standard error.
    """

    gaps: NDArray[np.float64]
    branching_ratio: float
    branching_error: float


def view_hawkes(
    times_s: NDArray[np.float64], *, rate_per_s: float, branching_ratio: float, decay_per_s: float
) -> HawkesView | None:
    """
    Hold *times_s* (ascending) against the process of these parameters.

    What happened before the first is not known, so those until it is forgotten only serve as the
    past of the others; None if hardly any are left.
    """
    first = int(np.searchsorted(times_s, times_s[0] + _FORGOTTEN_COUNT / decay_per_s))
    if len(times_s) - first < _VIEW_COUNT_MIN:
        return None
    # Of each arrival: the sum of exp(-beta (t - t_j)) over the earlier ones, itself included.
    excitement = _decayed_sums(times_s, decay_per_s, before=rate_per_s / decay_per_s)[first:]
    gaps_s = np.diff(times_s[first:])
    passed_on = -np.expm1(-decay_per_s * gaps_s) * excitement[:-1]
    immigrants = rate_per_s * (1 - branching_ratio) * gaps_s
    estimate, error = _most_likely_branching(
        start=branching_ratio,
        rate_per_s=rate_per_s,
        slopes_per_s=decay_per_s * (excitement[1:] - 1) - rate_per_s,
        integral=float(np.sum(passed_on - rate_per_s * gaps_s)),
    )
    return HawkesView(
        gaps=immigrants + branching_ratio * passed_on,
        branching_ratio=estimate,
        branching_error=error,
    )


def _most_likely_branching(
    *, start: float, rate_per_s: float, slopes_per_s: NDArray[np.float64], integral: float
) -> tuple[float, float]:
    """
    The n that makes arrivals most likely, by Newton's method, and its standard error.

    The rate is m + n d, with m the mean rate and d its slope in n; so the logarithm of the
    likelihood, sum of log(m + n d_i) - n * integral of d, is concave in n.
    """
    estimate, informations = start, []
    for _ in range(_NEWTON_STEP_COUNT):
        shares = slopes_per_s / (rate_per_s + estimate * slopes_per_s)
        informations.append(max(float(np.sum(shares**2)), 1.0))
        estimate += (float(np.sum(shares)) - integral) / informations[-1]
        estimate = min(max(estimate, 0.0), _BRANCHING_MAX)
    return estimate, informations[0] ** -0.5  # as it scatters if *start* is the truth


_BLOCK_DECAY_COUNT = 300.0  # exp of it is far below the largest double


def _decayed_sums(
    times_s: NDArray[np.float64], decay_per_s: float, *, before: float
) -> NDArray[np.float64]:
    """S_i = 1 + S_{i-1} exp(-beta gap), by blocks of time in which the exponentials stay finite."""
    sums = np.empty(len(times_s))
    block_s = _BLOCK_DECAY_COUNT / decay_per_s
    first, carried, origin_s = 0, before, float(times_s[0])
    while first < len(times_s):
        start_s = float(times_s[first])
        carried *= math.exp(-decay_per_s * (start_s - origin_s))
        last = int(np.searchsorted(times_s, start_s + block_s))
        growth = np.exp((times_s[first:last] - start_s) * decay_per_s)
        sums[first:last] = (carried + np.cumsum(growth)) / growth
        carried, origin_s = float(sums[last - 1]), float(times_s[last - 1])
        first = last
    return sums
