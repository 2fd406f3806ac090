"""The estimators against published methods, other implementations, and their own claims."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from reports.compare.verdicts import Change
from reports.statistics.location import Method, effect_of_pairs, effect_of_runs, welch_freedom
from reports.statistics.noise import Noise
from reports.statistics.rank_tests import drift_ratio, signed_rank_chance
from reports.statistics.session import SESSION_PRIOR_RATIO, session_ratios
from reports.statistics.student import student_quantile
from reports.statistics.tail_ratio import paired_tail_effect, run_quantiles, tail_effect
from tests.reports.compare.sides import compare, tail


class TestStudent:
    """The wrapped distribution."""

    @pytest.mark.parametrize("freedom", [1.0, 3.7, 30.0])
    def test_it_is_scipy_s(self, freedom: float) -> None:
        """The quantile agrees with scipy.stats.t."""
        assert student_quantile(freedom, 0.01) == pytest.approx(stats.t.isf(0.01, freedom))


class TestMean:
    """Few runs, or clusters: Welch."""

    def test_it_is_welch_s(self) -> None:
        """Statistic and degrees of freedom are those of scipy."""
        chance = np.random.default_rng(1)
        a, b = chance.normal(size=5), chance.normal(size=7) * 2.0 + 1.0
        effect = effect_of_runs(a, b)
        theirs = stats.ttest_ind(b, a, equal_var=False)

        assert effect.method is Method.MEAN
        assert effect.log_ratio / effect.ratio_error == pytest.approx(theirs.statistic)
        assert effect.freedom == pytest.approx(theirs.df)

    def test_clusters_are_not_set_aside(self) -> None:
        """Three of ten far away are a mode."""
        a = np.array([0.0, 0.01, -0.01, 0.02, -0.02, 0.0, 0.01, 1.0, 1.01, 0.99])
        effect = effect_of_runs(a, a)

        assert effect.is_clustered
        assert effect.method is Method.MEAN

    def test_freedom_of_equal_variances_adds(self) -> None:
        """Satterthwaite's special case."""
        assert welch_freedom((1.0, 1.0), (9.0, 9.0)) == pytest.approx(18.0)


class TestBiweight:
    """Eight runs and more."""

    def test_it_agrees_with_another_implementation(self) -> None:
        """Location after Mosteller and Tukey, iterated to the end by a root finder."""
        chance = np.random.default_rng(2)
        a, b = chance.normal(size=15), chance.normal(size=15) + 0.5
        residuals = np.concatenate([a - np.median(a), b - np.median(b)])
        scale = stats.median_abs_deviation(residuals, scale="normal") * 30 / 28

        def location(x: np.ndarray) -> float:
            place = float(np.median(x))
            for _ in range(500):
                u = (x - place) / (6.0 * scale)
                w = np.clip(1.0 - u**2, 0.0, None) ** 2
                place = float((w * x).sum() / w.sum())
            return place

        effect = effect_of_runs(a, b)

        assert effect.method is Method.BIWEIGHT
        assert effect.log_ratio == pytest.approx(location(b) - location(a), abs=2e-3)

    @pytest.mark.parametrize("count", [8, 10, 25])
    @pytest.mark.parametrize("kind", ["normal", "outliers", "t3"])
    def test_its_interval_holds(self, count: int, kind: str) -> None:
        """A 95 % interval covers the truth in at least 93 %, and is not wide for nothing."""
        chance = np.random.default_rng(count)
        missed, total = 0, 1_500
        for _ in range(total):
            draws = chance.normal(size=(2, count))
            if kind == "outliers":
                draws += np.where(chance.random(draws.shape) < 0.08, 8.0, 0.0)
            if kind == "t3":
                draws = chance.standard_t(3, size=(2, count))
            effect = effect_of_runs(draws[0], draws[1])
            reach = student_quantile(effect.freedom, 0.025) * effect.ratio_error
            missed += abs(effect.log_ratio) > reach

        assert 0.01 < missed / total < 0.07

    def test_half_the_values_are_equal(self) -> None:
        """A coarse clock doesn't make the scale zero."""
        a = np.array([0.0] * 12 + [0.01] * 3)
        effect = effect_of_runs(a, a + 0.005)

        assert effect.log_ratio == pytest.approx(0.005)
        assert math.isfinite(effect.ratio_error)


