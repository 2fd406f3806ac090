"""The judgement: what it must say, what it may never say, and that it is the same from anywhere."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.record import Better
from harness.model.verdict import ExitCode
from reports.compare.judge import judge
from reports.compare.policy import (
    ComparisonPolicy,
    Design,
    MarginRule,
    Margins,
    alpha_of_look,
)
from reports.compare.verdicts import Change, comparison_to_json, worst_change
from reports.statistics.multiplicity import holm
from tests.reports.compare.sides import (
    BASE_NS,
    compare,
    compare_sides,
    metric,
    noisy,
    side,
    tail,
)

VALUES = st.lists(st.floats(min_value=1e-3, max_value=1e12), min_size=1, max_size=30)
WORSE = {Change.REGRESSED}
MIRROR = {
    Change.REGRESSED: Change.IMPROVED,
    Change.IMPROVED: Change.REGRESSED,
}


class TestWhatIsSaid:
    """The four verdicts on plain cases."""

    def test_a_clear_slowdown_is_regressed(self) -> None:
        """3 % at 1 % noise and 20 runs."""
        verdict = compare(metric(noisy(20)), metric(noisy(20, factor=1.03, seed=1)))

        assert verdict.status is Change.REGRESSED
        assert verdict.estimate is not None
        assert 1.02 < verdict.estimate.low_ratio < 1.03 < verdict.estimate.high_ratio < 1.045
        assert verdict.estimate.more_run_count is None

    def test_a_clear_gain_is_improved(self) -> None:
        """The same the other way round."""
        verdict = compare(metric(noisy(20)), metric(noisy(20, factor=0.97, seed=1)))

        assert verdict.status is Change.IMPROVED

    def test_more_is_better_turns_it_round(self) -> None:
        """Less throughput is worse."""
        a = metric(noisy(20), better=Better.MORE, unit="per_s")
        b = metric(noisy(20, factor=0.97, seed=1), better=Better.MORE, unit="per_s")

        assert compare(a, b).status is Change.REGRESSED
        assert compare(b, a).status is Change.IMPROVED
        assert "worse" in compare(a, b).sentence

    def test_little_noise_and_no_effect_is_unchanged(self) -> None:
        """Equivalence is shown, not assumed from the lack of significance."""
        verdict = compare(metric(noisy(20)), metric(noisy(20, seed=1)))

        assert verdict.status is Change.UNCHANGED
        assert "Within 3 % of the baseline" in verdict.sentence

    def test_much_noise_is_inconclusive_and_says_how_many_runs_it_takes(self) -> None:
        """And that number of runs does settle it."""
        a, b = noisy(8, noise=0.1), noisy(8, noise=0.1, seed=1)
        verdict = compare(metric(a), metric(b))
        assert verdict.status is Change.INCONCLUSIVE
        assert verdict.estimate is not None
        further = verdict.estimate.more_run_count
        assert further is not None
        factor = math.ceil((8 + 2 * further) / 8)
        again = compare(metric(a * factor), metric(b * factor))

        assert again.status is not Change.INCONCLUSIVE
        assert f"about {further} more runs a side" in verdict.sentence

    def test_an_effect_under_the_floor_is_not_regressed(self) -> None:
        """Half a per cent is real here, and not worth a red build."""
        verdict = compare(
            metric(noisy(50, noise=0.001)), metric(noisy(50, noise=0.001, factor=1.005, seed=1))
        )
        assert verdict.estimate is not None

        assert verdict.estimate.low_ratio > 1.0
        assert verdict.status is Change.UNCHANGED

    def test_margins_of_a_metric_are_its_own(self) -> None:
        """The first rule that fits wins; the pattern is a shell's."""
        strict = Margins(floor_share=0.001, margin_share=0.002)
        policy = ComparisonPolicy(rules=(MarginRule(pattern="wo*", margins=strict),))
        a, b = noisy(50, noise=0.001), noisy(50, noise=0.001, factor=1.02, seed=1)

        assert compare(metric(a), metric(b), policy).floor_share == 0.001
        assert compare(metric(a, name="x"), metric(b, name="x"), policy).floor_share == 0.01

    def test_an_exact_metric_needs_one_run(self) -> None:
        """A count that repeats is a change as soon as it differs by more than the floor."""
        exact = Margins(floor_share=0.0001, margin_share=0.0001, is_exact=True)
        policy = ComparisonPolicy(rules=(MarginRule(pattern="*", margins=exact),))

        assert compare(metric([1e6]), metric([1e6 + 500]), policy).status is Change.REGRESSED
        assert compare(metric([1e6]), metric([1e6]), policy).status is Change.UNCHANGED

    def test_the_whole_is_as_bad_as_its_worst_metric(self) -> None:
        """One red among greens is red; the sentence names it."""
        a = side(*(metric(noisy(20, seed=i), name=f"m{i}") for i in range(5)))
        metrics = [metric(noisy(20, seed=10 + i), name=f"m{i}") for i in range(5)]
        metrics[3] = metric(noisy(20, factor=1.05, seed=20), name="m3")
        comparison = compare_sides(a, side(*metrics))

        assert comparison.status is Change.REGRESSED
        assert comparison.exit_code == ExitCode.OBJECTIVE_MISSED
        assert comparison.sentence == "1 of 5 metrics became worse: m3."

    @pytest.mark.parametrize("change", list(Change))
    def test_worst_change(self, change: Change) -> None:
        """INVALID hides nothing behind it, and nothing at all is INVALID."""
        assert worst_change([change]) is change
        assert worst_change([change, Change.INVALID]) is Change.INVALID
        assert worst_change([]) is Change.INVALID


