"""A judgement of time is given up where others used the machine, and only there."""

import pytest

from harness.engine.machine_watch import MachineFacts
from harness.model.validity import Neighbours
from tests.timing import judged


def seen(cores: float) -> MachineFacts:
    """Others used so many of two cores."""
    neighbours = Neighbours(
        cores=cores, processor_count=2, busiest=(("cc1", cores),), has_unknown=False
    )
    return MachineFacts(drift=0.0, steal_share=0.0, neighbours=neighbours)


def test_a_miss_beside_others_is_a_skip_that_names_them() -> None:
    """Nothing is known of the time then."""
    said = r"others used 1\.5 of 2 cores \(cc1 1\.5\)"
    with pytest.raises(pytest.skip.Exception, match=said), judged(lambda: seen(1.5)):
        assert "late" == "on time"  # noqa: PLR0133 - what a test would find


@pytest.mark.parametrize(
    "facts", [seen(0.1), MachineFacts(drift=0.0, steal_share=None, neighbours=None)]
)
def test_a_miss_on_a_quiet_machine_is_a_failure(facts: MachineFacts) -> None:
    """Also where nobody knows who else was there."""
    with pytest.raises(AssertionError, match="late"), judged(lambda: facts):
        assert "late" == "on time"  # noqa: PLR0133


def test_what_holds_needs_no_quiet_machine() -> None:
    """A busy one is no reason not to believe it."""
    with judged(lambda: seen(2.0)):
        pass
