"""Sides as users name them: what exists as it is written is taken as it is written."""

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from reports.reading.inputs import read_sides

DOCUMENT = {
    "acctbench_samples": 1,
    "metrics": [{"name": "m", "unit": "ns", "better": "less", "runs": [1.0]}],
}
FOLDERS = ("bench [old]", "runs,v2", "-dash", "sp ace", "a*b", "100%", "plain")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files in each folder."""
    for number, name in enumerate(FOLDERS):
        (tmp_path / name).mkdir()
        for place in range(2):
            metrics = [{**DOCUMENT["metrics"][0], "runs": [float(10 * number + place)]}]  # type: ignore[index]
            text = json.dumps({**DOCUMENT, "metrics": metrics})
            (tmp_path / name / f"tp-{place}.json").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", FOLDERS[:-1])
@pytest.mark.parametrize(("file", "count"), [("tp-*.json", 2), ("tp-0.json", 1)])
def test_letters_of_a_pattern_in_a_name(
    folder: Path, name: str, file: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets, commas, blanks and stars of a folder that is there mean themselves."""
    monkeypatch.chdir(folder)
    a, b = read_sides([f"{name}/{file}"], ["plain/tp-0.json,plain/tp-1.json"], folder)

    assert a.elsewhere is not None
    assert b.elsewhere is not None
    assert len(a.elsewhere.metrics[0].data.values) == count  # type: ignore[union-attr]
    assert len(b.elsewhere.metrics[0].data.values) == 2  # type: ignore[union-attr]


def test_a_list_of_names_with_commas(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as long as what exists."""
    monkeypatch.chdir(folder)
    a, _ = read_sides(["runs,v2/tp-0.json,runs,v2/tp-1.json"], ["plain/tp-0.json"], folder)

    assert a.elsewhere is not None
    assert len(a.elsewhere.metrics[0].data.values) == 2  # type: ignore[union-attr]


def test_what_is_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was written."""
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match="nowhere"):
        read_sides(["nowhere/*.json"], ["plain/tp-0.json"], folder)
