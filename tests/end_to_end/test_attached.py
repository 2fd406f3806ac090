"""A service that runs already, on a broker of its own: driven, audited, left alone; repeatedly."""

import sys
from pathlib import Path

from tests.end_to_end.attached import staging

REFERENCE = (
    *(sys.executable, "-m", "workloads.account.reference", "--workdir", "{folder}"),
    *("--kafka", "{kafka}", "--topic-prefix", "staging."),
)


def test_run_twice_on_the_same_service(tmp_path: Path) -> None:
    """The second run finds accounts, orders and topics of the first, and is as green."""
    with staging(tmp_path, *REFERENCE) as at:
        digests = {at.check_green() for _ in range(2)}

    assert len(digests) == 1


def test_service_that_is_gone_is_named(tmp_path: Path) -> None:
    """Exit 6 with the pid that is not there, and nothing measured."""
    with staging(tmp_path, *REFERENCE) as at:
        at.service.stop(grace_s=5)
        done = at.command()

    assert done.returncode == 6
    assert f"staging.toml: attach.pid: no process {at.service.pid} runs" in done.stderr
