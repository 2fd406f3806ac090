"""The verdict on a release: what is demanded is shown, missed, or not proven, and said so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.model.record import PLAIN, Better, RunRecord
from harness.model.verdict import Correctness, ExitCode, Validity
from reports.compare.policy import ComparisonPolicy
from reports.compare.verdicts import Change, Comparison, MetricVerdict, SideValues, compared
from reports.release.candidates import Circumstances, Evidence, Expected
from reports.release.judge import judge_release
from reports.release.verdicts import ReleaseState, SignOff, WaiverState, Word
from tests.reports.release.made import (
    CIRCUMSTANCES,
    KEY,
    POLICY,
    broken,
    evidence,
    fit,
    good_record,
    policy,
    with_law,
)


def signed(
    *runs: Evidence,
    text: str = POLICY,
    comparisons: dict[str, Comparison] | None = None,
    circumstances: Circumstances = CIRCUMSTANCES,
) -> SignOff:
    """The verdict on *runs*."""
    return judge_release(policy(text), runs, circumstances, comparisons or {})


def open_names(sign_off: SignOff) -> dict[str, ReleaseState]:
    """What stands in the way."""
    return {item.name: item.state for item in sign_off.findings if item.is_open}


def of(record: RunRecord, name: str = "one") -> Evidence:
    """Evidence of *record*."""
    return Evidence(name=name, record=record)


def test_everything_shown_is_go() -> None:
    """A good run meets the policy, and every demand of it is listed."""
    found = signed(evidence())

    assert (found.word, found.exit_code) == (Word.GO, ExitCode.OK)
    assert open_names(found) == {}
    names = {item.name for item in found.findings}
    assert {f"{KEY}:runs", f"{KEY}:audit", f"{KEY}:all.response_ns.p99", "release:money"} <= names
    assert {"release:build", "release:machine", "release:harness"} <= names


def test_nothing_shown_is_not_proven() -> None:
    """Without runs nothing is proven, and nothing is missed."""
    found = signed()

    assert (found.word, found.exit_code) == (Word.NOT_PROVEN, ExitCode.INCONCLUSIVE)
    assert open_names(found) == {
        "release:money": ReleaseState.NOT_PROVEN,
        f"{KEY}:runs": ReleaseState.NOT_PROVEN,
    }


def nested(field: str, **changes: Any) -> dict[str, Any]:
    """A change inside one mapping of the record."""
    return {field: {**getattr(good_record(), field), **changes}}


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "incomplete": ({"complete": False, "incomplete_reason": "Ctrl-C"}, "incomplete: Ctrl-C"),
    "invalid": (
        {"validity": replace(good_record().validity, status=Validity.INVALID)},
        "INVALID",
    ),
    "never checked": ({"validity": replace(good_record().validity, checks=())}, "never checked"),
    "old": ({"created_at": "2026-11-01T12:00:00+00:00"}, "too old"),
    "future": ({"created_at": "2026-12-01T12:00:00+00:00"}, "from the future"),
    "no date": ({"created_at": "yesterday"}, "can't be read"),
    "no time zone": ({"created_at": "2026-11-24T12:00:00"}, "can't be read"),
    "other scenario": (nested("scenario", digest="other"), "another scenario"),
    "no build": (nested("target", capabilities={}, revision={}), "which build"),
    "dirty": (
        nested("target", revision={"git_sha": "4f2a", "git_dirty": True}),
        "uncommitted changes",
    ),
    "unknown dirt": (
        nested("target", revision={"git_sha": "4f2a", "git_dirty": None}),
        "uncommitted changes",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_run_that_cannot_be_used_proves_nothing(what: str) -> None:
    """It is as if it weren't there, but its reason is told."""
    changes, said = UNUSABLE[what]
    found = signed(evidence(**changes))

    assert found.word is Word.NOT_PROVEN
    assert open_names(found)[f"{KEY}:runs"] is ReleaseState.NOT_PROVEN
    told = next(item.sentence for item in found.findings if item.name == f"{KEY}:runs")
    assert said in told
    assert [run.is_used for run in found.runs] == [False]


