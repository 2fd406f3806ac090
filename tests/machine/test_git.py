"""Asking git of one checkout, whatever the environment names."""

import subprocess
from pathlib import Path

import pytest

from harness.machine.git import GitError, git, git_or_none

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
