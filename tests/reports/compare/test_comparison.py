"""From stored runs to a verdict; and whatever is wrong with them never ends green."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pytest

from harness.model.metrics import Figure
from harness.model.policy_file import ComparisonSpec, MarginSpec, Policy
from harness.model.profile import Metric
from harness.model.record import Better, Invariant
from harness.model.scenario import ObjectiveSpec
from harness.model.verdict import Correctness, ExitCode, Performance, Validity
from harness.model.waivers import Waiver
from reports.compare.comparison import Dossier, compared_sides, rules_of
from reports.compare.verdicts import Change
from reports.figures.rest import profile_figures
from reports.figures.run_evidence import RunEvidence
from reports.figures.run_tables import ProfiledStart
from reports.figures.samples import RunSamples
from tests.reports.compare.made_runs import (
    all_changed,
    first_changed,
    side_input,
    with_part,
    with_record,
)
from tests.reports.profile.made_passes import made_profile

Runs = tuple[RunEvidence, ...]


def policy(objectives: tuple[ObjectiveSpec, ...] = (), **spec: object) -> Policy:
    """A policy of these parts."""
    comparison = ComparisonSpec(**spec)  # type: ignore[arg-type]
    return Policy(
        name="test", file="", objectives=objectives, comparison=comparison, digest="d", document={}
    )


def compared(a: Runs, b: Runs, of: Policy | None = None) -> Dossier:
    """The comparison of two sets of runs."""
    return compared_sides(side_input("a", a), side_input("b", b), rules_of(of))


def statuses(dossier: Dossier) -> dict[str, Change]:
    """The verdict of each metric."""
    return {metric.name: metric.status for metric in dossier.comparison.metrics}


class TestVerdicts:
    """What sound runs say."""

    def test_the_same_build_is_not_red(self, before: Runs, same: Runs) -> None:
        """Nothing changed, nothing is called changed."""
        dossier = compared(before, same)

        assert dossier.comparison.faults == ()
        assert {Change.REGRESSED, Change.IMPROVED, Change.INVALID}.isdisjoint(
            statuses(dossier).values()
        )

    def test_a_slower_build_is_red(self, before: Runs, slower: Runs) -> None:
        """A fifth more CPU and response is found, and named worst first in the sentence."""
        dossier = compared(before, slower)
        found = statuses(dossier)

        assert found["all.response_ns.p50"] is Change.REGRESSED
        assert found["target.cpu_ns_per_operation"] is Change.REGRESSED
        assert found["operations.failed_share"] is Change.UNCHANGED
        assert dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED
        assert "became worse" in dossier.comparison.sentence

    def test_a_faster_build_is_green(self, before: Runs, slower: Runs) -> None:
        """The other way round nothing is worse."""
        dossier = compared(slower, before)

        assert statuses(dossier)["all.response_ns.p50"] is Change.IMPROVED
        assert Change.REGRESSED not in statuses(dossier).values()

    def test_one_run_a_side_is_open_and_says_what_would_settle_it(
        self, before: Runs, slower: Runs
    ) -> None:
        """Both values are there, and how many starts are needed."""
        dossier = compared(before[:1], slower[:1])
        metric = next(m for m in dossier.comparison.metrics if m.name == "all.response_ns.p50")

        assert dossier.comparison.exit_code == ExitCode.INCONCLUSIVE
        assert metric.baseline.value is not None
        assert metric.candidate.value is not None
        assert "at least 5 process starts a side" in metric.sentence

    def test_another_build_of_the_target_is_shown_and_refuses_nothing(
        self, before: Runs, same: Runs
    ) -> None:
        """An upgrade of the target's own Python must be gateable."""
        upgraded = all_changed(
            same, lambda run: with_part(run, "target", {"python": "3.13.1", "build": "c0ffee"})
        )
        dossier = compared(before, upgraded)

        assert {item.name for item in dossier.differences} == {"target.python", "target.build"}
        assert not any(item.is_obstacle for item in dossier.differences)
        assert dossier.comparison.faults == ()

    def test_shares_of_failures_are_judged_by_their_difference(
        self, before: Runs, same: Runs
    ) -> None:
        """None on one side and a few on the other is no reason to refuse; many are red."""
        few = compared(before, with_failures(same, 2e-4))
        many = compared(before, with_failures(same, 0.01))

        assert statuses(few)["operations.failed_share"] is Change.UNCHANGED
        assert statuses(many)["operations.failed_share"] is Change.REGRESSED
        assert many.comparison.exit_code == ExitCode.OBJECTIVE_MISSED

    def test_an_overloaded_service_is_slow_and_not_invalid(self, before: Runs, same: Runs) -> None:
        """Where most operations were never answered, percentiles are worse than any time."""
        dossier = compared(before, all_changed(same, overloaded))
        found = statuses(dossier)

        assert found["all.response_ns.p99"] is Change.REGRESSED
        assert found["all.response_ns.p50"] is Change.REGRESSED
        assert dossier.comparison.exit_code == ExitCode.OBJECTIVE_MISSED


