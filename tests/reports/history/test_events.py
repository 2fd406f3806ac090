"""What a history says: one event for one cause, open until accepted or over, and never silence."""

import math
from dataclasses import replace

import pytest

from harness.model.verdict import ExitCode
from reports.history.alerts import AlertState
from reports.history.events import Gathered, History, history_of
from reports.history.series import Trust
from reports.pages.history.page import event_sentence
from tests.reports.history.made import (
    CPU,
    P50,
    RATE,
    VISIBLE,
    Kind,
    accepted,
    figure,
    history,
    nights,
    run,
    stepped,
)


def states(of: History) -> list[AlertState]:
    """Of the events of the first setting, newest first."""
    return [event.state for event in of.settings[0].events]


def test_a_steady_metric_says_nothing() -> None:
    """Noise is no news: exit 0, the metric judged."""
    found = history(nights([1e6] * 60))
    (series,) = found.settings[0].series

    assert found.exit_code is ExitCode.OK
    assert (series.trust, series.alerts, series.point_count) == (Trust.JUDGED, (), 60)


def test_a_slower_commit_is_one_event_of_all_it_moved() -> None:
    """Three metrics, one cause: one event, worst first, between the right runs, exit 1."""
    found = history(nights(stepped(30, 10, 1.08), names=(CPU, P50, "fill.response_ns.p50")))
    (event,) = found.settings[0].events

    assert found.exit_code is ExitCode.OBJECTIVE_MISSED
    assert {alert.metric for alert in event.alerts} == {CPU, P50, "fill.response_ns.p50"}
    assert event.worst_ratio == event.alerts[0].worse_ratio == pytest.approx(1.08, abs=0.02)
    assert (event.before.run_id, event.after.run_id) == ("run-029", "run-030")
    assert event.id == "run-030"


def test_less_of_a_rate_is_worse() -> None:
    """Direction is the metric's: a rate that falls is open, one that rises is not."""
    down = history(nights(stepped(30, 10, 0.9), names=(RATE,)))
    up = history(nights(stepped(30, 10, 1.1), names=(RATE,)))

    assert (states(down), down.exit_code) == ([AlertState.OPEN], ExitCode.OBJECTIVE_MISSED)
    assert (states(up), up.exit_code) == ([AlertState.BETTER], ExitCode.OK)


def test_an_accepted_change_is_the_new_baseline() -> None:
    """Exit 0 after it; the next change is held against the new level, and is open."""
    levels = [*stepped(30, 20, 1.08), *([1e6 * 1.08 * 1.08] * 10)]
    runs = nights(levels)
    first = history(runs[:50], accepted("run-030"))
    both = history(runs, accepted("run-030"))

    assert (states(first), first.exit_code) == ([AlertState.ACCEPTED], ExitCode.OK)
    assert states(both) == [AlertState.OPEN, AlertState.ACCEPTED]
    assert both.settings[0].events[0].worst_ratio == pytest.approx(1.08, abs=0.02)


def test_what_is_accepted_is_what_was_meant() -> None:
    """Another metric, or another run, leaves it open."""
    runs = nights(stepped(30, 10, 1.08), names=(CPU, P50))
    other_metric = history(runs, accepted("run-030", "*.p50"))
    other_run = history(runs, accepted("run-010"))

    (event,) = other_metric.settings[0].events
    assert event.state is AlertState.OPEN
    assert {alert.metric: alert.state for alert in event.alerts} == {
        CPU: AlertState.OPEN,
        P50: AlertState.ACCEPTED,
    }
    assert states(other_run) == [AlertState.OPEN]


def test_what_began_after_the_accepted_run_is_not_accepted() -> None:
    """CPU at run 21 is accepted at run 22; what p99 does from run 23 on nobody had seen."""
    both = zip(
        nights(stepped(21, 10, 1.1)),
        nights(stepped(23, 8, 1.4), names=(P50,), seed=6),
        strict=True,
    )
    runs = [replace(one, figures={**one.figures, **other.figures}) for one, other in both]
    found = history(runs, accepted("run-022"))
    (event,) = found.settings[0].events

    assert {alert.metric: alert.state for alert in event.alerts} == {
        CPU: AlertState.ACCEPTED,
        P50: AlertState.OPEN,
    }
    assert (event.state, found.exit_code) == (AlertState.OPEN, ExitCode.OBJECTIVE_MISSED)


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("run-020", [AlertState.OPEN, AlertState.OPEN]),
        ("run-021", [AlertState.OPEN, AlertState.ACCEPTED]),
        ("run-024", [AlertState.OPEN, AlertState.ACCEPTED]),
        ("run-025", [AlertState.OPEN, AlertState.ACCEPTED]),
        ("run-026", [AlertState.ACCEPTED, AlertState.OPEN]),
    ],
)
def test_one_acceptance_is_of_one_change(run_id: str, expected: list[AlertState]) -> None:
    """Of two steps, at run 21 and, seen a run later, at 25: the last that was seen by then."""
    levels = [*stepped(21, 4, 1.1), *([1e6 * 1.1 * 1.4] * 10)]

    assert states(history(nights(levels), accepted(run_id))) == expected


