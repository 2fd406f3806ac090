"""
The facts of what was drawn: numbers, statuses, names and ids, and none of the prose around them.

    python tests/golden/facts.py OUT > tests/golden/expected.json

OUT is a folder that render.py drew into. Of JSON and TOML everything but sentences is kept in its
place; of pages the numbers that begin a cell of a table, and the words of the verdicts; of JUnit
XML the cases and what came of each; of Markdown the numbers in its tables; of Parquet a digest of
the figures of each run.
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import blake2b
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq

_PROSE = frozenset(
    (
        *(
            "absence",
            "charts",
            "command",
            "detail",
            "explanation",
            "first",
            "label",
            "lead",
            "message",
        ),
        *(
            "note",
            "notes",
            "question",
            "sentence",
            "spent_s",
            "text",
            "title",
            "trends",
            "unit",
            "worst",
        ),
    )
)
_LONG_COUNT = 24  # numbers in a list of which only a digest is kept
_SHOWN_COUNT = 48  # of a list of tables, such as the functions of a profile
_NUMBER = re.compile(r"[+\-\u2212\u00b1]?\d[\d,.]*")


def facts_of(out: Path) -> dict[str, Any]:
    """The facts of every step whose files lie in *out*."""
    return {
        name: {
            "code": said["code"],
            "out": _of_output(said["out"]),
            "files": {
                path.relative_to(out / name).as_posix(): _of_file(path)
                for path in sorted((out / name).rglob("*"))
                if path.is_file()
            },
        }
        for name, said in json.loads((out / "said.json").read_text("utf-8")).items()
    }


def missing(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Where *expected* is not in *found*, which may have more keys."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key in found:
                yield from missing(value, found[key], f"{place}/{key}")
            else:
                yield f"{place}/{key} is gone"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from missing(one, other, f"{place}/{index}")
    elif expected != found:
        yield f"{place} was {expected!r}, is {found!r}"


def _of_output(text: str) -> Any:
    try:
        return _kept(json.loads(text))
    except ValueError:
        return None


def _of_file(path: Path) -> Any:
    if path.suffix == ".parquet":
        return _of_figures(path)
    text = path.read_text("utf-8")
    match path.suffix:
        case ".json":
            return _kept(json.loads(text))
        case ".toml":
            return _kept(tomllib.loads(text))
        case ".html":
            return _of_page(text)
        case ".xml":
            return {
                case.get("name"): sorted(child.tag for child in case)
                for case in ET.fromstring(text).iter("testcase")
            }
        case _:
            rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
            return _there(_NUMBER.findall(rows))


def _kept(document: Any) -> Any:
    """*document* without prose; a string is prose if it has a blank or stands where prose does."""
    match document:
        case dict():
            kept = {key: _kept(value) for key, value in document.items() if key not in _PROSE}
            return {key: value for key, value in kept.items() if value not in (None, {}, [])}
        case list():
            items = [_kept(item) for item in document]
            if any(isinstance(item, dict) for item in items):
                return items[:_SHOWN_COUNT]  # the worst or the oldest stand first
            return _digest(items) if len(items) > _LONG_COUNT else items
        case float():
            return float(f"{document:.9g}") if math.isfinite(document) else str(document)
        case str():
            return None if re.search(r"\s", document) else document
        case date():
            return document.isoformat()
        case _:
            return document


def _digest(items: list[Any]) -> dict[str, Any]:
    text = json.dumps(items, sort_keys=True)
    return {"count": len(items), "digest": blake2b(text.encode(), digest_size=8).hexdigest()}


def _of_figures(path: Path) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for row in sorted(pq.read_table(path).to_pylist(), key=lambda row: str(row["metric"])):
        found.setdefault(row["run_id"], []).append([row["metric"], _kept(row["value"])])
    return {run_id: _digest(values) for run_id, values in found.items()}


def _there(words: Iterable[str]) -> dict[str, bool]:
    return dict.fromkeys(sorted(words), True)


class _Page(HTMLParser):
    """Collects what stands in cells of tables, and in the words of verdicts."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.words: list[str] = []
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a cell or a word."""
        is_word = tag == "p" and ("class", "word") in attrs
        if tag == "td" or is_word:
            self._into = self.words if is_word else self.cells
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        """End it."""
        if tag in {"td", "p"}:
            self._into = None

    def handle_data(self, data: str) -> None:
        """Text of it, or of nothing that matters."""
        if self._into is not None:
            self._into[-1] += data


def _of_page(text: str) -> dict[str, Any]:
    page = _Page()
    page.feed(text)
    numbers = [found[0] for cell in page.cells if (found := _NUMBER.match(cell.strip()))]
    return {"words": [word.strip() for word in page.words], "numbers": _there(numbers)}


if __name__ == "__main__":
    json.dump(facts_of(Path(sys.argv[1])), sys.stdout, indent=0, sort_keys=True)
    sys.stdout.write("\n")
