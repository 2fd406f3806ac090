"""
Copies of the reference service with a planted fault, for tests that must see a fault to pass.

A copy is a whole `workloads` package of its own, as far as the service needs it; a target file puts
it before the installed one, so nothing here can reach the original. The one idea: a fault is a
patch of source text that must match in exactly one place, so a fault that the service has outgrown
fails its test loudly and does not turn into a copy without a fault.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import workloads

# What `python -m workloads.account.reference` imports of ours; paths below `workloads`.
_COPIED_FILES = ("__init__.py", "account/__init__.py")
_COPIED_FOLDERS = ("account/contract", "account/reference")

_TARGET = """
name = "{name}"
[launch]
command = [
    "{{python}}", "-m", "workloads.account.reference",
    "--grpc-port", "{{grpc_port}}",
    "--kafka", "{{kafka}}",
    "--topic-prefix", "{{topic_prefix}}",
    "--workdir", "{{workdir}}",
]
environment = {{ PYTHONPATH = '{folder}' }}
[ready]
line = "ready "
timeout = "60s"
[replay]
command = ["{{python}}", "-m", "workloads.account.reference", "--digest", "{{workdir}}"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """In *file* (of workloads/account/reference) replace *old*, which is there once, by *new*."""

    file: str
    old: str
    new: str


class PatchError(Exception):
    """A patch does not match its file in exactly one place: the service has changed under it."""


def make_copy(folder: Path, patches: Sequence[Patch] = ()) -> Path:
    """
    A copy of the reference service below *folder*, patched.

    Args:
        folder: Is made; must not be there yet.
        patches: Applied in order; a later one sees the text that an earlier one left.

    Returns:
        *folder*: what PYTHONPATH must begin with for the copy to be run.

    Raises:
        PatchError: names the patch that does not match once.
    """
    original = Path(workloads.__path__[0])
    copy = folder / "workloads"
    for name in _COPIED_FOLDERS:
        # With what is compiled: a patched file is newer, and compiled again.
        shutil.copytree(original / name, copy / name, ignore=shutil.ignore_patterns("*.pyi"))
    for name in _COPIED_FILES:
        shutil.copy(original / name, copy / name)
    for patch in patches:
        _apply(copy / "account" / "reference" / patch.file, patch)
    return folder


def target_text(folder: Path, *, name: str = "copy") -> str:
    """The target file, as text, that launches the copy in *folder*."""
    return _TARGET.format(name=name, folder=folder)


def _apply(path: Path, patch: Patch) -> None:
    text = path.read_text(encoding="utf-8")
    match_count = text.count(patch.old)
    if match_count != 1:
        raise PatchError(f"{patch.file}: found {match_count} times, must be once: {patch.old!r}")
    path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")