class TestPaired:
    """Side by side."""

    def test_it_is_the_paired_t_test(self) -> None:
        """Six pairs with much in common: scipy's ttest_rel."""
        chance = np.random.default_rng(3)
        common = chance.normal(size=6) * 5.0
        a, b = common + chance.normal(size=6) * 0.1, common + chance.normal(size=6) * 0.1 + 0.3
        effect = effect_of_pairs(a, b)
        theirs = stats.ttest_rel(b, a)

        assert effect.method is Method.PAIRED_MEAN
        assert effect.log_ratio / effect.ratio_error == pytest.approx(theirs.statistic)

    def test_pairs_with_nothing_in_common_are_dropped(self) -> None:
        """Where pairing would only cost freedom, it is not used."""
        chance = np.random.default_rng(4)
        methods = {
            effect_of_pairs(*chance.normal(size=(2, 6))).method  # type: ignore[arg-type]
            for _ in range(40)
        }

        assert Method.MEAN in methods


class TestSession:
    """What the metrics show together."""

    def test_no_scatter_beyond_errors_is_the_prior_s(self) -> None:
        """Effects as small as their errors say: less than the prior remains."""
        chance = np.random.default_rng(5)
        errors = np.full(60, 0.01)

        assert session_ratios(chance.normal(size=60) * 0.005, errors).max() < SESSION_PRIOR_RATIO

    def test_scatter_is_found(self) -> None:
        """1 % of session over 0.2 % of error comes out within a third."""
        chance = np.random.default_rng(6)
        errors = np.full(60, 0.002)
        ratios = session_ratios(np.hypot(0.01, 0.002) * chance.normal(size=60), errors)

        assert 0.0067 < ratios.min() <= ratios.max() < 0.0133

    def test_a_shift_of_all_is_no_scatter(self) -> None:
        """It is measured around the median."""
        errors = np.full(20, 0.002)

        assert session_ratios(np.full(20, 0.05), errors).max() < SESSION_PRIOR_RATIO

    def test_a_metric_doesn_t_excuse_itself(self) -> None:
        """Only one changed, by much: the others' estimate rises, its own doesn't."""
        effects = np.zeros(20)
        effects[7] = 0.2
        ratios = session_ratios(effects, np.full(20, 0.002))

        assert ratios[7] == ratios.min() < SESSION_PRIOR_RATIO

    def test_it_matches_paule_and_mandel(self) -> None:
        """Without clipping at work: the between variance solves their equation."""
        effects = np.array([0.010, -0.012, 0.004, -0.006, 0.008, -0.003, 0.001])
        errors = np.full(7, 0.002)
        measured = session_ratios(np.append(effects, 0.0), np.append(errors, 0.002))[-1]
        weight = 10 + 7
        between = (measured**2 * weight - 10 * SESSION_PRIOR_RATIO**2) / 7
        middle = np.median(effects)
        excess = ((effects - middle) ** 2 / (errors**2 + between)).sum()

        assert excess == pytest.approx(0.995 * 6, rel=1e-3)


class TestNoise:
    """Quantiles of two sources."""

    def test_chance_and_reach_are_inverse(self) -> None:
        """What is reached with probability p has the chance p."""
        noise = Noise(ratio_error=0.01, freedom=7.0, session_ratio=0.002)

        for share in (0.3, 0.05, 1e-6):
            assert noise.chance_of(noise.reach(share)) == pytest.approx(share, rel=1e-6)
        assert noise.chance_of(0.0) == 0.5
        assert noise.chance_of(-0.01) == pytest.approx(1.0 - noise.chance_of(0.01))
        assert noise.chance_of(1e9) > 0.0

    def test_without_a_session_it_is_student_s(self) -> None:
        """A paired design has one source."""
        noise = Noise(ratio_error=0.01, freedom=7.0, session_ratio=0.0)

        assert noise.chance_of(0.025) == pytest.approx(stats.t.sf(2.5, 7.0))


