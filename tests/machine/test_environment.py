"""The fingerprint of a machine: complete, shareable, and never a reason to fail."""

import getpass
import json
import socket
import subprocess
from pathlib import Path

import pytest

from harness.machine.environment import (
    GitState,
    environment_to_json,
    read_environment,
    read_revision,
)


def test_nothing_private_is_in_it() -> None:
    """No host name, user name or path of this machine."""
    text = json.dumps(environment_to_json(read_environment()))

    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
    assert f'"{socket.gethostname()}"' not in text
    assert f'"{getpass.getuser()}"' not in text


def test_the_program_is_identified() -> None:
    """Python and every package that bears on a figure have a version."""
    environment = read_environment()

    assert environment.python.startswith("CPython 3.")
    assert all(environment.packages.values())
    assert environment.core_count >= len(environment.cores_given) >= 1


def test_no_git_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a git program the commit is unknown, and everything else is there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    environment = read_environment()

    assert (environment.git_sha, environment.git_dirty) == ("", None)
    assert environment.kernel


def test_the_revision_of_a_folder(tmp_path: Path) -> None:
    """The commit, and whether tracked files differ; what a run leaves beside them is not dirt."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=ada", "-c", "user.email=a@example.com"]
    assert read_revision(tmp_path) == GitState()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "main.go").write_text("package main\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    (tmp_path / "service" / "runs").mkdir()
    (tmp_path / "service" / "runs" / "record.json").write_text("{}")
    clean = read_revision(tmp_path / "service")
    (tmp_path / "service" / "main.go").write_text("package other\n")

    assert clean == GitState(git_sha=head.stdout.strip(), git_dirty=False)
    assert read_revision(tmp_path / "service").git_dirty is True


def test_an_environment_inside_a_checkout_is_not_its_program(tmp_path: Path) -> None:
    """A folder of which nothing is tracked has no revision, whatever encloses it."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / ".venv" / "lib" / "reference.toml").write_text("")

    assert read_revision(tmp_path / ".venv" / "lib") == GitState()
    assert read_revision(tmp_path / "nowhere") == GitState()
