"""
A stored record back as its value.

Apart from harness.model.record because of what it takes to check a document: the processes of a run
use parts of a record and read none, and each would wait a quarter of a second for it.
"""

from typing import Any

from pydantic import TypeAdapter

from harness.model.record import SCHEMA_VERSION, RunRecord

_ADAPTER: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def record_from_json(document: Any) -> RunRecord:
    """
    A record from parsed JSON.

    Raises:
        ValueError: it is no record, or of a newer format than this program knows.
    """
    if not isinstance(document, dict) or not isinstance(document.get("schema_version"), int):
        raise ValueError("not a run record: no schema_version")  # noqa: TRY004 - a document, not a type
    if document["schema_version"] > SCHEMA_VERSION:
        raise ValueError(
            f"schema_version {document['schema_version']} is newer than this program's "
            f"{SCHEMA_VERSION}; update acctbench"
        )
    return _ADAPTER.validate_python(document)
