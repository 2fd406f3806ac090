"""One bundle for all tests: five runs compared with five of the last release, one with a twin."""

import shutil
from pathlib import Path

import pytest

from reports.bundle.gather import Found
from reports.bundle.write import BaselineRuns, Bundle, BundleRequest, write_bundle
from tests.reports.release.made import CIRCUMSTANCES, KEY, POLICY, policy, write_run

WAIVER = f"""
[[waivers]]
metric = "{KEY}:*"
owner = "Ada"
reason = "runs of five seconds tell little"
until = 2099-12-31
"""
TEXT = f"{POLICY}count = 2\nprofiles = ['cpu']\n{WAIVER}"
RULES = (
    'name = "quick"\nmetrics = ["all.response_ns.p50", "kernel.*"]\n'  # one file for every demand
)
COMPARED = f"comparison = 'policy.toml'\n{POLICY}count = 5\nbaseline = 'before'\n{WAIVER}"
PROGRAM = {"name": "acctbench", "version": "0.1.0"}
RUN_COUNT = 5


@pytest.fixture(scope="session")
def small_request(tmp_path_factory: pytest.TempPathFactory) -> BundleRequest:
    """Two runs, one with a profiled twin: judged in a moment."""
    runs = tmp_path_factory.mktemp("runs")
    now = [write_run(runs / f"now-{number}", seed=number) for number in range(2)]
    write_run(now[0] / "passes" / "cpu", seed=0, instrumentation="cpu")
    return _request(TEXT, now, {})


@pytest.fixture(scope="session")
def bundle(small_request: BundleRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of two runs, which nobody may change: tests work on copies."""
    folder = tmp_path_factory.mktemp("bundles") / "release-1.4"
    return write_bundle(small_request, folder, is_forced=False)


@pytest.fixture(scope="session")
def compared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Five runs compared with five of the last release."""
    runs = tmp_path_factory.mktemp("runs")
    now = [write_run(runs / f"now-{number}", seed=number) for number in range(RUN_COUNT)]
    before = [write_run(runs / f"before-{number}", seed=20 + number) for number in range(RUN_COUNT)]
    baselines = {KEY: BaselineRuns(name="before", folders=tuple(before))}
    folder = tmp_path_factory.mktemp("bundles") / "release-1.4"
    return write_bundle(_request(COMPARED, now, baselines), folder, is_forced=False)


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "release-1.4"))


def _request(text: str, folders: list[Path], baselines: dict[str, BaselineRuns]) -> BundleRequest:
    return BundleRequest(
        policy=policy(text),
        policy_text=text,
        rules_text=RULES,
        circumstances=CIRCUMSTANCES,
        found=[Found(folder=folder) for folder in folders],
        baselines=baselines,
        program=PROGRAM,
    )
