"""
Which kind of operation a stack works for, as far as the stack shows it. Pure.

A plan says where its operations go: a gRPC method or a Kafka topic each ("address"). A stack works
for an address if one of the service's functions in it is named after it: after the gRPC method
(ApplyTransfer: apply_transfer), after the kind itself, or, for a topic, with one of the topic's
words in its name (me.executions.v1: consume_executions). The outermost such function counts.
Names are compared by their words, whatever their case and underscores. What no stack shows (a
journal's own thread, the event loop, work that a task does for many operations at once) is not
shared out: it stays unattributed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.model.profile import Frame, Profile
from reports.profile.costs import home, is_home

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TOPIC_WORD_LENGTH_MIN = 4  # "me", "v1", "acct" of few letters are everywhere
_LIBRARIES = frozenset(
    ("asyncio", "uvloop", "async_timeout", "grpc", "aiokafka", "kafka", "confluent_kafka")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCost:
    """
    The work below the functions of one address.

    Attributes:
        kinds: That are sent there.
        functions: That are named after it; none if no stack showed one.
        operation_count: Answered, of these kinds.
        cost: Of all of them together, in the unit of the metric.
        hottest: The function that most of it is charged to (reports.profile.costs.home).
        hottest_cost: Charged to it, of all operations together.
    """

    address: str
    kinds: tuple[str, ...]
    functions: tuple[Frame, ...]
    operation_count: int
    cost: int
    hottest: Frame | None
    hottest_cost: int


def kind_costs(
    profiles: Sequence[Profile], addresses: Mapping[str, str]
) -> tuple[tuple[KindCost, ...], int]:
    """
    The cost of each address, the most expensive first, and what belongs to none.

    Args:
        profiles: Of one metric; segments of the measured phase count.
        addresses: Of each kind; a kind that was answered and has none stands for itself.
    """
    counts: dict[str, int] = {}
    for profile in profiles:
        for segment in profile.segments:
            if segment.start_ns >= 0:
                for kind, number in segment.operation_counts.items():
                    counts[kind] = counts.get(kind, 0) + number
    places: dict[str, list[str]] = {}
    for kind in sorted(counts):
        places.setdefault(addresses.get(kind, kind), []).append(kind)
    sums = {address: _Sum() for address in places}
    unattributed = 0
    for profile in profiles:
        unattributed += _add(profile, places, sums)
    found = [
        KindCost(
            address=address,
            kinds=tuple(kinds),
            functions=tuple(sorted(sums[address].functions, key=str)),
            operation_count=sum(counts[kind] for kind in kinds),
            cost=sum(sums[address].charged.values()),
            hottest=max(sums[address].charged, key=sums[address].rank, default=None),
            hottest_cost=max(sums[address].charged.values(), default=0),
        )
        for address, kinds in places.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.cost, one.address))), unattributed


class _Sum:
    """One address in the making."""

    def __init__(self) -> None:
        self.functions: set[Frame] = set()
        self.charged: dict[Frame, int] = {}

    def rank(self, frame: Frame) -> tuple[int, str]:
        return self.charged[frame], str(frame)


def _add(profile: Profile, places: Mapping[str, Sequence[str]], sums: Mapping[str, _Sum]) -> int:
    """Add the stacks of *profile* to their addresses; what belongs to none is returned."""
    owners = [
        next((a for a, kinds in places.items() if is_named_after(frame, a, kinds)), None)
        for frame in profile.frames
    ]
    unattributed = 0
    for segment in profile.segments:
        if segment.start_ns < 0:
            continue
        for number, weight in segment.weights.items():
            stack = profile.stacks[number]
            entry = next((frame for frame in stack if owners[frame] is not None), None)
            if entry is None:
                unattributed += weight
                continue
            owner = owners[entry]
            assert owner is not None
            leaf = profile.frames[home(stack, profile.frames)]
            sums[owner].functions.add(profile.frames[entry])
            sums[owner].charged[leaf] = sums[owner].charged.get(leaf, 0) + weight
    return unattributed


def is_the_services(frame: Frame) -> bool:
    """Whether who works on the service can change it: no library that every service has."""
    return is_home(frame) and frame.package not in _LIBRARIES


def is_named_after(frame: Frame, address: str, kinds: Sequence[str]) -> bool:
    """Whether *frame* is a function of the service named after *address* or one of its *kinds*."""
    if not is_the_services(frame):
        return False
    name = words_of(frame.function.rpartition(".")[2])
    if any(name == words_of(kind) for kind in kinds):
        return True
    if address.startswith("/"):  # a gRPC method
        return name == words_of(address.rpartition("/")[2])
    topic = {word for word in words_of(address) if len(word) >= _TOPIC_WORD_LENGTH_MIN}
    return "." in address and bool(topic.intersection(name))


def words_of(name: str) -> tuple[str, ...]:
    """The words of an identifier, in lower case: ReserveStream and reserve_stream are the same."""
    return tuple(word.lower() for word in _WORD.findall(name))
