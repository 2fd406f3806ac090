"""
Whether a bundle is what was signed: every hash made again, and everything judged again.

Believes nothing that can be worked out: signoff.json, the comparisons and the page must be what
follows from the runs and the policy in the bundle. Another version of the program words things
otherwise: then numbers, statuses and names must follow, and the page must show the verdict and the
hash; its own words are held by the hash alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RecordError
from harness.model.text import plain
from reports.bundle.gather import read_json
from reports.bundle.judged import VERDICT_NAME, Judged, judge_bundle
from reports.bundle.manifest import (
    HASH_PLACE,
    PAGE_NAME,
    differences,
    hash_of,
    read_digests,
    read_manifest,
)
from reports.bundle.write import comparison_path
from reports.compare.verdicts import comparison_to_json
from reports.pages.release.page import view_release
from reports.release.verdicts import sign_off_to_json
from reports.render.html import render_release_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """
    What came of a check.

    Attributes:
        sha256: The bundle's hash, from its files.
        judged: What follows from the files; None if they can't be judged.
        faults: Everything that is not as it should be, the first first; none: it is what it says.
    """

    sha256: str
    judged: Judged | None
    faults: tuple[str, ...]


def verify_bundle(folder: Path, *, signed_hash: str, program: Mapping[str, str]) -> Verification:
    """
    Check the bundle in *folder*.

    Args:
        folder: Of the bundle.
        signed_hash: The hash that was signed; empty: not known.
        program: Name and version of what checks; another one may draw the page otherwise.

    Raises:
        RecordError: it is no bundle, or can't be read.
    """
    said, said_hash = read_manifest(folder)
    found, strange = read_digests(folder, said_hash)
    sha256 = hash_of(found)
    faults = [*differences(said, found), *strange]
    if not faults and sha256 != said_hash:
        faults.append(f"the files make the hash {sha256}, the manifest says {plain(said_hash)}")
    if signed_hash and said_hash != signed_hash:
        faults.append(f"{plain(signed_hash)} was signed, and this bundle is {plain(said_hash)}")
    if faults:
        return Verification(sha256=sha256, judged=None, faults=tuple(faults))
    try:
        judged = judge_bundle(folder)
        faults = list(_differs(judged, folder, said_hash, program))
    except (RecordError, OSError, ValueError) as error:
        return Verification(sha256=sha256, judged=None, faults=(plain(str(error)),))
    return Verification(sha256=sha256, judged=judged, faults=tuple(faults))


def _differs(
    judged: Judged, folder: Path, sealed: str, program: Mapping[str, str]
) -> Iterator[str]:
    """What in the bundle does not follow from its inputs."""
    by = judged.inputs.program
    is_own = by == program
    other = "" if is_own else f" (made by {_named(by)}, checked by {_named(program)})"
    yield from _copies_differ(judged, folder)
    expected = {VERDICT_NAME: sign_off_to_json(judged.sign_off)}
    for key, comparison in judged.comparisons.items():
        place = comparison_path(folder, key).relative_to(folder).as_posix()
        expected[place] = comparison_to_json(comparison)
    for place, document in expected.items():
        stored, found = read_json(folder / place), _plain(document)
        if not is_own:
            stored, found = _without_sentences(stored), _without_sentences(found)
        difference = _first_difference(stored, found)
        if difference:
            yield f"{place} does not follow from the runs: {difference}{other}"
    for path in sorted(comparison_path(folder, "x").parent.glob("*")):
        if path.relative_to(folder).as_posix() not in expected:
            yield f"{path.relative_to(folder).as_posix()}: no demand asks for it"
    if not _is_page_of(judged, (folder / PAGE_NAME).read_bytes(), sealed, is_own=is_own):
        yield f"{PAGE_NAME} is not the page that follows from the verdict{other}"


def _is_page_of(judged: Judged, page: bytes, sealed: str, *, is_own: bool) -> bool:
    if not is_own:
        shown = page.decode("utf-8", "replace")
        return sealed in shown and judged.sign_off.word in shown
    view = view_release(judged.sign_off, judged.policy, judged.inputs.files, HASH_PLACE)
    return page == render_release_page(view).replace(HASH_PLACE, sealed).encode()


def _without_sentences(document: Any) -> Any:
    """*document* without the texts that people read: those with a blank in them."""
    match document:
        case dict():
            return {key: _without_sentences(value) for key, value in document.items()}
        case list():
            return [_without_sentences(value) for value in document]
        case str():
            return "" if " " in document else document
        case _:
            return document


def _copies_differ(judged: Judged, folder: Path) -> Iterator[str]:
    found, _ = read_digests(folder, "")
    copied = {
        f"{run}/{place}": kept
        for run, files in judged.inputs.files.items()
        for place, kept in files.items()
        if kept.is_copied
    }
    for place, kept in copied.items():
        digest = found.get(place)
        if digest is None or digest.sha256 != kept.sha256:
            yield f"{place} is not the file that was looked at"
    for place in found:
        if place.split("/")[0] in {"runs", "baselines"} and place not in copied:
            yield f"{place} was not looked at"


def _plain(document: Any) -> Any:
    return json.loads(json.dumps(document))


def _first_difference(stored: Any, found: Any, place: str = "") -> str:
    """Where two documents differ first, and in what; empty if they don't."""
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in sorted({*stored, *found}):
            where = f"{place}.{key}".removeprefix(".")
            if key not in stored or key not in found:
                return f"{where} is only in the {'bundle' if key in stored else 'judgement'}"
            difference = _first_difference(stored[key], found[key], where)
            if difference:
                return difference
        return ""
    if isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        items = enumerate(zip(stored, found, strict=True))
        texts = (_first_difference(a, b, f"{place}[{index}]") for index, (a, b) in items)
        return next(filter(None, texts), "")
    if stored == found and type(stored) is type(found):
        return ""
    return f"{place} says {plain(str(stored), 80)}, it is {plain(str(found), 80)}"


def _named(program: Mapping[str, str]) -> str:
    return plain(" ".join(program.values()))
