"""
The foreign account core, built once from its target file's own steps, and runs against it.

Go is not part of the environment. Where it is missing, or its modules can't be fetched, these tests
are skipped and say so; a core that doesn't compile is a failure.
"""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.model.scenario_file import ScenarioOverrides
from harness.runs.run import Run, RunSetup
from harness.storage.run_folder import StoredRun
from harness.targets.build import build_target, work_folder
from harness.targets.target_file import LaunchSpec, load_target, parse_target
from harness.workflows.scenarios import checked_scenario
from tests.acceptance.conftest import SilentView

HERE = Path(__file__).parent
TARGET_FILE = HERE / "foreign.toml"
SOURCE = HERE / "service"
GO_TIMEOUT_S = 600
# All of Go's commands compile alike, so that none does it anew; and quickly: no speed is measured.
GO_FLAGS = "-trimpath '-gcflags=all=-N -l'"

RunForeign = Callable[..., StoredRun]

SCENARIO = """
name = "foreign"
title = "A short run against a service that we did not write in Python"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "500/s"
[phases]
warmup = "500ms"
measure = "1500ms"
drain = "10s"
[load]
timeout = "20s"         # tests run on machines that are busy
[limits]
lateness_p99 = "5s"
generator_cpu = "99%"
rate_error = "50%"
[workload]
accounts = { count = 100, kind = "uniform" }
instruments = 5
market = "varied"
order_life = "200ms"
[workload.mix]
reserve = "44%"
release = "40%"
fill = "5%"
amend = "4%"
transfer = "5%"
duplicate = "1%"
internal_transfer = "1%"
"""
LAUNCH = """
name = "foreign"
[launch]
command = [
    "{program}", "--listen", "127.0.0.1:{{grpc_port}}", "--kafka", "{{kafka}}",
    "--topic-prefix", "{{topic_prefix}}"{more},
]
[ready]
line = "ready "
"""


def go(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A finished go command in *folder*."""
    return subprocess.run(
        ["go", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=GO_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="session")
def _go() -> Iterator[None]:
    """Go and the modules of go.sum."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed; the foreign account core is built with it")
    fetched = go("mod", "download", folder=SOURCE)
    if fetched.returncode != 0:
        pytest.skip(f"Go's modules can't be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOFLAGS", GO_FLAGS)
        yield


@pytest.fixture(scope="session")
def built(_go: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder after a build: the program `service`, and its code in `source`."""
    how = load_target(str(TARGET_FILE)).how
    assert isinstance(how, LaunchSpec)
    folder = tmp_path_factory.mktemp("foreign")
    build_target(how, folder=folder)
    return work_folder(folder)


@pytest.fixture
def run_foreign(built: Path, tmp_path: Path) -> RunForeign:
    """
    A function that runs a scenario against the core.

    It takes more arguments of the core (*arguments*), more lines of its target file (*tables*),
    and what to put before and behind the scenario (*before*, *scenario*).
    """

    def run(
        *arguments: str,
        tables: str = "",
        before: str = "",
        scenario: str = "",
        overrides: ScenarioOverrides | None = None,
    ) -> StoredRun:
        more = "".join(f', "{argument}"' for argument in arguments)
        text = LAUNCH.format(program=built / "service", more=more) + tables
        return run_once(
            tmp_path,
            text,
            before=before,
            scenario=scenario,
            overrides=overrides or ScenarioOverrides(),
        )

    return run


def run_once(
    folder: Path,
    target_text: str,
    *,
    before: str = "",
    scenario: str = "",
    overrides: ScenarioOverrides | None = None,
    kafka: str = "embedded",
) -> StoredRun:
    """One run in *folder* of SCENARIO, with what is put before and behind it."""
    file = folder / "scenario.toml"
    file.write_text(before + SCENARIO + scenario, encoding="utf-8")
    request = RunSetup(
        scenario=checked_scenario(str(file), overrides or ScenarioOverrides()),
        target=parse_target(target_text, file=folder / "foreign.toml"),
        kafka=kafka,
        runs_folder=folder / "runs",
        command="acctbench run",
    )
    return Run(request, SilentView(), threading.Event()).execute()
