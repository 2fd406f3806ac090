"""
Runs on disk: one folder a run, whole, or its name ends in `.incomplete`.

    runs/20261122-231500-spot-steady-1f3a/
        record.json         harness.model.record
        verdict.json        the three verdicts and the exit code alone
        audit.json          every invariant
        operations.parquet  one row an operation: stamps, outcome, the plan's columns
        samples.parquet     one row a sample: offset_ns, subject, metric, value
        target.log, broker.log
        profile/            of a profiled run: <metric>.profile.json.gz (harness.model.profile),
                            <metric>.folded for other programs
        failure.json        of a run that was not finished: why, and the profiles that it has
        passes/<name>/      profiled runs of the same plan (harness.runs.profiled_passes)
        pytest-benchmark-<process>.json
                            of a timed run of the micro suite, which has no tables
        report.html         written by reports

Stamps in operations.parquet are nanoseconds from the start of the measured phase (warm-up is
negative), null where the thing did not happen:
    shard int16, index int32, kind str, measured bool, intended_ns, eligible_ns, sent_ns, done_ns,
    visible_ns int64, outcome str (lower-case names of model.operation.Outcome), code int32, then
    the plan's columns and those of the replies. History: (1) one row group; sequence int64,
    resolved_outcome and resolved_replayed int32 where nothing was asked again. (2) Row groups of
    ROW_GROUP_COUNT rows, so that neither writer nor reader holds all of them; these int32, int8.
samples.parquet: offset_ns int64 as above; subjects target, generator, observer, broker with metrics
    cpu_cores, rss_bytes, context_switches_voluntary_per_s, context_switches_involuntary_per_s; and
    subject load with metric in_flight.
"""

import gzip
import json
import os
import shutil
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import RecordError, UsageError
from harness.model.profile import Profile, profile_from_json
from harness.model.record import RunRecord, record_to_json
from harness.model.record_json import record_from_json

ROW_GROUP_COUNT = 1 << 18  # operations written, and read, at a time: some tens of megabytes
INCOMPLETE_SUFFIX = ".incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run folder; its tables are read when asked for."""

    folder: Path
    record: RunRecord

    def operations(self, columns: Collection[str] | None = None) -> pd.DataFrame:
        """Columns as in the module's docstring: all, or of *columns* those that there are."""
        return _read_table(self.folder / "operations.parquet", columns)

    def samples(self) -> pd.DataFrame:
        """The table of samples (columns in the module's docstring)."""
        return _read_table(self.folder / "samples.parquet")

    def profiled_runs(self) -> Mapping[str, "StoredRun"]:
        """The run's profiled runs by name; raises RecordError if one is damaged."""
        folders = sorted(pass_folder(self.folder, "x").parent.glob("*"))
        return {
            folder.name: load_run(folder)
            for folder in folders
            if not folder.name.endswith(INCOMPLETE_SUFFIX)
        }

    def profiles(self) -> tuple[Profile, ...]:
        """The profiles that the record names; RecordError if one is missing or damaged."""
        return tuple(
            _read_profile(self.folder / entry.file, entry.blake2b) for entry in self.record.profiles
        )


def pass_folder(run_folder: Path, name: str) -> Path:
    """Where the profiled run *name* of a run lies."""
    return run_folder / "passes" / name


def _read_profile(path: Path, digest: str = "") -> Profile:
    """The profile in *path*, whose bytes have *digest* if the record gives one."""
    try:
        data = path.read_bytes()
        if digest and profile_digest(data) != digest:
            raise RecordError(f"{path}: its bytes are not those that the record was made with")
        return profile_from_json(json.loads(gzip.decompress(data)))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RecordError(f"{path}: can't be read as a profile: {error}") from error