def overloaded(run: RunEvidence) -> RunEvidence:
    """*run* of which twice as many operations were never answered as were."""
    samples = {
        family: RunSamples(ordered=item.ordered, unanswered_count=2 * len(item.ordered))
        for family, item in run.samples.items()
    }
    figures = tuple(
        replace(item, value=float("inf")) if item.name.endswith(".response_ns.p50") else item
        for item in run.figures
    )
    return replace(run, samples=samples, figures=figures)


def with_failures(runs: Runs, share: float) -> Runs:
    """*runs* in which that share of operations failed."""
    return tuple(
        replace(
            run,
            figures=tuple(
                replace(item, value=share * (1.0 + 0.1 * place))
                if item.name == "operations.failed_share"
                else item
                for item in run.figures
            ),
        )
        for place, run in enumerate(runs)
    )


def test_a_profile_on_one_side_is_no_fault(before: Runs, same: Runs) -> None:
    """Its costs are judged where every run has them, or where a policy says so."""
    cost = Figure(
        name="profile.allocated_bytes_per_operation", unit="bytes", better=Better.LESS, value=900.0
    )

    def profiled(run: RunEvidence) -> RunEvidence:
        start = ProfiledStart(record=run.record, profiles=())
        return replace(run, starts=(start,), figures=(*run.figures, cost))

    a, b = all_changed(before, profiled), all_changed(same, profiled)
    named = policy(metrics=("profile.*",))

    assert cost.name in statuses(compared(a, b))
    assert cost.name not in statuses(compared(a, same))
    assert compared(a, same).comparison.faults == ()
    assert compared(a, same, named).comparison.exit_code == ExitCode.INVALID


def test_costs_with_and_without_what_is_done_at_rest_are_not_compared(
    before: Runs, same: Runs
) -> None:
    """Runs of before nobody looked at the service at rest: their cost of an operation is more."""

    def profiled(run: RunEvidence, *, at_rest: bool) -> RunEvidence:
        found = made_profile(Metric.ALLOCATED_BYTES)
        little = replace(found.segments[-1], weights={0: 1}, operation_counts={})
        found = replace(found, rest=little if at_rest else None)
        start = ProfiledStart(record=run.record, profiles=(found,))
        return replace(run, starts=(start,), figures=(*run.figures, *profile_figures((found,))))

    def both(is_a: bool, is_b: bool) -> set[str]:
        sides = ((before, is_a), (same, is_b))
        a, b = (all_changed(runs, partial(profiled, at_rest=at_rest)) for runs, at_rest in sides)
        return set(statuses(compared(a, b)))

    name = "profile.allocated_bytes_per_operation"
    assert name in both(False, False)
    assert name not in both(False, True)


