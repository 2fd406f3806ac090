"""A system of one's own, as harness/system.md shows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.system import Probe, load_system
from workloads.null.system import NullAuditor, NullCodec, NullPlanner

PAGE = Path(__file__).parents[2] / "harness" / "system.md"
SCENARIO = """
name = "pings"
title = "The example"
system = "pings:SYSTEM"
[arrivals]
kind = "constant"
rate = "100/s"
[phases]
warmup = "200ms"
measure = "1s"
drain = "5s"
"""


def test_example_runs(tmp_path: Path) -> None:
    """It drives the null service; without an audit correctness is unknown, and the run says so."""
    _, _, code = PAGE.read_text(encoding="utf-8").partition("```python")
    (tmp_path / "pings.py").write_text(code.partition("```")[0], encoding="utf-8")
    (tmp_path / "pings.toml").write_text(SCENARIO, encoding="utf-8")
    command = [sys.executable, "-m", "harness.cli.main", "run", str(tmp_path / "pings.toml")]
    ended = subprocess.run(
        [*command, "--target", "null", "--runs", str(tmp_path / "runs")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Required and not decided: any" in ended.stderr
    (record,) = (tmp_path / "runs").glob("*/record.json")
    told = json.loads(record.read_text(encoding="utf-8"))
    assert told["correctness"] == {"status": "UNKNOWN", "invariants": []}
    assert told["operations"]["acknowledged"] == 100


class Whole(NullPlanner, NullCodec, NullAuditor, Probe):
    """All parts in one object, as systems were written before there were parts."""

    topics = ("some.v1",)


WHOLE = Whole()


def test_one_object_may_be_every_part() -> None:
    """Its methods are those of the four parts, its topics the system's."""
    system = load_system(f"{__name__}:WHOLE")

    assert {system.planner, system.codec, system.probe, system.auditor} == {WHOLE}
    assert system.topics == WHOLE.topics


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("SYSTEM = 1", "'int' object has no attribute 'topics'"),
        (
            "from harness.system import Planner\nclass P(Planner): ...\nSYSTEM = P()",
            "Can't instantiate abstract class P",
        ),
    ],
)
def test_half_a_system_is_refused(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no system, or lacks a method that it needs, is named before anything starts."""
    (tmp_path / "half_a_system.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "half_a_system", raising=False)

    with pytest.raises(UsageError, match=words):
        load_system("half_a_system:SYSTEM")