class TestProperties:
    """What holds for any numbers."""

    @given(values=VALUES)
    @settings(deadline=None, max_examples=80)
    def test_the_same_on_both_sides_is_never_regressed(self, values: list[float]) -> None:
        """Nor improved."""
        status = compare(metric(values), metric(values)).status

        assert status not in {Change.REGRESSED, Change.IMPROVED}

    @given(a=VALUES, b=VALUES)
    @settings(deadline=None, max_examples=80)
    def test_swapping_the_sides_mirrors_the_verdict(self, a: list[float], b: list[float]) -> None:
        """A regression one way is an improvement the other, unless that is too good to be true."""
        there = compare(metric(a), metric(b)).status
        back = compare(metric(b), metric(a)).status

        if Change.INVALID not in {there, back}:
            assert back is MIRROR.get(there, there)

    @given(scale=st.floats(min_value=1e-6, max_value=1e6), effect=st.floats(0.9, 1.1))
    @settings(deadline=None, max_examples=40)
    def test_the_unit_doesn_t_matter(self, scale: float, effect: float) -> None:
        """Seconds or nanoseconds: same verdict, same ratio."""
        a, b = noisy(12), noisy(12, factor=effect, seed=1)
        plain = compare(metric(a), metric(b))
        scaled = compare(metric([v * scale for v in a]), metric([v * scale for v in b]))
        assert plain.estimate is not None
        assert scaled.estimate is not None

        assert scaled.status is plain.status
        assert scaled.estimate.ratio == pytest.approx(plain.estimate.ratio, rel=1e-9)

    @given(
        effects=st.tuples(st.floats(1.0, 1.3), st.floats(1.0, 1.3)),
        noise=st.floats(0.001, 0.05),
        seed=st.integers(0, 50),
    )
    @settings(deadline=None, max_examples=60)
    def test_a_larger_slowdown_is_not_seen_worse(
        self, effects: tuple[float, float], noise: float, seed: int
    ) -> None:
        """If a slowdown is red, so is every larger one on the same noise."""
        small, large = sorted(effects)
        a, b = noisy(12, noise=noise, seed=seed), noisy(12, noise=noise, seed=seed + 1_000)
        statuses = [
            compare(metric(a), metric([value * effect for value in b])).status
            for effect in (small, large)
        ]

        assert statuses[0] is not Change.REGRESSED or statuses[1] is Change.REGRESSED

    def test_the_order_of_the_runs_doesn_t_matter_without_a_trend(self) -> None:
        """Shuffled runs give the same estimate."""
        a, b = noisy(15), noisy(15, factor=1.04, seed=1)
        plain, shuffled = (
            compare(metric(a), metric(b)).estimate,
            compare(metric(a[::-1]), metric([*b[7:], *b[:7]])).estimate,
        )
        assert plain is not None
        assert shuffled is not None

        assert shuffled.ratio == pytest.approx(plain.ratio, rel=1e-12)

    def test_the_same_input_gives_the_same_bytes(self) -> None:
        """Bootstrap included."""
        texts = [
            json.dumps(
                comparison_to_json(
                    compare_sides(
                        side(metric(noisy(10)), tail(8)),
                        side(metric(noisy(10, seed=1)), tail(8, seed=1)),
                    )
                ),
                allow_nan=False,
            )
            for _ in range(2)
        ]

        assert texts[0] == texts[1]


