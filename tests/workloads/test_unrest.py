"""When a target that has not come to rest may still come to it, and when it has lost something."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.system import Endpoint
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.probe import survey

ENDPOINT = Endpoint(grpc_address="", kafka_address="", topic_prefix="")
PRODUCED_COUNT = 10


class Scripted:
    """A target whose numbers follow from how often it was asked."""

    def __init__(self, stats: Callable[[int], tuple[int, int, int]]) -> None:
        self._stats, self._asked_count = stats, 0

    def stats(self) -> contract.Stats:
        """(consumed, transactions, emitted)."""
        self._asked_count += 1
        consumed, journal_seq, emitted = self._stats(self._asked_count)
        return contract.Stats(
            journal_seq=journal_seq,
            ledger_emitted_seq=emitted,
            balances_emitted_seq=emitted,
            sources=[contract.SourcePosition(src="s", instrument_id=1, last_seq=consumed)],
        )


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second passes at each look."""
    now_s = 0.0

    def sleep(_duration_s: float) -> None:
        nonlocal now_s
        now_s += 0.5

    monkeypatch.setattr(survey.time, "sleep", sleep)
    monkeypatch.setattr(survey.time, "monotonic", lambda: now_s)


@pytest.mark.parametrize(
    ("stats", "missing", "may_come"),
    [
        (lambda _: (10, 50, 50), "", False),
        (lambda asked: (min(asked, 10), 50, 50), "", False),
        (lambda asked: (9, asked, asked), "9 of 10 executions", True),  # moves to the end
        (lambda _: (9, 50, 50), "9 of 10 executions", False),  # stands still short of it
        (lambda _: (10, 50, 49), "49 of 50 transactions", True),  # has yet to tell
    ],
    ids=["at rest", "comes to rest", "still moving", "lost an execution", "behind in telling"],
)
def test_what_may_still_come(
    stats: Callable[[int], tuple[int, int, int]], missing: str, *, may_come: bool
) -> None:
    """Only a standstill with everything told is a loss."""
    control: Any = Scripted(stats)
    found = survey._await_rest(
        control, ENDPOINT, produced_count=PRODUCED_COUNT, opening=None, timeout_s=20
    )

    assert missing in found.missing
    assert bool(found.missing) == bool(missing)
    assert found.may_come is may_come
