"""
A stored record back as its value.

Apart from harness.model.record because of what it takes to check a document: the processes of a run
use parts of a record and read none, and each would wait a quarter of a second for it.
"""

from typing import Any

from pydantic import TypeAdapter

from harness.model.record import SCHEMA_VERSION, RunRecord
from harness.model.stored_form import check_form

_ADAPTER: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def record_from_json(document: Any) -> RunRecord:
    """A record from parsed JSON; ValueError if it is none, or of a newer format."""
    check_form(document, "run record", SCHEMA_VERSION)
    return _ADAPTER.validate_python(document)