class TestManyMetrics:
    """One comparison of many metrics is one claim."""

    def test_holm_is_what_the_paper_says(self) -> None:
        """Four p values, adjusted by hand after Holm (1979)."""
        assert holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_metrics_without_a_p_value_count_in_the_family(self) -> None:
        """A metric that could not be measured doesn't make the others surer."""
        assert holm([0.01], 10) == pytest.approx([0.1])

    def test_a_hundred_unchanged_metrics_are_seldom_red(self) -> None:
        """40 suites of 100 metrics without change, noise with heavy tails: 1 expected at most."""
        chance = np.random.default_rng(5)
        red_count = 0
        for _ in range(40):
            sides = [
                side(
                    *(
                        metric(
                            (BASE_NS * np.exp(0.01 * chance.standard_t(4, size=10))).tolist(),
                            name=str(place),
                        )
                        for place in range(100)
                    )
                )
                for _ in "ab"
            ]
            red_count += judge(sides[0], sides[1], ComparisonPolicy()).status is Change.REGRESSED

        assert red_count <= 3

    def test_200_metrics_of_200_runs_take_seconds(self) -> None:
        """Five at most, on a machine that does other things too."""
        sides = [
            side(*(metric(noisy(200, seed=i + s), name=str(i)) for i in range(200)))
            for s in (0, 1_000)
        ]
        started = time.process_time()
        judge(sides[0], sides[1], ComparisonPolicy())

        assert time.process_time() - started < 5.0

    def test_another_session_is_not_a_regression(self) -> None:
        """All metrics shifted at random by 1 %: the scatter is taken for what it is, and told."""
        chance = np.random.default_rng(3)
        a = side(*(metric(noisy(10, noise=0.002, seed=i), name=str(i)) for i in range(40)))
        b = side(
            *(
                metric(
                    noisy(10, noise=0.002, factor=math.exp(0.01 * chance.normal()), seed=100 + i),
                    name=str(i),
                )
                for i in range(40)
            )
        )
        comparison = compare_sides(a, b)
        paired = compare_sides(a, b, ComparisonPolicy(design=Design.PAIRED))

        assert comparison.count_of(Change.REGRESSED) == 0
        assert "scatter" in comparison.remarks[0]
        assert paired.count_of(Change.REGRESSED) > 0

    def test_a_slowdown_of_everything_is_not_taken_for_the_session(self) -> None:
        """All metrics 3 % slower: each is red."""
        a = side(*(metric(noisy(10, noise=0.003, seed=i), name=str(i)) for i in range(30)))
        b = side(
            *(
                metric(noisy(10, noise=0.003, factor=1.03, seed=100 + i), name=str(i))
                for i in range(30)
            )
        )

        assert compare_sides(a, b).count_of(Change.REGRESSED) == 30


class TestStrangeNoise:
    """Noise that fools a mean, a t test, or both."""

    def test_outliers_neither_hide_nor_make_a_change(self) -> None:
        """One run in ten three times as slow."""
        a, b = noisy(20), noisy(20, factor=1.03, seed=1)
        a[3] *= 3.0
        b[7] *= 3.0
        b[15] *= 4.0
        verdict = compare(metric(a), metric(b))
        assert verdict.estimate is not None

        assert verdict.status is Change.REGRESSED
        assert verdict.estimate.ratio == pytest.approx(1.03, abs=0.01)
        assert verdict.estimate.outlier_count == 3

    def test_two_humps_are_seldom_red(self) -> None:
        """Values in two clusters, the same two on both sides, at the level of one in 51 metrics."""
        policy = ComparisonPolicy(alpha=0.05 / 51)
        chance = np.random.default_rng(8)
        red_count = 0
        for _ in range(300):
            a, b = (
                BASE_NS * np.exp(0.003 * chance.normal(size=10) + 0.06 * (chance.random(10) < 0.4))
                for _ in "ab"
            )
            verdict = compare(metric(a.tolist()), metric(b.tolist()), policy)
            red_count += verdict.status is Change.REGRESSED

        assert red_count <= 3  # the biweight alone would call 30 red

    def test_drift_over_the_runs_is_not_a_change(self) -> None:
        """A machine that slows down by 4 % while both sides run, one after the other."""
        slope = np.linspace(0.0, 0.04, 40)
        values = (BASE_NS * np.exp(slope)) * np.array(noisy(40, noise=0.001)) / BASE_NS
        verdict = compare(metric(values[:20].tolist()), metric(values[20:].tolist()))

        assert verdict.status is Change.INCONCLUSIVE
        assert "drift" in verdict.sentence

    def test_more_variance_alone_is_not_a_change(self) -> None:
        """Three times the noise around the same middle: at most 1 in 100 red."""
        red_count = sum(
            compare(
                metric(noisy(10, noise=0.01, seed=seed)),
                metric(noisy(10, noise=0.03, seed=seed + 5_000)),
            ).status
            is Change.REGRESSED
            for seed in range(300)
        )

        assert red_count <= 9  # the level for one metric is 2.5 %

    def test_unequal_numbers_of_runs(self) -> None:
        """Five against fifty is compared, and finds what five can."""
        verdict = compare(metric(noisy(50)), metric(noisy(5, factor=1.1, seed=1)))

        assert verdict.status is Change.REGRESSED
        assert (verdict.baseline.run_count, verdict.candidate.run_count) == (50, 5)

    def test_equal_values_have_no_noise(self) -> None:
        """Zero variance: a difference is a difference, none is none."""
        assert compare(metric([5.0] * 6), metric([5.2] * 6)).status is Change.REGRESSED
        assert compare(metric([5.0] * 6), metric([5.0] * 6)).status is Change.UNCHANGED

    def test_coarse_clocks(self) -> None:
        """Most values equal, some one tick off."""
        a = [100.0] * 12 + [101.0] * 3
        b = [100.0] * 11 + [101.0] * 4

        assert compare(metric(a), metric(b)).status is Change.UNCHANGED