class TestTails:
    """High quantiles over runs."""

    def test_its_interval_knows_that_runs_differ(self) -> None:
        """95 % intervals over 6 runs cover the truth in 90 %; pooled ones in under 70 %."""
        missed = pooled_missed = 0
        total = 120
        for seed in range(total):
            a, b = (tail(6, run_noise=0.15, seed=seed * 2 + place).data for place in (0, 1))
            effect = tail_effect(a, b)  # type: ignore[arg-type]
            reach = student_quantile(effect.freedom, 0.025) * effect.ratio_error
            missed += abs(effect.log_ratio) > reach
            # The density at the p99 of this lognormal gives the error of independent samples.
            density = stats.norm.pdf(stats.norm.ppf(0.99)) / 0.5
            independent = math.sqrt(2.0 * 0.01 * 0.99 / 12_000) / density
            pooled_missed += abs(effect.log_ratio) > 1.96 * independent

        assert missed / total < 0.10
        assert pooled_missed / total > 0.30

    def test_a_slower_tail_is_found(self) -> None:
        """20 % on p99 over 10 runs."""
        verdict = compare(tail(10), tail(10, factor=1.2, seed=1))
        assert verdict.estimate is not None

        assert verdict.status is Change.REGRESSED
        assert verdict.estimate.method is Method.TAIL
        assert verdict.estimate.low_ratio < 1.2 < verdict.estimate.high_ratio

    def test_one_bad_run_is_not_a_bad_tail(self) -> None:
        """A run with ten times the latency owns the pooled p99; the interval says so."""
        b = tail(10, seed=1)
        bad = tail(1, factor=10.0, seed=2)
        assert hasattr(b.data, "runs")
        assert hasattr(bad.data, "runs")
        torn = type(b.data)(q=0.99, runs=(*b.data.runs[:9], bad.data.runs[0]))
        verdict = compare(tail(10), type(b)(name=b.name, unit=b.unit, better=b.better, data=torn))

        assert verdict.status is Change.INCONCLUSIVE

    def test_run_quantiles_are_the_nearest_rank(self) -> None:
        """As numpy's inverted_cdf."""
        data = tail(3, sample_count=777).data
        assert hasattr(data, "runs")

        assert run_quantiles(data).tolist() == [  # type: ignore[arg-type]
            np.quantile(run.ordered, 0.99, method="inverted_cdf") for run in data.runs
        ]

    def test_the_pooled_quantile_is_that_of_all_samples(self) -> None:
        """Within what the grid resolves."""
        data = tail(5, sample_count=3_000).data
        assert hasattr(data, "runs")
        pooled = np.concatenate([run.ordered for run in data.runs])
        shifted = tail(5, sample_count=3_000, seed=3).data
        assert hasattr(shifted, "runs")
        other = np.concatenate([run.ordered for run in shifted.runs])
        expected = math.log(np.quantile(other, 0.99) / np.quantile(pooled, 0.99))

        assert tail_effect(data, shifted).log_ratio == pytest.approx(expected, abs=0.003)  # type: ignore[arg-type]

    def test_paired_runs_share_their_noise(self) -> None:
        """The same runs 2 % slower: the pairs know it exactly."""
        a = tail(8, run_noise=0.2).data
        b = tail(8, run_noise=0.2, factor=1.02).data
        apart, paired = tail_effect(a, b), paired_tail_effect(a, b)  # type: ignore[arg-type]

        assert paired.log_ratio == pytest.approx(math.log(1.02), abs=1e-6)
        assert paired.ratio_error < apart.ratio_error / 20


class TestSignedRanks:
    """The second opinion on pairs."""

    @pytest.mark.parametrize("step", [0.0, 0.5])
    @pytest.mark.parametrize("count", [6, 9, 13, 20])
    def test_they_are_scipy_s(self, count: int, step: float) -> None:
        """With and without ties and zeros, few pairs and many."""
        values = np.random.default_rng(count).normal(0.3, 1.0, count)
        values = np.round(values / step) * step if step else values
        theirs = stats.wilcoxon(values, alternative="greater")

        assert signed_rank_chance(values) == pytest.approx(theirs.pvalue)

    def test_equal_pairs_take_no_time(self) -> None:
        """Ties among thirteen pairs: SciPy takes seconds for each."""
        values = np.repeat([0.1, -0.2, 0.3], 5)[:13]
        started = time.process_time()
        for _ in range(20):
            signed_rank_chance(values)

        assert time.process_time() - started < 1.0


class TestDrift:
    """A trend over a side's own runs."""

    def test_size_and_sign(self) -> None:
        """4 % from first to last."""
        chance = np.random.default_rng(7)
        values = np.linspace(0.0, -0.04, 20) + 0.002 * chance.normal(size=20)

        assert drift_ratio(values) == pytest.approx(-0.04, abs=0.006)

    def test_noise_has_none(self) -> None:
        """Nor have equal values."""
        assert drift_ratio(np.random.default_rng(8).normal(size=20)) == 0.0
        assert drift_ratio(np.ones(20)) == 0.0