def test_a_gain_that_is_lost_is_told() -> None:
    """Better for twenty nights, then as before: worse than it was, until accepted or regained."""
    levels = [*stepped(40, 20, 0.8), *([1e6] * 10)]
    lost = history(nights(levels))
    rate = history(nights([*stepped(40, 20, 1.25), *([1e6] * 10)], names=(RATE,)))
    regained = history(nights([*levels, *([8e5] * 10)]))

    for found in (lost, rate):
        assert (states(found), found.exit_code) == (
            [AlertState.OPEN, AlertState.BETTER],
            ExitCode.OBJECTIVE_MISSED,
        )
        assert (
            event_sentence(found.settings[0].events[0])
            .partition(",")[0]
            .endswith("% worse (a gain is lost)")
        )
    assert history(nights(levels), accepted("run-060")).exit_code is ExitCode.OK
    assert states(regained) == [AlertState.BETTER, AlertState.OVER, AlertState.BETTER]


def test_one_lucky_run_is_no_gain() -> None:
    """Nor is the run after it a loss."""
    assert states(history(nights([*stepped(30, 1, 0.8), *([1e6] * 20)]))) == []


def test_what_came_back_is_over() -> None:
    """Soon, as the end of the same event, or late, by a change back: nobody need act."""
    soon = history(nights([*stepped(30, 8, 1.1), *([1e6] * 20)]))
    late = history(nights([*stepped(30, 50, 1.1), *([1e6] * 20)]))

    assert (states(soon), soon.exit_code) == ([AlertState.OVER], ExitCode.OK)
    assert states(late) == [AlertState.BETTER, AlertState.OVER]
    assert late.exit_code is ExitCode.OK


def test_a_part_of_the_way_back_is_not_over() -> None:
    """10 % worse, then 3 % better: it is still worse."""
    found = history(nights([*stepped(30, 40, 1.10), *([1e6 * 1.065] * 30)]))

    assert found.exit_code is ExitCode.OBJECTIVE_MISSED


def test_one_outlier_is_a_suspicion_and_no_event() -> None:
    """The newest point 15 % off: said, unconfirmed, exit 0; a normal one after it ends it."""
    runs = nights(stepped(30, 1, 1.15))
    (series,) = history(runs).settings[0].series
    after = history([*runs, *nights([1e6] * 32)[31:]])

    assert "the next run tells" in series.suspicion
    assert (history(runs).exit_code, after.exit_code) == (ExitCode.OK, ExitCode.OK)
    assert after.settings[0].series[0].suspicion == ""


def test_confirmation_grows() -> None:
    """An alert that is new says so; later points confirm it."""
    fresh = history(nights(stepped(30, 2, 1.1))).settings[0].events[0].alerts[0]
    older = history(nights(stepped(30, 12, 1.1))).settings[0].events[0].alerts[0]

    assert (fresh.after_count, fresh.confirmation) == (0, "newest; the next run confirms it or not")
    assert (older.confirming_count, older.after_count) == (10, 10)


def test_runs_that_mean_nothing_are_gaps() -> None:
    """Even wild figures of INVALID runs move no level; they are counted."""
    runs = nights([1e6] * 40)
    for index in (20, 21, 22, 35):
        runs[index] = run(index, {CPU: 9e6}, unfit=("it is INVALID",))
    found = history(runs)
    (series,) = found.settings[0].series

    assert (found.exit_code, series.alerts, series.point_count) == (ExitCode.OK, (), 36)
    assert [gap.run_id for gap in found.settings[0].gaps] == [
        f"run-{i:03d}" for i in (20, 21, 22, 35)
    ]


def test_a_newest_run_that_means_nothing_proves_nothing() -> None:
    """Exit 3: how things are now is not known; an open event still wins."""
    quiet, open_ = nights([1e6] * 40), nights(stepped(30, 10, 1.1))
    for runs in (quiet, open_):
        runs[39] = run(39, {}, unfit=("its audit failed",))

    assert history(quiet).exit_code is ExitCode.INCONCLUSIVE
    assert "run-039, is no point: its audit failed" in history(quiet).settings[0].doubts[0]
    assert history(open_).exit_code is ExitCode.OBJECTIVE_MISSED


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the newest run doesn't have it"),
        (math.inf, "never answered"),
        (math.nan, "never answered"),
        (0.0, "in the newest run it is 0"),
        (-5.0, "in the newest run it is -5"),
    ],
)
def test_a_metric_that_is_gone_is_never_a_pass(value: float | None, said: str) -> None:
    """Missing, infinite, absurd in the newest run: exit 3 with the metric and why."""
    runs = nights([1e6] * 40, names=(CPU, P50))
    figures = dict(runs[39].figures)
    del figures[CPU]
    if value is not None:
        figures[CPU] = figure(CPU, value)
    runs[39] = replace(runs[39], figures=figures)
    found = history(runs)

    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert [doubt for doubt in found.settings[0].doubts if CPU in doubt and said in doubt]


