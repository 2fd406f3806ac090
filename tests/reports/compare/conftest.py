"""Two sides of stored runs, written once a session."""

import pytest

from reports.compare.evidence import RunEvidence
from tests.reports.compare.made_runs import written_runs


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
