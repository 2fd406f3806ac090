"""Asking git of one checkout, whatever the environment names."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.machine.git import ForeignOwnerError, GitError, git, git_or_none

TIMEOUT_S = 60.0


def repository(folder: Path, word: str) -> Path:
    """A checkout with one commit."""
    folder.mkdir()
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    for arguments in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "-m", word)):
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)
    return folder


def test_a_hook_names_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git sets GIT_DIR for what its hooks start; the checkout that is asked about answers."""
    asked, other = (repository(tmp_path / word, word) for word in ("asked", "other"))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))

    assert git(asked, "log", "--format=%s", timeout_s=TIMEOUT_S) == "asked"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says whose it is and what allows it; a pipeline's own remedy is honoured."""
    folder = repository(tmp_path / "foreign", "foreign")
    os.chown(folder, 12_345, 12_345)
    os.chown(folder / ".git", 12_345, 12_345)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    with pytest.raises(ForeignOwnerError, match=r"another user.*safe\.directory"):
        git(folder, "log", "--format=%s", timeout_s=TIMEOUT_S)
    settings = {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}
    for name, value in settings.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)

    assert git(folder, "log", "--format=%s", timeout_s=TIMEOUT_S) == "foreign"


def test_what_git_refuses_is_said(tmp_path: Path) -> None:
    """Its last words, or nothing where a fact may be lacking."""
    with pytest.raises(GitError, match="not a git repository"):
        git(tmp_path, "status", timeout_s=TIMEOUT_S)
    assert git_or_none(tmp_path, "status", timeout_s=TIMEOUT_S) is None


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="not installed"):
        git(tmp_path, "status", timeout_s=TIMEOUT_S)
