"""Unknown outcomes asked for again: each once answered, the hopeless given up at the deadline."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.engine import resolve
from harness.engine.dispatch import Drivers
from harness.engine.resolve import UNRESOLVED, Resolver
from harness.model.operation import Outcome
from tests.engine.test_dispatch import CALL, KINDS, MESSAGE, RECORD, Bench


class Codec:
    """The reply's first byte is its code, its second whether it is a repeat."""

    def reply_code(self, message: bytes | memoryview) -> int:
        return message[0]

    def reply_replayed(self, message: bytes | memoryview) -> bool:
        return bool(message[1])


def resolver_of(bench: Bench, *, kind: int = CALL, lanes: Sequence[int] = ()) -> Resolver:
    """A resolver of what *bench* left unknown."""
    count = bench.spec.row_count
    plan: Any = type("Plan", (), {"__len__": lambda _: count})()
    plan.kind, plan.stream = np.full(count, kind, np.uint8), np.array(lanes or [-1] * count)
    drivers: Any = Drivers(grpc=bench.grpc, kafka=None)  # type: ignore[arg-type]
    return Resolver(
        dispatcher=bench.dispatcher,
        drivers=drivers,
        columns=bench.columns,
        plan=plan,
        codec=Codec(),  # type: ignore[arg-type]
        kinds=KINDS,
        topic_prefix="",
    )


def test_unknown_outcomes_are_repeated_and_the_known_left_alone() -> None:
    """A time-out and a lost connection are asked for again; what was never sent is not."""

    async def scene() -> None:
        bench = Bench(4)
        bench.offer_all()
        bench.reply(0)
        bench.reply(1, status=4, detail="deadline")
        bench.reply(2, status=14, detail="connection lost: reset")
        bench.reply(3, status=14, detail="not sent: refused")
        finished: list[int] = []
        resolver = resolver_of(bench)
        already = len(bench.grpc.sent)

        resolver.start(finished.append)
        assert [token for token, _ in bench.grpc.sent[already:]] == [1, 2]
        bench.dispatcher.on_reply(1, 0, b"\x00\x01", "")
        bench.dispatcher.on_reply(2, 0, b"\x07\x00", "")

        assert finished == [2]
        assert resolver.outcome.tolist() == [
            UNRESOLVED,
            Outcome.ACKNOWLEDGED,
            Outcome.REJECTED,
            UNRESOLVED,
        ]
        assert resolver.code.tolist()[1:3] == [0, 7]
        assert resolver.replayed.tolist()[1:3] == [1, 0]

    asyncio.run(scene())


@pytest.mark.parametrize(("kind", "asked"), [(CALL, [2, 3]), (RECORD, [0, 1, 2, 3])])
def test_what_the_target_may_have_forgotten_is_not_asked_again(kind: int, asked: list[int]) -> None:
    """To ask would be to do it twice. Records are known by their numbers, for ever."""

    async def scene() -> None:
        bench = Bench(4, records=range(4) if kind == RECORD else ())
        bench.dispatcher.sequences.update(enumerate(range(1, 5)))
        bench.columns.sent_ns[:] = [100, 199, 200, 300]
        bench.columns.outcome[:] = int(Outcome.TIMED_OUT)
        resolver = resolver_of(bench, kind=kind)
        sent: list[int] = []
        resolver._drivers = SimpleNamespace(
            grpc=SimpleNamespace(send=lambda operation, *_: sent.append(operation), flush=list),
            kafka=SimpleNamespace(send=lambda operation, *_: sent.append(operation)),
        )

        resolver.start(lambda _: None, sent_since_ns=200)

        assert sent == asked

    asyncio.run(scene())


def test_answers_to_both_sendings_count_once() -> None:
    """The first sending's late answer is as good; the second's then changes nothing."""

    async def scene() -> None:
        bench = Bench(3)
        bench.offer_all()
        for operation in range(3):
            bench.reply(operation, status=4, detail="no reply by end of drain")
        finished: list[int] = []
        resolver = resolver_of(bench)

        resolver.start(finished.append)
        reply = bench.dispatcher.on_reply
        reply(0, 0, b"\x00\x00", "")
        reply(0, 0, b"\x00\x01", "")
        reply(1, 0, b"\x00\x01", "")
        reply(0, 14, b"", "connection lost")
        reply(1, 0, b"\x00\x01", "")
        assert finished == []  # the third has no answer yet
        reply(2, 0, b"\x00\x01", "")

        assert finished == [3]
        assert resolver.replayed.tolist() == [0, 1, 1]

    asyncio.run(scene())


def test_late_answer_saves_the_second_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered while it waits for its turn is not sent again."""
    monkeypatch.setattr(resolve, "_IN_FLIGHT_COUNT_MAX", 1)

    async def scene() -> None:
        bench = Bench(2)
        bench.offer_all()
        for operation in range(2):
            bench.reply(operation, status=4, detail="no reply by end of drain")
        finished: list[int] = []
        resolver = resolver_of(bench)
        already = len(bench.grpc.sent)

        resolver.start(finished.append)
        bench.dispatcher.on_reply(1, 0, b"\x00\x00", "")
        bench.dispatcher.on_reply(0, 0, b"\x00\x01", "")

        assert [token for token, _ in bench.grpc.sent[already:]] == [0]
        assert finished == [1]
        assert resolver.outcome.tolist() == [Outcome.ACKNOWLEDGED] * 2

    asyncio.run(scene())


def test_messages_are_repeated_on_their_lane_and_answered_once() -> None:
    """A late answer to the first request and the one to its repeat count once together."""

    async def scene() -> None:
        bench = Bench(2, messages={0: 5, 1: 6})
        bench.offer_all()
        bench.reply(0, status=14, detail="connection lost: reset")
        bench.reply(1, status=4, detail="no reply within the deadline")
        finished: list[int] = []
        resolver = resolver_of(bench, kind=MESSAGE, lanes=[5, 6])

        resolver.start(finished.append)
        assert bench.grpc.lanes[2:] == [(0, 5), (1, 6)]
        bench.dispatcher.on_reply(1, 0, b"\x00\x00", "")
        bench.dispatcher.on_reply(1, 0, b"\x09\x01", "")
        assert finished == []
        bench.dispatcher.on_reply(0, 0, b"\x00\x01", "")

        assert finished == [2]
        assert resolver.outcome.tolist() == [Outcome.ACKNOWLEDGED, Outcome.ACKNOWLEDGED]
        assert resolver.code.tolist() == [0, 0]
        assert resolver.replayed.tolist() == [1, 0]

    asyncio.run(scene())


def test_deadline_leaves_the_rest_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that never answers ends the asking, and the outcome stays unknown."""
    monkeypatch.setattr(resolve, "DEADLINE_S", 0.05)

    async def scene() -> None:
        bench = Bench(1)
        bench.offer_all()
        bench.reply(0, status=4, detail="deadline")
        finished = asyncio.get_running_loop().create_future()
        resolver = resolver_of(bench)

        resolver.start(finished.set_result)

        assert await asyncio.wait_for(finished, 5.0) == 1
        assert resolver.outcome.tolist() == [UNRESOLVED]

    asyncio.run(scene())
