"""What is never freed, on survivors whose leaks are known."""

from dataclasses import replace

import pytest

from harness.model.profile import Profile
from reports.profile.growth import diff_growth, growth_of
from tests.reports.profile.made_profiles import frame, survivor_profile

LEAK_BYTES, MOVED_BYTES = 400.0, 600_000
LEAK = "handle_3"


def moved(profile: Profile, name: str, segment_number: int) -> Profile:
    """*profile*, in one segment of which a container of *name* was moved to a larger place."""
    (stack,) = [
        number
        for number, frames in enumerate(profile.stacks)
        if profile.frames[frames[-1]] == frame(name)
    ]
    segments = list(profile.segments)
    one = segments[segment_number]
    weights = {**one.weights, stack: one.weights[stack] + MOVED_BYTES}
    segments[segment_number] = replace(one, weights=weights)
    return replace(profile, segments=tuple(segments))


@pytest.mark.parametrize("segment_number", [0, 3, 6, 11])
def test_a_container_that_was_moved_once_hides_no_leak(segment_number: int) -> None:
    """The segment is set aside: the slope is that of the others."""
    leaking = moved(survivor_profile(1, leaks={LEAK: LEAK_BYTES}), LEAK, segment_number)

    (named,) = [item for item in growth_of(leaking) if item.is_named]
    assert named.function == frame(LEAK)
    assert named.bytes_per_operation == pytest.approx(LEAK_BYTES, rel=0.1)
    found = diff_growth([survivor_profile(2)], [leaking]).named
    assert [change.function for change in found] == [frame(LEAK)]


@pytest.mark.parametrize("seed", range(20))
def test_a_container_that_was_moved_is_no_leak(seed: int) -> None:
    """Its owner is not named for it, in whichever segment it happens."""
    unchanged = moved(survivor_profile(seed), LEAK, seed % 12)
    grown = [item.function for item in growth_of(unchanged) if item.is_named]
    changed = diff_growth([survivor_profile(seed + 100)], [unchanged]).named

    assert frame(LEAK) not in grown
    assert frame(LEAK) not in [change.function for change in changed]
