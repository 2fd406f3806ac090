"""
What a target file says of gRPC metadata: plain values, and secrets that stay in the environment.

    [metadata]
    venue = "paper"                                             sent as it is
    authorization = { env = "ACCT_TOKEN", prefix = "Bearer " }  the variable's value

A secret is read when a run begins and goes with every call; the file, the spec and the record hold
the name of its variable alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Fault, TargetFileError

_KEY = re.compile(r"[0-9a-z_.-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = re.compile(r"[\x20-\x7e]+")
_RESERVED = "grpc-"
_BINARY = "-bin"
_OLD_FORM = "env:"
_TABLE_REMEDY = 'write text, or { env = "NAME", prefix = "Bearer " }'


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataEntry:
    """One key: its text, or the environment variable that holds it."""

    key: str
    text: str = ""
    variable: str = ""
    prefix: str = ""  # before the variable's value


def parse_metadata(table: Any, *, file: str) -> tuple[tuple[MetadataEntry, ...], tuple[Fault, ...]]:
    """The entries of a [metadata] table, and every fault of it."""
    if not isinstance(table, Mapping):
        fault = Fault(file=file, key="metadata", value=repr(table), remedy="write a table")
        return (), (fault,)
    entries, faults = [], []
    for key, value in table.items():
        entry, wrong = _entry(str(key), value)
        entries.append(entry)
        faults += [
            Fault(file=file, key=f"metadata.{key}", value=what, remedy=remedy)
            for what, remedy in wrong
        ]
    return tuple(entries), tuple(faults)


def resolve_metadata(
    entries: tuple[MetadataEntry, ...], environment: Mapping[str, str], *, file: str
) -> tuple[tuple[str, str], ...]:
    """
    Keys and values as they are sent.

    Raises TargetFileError: variables are missing, or hold what can't be sent; none with its value.
    """
    pairs, faults = [], []
    for entry in entries:
        if not entry.variable:
            pairs.append((entry.key, entry.text))
            continue
        value = environment.get(entry.variable, "")
        if fault := _value_fault(entry, value, environment):
            faults.append(Fault(file=file, key=f"metadata.{entry.key}", **fault))
        pairs.append((entry.key, entry.prefix + value))
    if faults:
        raise TargetFileError(tuple(faults))
    return tuple(pairs)


def secret_values(
    entries: tuple[MetadataEntry, ...], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """The values that come from the environment, as far as they are there."""
    return tuple(
        value
        for entry in entries
        if entry.variable and (value := environment.get(entry.variable, ""))
    )


def _entry(key: str, value: Any) -> tuple[MetadataEntry, list[tuple[str, str]]]:
    faults = _key_faults(key)
    if isinstance(value, str):
        return MetadataEntry(key=key, text=value), faults + _text_faults(value)
    if not isinstance(value, Mapping):
        return MetadataEntry(key=key), [*faults, (repr(value), _TABLE_REMEDY)]
    unknown = sorted(set(value) - {"env", "prefix"})
    if unknown:
        faults.append((f"unknown key {unknown[0]}", _TABLE_REMEDY))
    variable, prefix = value.get("env", ""), value.get("prefix", "")
    if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
        faults.append((f"env = {variable!r}", 'write the name of a variable: env = "ACCT_TOKEN"'))
    if not isinstance(prefix, str) or (prefix and not _TEXT.fullmatch(prefix)):
        faults.append((f"prefix = {prefix!r}", 'write printable ASCII: prefix = "Bearer "'))
    return MetadataEntry(key=key, variable=str(variable), prefix=str(prefix)), faults


def _key_faults(key: str) -> list[tuple[str, str]]:
    if not _KEY.fullmatch(key):
        return [(repr(key), "write lower-case letters, digits, and any of - _ .")]
    if key.startswith(_RESERVED):
        return [(repr(key), f'keys that begin with "{_RESERVED}" belong to gRPC; take another')]
    if key.endswith(_BINARY):
        return [(repr(key), f'keys that end in "{_BINARY}" carry bytes, which a file can\'t hold')]
    return []


def _text_faults(text: str) -> list[tuple[str, str]]:
    if text.startswith(_OLD_FORM):
        name = text.removeprefix(_OLD_FORM)
        return [("a variable", f'write {{ env = "{name}" }}')]
    if not _TEXT.fullmatch(text):
        return [(repr(text), "write printable ASCII, at least one character")]
    return []


def _value_fault(
    entry: MetadataEntry, value: str, environment: Mapping[str, str]
) -> dict[str, str] | None:
    name = entry.variable
    if name not in environment:
        return {"value": f"{name} is not set", "remedy": f"export {name}, or take the line out"}
    if not value:
        return {"value": f"{name} is empty", "remedy": f"export {name} with its value"}
    if not _TEXT.fullmatch(value):
        return {
            "value": f"{name} holds a character that gRPC metadata can't carry",
            "remedy": "printable ASCII only; a line end behind the value is the usual cause",
        }
    return None