def profile_digest(data: bytes) -> str:
    """What a record holds of the bytes of a profile's file."""
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A run that was not finished, as it says itself in failure.json."""

    folder: Path
    message: str
    profile_files: tuple[str, ...]

    def profiles(self) -> tuple[Profile, ...]:
        """What was profiled until it failed; raises RecordError if one is damaged."""
        return tuple(_read_profile(self.folder / name) for name in self.profile_files)


def load_failure(folder: Path) -> FailedRun:
    """The failed run in *folder*; RecordError if its failure.json is missing or damaged."""
    path = folder / "failure.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return FailedRun(
            folder=folder,
            message=str(document["message"]),
            profile_files=tuple(map(str, document.get("profiles", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: can't be read: {error!r}") from error


def load_run(folder: Path) -> StoredRun:
    """The run stored in *folder*; RecordError if there is no record, or one damaged or too new."""
    path = folder / "record.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        record = record_from_json(document)
    except FileNotFoundError as error:
        raise RecordError(f"{folder}: no record.json; is it a run folder?") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: can't be read: {error}") from error
    return StoredRun(folder=folder, record=record)


def find_run(name: str, runs_folder: Path) -> Path:
    """The folder that *name* means: a path, a run id, its unambiguous beginning, or "latest"."""
    path = Path(name)
    if (path / "record.json").is_file():
        return path
    folders = list(run_folders(runs_folder))
    if name == "latest" and folders:
        return folders[-1]
    matching = [folder for folder in folders if folder.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    said = "several runs match" if matching else "no run of that name"
    known = ", ".join(folder.name for folder in (matching or folders)[-5:]) or "none yet"
    raise UsageError(f'run: "{name}": {said} in {runs_folder}; the newest are: {known}')


def run_folders(runs_folder: Path) -> Iterator[Path]:
    if runs_folder.is_dir():
        for folder in sorted(runs_folder.iterdir()):
            if not folder.name.endswith(INCOMPLETE_SUFFIX) and (folder / "record.json").is_file():
                yield folder


def write_operations(path: Path, groups: Iterable[pd.DataFrame]) -> None:
    """Write operations.parquet, a row group each, at least one."""
    writer: pq.ParquetWriter | None = None
    try:
        for group in groups:
            table = pa.Table.from_pandas(
                group, schema=writer.schema if writer else None, preserve_index=False
            )
            writer = writer or _writer(path, table.schema)
            writer.write_table(table, row_group_size=ROW_GROUP_COUNT)
    finally:
        if writer is not None:
            writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # A dictionary of stamps is built for nothing: they differ. Their differences are small.
    words = [item.name for item in schema if pa.types.is_dictionary(item.type)]
    numbers = [item.name for item in schema if pa.types.is_int64(item.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=words,
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    Where to write what becomes *path* when it is whole: a reader sees the old file or the new.

    A device, a pipe or a link is the user's own and is never replaced: it is written to. Raises
    RecordError.
    """
    try:
        is_users_own = path.is_symlink() or (path.exists() and not path.is_file())
        with (_written_through if is_users_own else _replacing)(path) as partial:
            yield partial
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RecordError(f"{path}: can't be written: {error}") from error


@contextmanager
def _written_through(path: Path) -> Iterator[Path]:
    with TemporaryDirectory() as folder, path.open("wb") as given:
        partial = Path(folder) / path.name
        yield partial
        with partial.open("rb") as made:
            shutil.copyfileobj(made, given)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, ValueError, pa.ArrowException):
        with suppress(OSError):  # what was written of it only fills the disk
            partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write *document* whole or not at all; raises RecordError."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True, allow_nan=False)
        file.write("\n")


def write_record(folder: Path, record: RunRecord) -> None:
    document = record_to_json(record)
    write_json(
        folder / "verdict.json",
        {
            "run_id": record.run_id,
            "exit_code": record.exit_code,
            "validity": record.validity.status,
            "correctness": record.correctness.status,
            "performance": record.performance.status,
        },
    )
    write_json(folder / "audit.json", document["correctness"])
    write_json(folder / "record.json", document)


def _read_table(path: Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    try:
        if columns is not None:
            columns = [name for name in pq.read_schema(path).names if name in columns]
        table = pq.read_table(path, columns=columns)
        # Column by column, each freed as it is turned: a large table is in memory once, not twice.
        frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: can't be read: {error}") from error
    return frame
