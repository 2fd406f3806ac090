r"""
What binds a bundle: a digest of every file, and one hash over all of them.

The hash can be made by any program that has SHA-256, on any file system:

    1. Of every file but manifest.json take the SHA-256, in lower-case hexadecimal. In signoff.html
       each occurrence of the bundle's hash counts as 64 zeros: the page bears the hash that binds
       it.
    2. Write a line "<sha256>  <path>\n" for each, path from the bundle's folder with "/", in the
       order of the paths' UTF-8 bytes: what `sha256sum` prints.
    3. The bundle's hash is the SHA-256 of these lines together.

manifest.json holds the digests and the hash, so that a changed bundle can say what was changed; it
adds nothing to them. The hash proves that files belong together, not who made them: compare it with
the one that was signed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.errors import RecordError
from harness.storage.run_folder import write_json

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
PAGE_NAME = "signoff.html"
HASH_PLACE = "0" * 64  # stands in the page where the hash will
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Of one file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """manifest.json: the hash of the bundle, and the digest of each file by its place."""

    schema_version: int
    sha256: str
    files: Mapping[str, Digest]


_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def seal(folder: Path) -> str:
    """
    Put the hash into the page of the bundle in *folder*, write its manifest, return the hash.

    Raises:
        RecordError: a file can't be read or written, or is no plain file.
    """
    digests, faults = read_digests(folder, HASH_PLACE)
    if faults:
        raise RecordError(f"{folder}: {'; '.join(faults)}")
    sealed = hash_of(digests)
    page = folder / PAGE_NAME
    try:
        text = page.read_bytes().replace(HASH_PLACE.encode(), sealed.encode())
        page.write_bytes(text)
    except OSError as error:
        raise RecordError(f"{page}: can't be written: {error}") from error
    write_json(folder / MANIFEST_NAME, _document(digests, sealed))
    return sealed


def read_digests(folder: Path, bundle_hash: str) -> tuple[dict[str, Digest], list[str]]:
    """
    The digest of every file of the bundle but its manifest, and what in it is no plain file.

    Raises:
        RecordError: a file can't be read.
    """
    digests: dict[str, Digest] = {}
    faults: list[str] = []
    try:
        for path in sorted(_inside(folder)):
            place = _place(folder, path)
            if path.is_symlink() or not path.is_file() or not place.isprintable():
                faults.append(f"{place!a} is no plain file")
            elif place != MANIFEST_NAME:
                digests[place] = _digest(path, bundle_hash if place == PAGE_NAME else "")
    except OSError as error:
        raise RecordError(f"{folder}: can't be read: {error}") from error
    return digests, faults


def digest_of(path: Path) -> Digest:
    """
    The digest of one file as it is.

    Raises:
        OSError: it can't be read.
    """
    return _digest(path, "")


def hash_of(digests: Mapping[str, Digest]) -> str:
    """The bundle's hash, by the rules in the module's docstring."""
    lines = [
        f"{digests[place].sha256}  {place}\n".encode()
        for place in sorted(digests, key=lambda item: item.encode())
    ]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def read_manifest(folder: Path) -> tuple[dict[str, Digest], str]:
    """
    What the manifest in *folder* says: digests by place, and the hash.

    Raises:
        RecordError: there is none, or it is not one that this program writes.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
        manifest = _ADAPTER.validate_python(json.loads(text))
    except FileNotFoundError as error:
        raise RecordError(f"{folder}: {MANIFEST_NAME} is missing; is it a bundle?") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: can't be read as a manifest: {error}") from error
    if manifest.schema_version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: its format {manifest.schema_version} is newer than this program's; "
            "update acctbench"
        )
    digests = dict(manifest.files)
    written = json.dumps(_document(digests, manifest.sha256), indent=2, sort_keys=True)
    if text != f"{written}\n":
        raise RecordError(f"{path}: was changed: acctbench writes it in other words")
    return digests, manifest.sha256


def differences(said: Mapping[str, Digest], found: Mapping[str, Digest]) -> Iterator[str]:
    """What is missing, added or changed, in the order of the places."""
    for place in sorted({*said, *found}, key=lambda item: item.encode()):
        if place not in found:
            yield f"{place} is missing"
        elif place not in said:
            yield f"{place} was added"
        elif said[place] != found[place]:
            yield f"{place} was changed"


def _document(digests: Mapping[str, Digest], sealed: str) -> dict[str, Any]:
    return asdict(Manifest(schema_version=SCHEMA_VERSION, sha256=sealed, files=digests))


def _inside(folder: Path) -> Iterator[Path]:
    """Every entry that is no folder, and folders that hold nothing: neither may be added."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            below = list(_inside(path))
            yield from below or [path]
        else:
            yield path


def _place(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _digest(path: Path, hidden: str) -> Digest:
    """Of *path*, with *hidden* read as zeros."""
    if hidden:
        content = path.read_bytes().replace(hidden.encode(), HASH_PLACE.encode())
        return Digest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            digest.update(part)
            size_bytes += len(part)
    return Digest(size_bytes=size_bytes, sha256=digest.hexdigest())
