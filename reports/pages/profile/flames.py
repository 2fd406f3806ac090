"""
Flame graphs from profiles: segments of the measured phase added up, stacks merged into a tree.

Colours are by package, since that is what a reader can act on: the service's own packages, the
event loop, gRPC, the Kafka client, Python's library, native code, and what no Python frame
explains. The graph stays small however many stacks there are: what is thinner than anybody can see
is added up beside its neighbours. Widths of a differential graph are those of the more expensive
side, so that code which is gone can be seen too (Gregg's graphs have the width of one side, and
nothing to colour where the other had everything).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.model.profile import Frame, Metric, Profile, ProfileSegment
from harness.model.text import Unit, plain
from reports.pages.model import FlameGraph, FlameGroup

SHARE_MIN = 0.0002  # of the whole: a fifth of a pixel on a wide screen
OTHER = Frame(function="(other)", module="", package="")  # paths thinner than that
_NAME_LENGTH_MAX = 160

UNSEEN = "<no Python frame"
_UNSEEN_ROOT = Frame(function="<no Python frame>", module="", package="native")

UNITS: Mapping[Metric, Unit] = {
    Metric.CPU_NS: Unit.NS,
    Metric.HIGH_WATER_BYTES: Unit.BYTES,
    Metric.SURVIVING_BYTES: Unit.BYTES,
    Metric.ALLOCATED_BYTES: Unit.BYTES,
    Metric.ALLOCATED_COUNT: Unit.COUNT,
}

# Packages by what they are to a service; any other is the service's own or a library it chose.
_KAFKA_CLIENTS = frozenset({"aiokafka", "kafka", "confluent_kafka", "faust", "pykafka"})
_SAME_GROUP = {"uvloop": "asyncio", "async_timeout": "asyncio"}  # all of the event loop
_NATIVE_GROUPS = {  # where native frames were taken: libraries and source files by their beginning
    "cygrpc": "grpc",
    "_asynciomodule.c": "asyncio",
    "loop.c": "asyncio",  # uvloop's and libuv's
}
_GROUPS: Mapping[str, FlameGroup] = {
    "asyncio": FlameGroup(name="asyncio", colour="asyncio", is_foldable=True),
    "grpc": FlameGroup(name="grpc", colour="grpc", is_foldable=True),
    "python": FlameGroup(name="Python's library", colour="python", is_foldable=True),
    "native": FlameGroup(name="native code", colour="native", is_foldable=True),
    "": FlameGroup(name="no Python frame", colour="label"),
}
_OWN_COLOUR_COUNT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FlameWords:
    """What is said around a graph."""

    id: str
    title: str
    explanation: str
    note: str = ""
    absence: str = "no data"


Stack = tuple[Frame, ...]


@dataclass(slots=True)
class _Weights:
    """Of a stack, or of a node itself."""

    own: int = 0
    base: int = 0
    sample_count: int = 0

    def add(self, other: "_Weights") -> None:
        self.own += other.own
        self.base += other.base
        self.sample_count += other.sample_count


def flame_graph(profiles: Sequence[Profile], words: FlameWords) -> FlameGraph:
    """
    The graph of *profiles*, which are of one metric, an operation's cost each width.

    Raises:
        ValueError: they are of several metrics.
    """
    stacks, operation_count = _summed(profiles)
    return _drawn(
        stacks, words, unit=_unit(profiles), operation_count=operation_count, base_operation_count=0
    )


def peak_graph(
    parts: Mapping[str, tuple[Profile, ProfileSegment]], words: FlameWords
) -> FlameGraph:
    """Bytes that *parts* hold, each a segment of a memory profile below a label of its own."""
    stacks: dict[Stack, _Weights] = {}
    for label, (profile, segment) in parts.items():
        root = Frame(function=f"<{label}>", module="", package="")
        for stack, weights in _stacks_of(profile, segment):
            stacks.setdefault((root, *stack), _Weights()).add(weights)
    graph = _drawn(stacks, words, unit=Unit.BYTES, operation_count=0, base_operation_count=0)
    # Start-up is imports of imports: what imports what can be read without the import machinery.
    folded = tuple(replace(group, is_folded=group == _GROUPS["python"]) for group in graph.groups)
    return replace(graph, groups=folded)


def differential_flame_graph(
    base: Sequence[Profile],
    candidate: Sequence[Profile],
    words: FlameWords,
    *,
    common_ratio: float = 1.0,
) -> FlameGraph:
    """
    The graph of what changed from *base* to *candidate*, an operation's cost on each side.

    Args:
        base: Profiles of one metric.
        candidate: Profiles of the same metric.
        words: What is said around it.
        common_ratio: What most of the cost changed by (reports.profile.diff); taken out of the
            candidate's weights.

    Raises:
        ValueError: they are of several metrics.
    """
    unit = _unit([*base, *candidate])
    stacks, base_count = _summed(base)
    for weights in stacks.values():
        weights.base, weights.own, weights.sample_count = weights.own, 0, 0
    added, operation_count = _summed(candidate)
    for stack, weights in added.items():
        weights.own, weights.sample_count = round(weights.own / common_ratio), 0
        stacks.setdefault(stack, _Weights()).add(weights)
    if not base_count or not operation_count:
        stacks = {}
    return _drawn(
        stacks, words, unit=unit, operation_count=operation_count, base_operation_count=base_count
    )


def _unit(profiles: Sequence[Profile]) -> Unit:
    metrics = {profile.metric for profile in profiles}
    if len(metrics) > 1:
        raise ValueError(f"one graph can't show {', '.join(sorted(metrics))}")
    return UNITS[metrics.pop()] if metrics else Unit.COUNT


def _summed(profiles: Sequence[Profile]) -> tuple[dict[Stack, _Weights], int]:
    stacks: dict[Stack, _Weights] = {}
    operation_count = 0
    for profile in profiles:
        for segment in profile.segments:
            if segment.start_ns < 0:
                continue
            operation_count += segment.operation_count
            for stack, weights in _stacks_of(profile, segment):
                stacks.setdefault(stack, _Weights()).add(weights)
    return stacks, operation_count


def _stacks_of(profile: Profile, segment: ProfileSegment) -> Iterator[tuple[Stack, _Weights]]:
    for number, weight in segment.weights.items():
        stack = tuple(profile.frames[frame] for frame in profile.stacks[number])
        if stack and stack[0].function.startswith(UNSEEN) and stack[0] != _UNSEEN_ROOT:
            stack = (_UNSEEN_ROOT, *stack)  # threads without Python frames stand together
        yield stack, _Weights(own=weight, sample_count=segment.samples.get(number, 0))


@dataclass(slots=True)
class _Node:
    """A function called from one path."""

    frame: Frame
    itself: _Weights = field(default_factory=_Weights)
    below: _Weights = field(default_factory=_Weights)  # itself included
    children: dict[Frame, "_Node"] = field(default_factory=dict)


def _drawn(
    stacks: Mapping[Stack, _Weights],
    words: FlameWords,
    *,
    unit: Unit,
    operation_count: int,
    base_operation_count: int,
) -> FlameGraph:
    root = _tree(stacks)
    costs = _cost(operation_count, base_operation_count)
    _fold_small(root, SHARE_MIN * costs(root.below), costs)
    nodes = list(_in_order(root, -1, costs))
    functions = list(dict.fromkeys(node.frame for node, _ in nodes))
    groups, group_of = _groups(functions, nodes)
    number = {frame: index for index, frame in enumerate(functions)}
    is_sampled = any(node.itself.sample_count for node, _ in nodes)
    return FlameGraph(
        id=words.id,
        title=words.title,
        explanation=words.explanation,
        note=words.note,
        absence=words.absence,
        unit=unit,
        operation_count=operation_count,
        base_operation_count=base_operation_count,
        groups=groups,
        names=tuple(plain(frame.function, _NAME_LENGTH_MAX) for frame in functions),
        modules=tuple(plain(frame.module, _NAME_LENGTH_MAX) for frame in functions),
        group_of=group_of,
        parents=tuple(parent for _, parent in nodes),
        function_of=tuple(number[node.frame] for node, _ in nodes),
        own=tuple(node.itself.own for node, _ in nodes),
        base_own=tuple(node.itself.base for node, _ in nodes) if base_operation_count else (),
        samples=tuple(node.itself.sample_count for node, _ in nodes) if is_sampled else (),
    )


def _cost(operation_count: int, base_operation_count: int) -> Callable[[_Weights], float]:
    """What makes a node wide: its cost, or that of the more expensive side."""

    def cost(weights: _Weights) -> float:
        mine = weights.own / max(1, operation_count)
        return max(mine, weights.base / base_operation_count) if base_operation_count else mine

    return cost


def _tree(stacks: Mapping[Stack, _Weights]) -> _Node:
    root = _Node(frame=_UNSEEN_ROOT)
    for stack, weights in stacks.items():
        node = root
        node.below.add(weights)
        for frame in stack:
            node = node.children.setdefault(frame, _Node(frame=frame))
            node.below.add(weights)
        node.itself.add(weights)
    return root


def _fold_small(root: _Node, limit: float, cost: Callable[[_Weights], float]) -> None:
    """Below each node, add up the children that cost less than *limit*."""
    pending = [root]
    while pending:
        node = pending.pop()
        small = [child for child in node.children.values() if cost(child.below) < limit]
        for child in small:
            del node.children[child.frame]
            other = node.children.setdefault(OTHER, _Node(frame=OTHER))
            other.itself.add(child.below)
            other.below.add(child.below)
        pending.extend(child for child in node.children.values() if child.frame != OTHER)


def _in_order(
    root: _Node, parent: int, cost: Callable[[_Weights], float]
) -> Iterator[tuple[_Node, int]]:
    """All nodes below *root* with their parents' numbers; parents, then what costs most, first."""
    number = parent
    pending = [(child, parent) for child in reversed(_dearest_first(root, cost))]
    while pending:
        node, above = pending.pop()
        number += 1
        yield node, above
        pending.extend((child, number) for child in reversed(_dearest_first(node, cost)))


