"""
What a service does by the second and not by the operation: polls, timers, heartbeats. Pure.

A profile that has a segment at rest tells how fast that goes, stack by stack. The measured phase's
share of it is what the same time at rest would have taken, but of no stack more than it did take:
on a busy machine a service polls less often. What is left is the operations'.
"""

import math
from collections import Counter
from collections.abc import Sequence

from harness.model.metrics import Figure, profile_figure
from harness.model.profile import Profile, ProfileSegment


def profile_figures(profiles: Sequence[Profile]) -> tuple[Figure, ...]:
    """What *profiles* of one process start cost an answered operation, less what rest does."""
    found = (
        profile_figure(profile.metric, cost)
        for profile in profiles
        for cost in [_cost_of_operation(profile)]
        if cost is not None
    )
    return tuple(figure for figure in found if figure is not None)


def rest_per_operation(profiles: Sequence[Profile]) -> float | None:
    """
    How much of an operation's cost the service spends at rest too, in the unit of *profiles*.

    None: nobody looked at it at rest, or nothing was answered.
    """
    count, weight = 0, 0.0
    for profile in profiles:
        rest, segments = profile.rest, measured(profile)
        if rest is None or rest.end_ns <= rest.start_ns:
            return None
        length_ns = sum(segment.end_ns - segment.start_ns for segment in segments)
        ratio = length_ns / (rest.end_ns - rest.start_ns)
        taken = Counter[int]()
        for segment in segments:
            taken.update(segment.weights)
        weight += sum(min(taken[stack], ratio * own) for stack, own in rest.weights.items())
        count += sum(segment.operation_count for segment in segments)
    return weight / count if count else None


def measured(profile: Profile) -> list[ProfileSegment]:
    return [segment for segment in profile.segments if segment.start_ns >= 0]


def _cost_of_operation(profile: Profile) -> float | None:
    segments = measured(profile)
    count = sum(segment.operation_count for segment in segments)
    if not count:
        return None
    whole = math.fsum(math.fsum(segment.weights.values()) for segment in segments) / count
    return whole - (rest_per_operation([profile]) or 0.0)
