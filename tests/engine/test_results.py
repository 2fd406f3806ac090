"""From stamps to numbers: when an operation could have gone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.engine.results import Results, eligible_ns, latencies, unseen_count
from harness.engine.shard_file import forget_pages, mapped_columns
from harness.model.operation import Outcome
from harness.model.window import Window

CALL, RECORD = 0, 1


def two(**changes: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """A record, and a call after it: due at 100, acknowledged at 200, seen at 300, sent at 310."""
    columns = {
        "kind": (RECORD, CALL),
        "intended_ns": (50, 100),
        "sent_ns": (50, 310),
        "done_ns": (200, 400),
        "visible_ns": (300, 0),
        "given_up_ns": (0, 0),
        "let_go_ns": (0, 0),
        "needs_a": (-1, -1),
        "needs_b": (-1, -1),
        "after": (-1, 0),
    }
    return {name: np.array(values, np.int64) for name, values in (columns | changes).items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, 300, id="seen, then sent"),
        pytest.param({"intended_ns": (50, 305)}, 305, id="seen before it was due"),
        pytest.param(
            {"sent_ns": (50, 290), "given_up_ns": (0, 285)}, 285, id="given up, and seen after all"
        ),
        pytest.param(
            {"visible_ns": (0, 0), "given_up_ns": (0, 305)}, 305, id="given up and never seen"
        ),
        pytest.param({"sent_ns": (50, 210)}, 200, id="not waited for: the record had failed"),
        pytest.param({"kind": (CALL, CALL)}, 200, id="after a call: its reply is enough"),
        pytest.param({"after": (-1, -1), "needs_a": (-1, 0)}, 200, id="needs the reply only"),
        pytest.param(
            {
                "kind": (RECORD, RECORD),
                "after": (-1, -1),
                "needs_a": (-1, 0),
                "sent_ns": (150, 310),
            },
            150,
            id="a record that needs another: once that was sent",
        ),
        pytest.param(
            {"kind": (RECORD, RECORD), "after": (-1, -1), "let_go_ns": (0, 300)},
            300,
            id="held back on purpose",
        ),
    ],
)
def test_operation_can_go_when_what_it_waited_for_is_there(
    changes: dict[str, tuple[int, int]], expected: int
) -> None:
    """A wait that the target caused is not lateness of the generator, nor a clock that ran back."""
    assert eligible_ns(two(**changes), is_kafka=[False, True]).tolist()[1] == expected


def test_event_that_never_came_is_charged_as_slower_than_all() -> None:
    """Of what should be seen and was not: acknowledged or unanswered counts, refused doesn't."""
    ends = (
        [(Outcome.ACKNOWLEDGED, 30)] * 90
        + [(Outcome.ACKNOWLEDGED, 0)] * 6
        + [(Outcome.TIMED_OUT, 40), (Outcome.TIMED_OUT, 0), (Outcome.DROPPED, 0)]
        + [(Outcome.REJECTED, 0), (Outcome.CANCELLED, 0)]
        + [(Outcome.ACKNOWLEDGED, 0)] * 5  # of a kind that causes none
    )
    number = len(ends)
    columns = {name: np.full(number, 10) for name in ("intended_ns", "eligible_ns", "sent_ns")}
    table = pd.DataFrame(
        {
            **columns,
            "done_ns": 20,
            "visible_ns": [seen_ns for _, seen_ns in ends],
            "outcome": [int(outcome) for outcome, _ in ends],
            "kind": pd.Categorical(["write"] * (number - 5) + ["read"] * 5),
        }
    )
    results = Results(table=table, tick_samples=())
    causes_event = (table["kind"] == "write").to_numpy()
    found = latencies(results, Window(start_ns=0, end_ns=100), causes_event)
    visible_ns = found["all"].visible_ns

    assert (visible_ns.count, visible_ns.unanswered_count) == (91, 8)
    assert visible_ns.at(0.9) == 20
    assert next(item for item in visible_ns.quantiles if item.q == 0.5).high == 20
    assert found["read"].visible_ns.unanswered_count == 0
    assert unseen_count(results, causes_event) == 6


def test_pages_that_were_forgotten_are_read_again(tmp_path: Path) -> None:
    """The memory of a mapped column goes, its values stay, also when the file is gone."""
    np.save(tmp_path / "done_ns.npy", np.arange(2_000_000, dtype=np.int64))
    columns = mapped_columns(tmp_path)
    (tmp_path / "done_ns.npy").unlink()
    before = int(columns["done_ns"].sum())
    read_kb = _mapped_kb()

    forget_pages(columns.values())

    assert _mapped_kb() < read_kb - 10_000
    assert int(columns["done_ns"].sum()) == before


def _mapped_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssFile:")[2].split()[0])