class TestPolicy:
    """What a policy file changes."""

    def test_margins_and_chosen_metrics(self, before: Runs, slower: Runs) -> None:
        """A change within the margin a team has chosen is none."""
        wide = MarginSpec(pattern="*", floor_share=0.5, margin_share=0.9, is_exact=False)
        dossier = compared(
            before, slower, policy(margins=(wide,), metrics=("reserve.*.p50", "rate.*"))
        )

        assert set(statuses(dossier)) == {
            "reserve.response_ns.p50",
            "reserve.service_ns.p50",
            "reserve.visible_ns.p50",
            "reserve.wait_ns.p50",
            "rate.achieved_per_s",
            "rate.sent_per_s",
            "rate.achieved_share",
        } - {"reserve.visible_ns.p50"}

    def test_a_waived_regression_is_shown_and_not_red(self, before: Runs, slower: Runs) -> None:
        """Owner and reason stand beside it; what is not waived still counts."""
        waiver = Waiver(metric="*", owner="ops", reason="known", until=date(2030, 1, 1))
        one = replace(waiver, metric="all.response_ns.p50")
        waived = compared(before, slower, policy(waivers=(waiver,))).comparison
        still_red = compared(before, slower, policy(waivers=(one,))).comparison
        metric = next(m for m in waived.metrics if m.name == "all.response_ns.p50")

        assert metric.status is Change.REGRESSED
        assert metric.waiver == "waived by ops until 2030-01-01: known"
        assert waived.exit_code != ExitCode.OBJECTIVE_MISSED
        assert "waived" in waived.sentence
        assert still_red.exit_code == ExitCode.OBJECTIVE_MISSED

    def test_objectives_hold_whatever_the_baseline_was(self, before: Runs, same: Runs) -> None:
        """Missed is red, met is not, and what nobody measured is not known."""
        missed = ObjectiveSpec(metric="all.response_ns.p99", limit=1.0, at_most=True)
        met = replace(missed, limit=1e12)
        unknown = replace(missed, metric="transfer.response_ns.p9999", limit=1e12)
        red = compared(before, same, policy((missed,))).comparison
        open_ = compared(before, same, policy((met, unknown))).comparison

        assert red.exit_code == ExitCode.OBJECTIVE_MISSED
        assert [item.status for item in open_.objectives] == [
            Performance.PASSED,
            Performance.INCONCLUSIVE,
        ]
        assert open_.exit_code == ExitCode.INCONCLUSIVE

    def test_an_ignored_difference_is_shown(self, before: Runs, same: Runs) -> None:
        """It no longer refuses, and doesn't vanish."""
        other = all_changed(same, lambda run: with_part(run, "environment", {"kernel": "6.2.0"}))
        dossier = compared(before, other, policy(ignored=("environment.kernel",)))

        assert dossier.comparison.faults == ()
        assert [item.name for item in dossier.differences if item.is_ignored] == [
            "environment.kernel"
        ]


class TestNames:
    """What a policy names and nobody measured is said, and is no pass."""

    P50 = "all.response_ns.p50"

    def test_a_misspelt_metric_is_no_pass(self, before: Runs, same: Runs) -> None:
        """Nothing was judged of it, so nothing is proved."""
        named = policy(metrics=(self.P50, "all.respons_ns.p99"))
        comparison = compared(before, same, named).comparison
        (doubt,) = comparison.doubts

        assert comparison.exit_code == ExitCode.INCONCLUSIVE
        assert "metric all.respons_ns.p99 is on neither side; correct its name" in doubt

    def test_the_embedded_broker_is_why(self, before: Runs, same: Runs) -> None:
        """Its visible latencies are left out; with another broker they are there."""
        named = policy(metrics=(self.P50, "all.visible_ns.p99"))
        (doubt,) = compared(before, same, named).comparison.doubts
        real = [
            all_changed(runs, lambda run: with_part(run, "broker", {"kind": "external"}))
            for runs in (before, same)
        ]

        assert "embedded broker" in doubt
        assert compared(real[0], real[1], named).comparison.doubts == ()

    def test_patterns_of_the_program_are_no_demand(self, before: Runs, same: Runs) -> None:
        """kernel.* fits nothing in a run of a service, and nobody wrote it."""
        assert compared(before, same).comparison.doubts == ()
        assert compared(before, same, policy(alpha=0.01)).comparison.doubts == ()

    def test_without_runs_no_name_is_wrong(self) -> None:
        """That there is no run is said, and that alone."""
        comparison = compared((), (), policy(metrics=(self.P50,))).comparison

        assert comparison.doubts == ()
        assert "there is no run" in comparison.sentence

    def test_what_only_one_side_has_is_there(self, before: Runs, same: Runs) -> None:
        """It is judged as new, or as gone."""
        extra = Figure(name="custom", unit="ns", better=Better.LESS, value=1.0)
        new = all_changed(same, lambda run: replace(run, figures=(*run.figures, extra)))

        assert compared(before, new, policy(metrics=("cust*",))).comparison.doubts == ()

    def test_margins_and_waivers_for_nothing_are_told(self, before: Runs, same: Runs) -> None:
        """They change no verdict."""
        wide = MarginSpec(pattern="*.p49", floor_share=0.1, margin_share=0.2, is_exact=False)
        waiver = Waiver(metric="al.*", owner="ops", reason="known", until=date(2030, 1, 1))
        plain = compared(before, same).comparison
        told = compared(before, same, policy(margins=(wide,), waivers=(waiver,))).comparison
        used = compared(before, same, policy(margins=(replace(wide, pattern="*.p50"),))).comparison

        assert (
            "In the policy, and for no metric here: [[margins]] of *.p49, [[waivers]] of al.*."
            in told.remarks
        )
        assert told.exit_code == plain.exit_code
        assert not any("for no metric here" in text for text in used.remarks)


