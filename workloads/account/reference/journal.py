"""
The write-ahead journal: every input in arbitration order, chained by hash, one row a commit.

SQLite in WAL mode with full sync: `write` returns only when the group is on disk. It knows no
inputs and no state. The one idea: each entry carries the BLAKE2b of itself and of the entry
before, and a head row (same commit) carries the newest, so that a changed, missing or cut-off
entry is found and named on reading. What it can't reveal: a disk that lies about its sync.

Schema version 1: groups(first_entry, blob), head(entries, chain), emitted(stream, seq).
An entry in a blob: length (uint32), kind (uint8), chain (16 bytes), payload.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SCHEMA_VERSION = 1
FILE_NAME = "journal.sqlite"
CHAIN_BYTES = 16
# A checkpoint syncs twice more; at 16 MiB of log it costs one commit in thousands.
WAL_CHECKPOINT_PAGES = 4096

_ENTRY = struct.Struct(f"<IB{CHAIN_BYTES}s")
_ORIGIN = bytes(CHAIN_BYTES)
# (kind, payload)
Entry = tuple[int, bytes]


class JournalError(Exception):
    """A journal that can't be opened, read or written; the message names the entry or the file."""


class Journal:
    """
    An open journal, held by one process.

    Args:
        workdir: The folder that holds it.
        creates: Make it where it is not there; otherwise its absence is an error.

    Raises:
        JournalError: it is missing, another process holds it, or it is not a journal.
    """

    def __init__(self, workdir: Path, *, creates: bool = True) -> None:
        self.path = workdir / FILE_NAME
        if not creates and not self.path.is_file():
            raise JournalError(f"{self.path}: no journal is there")
        try:
            self._database = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=0
            )
            self._open()
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error
        self.entry_count, self._chain = self._head()

    def write(self, entries: Sequence[Entry], emitted: Mapping[str, int]) -> None:
        """
        Append *entries* as one durable group, and note how far each stream was emitted.

        Raises:
            JournalError: nothing of the group is durable, and nothing more may be written.
        """
        chain = self._chain
        parts: list[bytes] = []
        for kind, payload in entries:
            chain = _linked(chain, kind, payload)
            parts += (_ENTRY.pack(len(payload), kind, chain), payload)
        entry_count = self.entry_count + len(entries)
        run = self._database.execute
        try:
            run("BEGIN IMMEDIATE")
            if entries:
                run("INSERT INTO groups VALUES (?, ?)", (self.entry_count + 1, b"".join(parts)))
                run("UPDATE head SET entries = ?, chain = ?", (entry_count, chain))
            self._database.executemany(
                "INSERT INTO emitted VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
                emitted.items(),
            )
            run("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: entry {self.entry_count + 1}: {error}") from error
        self.entry_count, self._chain = entry_count, chain

    def read(self) -> Iterator[Entry]:
        """
        Every entry from the first to the newest, verified.

        Raises:
            JournalError: names the first entry that is missing or was changed.
        """
        chain, number = _ORIGIN, 0
        try:
            rows = self._database.execute("SELECT first_entry, blob FROM groups ORDER BY 1")
            for first_entry, blob in rows:
                if first_entry != number + 1:
                    raise JournalError(f"{self.path}: entry {number + 1} is missing")
                at = 0
                while at < len(blob):
                    number += 1
                    kind, stored, payload, at = self._entry(blob, at, number)
                    chain = _linked(chain, kind, payload)
                    if chain != stored:
                        raise JournalError(f"{self.path}: entry {number} is not what was written")
                    yield kind, payload
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: after entry {number}: {error}") from error
        if (number, chain) != (self.entry_count, self._chain):
            raise JournalError(
                f"{self.path}: ends at entry {number}, but entry {self.entry_count} was written"
            )

    def emitted(self) -> dict[str, int]:
        """How far each stream had been acknowledged by the broker, as last noted."""
        return dict(self._database.execute("SELECT stream, seq FROM emitted"))

    def close(self) -> None:
        self._database.close()

    def _open(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # one writer, and no shared-memory file
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")
        run("BEGIN IMMEDIATE")
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0:
            run("CREATE TABLE groups (first_entry INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
            run("CREATE TABLE head (entries INTEGER NOT NULL, chain BLOB NOT NULL)")
            run("CREATE TABLE emitted (stream TEXT PRIMARY KEY, seq INTEGER NOT NULL)")
            run("INSERT INTO head VALUES (0, ?)", (_ORIGIN,))
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
        run("COMMIT")
        if version not in {0, SCHEMA_VERSION}:
            raise JournalError(
                f"{self.path}: schema version {version}; this build reads {SCHEMA_VERSION}"
            )

    def _head(self) -> tuple[int, bytes]:
        row = self._database.execute("SELECT entries, chain FROM head").fetchone()
        if row is None:
            raise JournalError(f"{self.path}: the head row is missing")
        return row[0], row[1]

    def _entry(self, blob: bytes, at: int, number: int) -> tuple[int, bytes, bytes, int]:
        payload_at = at + _ENTRY.size
        if payload_at > len(blob):
            raise JournalError(f"{self.path}: entry {number} is cut off")
        payload_bytes, kind, chain = _ENTRY.unpack_from(blob, at)
        end = payload_at + payload_bytes
        if end > len(blob):
            raise JournalError(f"{self.path}: entry {number} is cut off")
        return kind, chain, blob[payload_at:end], end


def _linked(chain: bytes, kind: int, payload: bytes) -> bytes:
    digest = hashlib.blake2b(chain, digest_size=CHAIN_BYTES)
    digest.update(bytes((kind,)) + payload)
    return digest.digest()
