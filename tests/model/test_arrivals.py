"""Arrivals: sorted, inside the phases, at the rate asked for, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.arrivals import (
    Arrivals,
    ConstantArrivals,
    DiurnalArrivals,
    HawkesArrivals,
    PoissonArrivals,
    Process,
    RampArrivals,
    RateStep,
    StepArrivals,
    expected_before,
    expected_count,
    fano_factor,
    offsets_ns,
    rate_at,
    scaled_to,
)

SECOND_NS = 1_000_000_000
RATES = st.floats(min_value=0.5, max_value=3_000)
PROCESSES = st.sampled_from(Process)


@st.composite
def stepped(draw: st.DrawFn) -> StepArrivals:
    """Step arrivals of any shape."""
    times = draw(st.sets(st.integers(1, 4 * SECOND_NS), max_size=4))
    steps = [RateStep(at_ns=at, rate_per_s=draw(st.floats(0, 2_000))) for at in (0, *sorted(times))]
    return StepArrivals(process=draw(PROCESSES), steps=tuple(steps))


ARRIVALS = st.one_of(
    st.builds(ConstantArrivals, rate_per_s=RATES),
    st.builds(PoissonArrivals, rate_per_s=RATES),
    st.builds(RampArrivals, process=PROCESSES, from_per_s=RATES, to_per_s=st.floats(0, 3_000)),
    stepped(),
    st.builds(
        DiurnalArrivals,
        process=PROCESSES,
        mean_per_s=RATES,
        amplitude_share=st.floats(0, 0.99),
        peak_share=st.floats(0, 0.99),
        start_share=st.floats(0, 0.99),
        day_ns=st.integers(SECOND_NS // 10, 20 * SECOND_NS),
    ),
)
BURSTY = st.builds(
    HawkesArrivals,
    rate_per_s=RATES,
    branching_ratio=st.floats(0, 0.95),
    decay_per_s=st.floats(1, 100),
)
PHASES = st.tuples(st.integers(0, 2 * SECOND_NS), st.integers(1, 3 * SECOND_NS))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrivals=st.one_of(ARRIVALS, BURSTY), phases=PHASES, seed=st.integers(0, 2**32))
def test_offsets_are_sorted_and_inside(
    arrivals: Arrivals, phases: tuple[int, int], seed: int
) -> None:
    """Offsets ascend within [0, warmup + measure), and the seed decides them."""
    warmup_ns, measure_ns = phases
    found = offsets_ns(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns, seed=seed)

    assert found.dtype == np.int64
    assert bool(np.all(np.diff(found) >= 0))
    assert len(found) == 0 or (found[0] >= 0 and found[-1] < warmup_ns + measure_ns)
    again = offsets_ns(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns, seed=seed)
    assert found.tolist() == again.tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrivals=ARRIVALS, phases=PHASES)
def test_counts_follow_the_planned_rate(arrivals: Arrivals, phases: tuple[int, int]) -> None:
    """The count is the integral of the rate: to one for constant, by chance for Poisson."""
    warmup_ns, measure_ns = phases
    found = offsets_ns(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns, seed=7)
    expected = expected_count(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns)
    is_constant = fano_factor(arrivals, SECOND_NS) == 0

    assert abs(len(found) - expected) <= (1.001 if is_constant else 5 * expected**0.5 + 5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(first=RATES, last=st.floats(0, 3_000), phases=PHASES, steps=stepped(), is_ramp=st.booleans())
def test_constant_process_hits_each_whole_count(
    first: float, last: float, phases: tuple[int, int], steps: StepArrivals, is_ramp: bool
) -> None:
    """The expected count before an arrival of a constant process is a whole number."""
    warmup_ns, measure_ns = phases
    arrivals: Arrivals = StepArrivals(process=Process.CONSTANT, steps=steps.steps)
    if is_ramp:
        arrivals = RampArrivals(process=Process.CONSTANT, from_per_s=first, to_per_s=last)
    found = offsets_ns(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns, seed=0)
    before = expected_before(arrivals, found, warmup_ns=warmup_ns, measure_ns=measure_ns)

    assert np.allclose(before, np.arange(len(found)), atol=1e-4)


def test_constant_arrivals_are_even() -> None:
    """1,000/s is one each millisecond, from the very start."""
    found = offsets_ns(
        ConstantArrivals(rate_per_s=1_000), warmup_ns=0, measure_ns=5_000_000, seed=1
    )

    assert found.tolist() == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]


def test_ramp_is_linear_over_the_measured_phase() -> None:
    """Half way up a ramp, a quarter of the measured arrivals are there; warm-up is flat."""
    arrivals = RampArrivals(process=Process.CONSTANT, from_per_s=0.0, to_per_s=1_000.0)
    found = offsets_ns(arrivals, warmup_ns=SECOND_NS, measure_ns=4 * SECOND_NS, seed=1)

    assert len(found) == 2_000
    assert np.count_nonzero(found < 3 * SECOND_NS) == 500
    assert found[0] >= SECOND_NS
    middle = rate_at(arrivals, 3 * SECOND_NS, warmup_ns=SECOND_NS, measure_ns=4 * SECOND_NS)
    assert middle == pytest.approx(500.0)


def test_steps_change_at_once() -> None:
    """50/s for a second, then 1,500/s; warm-up is at the first rate."""
    arrivals = StepArrivals(
        process=Process.CONSTANT,
        steps=(
            RateStep(at_ns=0, rate_per_s=50.0),
            RateStep(at_ns=SECOND_NS, rate_per_s=1_500.0),
        ),
    )
    found = offsets_ns(arrivals, warmup_ns=SECOND_NS, measure_ns=2 * SECOND_NS, seed=1)

    assert np.count_nonzero(found < 2 * SECOND_NS) == 100
    assert np.count_nonzero(found >= 2 * SECOND_NS) == 1_500
    assert rate_at(arrivals, 0, warmup_ns=SECOND_NS, measure_ns=2 * SECOND_NS) == 50.0
    assert rate_at(arrivals, 9 * SECOND_NS, warmup_ns=SECOND_NS, measure_ns=2 * SECOND_NS) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_poisson_counts_have_their_own_variance(seed: int) -> None:
    """The Fano factor of 100 ms counts is about 1 for Poisson, about 0 for constant."""
    fanos = []
    for arrivals in (PoissonArrivals(rate_per_s=500.0), ConstantArrivals(rate_per_s=500.0)):
        found = offsets_ns(arrivals, warmup_ns=0, measure_ns=60 * SECOND_NS, seed=seed)
        counts, _ = np.histogram(found, bins=600, range=(0, 60 * SECOND_NS))
        fanos.append(counts.var() / counts.mean())

    assert fanos[0] == pytest.approx(1.0, abs=0.25)
    assert fanos[1] < 0.05


def test_scaling_keeps_the_shape() -> None:
    """The highest rate becomes the one asked for, the others follow in proportion."""
    ramp = RampArrivals(process=Process.POISSON, from_per_s=100.0, to_per_s=400.0)

    assert scaled_to(ramp, 2_000.0) == RampArrivals(
        process=Process.POISSON, from_per_s=500.0, to_per_s=2_000.0
    )
