"""
What a user names as a side of a comparison, found and read.

A name is one or several of these, with commas between: a run (folder, id, its beginning, "latest"),
a pattern of runs ("runs/before-*"), the name of a stored baseline, or a JSON file that others
measured (reports.reading.samples_file).
"""

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import UsageError
from harness.model.text import size
from harness.storage.baselines import baseline_names, load_baseline
from harness.storage.run_folder import find_run, load_run, run_folders
from reports.compare.comparison import SideInput
from reports.figures.samples import Side
from reports.reading.run_folder import read_evidence
from reports.reading.samples_file import (
    MeasuredElsewhere,
    SamplesFileError,
    facts_unlike,
    merged,
    read_measured,
    short_named,
)

FILE_BYTES_MAX = 512 * 2**20
_PATTERN_LETTERS = frozenset("*?[")


def read_sides(
    baseline: Sequence[str], candidate: Sequence[str], runs_folder: Path
) -> tuple[SideInput, SideInput]:
    """
    Both sides as they were named.

    Raises:
        UsageError: a name means nothing, or one side is of runs and the other of files.
        RecordError: a run that is named has no readable record.
    """
    paths = [_paths(names, runs_folder) for names in (baseline, candidate)]
    names = [_side_name(names) for names in (baseline, candidate)]
    are_files = {path.is_file() for side in paths for path in side}
    if are_files == {True, False}:
        raise UsageError(
            "compare: files of samples can't be compared with runs; name runs on both sides, or"
            " files on both"
        )
    if are_files == {True}:
        return _files(names, paths)
    a, b = (
        SideInput(name=name, runs=tuple(read_evidence(load_run(path)) for path in side))
        for name, side in zip(names, paths, strict=True)
    )
    return a, b


def _side_name(names: Sequence[str]) -> str:
    short = [Path(part).name or part for name in names for part in name.split(",") if part]
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if short[3:] else "")


def _paths(names: Sequence[str], runs_folder: Path) -> tuple[Path, ...]:
    parts = [part for name in names for part in _parts(name)]
    return tuple(path for part in parts for path in _named(part, runs_folder))


def _parts(name: str) -> Iterator[str]:
    """The names in *name*, with commas between; one that exists as it is written has its own."""
    words = name.split(",")
    while words:
        joined = next(
            (count for count in range(len(words), 1, -1) if _is_there(",".join(words[:count]))),
            1,
        )
        part = ",".join(words[:joined]).strip()
        words = words[joined:]
        if part:
            yield part


def _is_there(name: str) -> bool:
    """Whether *name* exists as it is written, or is a pattern that something fits."""
    return Path(name).exists() or bool(_PATTERN_LETTERS & set(name) and any(_glob(Path(name))))


def _glob(pattern: Path) -> Iterator[Path]:
    """What fits *pattern*, whose first folders are taken as written where they exist."""
    folder, rest = Path(pattern.anchor), list(pattern.relative_to(pattern.anchor).parts)
    while rest and (folder / rest[0]).exists():
        folder /= rest.pop(0)
    return folder.glob("/".join(rest)) if rest else iter(())


def _named(name: str, runs_folder: Path) -> Iterator[Path]:
    path = Path(name)
    if path.is_file() or (path / "record.json").is_file():
        yield path
    elif _PATTERN_LETTERS & set(name):
        yield from _matching(name, runs_folder)
    elif name in baseline_names(runs_folder):
        yield from load_baseline(name, runs_folder)
    else:
        yield find_run(name, runs_folder)


def _matching(pattern: str, runs_folder: Path) -> tuple[Path, ...]:
    found = sorted(_glob(Path(pattern)))
    found = [path for path in found if path.is_file() or (path / "record.json").is_file()]
    found = found or [path for path in run_folders(runs_folder) if fnmatchcase(path.name, pattern)]
    if not found:
        raise UsageError(
            f'compare: no run or file fits "{pattern}", here or in {runs_folder};'
            " `acctbench list runs` shows what there is"
        )
    return tuple(found)


def _files(names: Sequence[str], paths: Sequence[Sequence[Path]]) -> tuple[SideInput, SideInput]:
    named = iter(short_named([_measured(path) for side in paths for path in side]))
    parts = [[next(named) for _ in side] for side in paths]
    unlike = facts_unlike([part for side in parts for part in side])
    contents = [[path.read_bytes() for path in side] for side in paths]
    sides: list[SideInput] = []
    for name, side, own, before in zip(names, paths, parts, ([], contents[0]), strict=True):
        metrics, faults = merged(own)
        repeated = _repeated(side, contents[len(sides)], before)
        own_faults = (*faults, *repeated, *(unlike if sides else ()))
        sides.append(
            SideInput(name=name, elsewhere=Side(name=name, metrics=metrics, faults=own_faults))
        )
    return sides[0], sides[1]


def _repeated(
    paths: Sequence[Path], contents: Sequence[bytes], before: Sequence[bytes]
) -> Iterator[str]:
    """A file counts once, a copy too; one compared with itself proves nothing."""
    for place, (path, content) in enumerate(zip(paths, contents, strict=True)):
        if content in contents[:place]:
            yield f"{path.name} is given twice"
        if content in before:
            yield f"{path.name} is a file of the baseline too"


def _measured(path: Path) -> MeasuredElsewhere:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"compare: {path}: longer than {size(FILE_BYTES_MAX)}")
        return read_measured(json.loads(path.read_text(encoding="utf-8-sig")))
    except SamplesFileError as error:
        lines = "\n".join(f"compare: {path}: {line}" for line in str(error).splitlines())
        raise UsageError(lines) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"compare: {path}: can't be read as JSON ({error}); write a whole file of samples"
        ) from error
