"""From stamps to numbers: when an operation could have gone."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.engine.results import eligible_ns

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
