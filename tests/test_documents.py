"""The pages lead where they say, name what is there, and can all be found from the README."""

import re
from pathlib import PurePosixPath

import pytest

from tests.documents import COMMANDS, PAGES, PLACES, ROOT, prose, section

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?<![\w/.~-])(?:{'|'.join(PLACES)})/[\w./*-]*[\w/*]")
RECIPES = (
    "Add a metric",
    "Add an invariant",
    "Add a scenario",
    "Add a system",
    "Add a profiler",
    "Add a kind of fault",
)


def anchors(page: str) -> set[str]:
    """What a link into *page* may name: its headings, in lower case, with hyphens."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: str) -> list[tuple[str, str]]:
    """The file, from the root, and the anchor of every link of *page* inside the repository."""
    found = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        found.append((target.resolve().relative_to(ROOT).as_posix(), anchor))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file that is there, and to a heading that it has."""
    broken = [
        f"{name}#{anchor}"
        for name, anchor in links(page)
        if not (ROOT / name).exists() or (anchor and anchor not in anchors(name))
    ]

    assert broken == []


def test_every_page_is_found_from_the_readme() -> None:
    """By links from page to page."""
    found: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        page = ahead.pop()
        if page in found:
            continue
        found.add(page)
        ahead += [name for name, _ in links(page) if name in PAGES]

    assert set(PAGES) - found == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page != COMMANDS])
def test_every_path_is_there(page: str) -> None:
    """What a page names below the folders of this repository; help texts name files of users."""
    missing = [path for path in PATH.findall(PAGES[page]) if not list(ROOT.glob(path.rstrip("/")))]

    assert missing == []


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_is_five_steps_that_name_files(heading: str) -> None:
    """Each of them short enough to be read while it is done."""
    steps = re.split(r"^\d\. ", section("ci/CONTRIBUTING.md", heading), flags=re.MULTILINE)[1:]
    files = [path for path in PATH.findall("".join(steps)) if PurePosixPath(path).suffix]

    assert len(steps) == 5
    assert len(files) >= 5


def test_the_checks_can_fail() -> None:
    """A heading becomes the anchor that it has on a page; a path is seen where it stands."""
    assert "faults-that-a-run-injects" in anchors("workloads/README.md")
    assert PATH.findall("see `ci/nothing.py`, harness/x/ and xci/y.") == [
        "ci/nothing.py",
        "harness/x/",
    ]