class TestPairs:
    """Both sides alive at once, measured in turn."""

    def test_what_pairs_share_cancels(self) -> None:
        """10 % of common noise, 2 % of effect: found in pairs, hidden otherwise."""
        common = noisy(8, noise=0.1)
        a = [v * w / BASE_NS for v, w in zip(common, noisy(8, noise=0.003, seed=1), strict=True)]
        b = [
            v * w / BASE_NS
            for v, w in zip(common, noisy(8, noise=0.003, factor=1.02, seed=2), strict=True)
        ]
        paired = compare(metric(a), metric(b), ComparisonPolicy(design=Design.PAIRED))

        assert paired.status is Change.REGRESSED
        assert compare(metric(a), metric(b)).status is Change.INCONCLUSIVE

    def test_five_pairs_are_too_few(self) -> None:
        """Their ranks can't agree beyond 3 %, however large the effect."""
        policy = ComparisonPolicy(design=Design.PAIRED)
        a, b = noisy(5, noise=0.1), noisy(5, noise=0.1, seed=1)
        verdict = compare(metric(a), metric([x * 1.05 + 0.001 * y for x, y in zip(a, b)]), policy)  # noqa: B905

        assert verdict.status is not Change.REGRESSED

    def test_pairs_must_be_pairs(self) -> None:
        """Another number of runs on the other side is INVALID."""
        verdict = compare(
            metric(noisy(8)), metric(noisy(7)), ComparisonPolicy(design=Design.PAIRED)
        )

        assert verdict.status is Change.INVALID

    def test_three_looks_spend_one_error(self) -> None:
        """Increments add up to the whole, later looks get more."""
        parts = [alpha_of_look(look, 3, 0.05) for look in (1, 2, 3)]

        assert sum(parts) == pytest.approx(0.05)
        assert parts == sorted(parts)
        assert alpha_of_look(1, 1, 0.05) == 0.05

    def test_three_looks_at_nothing(self) -> None:
        """Stopping at the first red of three looks stays within the error."""
        chance = np.random.default_rng(9)
        red_count, total = 0, 250
        for _ in range(total):
            a, b = (BASE_NS * np.exp(0.01 * chance.normal(size=18)) for _ in "ab")
            for look, count in ((1, 6), (2, 12), (3, 18)):
                policy = ComparisonPolicy(design=Design.PAIRED, alpha=alpha_of_look(look, 3, 0.10))
                verdict = compare(metric(a[:count].tolist()), metric(b[:count].tolist()), policy)
                if verdict.status is Change.REGRESSED:
                    red_count += 1
                    break

        assert red_count <= 0.05 * total + 3 * math.sqrt(0.05 * 0.95 * total)


def test_mde_is_what_is_found_four_times_in_five() -> None:
    """A slowdown of the stated size is found in about 80 % of comparisons."""
    found, total = 0, 150
    for seed in range(total):
        unchanged = compare(metric(noisy(12, seed=seed)), metric(noisy(12, seed=seed + 9_000)))
        assert unchanged.estimate is not None
        factor = 1.0 + unchanged.estimate.mde_share
        slower = metric(noisy(12, factor=factor, seed=seed + 9_000))
        found += compare(metric(noisy(12, seed=seed)), slower).status is Change.REGRESSED

    assert 0.68 < found / total < 0.95


def test_a_policy_that_lets_everything_pass_is_not_comparable() -> None:
    """Asserted at construction."""
    with pytest.raises(AssertionError):
        replace(ComparisonPolicy(), alpha=0.0)
    with pytest.raises(AssertionError):
        replace(ComparisonPolicy(), run_count_min=1)