def failed_audit(run: RunEvidence) -> RunEvidence:
    """*run* that lost money."""
    section = run.record.correctness
    broken = replace(section.invariants[0], status=Correctness.FAILED, violation_count=1)
    return with_record(
        run,
        correctness=replace(
            section, status=Correctness.FAILED, invariants=(broken, *section.invariants[1:])
        ),
    )


def undecided_law(run: RunEvidence) -> RunEvidence:
    """*run* of which a law could not be checked."""
    section = run.record.correctness
    unknown: Invariant = replace(
        section.invariants[0], status=Correctness.UNKNOWN, missing=("a topic",)
    )
    return with_record(
        run, correctness=replace(section, invariants=(unknown, *section.invariants[1:]))
    )


def invalid(run: RunEvidence) -> RunEvidence:
    """*run* whose generator was late."""
    return with_record(run, validity=replace(run.record.validity, status=Validity.INVALID))


def without_figure(run: RunEvidence, name: str) -> RunEvidence:
    """*run* that did not measure *name*."""
    return replace(run, figures=tuple(item for item in run.figures if item.name != name))


def with_figure(run: RunEvidence, name: str, **changes: object) -> RunEvidence:
    """*run* whose figure *name* is another."""
    return replace(
        run,
        figures=tuple(
            replace(item, **changes) if item.name == name else item  # type: ignore[arg-type]
            for item in run.figures
        ),
    )


def collapsed(run: RunEvidence) -> RunEvidence:
    """*run* that is 97 % faster, as one that does nothing."""
    samples = {
        family: RunSamples(ordered=np.asarray(0.03 * item.ordered), unanswered_count=0)
        for family, item in run.samples.items()
    }
    return replace(run, samples=samples)


