"""The fingerprint of a machine: complete, shareable, and never a reason to fail."""

import getpass
import json
import socket
from pathlib import Path

import pytest

from harness.environment import environment_to_json, read_environment


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
