"""The subscriber's log: what is written is read, and a cut file is told."""

from pathlib import Path

import pytest

from harness.engine.subscription_log import HEADER, Arrival, Entry, read_subscriptions

ENTRIES = [
    Entry(0, Arrival.OPENED, 5, b""),
    Entry(70_000, Arrival.MESSAGE, 2**62, b"body"),
    Entry(0, Arrival.ENDED, 7, b"14 gone"),
]


def spelt(entry: Entry) -> bytes:
    """An entry as the subscriber writes it."""
    return HEADER.pack(*entry[:3], len(entry.body)) + entry.body


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Entries come back in order, bodies and all."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(map(spelt, ENTRIES)))

    assert list(read_subscriptions(path)) == ENTRIES


@pytest.mark.parametrize("missing_bytes", [1, 6])
def test_a_cut_log_is_told(tmp_path: Path, missing_bytes: int) -> None:
    """A file that ends inside a body or a head is no evidence, and says so."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(map(spelt, ENTRIES[:2]))[:-missing_bytes])

    with pytest.raises(ValueError, match="ends inside an entry"):
        list(read_subscriptions(path))
