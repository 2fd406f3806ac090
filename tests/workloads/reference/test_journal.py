"""The journal: it syncs, it holds what was written, and it notices what was not."""

import sqlite3
from pathlib import Path

import pytest

from workloads.account.reference.journal import FILE_NAME, Entry, Journal, JournalError

ENTRIES: list[Entry] = [(4, b"one"), (6, b""), (4, b"three" * 100)]


def written(folder: Path) -> Path:
    """A closed journal with ENTRIES in two groups."""
    journal = Journal(folder)
    journal.write(ENTRIES[:2], {"ledger": 1})
    journal.write(ENTRIES[2:], {"ledger": 2, "balances": 1})
    journal.close()
    return folder


def spoil(folder: Path, statement: str) -> None:
    """Change the file behind the journal's back."""
    database = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    database.create_function("swapped", 1, lambda blob: blob.replace(b"one", b"two"))
    database.execute(statement)
    database.close()


def test_a_commit_is_a_sync(tmp_path: Path) -> None:
    """WAL with synchronous FULL (2): each commit syncs the log. kill -9 could not show this."""
    journal = Journal(tmp_path)

    modes = (
        journal._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    )
    assert tuple(modes) == ("wal", 2)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Entries in order, over groups and openings; and how far each stream was emitted."""
    written(tmp_path)
    journal = Journal(tmp_path, creates=False)

    assert list(journal.read()) == ENTRIES
    assert journal.emitted() == {"ledger": 2, "balances": 1}


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            "UPDATE groups SET blob = swapped(blob) WHERE first_entry = 1",
            "entry 1 is",
        ),
        ("UPDATE groups SET blob = CAST(substr(blob, 1, 40) AS BLOB) WHERE first_entry = 1", "2"),
        ("UPDATE groups SET blob = substr(blob, 1, 200) WHERE first_entry = 3", "entry 3 is cut"),
        ("DELETE FROM groups WHERE first_entry = 1", "entry 1 is missing"),
        ("DELETE FROM groups WHERE first_entry = 3", "ends at entry 2, but entry 3"),
        ("UPDATE head SET entries = 2", "ends at entry 3, but entry 2"),
        ("DELETE FROM head", "head row is missing"),
        ("PRAGMA user_version = 9", "schema version 9"),
    ],
)
def test_damage_is_named(tmp_path: Path, statement: str, fault: str) -> None:
    """A changed, cut, missing or cut-off entry is an error that names it."""
    spoil(written(tmp_path), statement)

    with pytest.raises(JournalError, match=fault):
        list(Journal(tmp_path).read())


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """Bytes that are no database, and a file that is not there."""
    with pytest.raises(JournalError, match="no journal is there"):
        Journal(tmp_path, creates=False)
    (tmp_path / FILE_NAME).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(tmp_path)


def test_two_services_never_share_a_journal(tmp_path: Path) -> None:
    """The second opener is told that it is locked."""
    first = Journal(tmp_path)

    with pytest.raises(JournalError, match="locked"):
        Journal(tmp_path)
    first.close()


def test_a_failed_group_leaves_nothing(tmp_path: Path) -> None:
    """A group that can't be committed is not there afterwards, not even in part."""
    written(tmp_path)
    journal = Journal(tmp_path)
    journal._database.execute("PRAGMA max_page_count = 1")

    with pytest.raises(JournalError, match="entry 4"):
        journal.write([(4, bytes(100_000))], {})
    assert list(journal.read()) == ENTRIES
