"""Flame graphs as values: what they add up to, how large they get, what a difference shows."""

from dataclasses import replace

import pytest

from harness.model.profile import Frame, Metric, Profile, StackTable
from harness.model.text import Unit
from reports.pages.model import FlameGraph
from reports.pages.profile.flames import (
    SHARE_MIN,
    FlameWords,
    differential_flame_graph,
    flame_graph,
    peak_graph,
)
from tests.reports.profile.made_passes import (
    COUNTS,
    LOOP,
    SEEN,
    WRITE,
    at,
    large_profile,
    made_profile,
)

WORDS = FlameWords(id="x", title="Title", explanation="")


def paths(graph: FlameGraph, column: tuple[int, ...]) -> dict[tuple[str, ...], int]:
    """Every node's path of names and its value in *column*, where it has one."""
    found: list[tuple[str, ...]] = []
    for parent, function in zip(graph.parents, graph.function_of, strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), graph.names[function]))
    return {path: value for path, value in zip(found, column, strict=True) if value}


def only(profile: Profile, weights: dict[tuple[Frame, ...], int]) -> Profile:
    """*profile*'s first segment with *weights* instead of its own."""
    table = StackTable()
    numbered = {table.number(stack): weight for stack, weight in weights.items()}
    segment = replace(profile.segments[0], weights=numbered, samples={})
    return replace(profile, frames=table.frames, stacks=table.stacks, segments=(segment,))


class TestOneSide:
    """A graph of one profile."""

    def test_it_adds_up_to_the_profile(self) -> None:
        """Each stack's weight over all segments is its path's own; samples and operations too."""
        graph = flame_graph([made_profile()], WORDS)
        own = paths(graph, graph.own)

        assert own[tuple(frame.function for frame in LOOP)] == 4 * 300 * 1_000_000
        assert sum(graph.own) == 4 * 1_000 * 1_000_000
        assert sum(graph.samples) == 4 * 950
        assert graph.operation_count == 6 * sum(COUNTS.values())
        assert graph.unit is Unit.NS
        assert not graph.is_differential

    def test_only_the_measured_phase_counts(self) -> None:
        """What start-up did is in no cost of an operation."""
        graph = flame_graph([made_profile(Metric.ALLOCATED_BYTES)], WORDS)

        assert "<module>" not in graph.names

    def test_threads_without_a_frame_stand_together(self) -> None:
        """Below one label, each under its own name."""
        graph = flame_graph([made_profile()], WORDS)
        roots = {
            graph.names[function]
            for parent, function in zip(graph.parents, graph.function_of, strict=True)
            if parent < 0
        }

        assert roots == {"main", "Thread.run", "<no Python frame>"}
        assert ("<no Python frame>", "<no Python frame: thread timer>") in paths(graph, graph.own)

    def test_packages_are_groups(self) -> None:
        """The service's own first; the event loop, gRPC and the Kafka client can be folded."""
        graph = flame_graph([made_profile()], WORDS)
        groups = {group.name: group for group in graph.groups}

        assert graph.groups[0].name == "shop"
        assert groups["shop"].colour == "own-1"
        assert not groups["shop"].is_foldable
        assert all(groups[name].is_foldable for name in ("asyncio", "grpc", "aiokafka"))
        assert groups["no Python frame"].colour == "label"

    def test_it_stays_small_and_loses_nothing(self) -> None:
        """Of 20,000 stacks what can't be seen is added up; the sum is the same to the last unit."""
        profile = large_profile(Metric.CPU_NS, stack_count=20_000)

        graph = flame_graph([profile], WORDS)

        assert sum(graph.own) == sum(profile.segments[0].weights.values())
        assert len(graph.own) < 10_000
        totals = list(graph.own)
        for node in range(len(totals) - 1, 0, -1):
            if graph.parents[node] >= 0:
                totals[graph.parents[node]] += totals[node]
        thin = SHARE_MIN * sum(graph.own)
        names = [graph.names[function] for function in graph.function_of]
        assert {name for name, total in zip(names, totals, strict=True) if total < thin} <= {
            "(other)"
        }

    def test_the_numbering_of_stacks_does_not_matter(self) -> None:
        """Two profiles that differ in the order of their stacks are one graph."""
        profile = made_profile()
        turned = only(profile, dict(reversed(SEEN.items())))

        assert flame_graph([only(profile, SEEN)], WORDS) == flame_graph([turned], WORDS)

    def test_without_operations_or_profiles_nothing_is_drawn(self) -> None:
        """It reads as absence."""
        assert flame_graph([], WORDS).own == ()
        assert flame_graph([replace(made_profile(), segments=())], WORDS).own == ()

    def test_metrics_are_never_mixed(self) -> None:
        """Nanoseconds and bytes have no sum."""
        with pytest.raises(ValueError, match="allocated_bytes, cpu_ns"):
            flame_graph([made_profile(), made_profile(Metric.ALLOCATED_BYTES)], WORDS)

    def test_names_of_a_target_are_made_harmless(self) -> None:
        """A function's name is foreign text: no control, no flood."""
        hostile = at("evil\x00\u202e" + "A" * 9_000, "shop.evil")

        graph = flame_graph([only(made_profile(), {(hostile,): 5})], WORDS)

        assert graph.names[0].startswith("evil\\u0000\\u202e")
        assert len(graph.names[0]) < 300

    def test_a_peak_is_of_labelled_segments(self) -> None:
        """Each below its label, of no operations, in bytes."""
        profile = made_profile(Metric.SURVIVING_BYTES)

        graph = peak_graph({"after start-up": (profile, profile.segments[0])}, WORDS)

        assert paths(graph, graph.own) == {("<after start-up>", "<module>"): 5_000_000}
        assert (graph.unit, graph.operation_count) == (Unit.BYTES, 0)


class TestTwoSides:
    """A differential graph."""

    def test_each_side_has_its_weights_and_its_operations(self) -> None:
        """Also code that is gone, and code that is new."""
        base = only(made_profile(), {(at("gone", "shop.a"),): 100, (WRITE,): 50})
        candidate = only(made_profile(), {(WRITE,): 70, (at("new", "shop.a"),): 10})
        candidate = replace(
            candidate,
            segments=(replace(candidate.segments[0], operation_counts={"reserve": 7}),),
        )

        graph = differential_flame_graph([base], [candidate], WORDS)

        assert graph.is_differential
        assert paths(graph, graph.base_own) == {("gone",): 100, ("Journal.write",): 50}
        assert paths(graph, graph.own) == {("new",): 10, ("Journal.write",): 70}
        assert graph.base_operation_count == 2 * sum(COUNTS.values())
        assert graph.operation_count == 7

    def test_what_all_have_in_common_is_taken_out(self) -> None:
        """A candidate that is slower as a whole shows no change once that is known."""
        base = only(made_profile(), {(WRITE,): 1_000})
        candidate = only(made_profile(), {(WRITE,): 1_250})

        graph = differential_flame_graph([base], [candidate], WORDS, common_ratio=1.25)

        assert graph.own == graph.base_own == (1_000,)

    def test_a_side_without_operations_has_no_cost_to_compare(self) -> None:
        """It reads as absence, never as a saving of everything."""
        empty = replace(made_profile(), segments=())

        assert differential_flame_graph([empty], [made_profile()], WORDS).own == ()
        assert differential_flame_graph([made_profile()], [empty], WORDS).own == ()
