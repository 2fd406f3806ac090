"""Real runs for the trust tests: a scenario and a target as text, a stored run as the result."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.progress import Progress
from harness.model.scenario_file import ScenarioOverrides
from harness.runs.run import Run, RunSetup
from harness.storage.run_folder import StoredRun
from harness.targets.target_file import load_target, parse_target
from harness.workflows.scenarios import checked_scenario

RunOnce = Callable[..., StoredRun]

NULL_TARGET = """
name = "null"
[launch]
command = [
    "{{python}}", "-m", "harness.targets.null_service", "--port", "{{grpc_port}}",
    "--engine", "wire", "--delay", "{delay}",
]
[ready]
line = "ready "
"""

NULL_SCENARIO = """
name = "null-trust"
title = "A trust test"
system = "workloads.null:SYSTEM"
[arrivals]
{arrivals}
[phases]
warmup = "{warmup}"
measure = "{measure}"
drain = "10s"
[load]
driver = "{driver}"
workers = {workers}
in_flight_max = {in_flight_max}
timeout = "20s"
[limits]
lateness_p99 = "20ms"   # tests run on machines that are busy
generator_cpu = "95%"
{rest}
"""


class SilentView:
    """Watches nothing."""

    def phase(self, name: str, detail: str) -> None:
        return

    def progress(self, progress: Progress) -> None:
        return


@pytest.fixture
def run_once(tmp_path: Path) -> RunOnce:
    """A function that runs a scenario file against a target file (or name) and returns the run."""

    def run(
        scenario_text: str,
        target: str,
        overrides: ScenarioOverrides | None = None,
        kafka: str = "embedded",
    ) -> StoredRun:
        scenario_file = tmp_path / "scenario.toml"
        scenario_file.write_text(scenario_text, encoding="utf-8")
        spec = (
            parse_target(target, file=tmp_path / "target.toml")
            if "\n" in target
            else load_target(target)
        )
        request = RunSetup(
            scenario=checked_scenario(str(scenario_file), overrides or ScenarioOverrides()),
            target=spec,
            kafka=kafka,
            runs_folder=tmp_path / "runs",
            command="acctbench run",
        )
        return Run(request, SilentView(), threading.Event()).execute()

    return run


def null_scenario(
    arrivals: str,
    *,
    measure: str,
    warmup: str = "500ms",
    driver: str = "wire",
    workers: int = 1,
    in_flight_max: int = 50_000,
    rest: str = "",
) -> str:
    """A scenario file of the null system."""
    return NULL_SCENARIO.format(
        arrivals=arrivals,
        measure=measure,
        warmup=warmup,
        driver=driver,
        workers=workers,
        in_flight_max=in_flight_max,
        rest=rest,
    )


def null_target(delay: str) -> str:
    """A target file of the null service with *delay*."""
    return NULL_TARGET.format(delay=delay)