def test_options_of_the_command_line_are_named() -> None:
    """A run of a shorter duration is another scenario, and says why."""
    parameters = {**good_record().scenario["parameters"], "overrides": {"measure_ns": 1}}
    found = signed(evidence(**nested("scenario", digest="other", parameters=parameters)))

    assert "changed by options: measure_ns" in found.runs[0].why


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('target = "mine"', "another target"),
        ('max_age = "1h"', "too old"),
    ],
)
def test_policy_narrows_what_counts(line: str, said: str) -> None:
    """Target and age are the policy's."""
    assert (
        said in signed(evidence(), text=POLICY.replace("[[runs]]", f"{line}\n[[runs]]")).runs[0].why
    )


def test_broker_and_build_narrow_what_counts() -> None:
    """So is the kind of broker, and the build is the caller's."""
    assert "another broker" in signed(evidence(), text=f'{POLICY}broker = "apache"\n').runs[0].why
    asked = replace(CIRCUMSTANCES, build="reference beef")
    assert "another build" in signed(evidence(), circumstances=asked).runs[0].why


def test_a_run_of_no_demand_is_listed_and_counts_for_nothing() -> None:
    """A profiled run given as plain is of no demand."""
    found = signed(evidence(), evidence("two", instrumentation="cpu"))

    assert found.word is Word.GO
    assert [(run.name, run.is_used) for run in found.runs] == [("one", True), ("two", False)]


def test_fewer_runs_than_demanded_prove_nothing() -> None:
    """Two of three."""
    found = signed(evidence("one"), evidence("two"), text=f"{POLICY}count = 3\n")

    assert open_names(found) == {f"{KEY}:runs": ReleaseState.NOT_PROVEN}


def test_all_runs_are_of_one_build_machine_and_harness() -> None:
    """One run of something else leaves all of them unproven, with both values."""
    other = {"revision": {"git_sha": "beef", "git_dirty": False}, "capabilities": {}}
    build = signed(evidence("one"), evidence("two", **nested("target", **other)))
    machine = signed(evidence("one"), evidence("two", **nested("environment", core_count=64)))
    harness = signed(evidence("one"), evidence("two", **nested("environment", python="3.14.0")))

    assert open_names(build) == {"release:build": ReleaseState.NOT_PROVEN}
    assert open_names(machine) == {"release:machine": ReleaseState.NOT_PROVEN}
    assert open_names(harness) == {"release:harness": ReleaseState.NOT_PROVEN}
    assert "2 and 64" in next(x.sentence for x in machine.findings if x.is_open)


def test_a_missed_objective_of_one_run_is_no_go() -> None:
    """The worst of the runs is told, however good the others are."""
    slow = of(replace(fit(good_record(), at_most="1ns"), run_id="two"), "two")
    found = signed(evidence("one"), slow)

    assert (found.word, found.exit_code) == (Word.NO_GO, ExitCode.OBJECTIVE_MISSED)
    assert open_names(found) == {f"{KEY}:all.response_ns.p99": ReleaseState.MISSED}
    assert next(x.sentence for x in found.findings if x.is_open).startswith("two: ")


def test_objectives_of_the_release_are_judged_on_every_run() -> None:
    """From the record's own figures; one that can't be judged is not proven."""
    missed = 'objectives = [{ metric = "all.response_ns.p50", at_most = "1ns" }]\n'
    unknown = 'objectives = [{ metric = "post.response_ns.p99", at_most = "1s" }]\n'
    looser = 'objectives = [{ metric = "all.response_ns.p99", at_most = "1s" }]\n'
    slow = of(fit(good_record(), at_most="1ns"))

    assert open_names(signed(evidence(), text=POLICY + missed)) == {
        f"{KEY}:all.response_ns.p50": ReleaseState.MISSED
    }
    assert open_names(signed(evidence(), text=POLICY + unknown)) == {
        f"{KEY}:post.response_ns.p99": ReleaseState.NOT_PROVEN
    }
    assert signed(slow, text=POLICY + looser).word is Word.GO


