"""What a user names as an output is written to: never replaced where it is no plain file."""

import os
import stat
import threading
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.storage.run_folder import whole_file


def write(path: Path, text: str) -> None:
    """Write *text* as a report does."""
    with whole_file(path) as partial:
        partial.write_text(text)


def test_links_stay_links(tmp_path: Path) -> None:
    """The link's target has the text, whole."""
    (tmp_path / "real.md").write_text("old and longer")
    (tmp_path / "link.md").symlink_to("real.md")
    write(tmp_path / "link.md", "new")

    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "new"


def test_pipes_get_the_text(tmp_path: Path) -> None:
    """As a shell's >(...) is one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()
    write(path, "text")
    reader.join(timeout=10)

    assert found == ["text"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_devices_stay_devices(tmp_path: Path) -> None:
    """Such as /dev/null; a private one here."""
    path = tmp_path / "null"
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    write(path, "text")

    assert stat.S_ISCHR(path.stat().st_mode)


def test_what_cannot_be_written_is_a_record_error(tmp_path: Path) -> None:
    """A folder in the place of a file, and a device that is full."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", Path("/dev/full")):
        with pytest.raises(RecordError, match="can't be written"):
            write(path, "text")
    assert (tmp_path / "folder").is_dir()
