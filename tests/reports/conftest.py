"""Runs for the report tests, written once a session: making them is the slow part."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.storage.run_folder import StoredRun
from reports.figures.run_evidence import RunEvidence
from tests.reports.browser import Browser, browser_program, open_browser
from tests.reports.compare.made_runs import written_runs
from tests.reports.synthetic import Shape, write_synthetic_run


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """60 s at 2,000/s with a frozen service."""
    folder = tmp_path_factory.mktemp("runs") / "20261122-231500-spot-steady-aaaa"
    return write_synthetic_run(folder, Shape())


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """3 s at 200/s: too few for the outer percentiles, and slower."""
    folder = tmp_path_factory.mktemp("runs") / "20261122-231600-spot-steady-bbbb"
    shape = Shape(seed=8, rate_per_s=200.0, measure_s=3, warmup_s=1, freeze_ns=0, slowdown=1.5)
    return write_synthetic_run(folder, shape)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    program = browser_program()
    if program is None:
        pytest.skip("no Chromium to open a page with")
    with open_browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunEvidence, ...]:
    """Six starts."""
    return written_runs(tmp_path_factory.mktemp("before"), "before")


@pytest.fixture(scope="session")
def same(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunEvidence, ...]:
    """Six more starts of the same build."""
    return written_runs(tmp_path_factory.mktemp("same"), "same")


@pytest.fixture(scope="session")
def slower(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunEvidence, ...]:
    """Six starts of a build that is a fifth slower."""
    return written_runs(tmp_path_factory.mktemp("slower"), "slower", slowdown=1.2)


@pytest.fixture
def page_path(tmp_path: Path) -> Path:
    """Where a test may write its page."""
    return tmp_path / "page.html"
