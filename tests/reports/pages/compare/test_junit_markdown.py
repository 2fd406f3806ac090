"""Files for machines: what their readers demand, not only what we would read ourselves."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from reports.compare.comparison import compared_sides, rules_of
from reports.compare.verdicts import Comparison
from reports.pages.compare.junit_markdown import comparison_junit, comparison_markdown
from reports.reading.inputs import read_sides

COMMENT_LENGTH_MAX = 65_536  # of GitHub


def comparison(folder: Path, name_count: int) -> Comparison:
    """Files of metrics with long names, which disagree in their units: a fault for each."""
    names = [
        f"[{i}] `tests/_perf_/test.py`::TestBench::test_{'*' * 300}" for i in range(name_count)
    ]

    def document(unit: str) -> dict[str, Any]:
        metrics = [
            {"name": name, "unit": unit, "better": "less", "runs": [1000.0]} for name in names
        ]
        return {"acctbench_samples": 1, "metrics": metrics}

    for name, unit in (("a", "ns"), ("b0", "ns"), ("b1", "us")):
        (folder / f"{name}.json").write_text(json.dumps(document(unit)))
    sides = read_sides([str(folder / "a.json")], [str(folder / "b*.json")], folder)
    return compared_sides(*sides, rules_of(None)).comparison


def test_a_comment_is_bounded(tmp_path: Path) -> None:
    """However many faults there are: the first of them, and how many more."""
    text = comparison_markdown(comparison(tmp_path, 1_500))

    assert len(text) < COMMENT_LENGTH_MAX
    assert "more in the report" in text


def test_every_case_has_a_time(tmp_path: Path) -> None:
    """Readers of JUnit's form refuse a suite or a case without one."""
    root = ET.fromstring(comparison_junit(comparison(tmp_path, 3)))
    timed = [*root.iter("testsuite"), *root.iter("testcase")]

    assert len(timed) >= 2
    assert {element.get("time") for element in timed} == {"0"}