def test_a_law_that_is_required_and_undecided_is_not_proven() -> None:
    """By the scenario, by the demand, or by the whole policy."""
    unknown = of(with_law(good_record(), "I1", Correctness.UNKNOWN, "no topic"))
    release_wide = 'name = "core"\n[audit]\nrequired = ["I99"]\n' + POLICY.replace(
        'name = "core"\n', ""
    )

    assert f"{KEY}:I1" in open_names(signed(unknown))
    assert f"{KEY}:audit" in open_names(signed(unknown))
    assert open_names(signed(evidence(), text=f'{POLICY}laws = ["I99"]\n')) == {
        f"{KEY}:I99": ReleaseState.NOT_PROVEN
    }
    assert open_names(signed(evidence(), text=release_wide)) == {
        "release:I99": ReleaseState.NOT_PROVEN
    }


LOSSES: dict[str, Callable[[], list[Evidence]]] = {
    "used": lambda: [of(broken(good_record()))],
    "invalid": lambda: [
        evidence("one"),
        of(
            replace(
                broken(good_record()),
                validity=replace(good_record().validity, status=Validity.INVALID),
            ),
            "two",
        ),
    ],
    "left out": lambda: [
        evidence("one"),
        Evidence(name="two", record=broken(good_record()), is_collected=False),
    ],
    "of no demand": lambda: [
        evidence("one"),
        of(replace(broken(good_record()), instrumentation="cpu"), "two"),
    ],
    "a twin": lambda: [
        Evidence(name="one", record=good_record(), twins={"cpu": broken(good_record())})
    ],
}


@pytest.mark.parametrize("where", LOSSES)
def test_lost_money_is_no_go_wherever_it_was_lost(where: str) -> None:
    """No waiver covers it, and the code is its own."""
    waiver = '[[waivers]]\nmetric = "*"\nowner = "Ada"\nreason = "x"\nuntil = 2099-01-01\n'
    found = signed(*LOSSES[where](), text=POLICY + waiver)

    assert (found.word, found.exit_code) == (Word.NO_GO, ExitCode.AUDIT_FAILED)
    assert ReleaseState.MONEY_LOST in open_names(found).values()
    assert "I1 money is conserved" in found.sentence


def test_profiles_are_those_of_the_runs_themselves() -> None:
    """A twin of another plan, without a profile, or of another kind is none."""
    text = f'{POLICY}profiles = ["cpu"]\n'
    entry = (object(),)
    twin = replace(good_record(), instrumentation="cpu", profiles=entry)  # type: ignore[arg-type]

    def with_twin(**changes: Any) -> SignOff:
        twins = {"cpu": replace(twin, **changes)}
        return signed(Evidence(name="one", record=good_record(), twins=twins), text=text)

    assert with_twin().word is Word.GO
    for changes in (
        {"profiles": ()},
        {"schedule_digest": "other"},
        {"complete": False},
        {"instrumentation": PLAIN},
    ):
        assert open_names(with_twin(**changes)) == {f"{KEY}:profile-cpu": ReleaseState.NOT_PROVEN}
    assert open_names(signed(evidence(), text=text)) == {
        f"{KEY}:profile-cpu": ReleaseState.NOT_PROVEN
    }


def comparison(status: Change) -> Comparison:
    """Of one metric that ended so."""
    values = SideValues(run_count=5, value=1.0, runs=(1.0,) * 5)
    metric = MetricVerdict(
        name="all.response_ns.p99",
        unit="ns",
        better=Better.LESS,
        status=status,
        sentence="so it is",
        floor_share=0.01,
        margin_share=0.03,
        baseline=values,
        candidate=values,
        estimate=None,
    )
    return compared("before", KEY, (metric,), ComparisonPolicy())


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Change.IMPROVED, Word.GO),
        (Change.UNCHANGED, Word.GO),
        (Change.INCONCLUSIVE, Word.NOT_PROVEN),
        (Change.INVALID, Word.NOT_PROVEN),
        (Change.REGRESSED, Word.NO_GO),
    ],
)
def test_a_comparison_counts_by_what_it_found(status: Change, word: Word) -> None:
    """Worse is NO-GO; what remains open is not proven."""
    runs = [evidence(f"run-{number}") for number in range(5)]
    text = f'{POLICY}count = 5\nbaseline = "before"\n'
    found = signed(*runs, text=text, comparisons={KEY: comparison(status)})

    assert found.word is word
    assert f"{KEY}:against before: all.response_ns.p99" in {x.name for x in found.findings}