def _dearest_first(node: _Node, cost: Callable[[_Weights], float]) -> list[_Node]:
    return sorted(
        node.children.values(),
        key=lambda child: (child.frame == OTHER, -cost(child.below), str(child.frame)),
    )


def _groups(
    functions: Sequence[Frame], nodes: Sequence[tuple[_Node, int]]
) -> tuple[tuple[FlameGroup, ...], tuple[int, ...]]:
    """The groups of *functions*, the service's own packages by their weight, and whose each is."""
    sums: dict[str, int] = {}
    for node, _ in nodes:
        key = _group_key(node.frame)
        sums[key] = sums.get(key, 0) + node.itself.own + node.itself.base
    own = sorted((key for key in sums if _known(key) is None), key=lambda key: (-sums[key], key))
    made = {
        key: FlameGroup(name=plain(key), colour=f"own-{min(place, _OWN_COLOUR_COUNT) + 1}")
        for place, key in enumerate(own)
    }
    known = {key: found for key in sums if (found := _known(key)) is not None}
    ordered = [*own, *sorted(known, key=lambda key: (-sums[key], key))]
    groups = made | known
    return (
        tuple(groups[key] for key in ordered),
        tuple(ordered.index(_group_key(frame)) for frame in functions),
    )


def _group_key(frame: Frame) -> str:
    if not frame.module and frame.function.startswith(("<", "(")):
        return ""
    if frame.package == "native":
        found = (key for start, key in _NATIVE_GROUPS.items() if frame.module.startswith(start))
        return next(found, "native")
    return _SAME_GROUP.get(frame.package, frame.package)


def _known(package: str) -> FlameGroup | None:
    if package in _KAFKA_CLIENTS:
        return FlameGroup(name=package, colour="kafka", is_foldable=True)
    return _GROUPS.get(package)
