"""
Making a bundle: copy what was looked at, judge the copies, write the verdict and the page, seal.

Copied of every run is what its verdict rests on: record, verdict, audit, report and profiles, of
its profiled runs likewise. Its tables, which may be a hundred times as large, are copied only
where a comparison needs them; what stays behind is bound by its digest in inputs.json.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import RecordError, UsageError
from harness.model.release_file import ReleasePolicy
from harness.storage.run_folder import INCOMPLETE_SUFFIX, write_json
from reports.bundle.gather import FAILURE_NAME, Found, read_run_evidence
from reports.bundle.judged import (
    BASELINES,
    COMPARISONS,
    INPUTS_NAME,
    POLICY_NAME,
    RULES_NAME,
    RUNS,
    SCHEMA_VERSION,
    VERDICT_NAME,
    BaselineUse,
    Inputs,
    Judged,
    Kept,
    judge_bundle,
)
from reports.bundle.manifest import HASH_PLACE, MANIFEST_NAME, PAGE_NAME, digest_of, seal
from reports.compare.verdicts import comparison_to_json
from reports.pages.release.page import view_release
from reports.release.candidates import Circumstances, demand_of
from reports.release.verdicts import SignOff, sign_off_to_json
from reports.render.html import render_release_page

_ALWAYS = ("record.json", "verdict.json", "audit.json", "report.html", FAILURE_NAME)
_TABLES = ("operations.parquet", "samples.parquet")
_NOT_LOOKED_AT = ("workdir", "kafka")  # the state that target and broker left
_PARTIAL_SUFFIX = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRuns:
    """The run folders that a baseline's name means; *fault* says why it means nothing."""

    name: str
    folders: tuple[Path, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """
    What a bundle is made from.

    Attributes:
        policy: As parsed from *policy_text*.
        rules_text: The policy of comparisons that it names; empty: none.
        found: The runs to look at.
        baselines: By key of the demand that asks for a comparison.
        program: Name and version of what judges.
    """

    policy: ReleasePolicy
    policy_text: str
    rules_text: str
    circumstances: Circumstances
    found: Sequence[Found]
    baselines: Mapping[str, BaselineRuns]
    program: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk, its verdict and its hash."""

    folder: Path
    sign_off: SignOff
    sha256: str

    @property
    def page(self) -> Path:
        return self.folder / PAGE_NAME


def write_bundle(request: BundleRequest, folder: Path, *, is_forced: bool) -> Bundle:
    """
    Make the bundle in *folder*, whole or not at all.

    Raises:
        UsageError: there is something already, and *is_forced* is not set; or two runs have folders
            of the same name.
        RecordError: a run is damaged, or the bundle can't be written.
    """
    if folder.exists() and not is_forced:
        raise UsageError(f"{folder}: there already; write another --output, or --force to replace")
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST_NAME).is_file():
        raise UsageError(f"{folder}: no bundle, so --force does not replace it; write another name")
    names = [item.folder.name for item in request.found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"--collect: two runs are named {twice[0]}; a run counts once")
    whole = folder.resolve()  # "." has no name of its own
    partial = whole.with_name(whole.name + _PARTIAL_SUFFIX)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _fill(request, partial)
        judged = judge_bundle(partial)
        write_verdict(judged, partial)
        sealed = seal(partial)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise RecordError(f"{folder}: can't be written: {error}") from error
    return Bundle(folder=folder, sign_off=judged.sign_off, sha256=sealed)


def write_verdict(judged: Judged, folder: Path) -> None:
    """
    Write what follows from the bundle's inputs: verdict, comparisons, and the page without hash.

    Raises:
        RecordError: a file can't be written.
    """
    write_json(folder / VERDICT_NAME, sign_off_to_json(judged.sign_off))
    for key, comparison in judged.comparisons.items():
        path = comparison_path(folder, key)
        path.parent.mkdir(exist_ok=True)
        write_json(path, comparison_to_json(comparison))
    page = view_release(judged.sign_off, judged.policy, judged.inputs.files, HASH_PLACE)
    (folder / PAGE_NAME).write_text(render_release_page(page), encoding="utf-8")


def comparison_path(folder: Path, key: str) -> Path:
    return folder / COMPARISONS / f"{key}.json"


def _fill(request: BundleRequest, folder: Path) -> None:
    (folder / POLICY_NAME).write_text(request.policy_text, encoding="utf-8")
    if request.policy.comparison:
        (folder / RULES_NAME).write_text(request.rules_text, encoding="utf-8")
    files: dict[str, dict[str, Kept]] = {}
    for found in request.found:
        place = f"{RUNS}/{found.folder.name}"
        files[place] = _copy_run(
            found.folder, folder / place, with_tables=_is_compared(found, request)
        )
    uses: dict[str, BaselineUse] = {}
    for key, baseline in request.baselines.items():
        for run in baseline.folders:
            place = f"{BASELINES}/{baseline.name}/{run.name}"
            files[place] = _copy_run(run, folder / place, with_tables=True)
        uses[key] = BaselineUse(
            name=baseline.name,
            runs=tuple(run.name for run in baseline.folders),
            fault=baseline.fault,
        )
    inputs = Inputs(
        schema_version=SCHEMA_VERSION,
        program=request.program,
        circumstances=request.circumstances,
        runs=tuple(item.folder.name for item in request.found),
        left_out=tuple(item.folder.name for item in request.found if not item.is_collected),
        baselines=uses,
        files=files,
    )
    write_json(folder / INPUTS_NAME, asdict(inputs))


def _is_compared(found: Found, request: BundleRequest) -> bool:
    record = read_run_evidence(found).record
    if record is None:
        return False
    demand = demand_of(request.policy, record, request.circumstances.expected)
    return demand is not None and bool(demand.baseline)


def _copy_run(source: Path, copy: Path, *, with_tables: bool) -> dict[str, Kept]:
    """Copy what is judged of a run, and say of every file of it what it was."""
    kept: dict[str, Kept] = {}
    for path in sorted(_files(source)):
        place = path.relative_to(source)
        is_copied = _is_judged(place, with_tables=with_tables)
        if is_copied:
            (copy / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / place)
        digest = digest_of(copy / place if is_copied else path)
        kept[place.as_posix()] = Kept(
            size_bytes=digest.size_bytes, sha256=digest.sha256, is_copied=is_copied
        )
    return kept


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            if path.name not in _NOT_LOOKED_AT:
                yield from _files(path)
        elif path.is_file():
            yield path


def _is_judged(place: Path, *, with_tables: bool) -> bool:
    """Whether a file of a run, or of a profiled run in it, is one that a verdict rests on."""
    inside = place.parts[2:] if place.parts[0] == "passes" and len(place.parts) > 2 else place.parts
    if any(part.endswith(INCOMPLETE_SUFFIX) for part in place.parts[:-1]):
        return False
    if inside[0] == "profile":
        return place.name.endswith(".json.gz")
    return inside[0] in _ALWAYS or (with_tables and place.as_posix() in _TABLES)