def test_a_comparison_that_was_not_made_is_not_proven() -> None:
    """None at all, or one whose inputs were no good."""
    runs = [evidence(f"run-{number}") for number in range(5)]
    text = f'{POLICY}count = 5\nbaseline = "before"\n'
    empty = compared("before", KEY, (), ComparisonPolicy())

    for comparisons in ({}, {KEY: empty}):
        found = signed(*runs, text=text, comparisons=comparisons)
        assert open_names(found) == {f"{KEY}:against before": ReleaseState.NOT_PROVEN}


def waiver(until: str, metric: str = f"{KEY}:all.*") -> str:
    """A waiver of the missed objective."""
    return (
        f'[[waivers]]\nmetric = "{metric}"\nowner = "Ada"\nreason = "mended in 1.5"\n'
        f"until = {until}\n"
    )


def test_a_waiver_covers_until_its_last_day() -> None:
    """On it, it holds, and is shown with its owner; the day after it is ignored, which is told."""
    slow = of(fit(good_record(), at_most="1ns"))
    holds = signed(slow, text=POLICY + waiver("2026-11-25"))
    over = signed(slow, text=POLICY + waiver("2026-11-24"))

    assert (holds.word, holds.waivers[0].state) == (Word.GO, WaiverState.USED)
    assert "1 of them by waiver" in holds.sentence
    finding = next(item for item in holds.findings if item.waived_by)
    assert finding.waived_by == "Ada until 2026-11-25 (mended in 1.5)"
    assert finding.state is ReleaseState.MISSED
    assert (over.word, over.waivers[0].state) == (Word.NO_GO, WaiverState.EXPIRED)


def test_a_waiver_of_nothing_is_shown_as_such() -> None:
    """Nobody needs it any more."""
    found = signed(evidence(), text=POLICY + waiver("2099-01-01"))

    assert (found.word, found.waivers[0].state) == (Word.GO, WaiverState.UNUSED)


def test_what_is_left_out_by_hand_is_said() -> None:
    """It doesn't count, and the page tells of it."""
    slow = replace(fit(good_record(), at_most="1ns"), run_id="two")
    left = Evidence(name="two", record=slow, is_collected=False)
    found = signed(evidence("one"), left)

    assert found.word is Word.GO
    assert "two" in found.notes[0]


def test_a_bad_run_more_never_helps() -> None:
    """Each kind of bad run beside a good one: never better than without it."""
    rank = [Word.GO, Word.NOT_PROVEN, Word.NO_GO]
    bad = [evidence("two", **changes) for changes, _ in UNUSABLE.values()]
    bad += [of(broken(good_record()), "two"), of(fit(good_record(), at_most="1ns"), "two")]
    for one in bad:
        alone, beside = signed(one), signed(evidence("one"), one)
        assert rank.index(alone.word) >= rank.index(signed(evidence("one")).word)
        assert rank.index(beside.word) >= rank.index(signed(evidence("one")).word)


def test_kernels_are_runs_of_their_own() -> None:
    """A run of all kernels counts; of some it does not."""
    text = f'{POLICY}[[micro]]\nkind = "instructions"\n'
    kernels = replace(
        good_record(),
        instrumentation="callgrind",
        scenario={"name": "micro", "parameters": {"only": ""}},
        kernels=(object(),),  # type: ignore[arg-type]
    )
    some = replace(kernels, scenario={"name": "micro", "parameters": {"only": "fees"}})

    assert signed(evidence(), of(kernels, "two"), text=text).word is Word.GO
    assert open_names(signed(evidence(), of(some, "two"), text=text)) == {
        "micro@instructions:runs": ReleaseState.NOT_PROVEN
    }
    assert open_names(signed(evidence(), text=text)) == {
        "micro@instructions:runs": ReleaseState.NOT_PROVEN
    }


def test_expected_scenario_is_needed() -> None:
    """Without knowing the scenario no run is of it."""
    unknown = replace(CIRCUMSTANCES, expected={})
    other = replace(CIRCUMSTANCES, expected={KEY: Expected(scenario="reads", digest="x")})

    assert signed(evidence(), circumstances=unknown).word is Word.NOT_PROVEN
    assert signed(evidence(), circumstances=other).word is Word.NOT_PROVEN
