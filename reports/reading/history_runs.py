"""
From runs folders to the runs of a history: the shell around the pure parts.

Every folder in a runs folder is a run, known to be none, or named with what is wrong with it: a
damaged record never ends a history, and never goes unsaid.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.model.text import plain
from harness.storage.acceptances import FOLDER_NAME as ACCEPTED
from harness.storage.acceptances import acceptance_files, read_acceptance
from harness.storage.baselines import FOLDER_NAME as BASELINES
from harness.storage.run_folder import INCOMPLETE_SUFFIX, load_run
from reports.history.alerts import Acceptance
from reports.history.events import Gathered
from reports.history.runs import HistoryRun, Skipped, history_run

_OURS = frozenset({ACCEPTED, BASELINES, "compared"})  # beside the runs, and no runs
_GATE = "gate-"  # begins the folder of a gate, whose runs alternate and are points of no series


def gather(folders: Sequence[Path]) -> Gathered:
    """
    The runs and acceptances in *folders*; a run that lies in several of them counts once.

    Raises:
        UsageError: one is no folder.
    """
    runs: dict[str, HistoryRun] = {}
    skipped: list[Skipped] = []
    interrupted_count = 0
    for folder in folders:
        for path in _entries(folder):
            if path.name.endswith(INCOMPLETE_SUFFIX):
                interrupted_count += 1
                continue
            match _read(path):
                case Skipped() as fault:
                    skipped.append(fault)
                case run if run.run_id in runs:
                    skipped += _twice(runs[run.run_id], run)
                case run:
                    runs[run.run_id] = run
    acceptances = tuple(_acceptances(folders, skipped))
    return Gathered(
        runs=tuple(runs.values()),
        skipped=tuple(skipped),
        interrupted_count=interrupted_count,
        acceptances=acceptances,
    )


def _entries(folder: Path) -> list[Path]:
    """The folders in *folder* that could be runs, in the order of their names."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_ours(path))
    except OSError as error:
        raise UsageError(
            f'history: "{folder}" can\'t be read as a folder of runs ({error.strerror}); '
            "name one that acctbench run has written to"
        ) from error


def _is_ours(path: Path) -> bool:
    is_gate = path.name.startswith(_GATE) and (path / "verdict.json").is_file()
    return path.name in _OURS or (is_gate and not (path / "record.json").exists())


def _read(path: Path) -> HistoryRun | Skipped:
    place = plain(str(path))
    try:
        return history_run(load_run(path).record, place)
    except HarnessError as error:
        reason = str(error)
    except RecursionError:
        reason = "record.json: nested too deeply to be a record"
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"record.json: its figures can't be read: {error}"  # well-formed, and absurd
    shown = reason.removeprefix(f"{path}: ").removeprefix(f"{path}/").replace("\n", " ")
    return Skipped(place=place, reason=plain(shown))


def _twice(first: HistoryRun, again: HistoryRun) -> Iterator[Skipped]:
    """A copy is nothing to tell; two runs of one name are."""
    if first.figures != again.figures or first.verdicts != again.verdicts:
        yield Skipped(
            place=again.place,
            reason=f"another run than {first.place}, under the same id; one of them was changed",
        )


def _acceptances(folders: Sequence[Path], skipped: list[Skipped]) -> Iterator[Acceptance]:
    seen = set()
    for folder in folders:
        for path in acceptance_files(folder):
            try:
                stored = read_acceptance(path)
            except HarnessError as error:
                skipped.append(Skipped(place=plain(str(path)), reason=plain(str(error))))
                continue
            signature = stored.signature
            acceptance = Acceptance(
                pattern=stored.pattern,
                run_id=stored.run_id,
                who=plain(signature.who),
                at=plain(signature.at),
                why=plain(signature.why),
            )
            if acceptance not in seen:
                seen.add(acceptance)
                yield acceptance
