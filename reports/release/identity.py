"""
Which build ran, on which machine, measured by which program: what all runs of a release share.

Pure; reads records only. What a record does not say is empty, never equal to something.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.record import RunRecord

_MACHINE_FIELDS = (
    *("cpu_model", "cpu_governor", "cpu_turbo", "smt", "core_count", "cores_given"),
    *("cgroup_cpu_max", "cgroup_memory_max", "kernel", "container"),
)
_HARNESS_FIELDS = ("harness_version", "harness_digest", "python", "packages")
_MEMORY_STEP_BYTES = 2**30  # kernels keep a little for themselves, and not always the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """
    One build of a target.

    Attributes:
        label: Its name and revision, for a reader; empty: the record doesn't say.
        is_dirty: Built from changes that nobody committed.
    """

    label: str
    is_dirty: bool


def build_of(record: RunRecord) -> Build:
    """
    The build of the target of *record*.

    The service's own word for its revision comes first, then that of the checkout from which it was
    launched; uncommitted changes in that checkout count in both cases.
    """
    checkout, told = _mapping(record.target, "revision"), _mapping(record.target, "capabilities")
    revision = told.get("git_revision") or checkout.get("git_sha")
    if not revision:
        return Build(label="", is_dirty=False)
    is_dirty = bool(checkout.get("git_sha")) and checkout.get("git_dirty") is not False
    return Build(label=f"{record.target.get('name', '')} {revision}".strip(), is_dirty=is_dirty)


def machine_of(record: RunRecord) -> Mapping[str, str]:
    """What of the machine must be the same for all runs of a release."""
    memory_bytes = record.environment.get("memory_bytes")
    memory = ""
    if isinstance(memory_bytes, int):
        memory = f"{round(memory_bytes / _MEMORY_STEP_BYTES)} GiB"
    return {**_texts(record.environment, _MACHINE_FIELDS), "memory": memory}


def harness_of(record: RunRecord) -> Mapping[str, str]:
    """Which acctbench measured, and with what; of an older one the commit, instead of a digest."""
    found = _texts(record.environment, _HARNESS_FIELDS)
    if not found["harness_digest"]:
        return {**found, "git_sha": _text(record.environment.get("git_sha"))}
    return found


def _mapping(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = mapping.get(name)
    return value if isinstance(value, Mapping) else {}


def _texts(mapping: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, str]:
    return {name: _text(mapping.get(name)) for name in names}


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case Mapping():
            return ", ".join(f"{key} {value[key]}" for key in sorted(value))
        case list() | tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)
