"""What goes by the second is no operation's cost."""

from dataclasses import replace

import pytest

from harness.model.profile import Frame, Metric, Profile, ProfileSegment
from reports.figures.rest import profile_figures, rest_per_operation

SECOND_NS = 10**9
POLL, SERVE = (
    Frame(function="poll", module="bus", package="bus"),
    Frame(function="serve", module="core", package="core"),
)


def segment(start_s: float, end_s: float, count: int, *, poll: int, serve: int) -> ProfileSegment:
    """One slice."""
    return ProfileSegment(
        start_ns=int(start_s * SECOND_NS),
        end_ns=int(end_s * SECOND_NS),
        operation_counts={"reserve": count} if count else {},
        cpu_ns=0,
        sample_count=0,
        weights={0: poll, 1: serve},
    )


def profile(
    rate_per_s: int, *, polled: int = 1_000, metric: Metric = Metric.ALLOCATED_BYTES
) -> Profile:
    """Three seconds of a service that polls all the time; 500 bytes an operation."""
    return Profile(
        metric=metric,
        profiler={"name": "made"},
        frames=(POLL, SERVE),
        stacks=((0,), (1,)),
        segments=(
            segment(-2, 0, 0, poll=10**6, serve=10**6),
            segment(0, 1, rate_per_s, poll=polled, serve=500 * rate_per_s),
            segment(1, 3, 2 * rate_per_s, poll=2 * polled, serve=1_000 * rate_per_s),
        ),
        rest=segment(4, 4.5, 0, poll=polled // 2, serve=0),
    )


@pytest.mark.parametrize("rate_per_s", [1, 10, 1_000])
def test_the_cost_of_an_operation_does_not_depend_on_the_rate(rate_per_s: int) -> None:
    """Two rates that used to differ by a factor cost the same."""
    (figure,) = profile_figures([profile(rate_per_s)])

    assert figure.name == "profile.allocated_bytes_per_operation"
    assert figure.value == pytest.approx(500.0)
    assert rest_per_operation([profile(rate_per_s)]) == pytest.approx(1_000 / rate_per_s)


def test_where_nobody_looked_at_rest_it_is_all_the_operations() -> None:
    """Profiles of before, and those of CPU time."""
    (figure,) = profile_figures([replace(profile(10), rest=None)])

    assert figure.value == pytest.approx(600.0)
    assert rest_per_operation([replace(profile(10), rest=None)]) is None


def test_no_more_is_taken_off_than_was_there() -> None:
    """Polls are rarer on a busy machine: a stack of them then costs nothing, not less than that."""
    rarer = replace(profile(10), rest=segment(4, 5, 0, poll=10**6, serve=0))
    (figure,) = profile_figures([rarer])

    assert figure.value == pytest.approx(500.0)


def test_several_starts_are_taken_together() -> None:
    """By their time and their operations."""
    starts = [profile(10), profile(30)]

    assert rest_per_operation(starts) == pytest.approx(6_000 / 120)
