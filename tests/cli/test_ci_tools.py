"""`ci/tools.sh`: what it asks apt for, and that nothing which goes wrong there stops the tests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ci" / "tools.sh"
COMMANDS = ("chromium", "valgrind", "zsh", "fish", "openssl", "java", "mvn", "go")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH of its own: an apt-get that notes what it is asked for, and all that is needed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "sed", "timeout"):
        (folder / name).symlink_to(shutil.which(name) or "")
    made(folder, "id", "echo 0")
    made(folder, "apt-get", f'echo "$@" >>{tmp_path / "asked"}')
    made(folder, "apt-cache", 'echo "  Candidate: 2:1.19~1"')
    made(folder, "dpkg", '[ "$2" = 2:1.19~1 ] && [ "$4" = 2:1.21 ]')
    for name in COMMANDS:
        made(folder, name, "")
    return folder


def made(folder: Path, name: str, script: str) -> None:
    """A program of one line."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def install(programs: Path) -> tuple[str, str]:
    """What is said, and what apt-get was asked for."""
    done = subprocess.run(
        [programs / "bash", "-euo", "pipefail", "-c", f". {SCRIPT}; install_tools"],
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=True,
    )
    asked = programs.parent / "asked"
    return done.stderr, asked.read_text() if asked.exists() else ""


def test_nothing_is_asked_where_all_are_there(programs: Path) -> None:
    """No call of apt-get, no word."""
    assert install(programs) == ("", "")


def test_what_is_missing_is_installed(programs: Path) -> None:
    """By the names of their packages, those alone; a Go that is too old is left where it is."""
    for name in ("fish", "mvn", "go"):
        (programs / name).unlink()

    said, asked = install(programs)

    assert "apt's golang-go is 2:1.19~1, older than 2:1.21" in said
    assert "ci: installing fish maven\n" in said
    update, fetched, unpacked = asked.splitlines()
    assert update.endswith("update")
    assert fetched.endswith("--download-only install fish maven")
    assert unpacked.endswith("--no-download install fish maven")


@pytest.mark.parametrize(
    ("program", "script", "words"),
    [
        ("apt-get", "exit 100", "could not install all of: zsh"),
        ("apt-cache", "", "apt has no zsh"),
        ("id", "echo 1000", "only root installs by apt: zsh"),
    ],
)
def test_what_goes_wrong_is_said(program: str, script: str, words: str, programs: Path) -> None:
    """One line, and exit code 0."""
    (programs / "zsh").unlink()
    made(programs, program, script)

    said, _ = install(programs)

    assert words in said
