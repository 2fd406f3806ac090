"""Two sides of profiles: compared only where they may be, and said in words and on a page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.profile import Metric, Profile
from harness.model.record import CorrectnessSection, RunRecord
from harness.model.verdict import Correctness
from reports.figures.run_tables import ProfiledStart
from reports.pages.profile.diff_page import profile_diff_sentences, view_profile_diff
from reports.profile.against import (
    ProfileSide,
    compare_profiles,
    comparison_to_json,
    has_compared,
    obstacles,
)
from reports.render.html import render_page
from tests.reports.profile.made_profiles import cpu_profile, frame, survivor_profile
from tests.reports.synthetic import Shape, write_synthetic_run

PY_SPY = {"name": "py-spy", "version": "0.4", "settings": "100/s"}
SLOWER = {"handle_3": 100_000.0}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run's, of which only what was asked matters here."""
    shape = Shape(rate_per_s=200.0, measure_s=2, warmup_s=1, freeze_ns=0)
    return write_synthetic_run(tmp_path_factory.mktemp("made") / "run", shape).record


def side(name: str, record: RunRecord, *starts: tuple[Profile, ...]) -> ProfileSide:
    """A side of these starts."""
    return ProfileSide(
        name=name,
        starts=tuple(ProfiledStart(record=record, profiles=profiles) for profiles in starts),
    )


def spied(seed: int, **how: object) -> Profile:
    """A made profile as py-spy would have made it."""
    return replace(cpu_profile(seed, **how), profiler=PY_SPY)  # type: ignore[arg-type]


def test_what_became_dearer_is_named_with_its_size(record: RunRecord) -> None:
    """In the sentence, in the JSON and on the page: the same function, the same figures."""
    base = side("before", record, (spied(1),), (spied(2),))
    candidate = side("after", record, (spied(3, extra_ns=SLOWER),), (spied(4, extra_ns=SLOWER),))
    comparison = compare_profiles(base, candidate)
    (metric,) = comparison.metrics
    (named,) = metric.diff.named
    (sentence,) = profile_diff_sentences(comparison)
    (document,) = comparison_to_json(comparison)["metrics"]
    page = render_page(view_profile_diff(base, candidate, comparison))

    assert obstacles(base, candidate) == ()
    assert named.function == frame("handle_3")
    assert metric.diff.start_counts == (2, 2)
    assert "service.core:handle_3" in sentence
    assert document["functions"][0]["function"] == "service.core:handle_3"
    assert document["functions"][0]["is_named"] is True
    assert "handle_3" in page
    assert "costs more" in page


def test_equal_builds_say_what_would_have_been_seen(record: RunRecord) -> None:
    """Nothing named is a finding only with the size of a change that would have been."""
    starts = [side(str(seed), record, (spied(seed),)) for seed in (1, 2)]
    comparison = compare_profiles(*starts)
    (diff,) = [item.diff for item in comparison.metrics]
    (sentence,) = profile_diff_sentences(comparison)

    assert diff.named == ()
    assert diff.detectable_max > 0
    assert sentence.startswith("cpu_ns (py-spy): nothing named; a change of ")


def test_a_detectable_change_is_detected(record: RunRecord) -> None:
    """Planted at the size that the diff calls detectable, it is named in most of the cases."""
    found = 0
    for seed in range(30):
        base = side("a", record, (spied(3 * seed),))
        quiet = compare_profiles(base, side("b", record, (spied(3 * seed + 1),)))
        (change,) = [
            change
            for change in quiet.metrics[0].diff.changes
            if change.function == frame("handle_4")
        ]
        extra_ns = {"handle_4": change.detectable_change * 1.1}
        slower = side("c", record, (spied(3 * seed + 2, extra_ns=extra_ns),))
        named = compare_profiles(base, slower).metrics[0].diff.named
        found += frame("handle_4") in {item.function for item in named}

    assert found >= 0.6 * 30  # 80 % of the noise that was assumed; the made noise is less


def test_growth_is_compared_over_several_starts(record: RunRecord) -> None:
    """What leaks is named in bytes an operation, however warm each start's caches are."""
    leaking = {"handle_2": 120.0}
    base = side("a", record, (survivor_profile(1),), (survivor_profile(2),))
    candidate = side("b", record, (survivor_profile(3, leaks=leaking),))
    (metric,) = compare_profiles(base, candidate).metrics

    assert metric.diff.metric is Metric.SURVIVING_BYTES
    assert [item.function for item in metric.diff.named] == [frame("handle_2")]
    assert metric.diff.named[0].change == pytest.approx(120, abs=20)
    assert [
        item.change < 0 for item in compare_profiles(candidate, base).metrics[0].diff.named
    ] == [True]


Change = Callable[[RunRecord], RunRecord]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("scenario.name", lambda r: replace(r, scenario={**r.scenario, "name": "other"})),
        ("scenario.digest", lambda r: replace(r, scenario={**r.scenario, "digest": "0"})),
        ("schedule_digest", lambda r: replace(r, schedule_digest="0")),
        ("broker.kind", lambda r: replace(r, broker={**r.broker, "kind": "apache"})),
        ("load.driver", lambda r: replace(r, load={**r.load, "driver": "other"})),
        (
            "environment.cpu_model",
            lambda r: replace(r, environment={**r.environment, "cpu_model": "other"}),
        ),
        (
            "correctness.status",
            lambda r: replace(
                r, correctness=CorrectnessSection(status=Correctness.FAILED, invariants=())
            ),
        ),
    ],
)
def test_what_was_asked_must_be_the_same(record: RunRecord, field: str, change: Change) -> None:
    """Else the field is named, on whichever side it is."""
    same, other = side("a", record, (spied(1),)), side("b", change(record), (spied(2),))

    assert [item.field.split(" ")[-1] for item in obstacles(same, other)] == [field]
    assert [item.field.split(" ")[-1] for item in obstacles(other, same)] == [field]


@pytest.mark.parametrize("settings", ["100/s --native", "100/s --gil", "200/s"])
def test_how_it_was_looked_at_must_be_the_same(record: RunRecord, settings: str) -> None:
    """Other settings see other functions; that is no change of the service."""
    other = replace(spied(2), profiler={**PY_SPY, "settings": settings})
    (found,) = obstacles(side("a", record, (spied(1),)), side("b", record, (other,)))

    assert found.sentence == f"py-spy settings (cpu_ns): 100/s against {settings}"


def test_one_side_alone_is_said_not_compared(record: RunRecord) -> None:
    """A metric that is missing on a side is a sentence, and too few segments another."""
    base = side("a", record, (spied(1), survivor_profile(1, segment_count=3)))
    candidate = side("b", record, (survivor_profile(2),))
    comparison = compare_profiles(base, candidate)
    peak = replace(spied(1), metric=Metric.HIGH_WATER_BYTES)

    assert comparison.metrics == ()
    assert len(comparison.missing) == 2
    assert "b has no such profile" in comparison.missing[0]
    assert "too few segments" in comparison.missing[1]
    assert not has_compared(side("a", record, (peak,)))


def test_same_profiles_same_page(record: RunRecord, tmp_path: Path) -> None:
    """Byte for byte."""
    sides = side("a", record, (spied(1),)), side("b", record, (spied(2, extra_ns=SLOWER),))
    pages = [render_page(view_profile_diff(*sides, compare_profiles(*sides))) for _ in range(2)]

    assert pages[0] == pages[1]