P50, CPU = "all.response_ns.p50", "target.cpu_ns_per_operation"
# What is done to the candidate (all runs, or the first), the exit code, a part of what is said.
FAULTS: dict[str, tuple[Callable[[Runs], Runs], ExitCode, str]] = {
    "no run": (lambda runs: (), ExitCode.INVALID, "there is no run"),
    "metric missing": (
        lambda runs: all_changed(runs, lambda run: without_figure(run, CPU)),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "metric missing in one run": (
        lambda runs: first_changed(runs, lambda run: without_figure(run, CPU)),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "NaN": (
        lambda runs: first_changed(runs, lambda run: with_figure(run, CPU, value=float("nan"))),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "infinite": (
        lambda runs: first_changed(runs, lambda run: with_figure(run, P50, value=float("inf"))),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "unit changed": (
        lambda runs: all_changed(runs, lambda run: with_figure(run, P50, unit="ms")),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "orientation changed": (
        lambda runs: all_changed(runs, lambda run: with_figure(run, P50, better=Better.MORE)),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "no samples": (
        lambda runs: first_changed(runs, lambda run: replace(run, samples={})),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "other machine": (
        lambda runs: all_changed(
            runs, lambda run: with_part(run, "environment", {"cpu_model": "another"})
        ),
        ExitCode.INVALID,
        "environment.cpu_model is 'AMD EPYC 9R14', and 'another'",
    ),
    "machine not recorded": (
        lambda runs: all_changed(
            runs, lambda run: with_part(run, "environment", {"cpu_model": ""})
        ),
        ExitCode.INVALID,
        "environment.cpu_model",
    ),
    "other harness": (
        lambda runs: all_changed(
            runs, lambda run: with_part(run, "environment", {"harness_digest": "abc"})
        ),
        ExitCode.INVALID,
        "environment.harness_digest",
    ),
    "other package of the harness": (
        lambda runs: all_changed(
            runs, lambda run: with_part(run, "environment", {"packages": {"grpcio": "1.80.0"}})
        ),
        ExitCode.INVALID,
        "environment.packages.grpcio",
    ),
    "other scenario": (
        lambda runs: all_changed(runs, lambda run: with_part(run, "scenario", {"digest": "x"})),
        ExitCode.INVALID,
        "scenario.digest",
    ),
    "other schedule": (
        lambda runs: all_changed(runs, lambda run: with_record(run, schedule_digest="x")),
        ExitCode.INVALID,
        "schedule_digest",
    ),
    "other driver": (
        lambda runs: all_changed(runs, lambda run: with_part(run, "load", {"driver": "grpcio"})),
        ExitCode.INVALID,
        "load.driver is 'wire', and 'grpcio'",
    ),
    "other broker settings": (
        lambda runs: all_changed(
            runs,
            lambda run: with_part(
                run, "broker", {"settings": {"linger_ms": 0, "fetch_max_wait_ms": 10}}
            ),
        ),
        ExitCode.INVALID,
        "broker.settings.linger_ms",
    ),
    "one run of another machine": (
        lambda runs: first_changed(
            runs, lambda run: with_part(run, "environment", {"core_count": 64})
        ),
        ExitCode.INVALID,
        "environment.core_count",
    ),
    "profiled": (
        lambda runs: first_changed(runs, lambda run: with_record(run, instrumentation="memory")),
        ExitCode.INVALID,
        "ran under memory",
    ),
    "incomplete": (
        lambda runs: first_changed(runs, lambda run: with_record(run, complete=False)),
        ExitCode.INVALID,
        "incomplete",
    ),
    "table damaged": (
        lambda runs: first_changed(runs, lambda run: replace(run, faults=("table is torn",))),
        ExitCode.INVALID,
        "table is torn",
    ),
    "audit failed": (
        lambda runs: first_changed(runs, failed_audit),
        ExitCode.AUDIT_FAILED,
        "its audit failed (I1 Money is conserved)",
    ),
    "law not checked": (
        lambda runs: first_changed(runs, undecided_law),
        ExitCode.INCONCLUSIVE,
        "",
    ),
    "INVALID run": (lambda runs: first_changed(runs, invalid), ExitCode.INVALID, "it is INVALID"),
    "too few runs": (lambda runs: runs[:4], ExitCode.INCONCLUSIVE, ""),
    "collapsed": (
        lambda runs: all_changed(runs, collapsed),
        ExitCode.INVALID,
        "can't support a verdict",
    ),
    "same run twice": (
        lambda runs: (runs[0], *runs),
        ExitCode.INVALID,
        "is given 2 times; a run counts once",
    ),
}


# The same in the baseline, where it means something else: a metric is new, a slowdown is 33 times.
IN_BASELINE = {
    "metric missing": ExitCode.INCONCLUSIVE,
    "collapsed": ExitCode.OBJECTIVE_MISSED,
}


@pytest.mark.parametrize("name", FAULTS)
def test_never_green(name: str, before: Runs, same: Runs) -> None:
    """Each fault of the candidate ends in its code, and is named; so does it in the baseline."""
    change, code, said = FAULTS[name]
    few = policy(metrics=("all.response_ns.p*", CPU, "operations.failed_share"))
    candidate = compared(before, change(same), few).comparison
    baseline = compared(change(before), same, few).comparison

    assert candidate.exit_code == code
    assert said in candidate.sentence
    assert baseline.exit_code == IN_BASELINE.get(name, code)


def test_a_run_against_itself_proves_nothing(before: Runs) -> None:
    """The same runs on both sides are a mistake, not a pass."""
    comparison = compared(before, before).comparison

    assert comparison.exit_code == ExitCode.INVALID
    assert "is a run of the baseline too" in comparison.sentence


def test_what_is_required_must_be_there(before: Runs, same: Runs) -> None:
    """A metric that neither side has is no reason to be content."""
    comparison = compared(
        before, same, policy(required=("profile.allocated_bytes_per_operation",))
    ).comparison

    assert comparison.exit_code == ExitCode.INVALID
    assert "is required, and on neither side" in comparison.sentence


def test_what_both_sides_saw_too_little_of_is_named(before: Runs, same: Runs) -> None:
    """p99.9 of a rare kind can't be judged; the others can."""
    dossier = compared(before, same, policy(metrics=("*.response_ns.p50", "transfer.*.p999")))

    assert "transfer.response_ns.p999" not in statuses(dossier)
    assert any("transfer.response_ns.p999" in text for text in dossier.comparison.remarks)
