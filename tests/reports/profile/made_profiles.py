"""Profiles of a made-up service whose every cost is known."""

from collections.abc import Mapping

import numpy as np

from harness.model.profile import Frame, Metric, Profile, ProfileSegment, StackTable

SECOND_NS = 10**9
RATE_PER_S, SAMPLES_PER_S, SEGMENT_COUNT = 500, 200, 12
COSTS_NS = {f"handle_{number}": 200_000.0 / (number + 1) for number in range(30)}
START_VARIATION = 0.03  # of one function between starts, beside what all have in common


def frame(name: str) -> Frame:
    """A function of the made-up service."""
    return Frame(function=name, module="service.core", package="service")


def cpu_profile(
    seed: int,
    *,
    extra_ns: Mapping[str, float] | None = None,
    common_ratio: float = 1.0,
    start_variation: float = START_VARIATION,
    costs_ns: Mapping[str, float] = COSTS_NS,
) -> Profile:
    """
    What a sampling profiler sees of one process start over twelve seconds.

    *extra_ns*: what functions cost more, an operation; *common_ratio*: what all have in common;
    *start_variation*: how much each differs between starts beside that; *costs_ns*: of each.
    """
    chance = np.random.default_rng(seed)
    added = extra_ns or {}
    names = list(dict.fromkeys([*costs_ns, *added]))
    costs = np.array([costs_ns.get(name, 0.0) + added.get(name, 0.0) for name in names])
    costs *= common_ratio * np.exp(chance.normal(0, start_variation, len(costs)))
    table = StackTable()
    numbers = [table.number((frame("main"), frame(name))) for name in names]
    segments = []
    for index in range(SEGMENT_COUNT):
        cpu_ns = costs.sum() * RATE_PER_S * np.exp(chance.normal(0, 0.02))
        sampled = chance.poisson(SAMPLES_PER_S * cpu_ns / SECOND_NS)
        seen = chance.multinomial(sampled, costs / costs.sum())
        segments.append(
            ProfileSegment(
                start_ns=index * SECOND_NS,
                end_ns=(index + 1) * SECOND_NS,
                operation_counts={"reserve": int(chance.poisson(RATE_PER_S))},
                cpu_ns=int(cpu_ns),
                sample_count=int(seen.sum()),
                weights={
                    number: round(cpu_ns * count / seen.sum())
                    for number, count in zip(numbers, seen.tolist(), strict=True)
                    if count
                },
            )
        )
    return Profile(
        metric=Metric.CPU_NS,
        profiler={"name": "made"},
        frames=table.frames,
        stacks=table.stacks,
        segments=tuple(segments),
    )


def survivor_profile(
    seed: int, *, leaks: Mapping[str, float] | None = None, segment_count: int = 12
) -> Profile:
    """What survives segments of one and two seconds: caches alike in both, leaks by operation."""
    chance = np.random.default_rng(seed)
    table = StackTable()
    leaking = leaks or {}
    segments = []
    for index in range(segment_count):
        operations = int(chance.poisson(RATE_PER_S * (1 + index % 2)))
        weights = {}
        for name in dict.fromkeys([*list(COSTS_NS)[:10], *leaking]):
            cached = chance.normal(40_000, 4_000)
            weights[table.number((frame(name),))] = max(
                0, round(cached + leaking.get(name, 0.0) * operations)
            )
        segments.append(
            ProfileSegment(
                start_ns=index * SECOND_NS,
                end_ns=(index + 1) * SECOND_NS,
                operation_counts={"reserve": operations},
                cpu_ns=0,
                sample_count=0,
                weights=weights,
            )
        )
    return Profile(
        metric=Metric.SURVIVING_BYTES,
        profiler={"name": "made"},
        frames=table.frames,
        stacks=table.stacks,
        segments=tuple(segments),
    )
