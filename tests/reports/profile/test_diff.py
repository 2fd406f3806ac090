"""A planted change is named, an unchanged build never is: on profiles whose every cost is known."""

from dataclasses import replace

import pytest

from harness.model.profile import Frame, Metric, Profile, ProfileSegment
from reports.profile.costs import cost_table
from reports.profile.diff import diff_profiles
from reports.profile.growth import diff_growth, growth_of
from tests.reports.profile.made_profiles import COSTS_NS, cpu_profile, frame, survivor_profile

PAIRS = 150
PLANTS = 40


def test_equal_builds_name_nothing() -> None:
    """Of a hundred and fifty pairs of starts, the machine up to a third slower in one of them."""
    alarms = 0
    for seed in range(PAIRS):
        found = diff_profiles(
            [cpu_profile(2 * seed)], [cpu_profile(2 * seed + 1, common_ratio=1 + seed % 7 / 20)]
        )
        alarms += bool(found.named)

    assert alarms <= 0.05 * PAIRS


def test_a_noisy_machine_is_seen_for_what_it_is() -> None:
    """Functions differ by 15 % between starts, three times what is known: less is named for it."""
    alarms, start_ratios = 0, []
    for seed in range(50):
        sides = [cpu_profile(2 * seed + side, start_variation=0.15) for side in (0, 1)]
        found = diff_profiles(sides[:1], sides[1:])
        alarms += bool(found.named)
        start_ratios.append(found.start_ratio)

    assert alarms <= 12  # 15 and more if starts were taken to differ by 5 %
    assert sum(ratio > 0.05 for ratio in start_ratios) >= 10


@pytest.mark.parametrize("name", ["handle_3", "handle_12", "housekeeping"])
def test_a_slower_function_is_named_first(name: str) -> None:
    """A tenth more CPU an operation, in a busy function, a quiet one, or one that was not there."""
    extra_ns = 0.1 * sum(COSTS_NS.values())
    first = 0
    for seed in range(PLANTS):
        slower = cpu_profile(2 * seed + 1, extra_ns={name: extra_ns}, common_ratio=1.1)
        named = diff_profiles([cpu_profile(2 * seed)], [slower]).named
        first += bool(named) and named[0].function == frame(name)

    assert first >= 0.95 * PLANTS


def test_the_change_is_that_of_an_operation() -> None:
    """Its size is what was planted, within the interval that is stated; the rest is common."""
    extra_ns = 100_000.0
    slower = [cpu_profile(s, extra_ns={"handle_5": extra_ns}, common_ratio=1.2) for s in (1, 2, 3)]
    found = diff_profiles([cpu_profile(seed) for seed in (4, 5, 6)], slower)

    assert found.common_ratio == pytest.approx(1.2, rel=0.05)
    assert found.named[0].change == pytest.approx(extra_ns, abs=2 * found.named[0].half_width)
    assert found.named[0].half_width < 0.5 * extra_ns


def dominated(seed: int, slowdown: float = 1.0) -> Profile:
    """A start of a service of which one function is 60 % of the cost, and five share the rest."""
    costs_ns = {f"other_{place}": 80_000.0 for place in range(5)}
    costs_ns["dominant"] = 600_000.0 * slowdown
    return cpu_profile(seed, costs_ns=costs_ns)


def test_a_function_that_is_most_of_the_cost_is_named() -> None:
    """A third slower: it is called dearer, and the innocent ones are not called cheaper."""
    found = diff_profiles(
        [dominated(seed) for seed in range(100, 108)],
        [dominated(seed, 1.3) for seed in range(150, 158)],
    )

    assert [change.function for change in found.named] == [frame("dominant")]
    assert found.named[0].change > 0
    assert found.common_ratio == pytest.approx(1.0, abs=0.1)


def test_a_dominant_function_raises_no_alarm() -> None:
    """Equal builds, though most of the cost has little else to be measured against."""
    alarms = sum(
        bool(diff_profiles([dominated(2 * seed)], [dominated(2 * seed + 1)]).named)
        for seed in range(60)
    )

    assert alarms <= 5


def test_a_faster_function_is_named_too() -> None:
    """Below those that became slower."""
    found = diff_profiles([cpu_profile(1, extra_ns={"handle_9": 150_000.0})], [cpu_profile(2)])

    assert [change.function for change in found.named] == [frame("handle_9")]
    assert found.named[0].change < 0


def test_sides_must_be_comparable() -> None:
    """Other metrics, no profile, nothing answered: refused, never an empty diff."""
    profile = cpu_profile(1)
    empty = replace(profile, segments=())

    with pytest.raises(ValueError, match="one metric"):
        diff_profiles([], [profile])
    with pytest.raises(ValueError, match="can't be compared"):
        diff_profiles([profile], [survivor_profile(1)])
    with pytest.raises(ValueError, match="candidate has no segment"):
        diff_profiles([profile], [empty])


def test_library_time_is_charged_home() -> None:
    """What json spends belongs to who called it; what a label or the loop spends stays there."""
    home = Frame(function="reply", module="service.core", package="service")
    library = Frame(function="dumps", module="json", package="python")
    label = Frame(function="<no Python frame: thread grpc>", module="", package="native")
    segment = ProfileSegment(
        start_ns=0,
        end_ns=1,
        operation_counts={"reserve": 10},
        cpu_ns=100,
        sample_count=10,
        weights={0: 60, 1: 30, 2: 10},
    )
    profile = Profile(
        metric=Metric.CPU_NS,
        profiler={},
        frames=(home, library, label),
        stacks=((0, 1), (0,), (2,)),
        segments=(segment,),
    )
    table = cost_table([profile])

    assert table.per_operation(table.charged).tolist() == [9, 0, 1]
    assert table.per_operation(table.own).tolist() == [3, 6, 1]
    assert table.per_operation(table.total).tolist() == [9, 6, 1]


def test_start_up_is_no_cost_of_an_operation() -> None:
    """Segments from before the measured phase are left out."""
    profile = survivor_profile(1)
    early = replace(profile.segments[0], start_ns=-5, weights={0: 10**12})

    table = cost_table([replace(profile, segments=(early, *profile.segments[1:]))])

    assert len(table.operation_counts) == len(profile.segments) - 1


def test_a_leak_is_named_with_its_size() -> None:
    """Bytes an operation, though every function keeps as much in caches."""
    (first, *others) = growth_of(survivor_profile(3, leaks={"handle_2": 120.0}))

    assert first.function == frame("handle_2")
    assert first.is_named
    assert first.bytes_per_operation == pytest.approx(120, abs=2 * first.half_width_bytes)
    assert not any(growth.is_named for growth in others)


def test_caches_are_no_leak() -> None:
    """Of a hundred services that keep things but lose none, hardly one is called leaking."""
    alarms = sum(
        any(growth.is_named for growth in growth_of(survivor_profile(seed))) for seed in range(100)
    )

    assert alarms <= 5


def test_growth_is_compared_by_function() -> None:
    """What grew before is no news; what grows more is named first."""
    known = {"handle_1": 300.0}
    leaking = survivor_profile(2, leaks={**known, "handle_4": 90.0})
    named = diff_growth([survivor_profile(1, leaks=known)], [leaking]).named

    assert [change.function for change in named] == [frame("handle_4")]


def test_too_few_segments_say_nothing() -> None:
    """Two points always lie on a line."""
    assert growth_of(survivor_profile(1, leaks={"handle_2": 120.0}, segment_count=3)) == ()
