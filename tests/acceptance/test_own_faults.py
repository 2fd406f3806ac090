"""A bug on our own side of a run: it ends at once and says why, and hangs or blames nobody."""

import time

import pytest

from harness.errors import EngineError
from harness.model.scenario import LoadTransport
from harness.model.scenario_file import ScenarioOverrides
from tests.acceptance.conftest import RunOnce, null_scenario

BY_BOTH = pytest.mark.parametrize("driver", ["wire", "grpcio"])
SCENARIO = null_scenario('kind = "constant"\nrate = "100/s"', measure="120s")


def faulty(name: str) -> str:
    """The scenario of tests.acceptance.faulty's system *name*."""
    return SCENARIO.replace("workloads.null:SYSTEM", f"tests.acceptance.faulty:{name}")


@BY_BOTH
@pytest.mark.parametrize("transport", LoadTransport)
def test_a_bug_in_a_reply_handler_ends_the_run(
    driver: str, transport: LoadTransport, run_once: RunOnce
) -> None:
    """In a callback of the framed driver, in a task of grpcio's: nobody waits two minutes."""
    began_s = time.monotonic()

    with pytest.raises(EngineError, match="ZeroDivisionError: of"):
        run_once(faulty("NULL"), "echo", ScenarioOverrides(driver=driver, transport=transport))

    assert time.monotonic() - began_s < 90


def test_a_bug_while_sending_ends_the_run(run_once: RunOnce) -> None:
    """In the pacer's own wake-up."""
    with pytest.raises(EngineError, match="ZeroDivisionError: of record 1"):
        run_once(faulty("RECORDS"), "echo")
