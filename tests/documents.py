"""The Markdown pages of this repository, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = ("harness", "workloads", "reports", "tests", "ci")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(p for place in PLACES for p in (ROOT / place).rglob("*.md")))
}
COMMANDS = "harness/cli/commands.md"  # made from the help texts

_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"(?<!\\)\|")


def blocks(page: str, language: str = "") -> list[str]:
    """The fenced blocks of *page* in this language."""
    return [text for name, text in _FENCED.findall(PAGES[page]) if name == language]


def prose(page: str) -> str:
    """*page* without its fenced blocks."""
    return _FENCED.sub("", PAGES[page])


def table(page: str, first_header: str) -> list[list[str]]:
    """The cells of the tables of *page* whose first column is headed so, without code marks."""
    rows: list[list[str]] = []
    is_in = False
    for line in prose(page).splitlines():
        cells = [cell.strip() for cell in _ROW.split(line)[1:-1]]
        if not cells:
            is_in = False
        elif cells[0] == first_header:
            is_in = True
        elif is_in and not cells[0].startswith("---"):
            rows.append(cells)
    assert rows, f"{page} has no table of {first_header}"
    return rows


def words(cell: str) -> list[str]:
    """What is marked as code in *cell*."""
    return re.findall(r"`([^`]+)`", cell)


def section(page: str, heading: str) -> str:
    """What stands under *heading* in *page*, up to the next one of its rank."""
    _, _, below = PAGES[page].partition(f"\n## {heading}\n")
    assert below, f"{page} has no heading {heading}"
    return below.split("\n## ")[0]
