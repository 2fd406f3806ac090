"""Schema-version check for stored JSON documents."""

from typing import Any


def check_form(document: Any, name: str, newest: int) -> None:
    """Raise ValueError for a *document* that is no *name* ("profile"), or newer than *newest*."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ValueError(f"not a {name}: no schema_version")  # noqa: TRY004 - a document, not a type
    if version > newest:
        raise ValueError(
            f"schema_version {version} is newer than this program's {newest}; update acctbench"
        )
