"""What two runs are compared by: a fact that is there, and one that nobody recorded."""

from dataclasses import replace

import pytest

from harness.model.record import RunRecord
from reports.compare.comparable import Difference, differences
from reports.history.runs import history_run
from tests.model.made import record

ENVIRONMENT = {"cpu_model": "EPYC", "kernel": "6.1", "python": "3.11", "core_count": 2}


def run_on(cpu_model: str | None) -> RunRecord:
    """A run on a machine whose processor says it is *cpu_model*."""
    return record(
        environment={**ENVIRONMENT, "cpu_model": cpu_model, "harness_digest": "d"},
        scenario={"name": "s", "digest": "d"},
        schedule_digest="d",
    )


@pytest.mark.parametrize("missing", [None, ""])
def test_what_nobody_recorded_is_an_obstacle(missing: str | None) -> None:
    """Two runs on machines that nobody knows may be of any two."""
    (found,) = differences([run_on(missing), run_on(missing)])

    assert (found.name, found.a, found.b) == ("environment.cpu_model", None, None)
    assert found.is_obstacle
    assert "not recorded in made" in str(found)


def test_a_fact_that_says_no_data_is_a_fact() -> None:
    """The words that pages have for what is missing mean nothing where runs are judged."""
    said, missing = run_on("no data"), replace(run_on(None), run_id="other")

    assert differences([said, replace(said, run_id="other")]) == ()
    assert [(item.a, item.b) for item in differences([said, missing])] == [("no data", None)]
    assert history_run(said, "").setting != history_run(missing, "").setting


def test_both_read_as_no_data() -> None:
    """A fault says so of a side that recorded nothing, and a setting of its machine."""
    one = Difference(name="x", a=None, b="7", run_id="other", is_obstacle=True)

    assert str(one) == "not comparable: x is 'no data', and '7' in other"
    assert "no data, 2 cores" in history_run(run_on(None), "").setting.title