def test_a_changed_unit_is_another_metric() -> None:
    """Points in the old unit are none of the new series: too few points, not a jump."""
    runs = nights([1e6] * 40)
    runs[39] = replace(runs[39], figures={CPU: replace(figure(CPU, 1e3), unit="us")})
    (series,) = history(runs).settings[0].series

    assert (series.trust, series.point_count) == (Trust.TOO_FEW, 1)


def test_a_kernel_whose_work_changed_starts_anew() -> None:
    """Instructions of other work can't regress."""
    name = "kernel.fees.instructions"
    runs = [
        replace(item, works={name: "old" if index < 30 else "new"})
        for index, item in enumerate(nights(stepped(30, 12, 1.5), names=(name,)))
    ]
    (series,) = history(runs).settings[0].series

    assert (series.alerts, series.point_count) == ((), 12)


def test_no_runs_and_few_runs_prove_nothing() -> None:
    """Exit 3 both."""
    assert history([]).exit_code is ExitCode.INCONCLUSIVE
    few = history(nights([1e6] * 8))
    assert few.exit_code is ExitCode.INCONCLUSIVE
    assert "there are 8 good runs" in few.settings[0].doubts[0]


def test_zeros_have_no_ratio() -> None:
    """A metric that is zero nearly always is shown and not judged."""
    runs = [run(i, {CPU: 1e6 + i % 3, "operations.failed_share": 0.0}) for i in range(30)]
    runs[29] = run(29, {CPU: 1e6, "operations.failed_share": 0.5})
    by_name = {one.metric: one for one in history(runs).settings[0].series}

    assert by_name["operations.failed_share"].trust is Trust.NO_RATIO
    assert by_name["operations.failed_share"].last_value == 0.5


def test_an_embedded_broker_is_not_judged_by_what_others_see() -> None:
    """Its own polling is most of `visible`: no alert from it."""
    kind = Kind(broker="embedded")
    runs = [
        replace(item, setting=run(0, {}, kind=kind).setting)
        for item in nights(stepped(30, 10, 1.5), names=(VISIBLE,))
    ]
    (series,) = history(runs).settings[0].series

    assert (series.trust, series.alerts) == (Trust.BROKER, ())


def test_another_schedule_starts_another_series() -> None:
    """Twice the load is no regression; the old setting, open event and all, asks nothing more."""
    before = nights(stepped(30, 10, 1.1))
    kind = Kind(digest="bbbb")
    after = [run(40 + i, {CPU: 2e6 + i % 2}, kind=kind) for i in range(12)]
    found = history([*before, *after])
    new, old = found.settings

    assert [item.is_current for item in found.settings] == [True, False]
    assert new.changes == ("scenario.digest was aaaa, is bbbb",)
    assert (len(old.open_events), found.exit_code) == (1, ExitCode.OK)


def test_a_new_setting_is_not_proven_by_the_old_one() -> None:
    """Three runs of the new schedule: exit 3, however long the old series was."""
    after = [run(40 + i, {CPU: 2e6}, kind=Kind(digest="bbbb")) for i in range(3)]

    assert history([*nights([1e6] * 40), *after]).exit_code is ExitCode.INCONCLUSIVE


def test_machines_side_by_side_are_series_side_by_side() -> None:
    """Runners of two kinds, turn by turn: neither breaks the other's series."""
    chance = nights([1e6] * 60)
    runs = [
        replace(item, setting=run(0, {}, kind=Kind(cores="2" if i % 2 else "64")).setting)
        for i, item in enumerate(chance)
    ]
    found = history(runs)

    assert [item.is_current for item in found.settings] == [True, True]
    assert [len(item.runs) for item in found.settings] == [30, 30]
    assert found.exit_code is ExitCode.OK


def test_what_else_changed_is_told_with_the_event() -> None:
    """A kernel upgrade at the step is named: it may be the cause."""
    runs = [
        replace(item, facts={"environment.kernel": "6.1" if index < 30 else "6.8"})
        for index, item in enumerate(nights(stepped(30, 10, 1.1)))
    ]
    (event,) = history(runs).settings[0].events

    assert event.other_changes == ("environment.kernel was 6.1, is 6.8",)


def test_order_of_reading_does_not_matter() -> None:
    """Runs are sorted by when they were made."""
    runs = nights(stepped(30, 10, 1.1))

    assert history(runs[::-1]) == history(runs)


def test_only_the_newest() -> None:
    """--last: the event before is out of sight."""
    assert history(nights(stepped(30, 40, 1.1)), last_count=30).exit_code is ExitCode.OK


def test_only_chosen_metrics_are_judged() -> None:
    """Patterns choose, as a shell's."""
    runs = nights(stepped(30, 10, 1.1), names=(CPU, P50))
    found = history_of(Gathered(runs=tuple(runs)), ("*.p50",))

    assert [series.metric for series in found.settings[0].series] == [P50]
