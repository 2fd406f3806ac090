"""
What git says of a checkout: of that one alone, whatever a hook or a pipeline has set.

In a hook, git sets GIT_DIR and others for every process: whoever inherits them is told of another
repository than the one that was asked about. They are left out here; how the user has configured
git for all repositories (GIT_CONFIG_COUNT, GIT_SSH_COMMAND ...) is not.
"""

import os
import subprocess
from pathlib import Path

from harness.errors import TargetError

# What is of one repository: `git rev-parse --local-env-vars`, without configuration.
_OF_A_REPOSITORY = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "IMPLICIT_WORK_TREE", "COMMON_DIR", "INDEX_FILE", "PREFIX"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "GRAFT_FILE", "SHALLOW_FILE"),
        *("NO_REPLACE_OBJECTS", "REPLACE_REF_BASE", "NAMESPACE", "CONFIG"),
        *("INTERNAL_SUPER_PREFIX", "QUARANTINE_PATH", "REFLOG_ACTION"),
    )
)


class GitError(TargetError):
    """git is not installed, took too long, or failed; the message has its last words."""


class ForeignOwnerError(GitError):
    """The repository belongs to another user, and git is not told that this is meant."""


def git(folder: Path, *arguments: str, timeout_s: float) -> str:
    """What `git ARGUMENTS` prints in *folder*, without blanks at its ends; raises GitError."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_A_REPOSITORY}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the harness, which removes what was made
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]}: not done within {timeout_s:g} s") from error
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            raise ForeignOwnerError(
                f"{folder.resolve()} belongs to another user, so git reads nothing there; where"
                " that is meant: git config --global --add safe.directory"
                f" {folder.resolve()}"
            ) from error
        said = error.stderr.strip().splitlines()
        raise GitError(f"git {arguments[0]}: {said[-1] if said else error}") from error
    except OSError as error:
        raise GitError(f"git can't be run: {error}") from error
    return done.stdout.strip()


def git_or_none(folder: Path, *arguments: str, timeout_s: float) -> str | None:
    """As `git`; None where it can't be had, for facts that a record may lack."""
    try:
        return git(folder, *arguments, timeout_s=timeout_s)
    except GitError:
        return None
