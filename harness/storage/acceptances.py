"""
What somebody accepted of a history: one small JSON file each, beside the runs.

    runs/accepted/20261125-200000-1f3a5c7e.json

A file of its own for each, never changed: folders of several machines can be synchronised without
two writers ever meeting in one file. To take an acceptance back, delete its file.

History of the format
    1   first: schema_version, pattern (of metrics), run_id, signature {who, at, why}
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.errors import RecordError
from harness.model.baseline import Signature
from harness.storage.run_folder import write_json

SCHEMA_VERSION = 1
FOLDER_NAME = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAcceptance:
    """The change at the run *run_id* is accepted, of the metrics that fit *pattern*."""

    pattern: str
    run_id: str
    signature: Signature
    schema_version: int = field(default=SCHEMA_VERSION)


_ADAPTER: TypeAdapter[StoredAcceptance] = TypeAdapter(StoredAcceptance)


def store_acceptance(acceptance: StoredAcceptance, runs_folder: Path) -> Path:
    """Keep *acceptance* in *runs_folder*, and return its file; raises RecordError."""
    document = asdict(acceptance)
    stamp = datetime.fromisoformat(acceptance.signature.at).strftime("%Y%m%d-%H%M%S")
    text = json.dumps(document, sort_keys=True)
    digest = blake2b(text.encode(), digest_size=4).hexdigest()
    folder = runs_folder / FOLDER_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"{folder}: can't be written: {error}") from error
    path = folder / f"{stamp}-{digest}.json"
    write_json(path, document)
    return path


def acceptance_files(runs_folder: Path) -> tuple[Path, ...]:
    return tuple(sorted((runs_folder / FOLDER_NAME).glob("*.json")))


def read_acceptance(path: Path) -> StoredAcceptance:
    """The acceptance in *path*; RecordError if it is damaged or too new: the change stays open."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        acceptance = _ADAPTER.validate_python(document)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: can't be read as an acceptance: {error}") from error
    if acceptance.schema_version > SCHEMA_VERSION:
        raise RecordError(f"{path}: of a newer acctbench; update this one")
    return acceptance
