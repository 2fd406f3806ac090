"""
Targets of git revisions: each checked out into a worktree of its own, and taken away at the end.

Both sides of a gate must be what their revisions say and nothing else: no uncommitted change, no
module of the other side. So a target file is looked for inside the worktree, its commands run
there, and the packaged reference is that of the worktree. A target file outside of the repository,
or a command that runs no program of it, would be the same program twice, and is rejected.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.machine.git import ForeignOwnerError, GitError, git
from harness.targets.own_program import REMEDY, fault_of_program
from harness.targets.target_file import LaunchSpec, TargetSpec, load_target, target_files

HERE = "."  # as a revision: the checkout as it is now, uncommitted changes included
_FOLDER_PREFIX = "acctbench-gate-"
_FOLDER = re.compile(rf"{_FOLDER_PREFIX}(\d+)-")
_TIMEOUT_S = 600.0  # a large repository on a slow disk
_SHOWN_BYTES = 12  # of a commit's name
_IN_REPOSITORY = Path("harness/targets/files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """
    What a side was asked to be, and what it is.

    Attributes:
        asked: As the user wrote it.
        commit: Its full name; of HERE the one that is checked out.
        is_dirty: The checkout has changes that are not committed, and this side has them.
        target: Runs in the worktree.
    """

    asked: str
    commit: str
    is_dirty: bool
    target: TargetSpec

    @property
    def title(self) -> str:
        dirty = " with uncommitted changes" if self.is_dirty else ""
        known = self.commit.startswith(self.asked) or self.asked == HERE
        short = self.commit[:_SHOWN_BYTES]
        return f"{short if known else f'{self.asked} ({short})'}{dirty}"


class Repository:
    """The user's repository; what it has not, or git can't do, is a UsageError."""

    def __init__(self, folder: Path) -> None:
        """The one that *folder* is in."""
        try:
            self.root = Path(_git(folder, "rev-parse", "--show-toplevel"))
        except ForeignOwnerError as error:
            raise UsageError(str(error)) from error
        except GitError as error:
            raise UsageError(
                f"{folder.resolve()} is in no git repository ({error}); call the gate in one, or "
                "name two target files with --base-target and --candidate-target"
            ) from error

    def commit_of(self, revision: str) -> str:
        """The full name of the commit that *revision* means."""
        asked = "HEAD" if revision == HERE else revision
        try:
            return _git(
                self.root,
                *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}"),
            )
        except GitError as error:
            raise UsageError(
                f'revision "{revision}": no commit of {self.root}; write a branch, a tag or a '
                "commit. Where a pipeline fetches the newest commit alone, have it fetch the "
                "history too"
            ) from error

    def is_dirty(self) -> bool:
        return bool(_git(self.root, "status", "--porcelain"))

    def revision_at(self, root: Path, asked: str, target: str, commit: str) -> Revision:
        """*asked*, checked out at *root*, with the target of that name or file inside it."""
        return Revision(
            asked=asked,
            commit=commit,
            is_dirty=asked == HERE and self.is_dirty(),
            target=self._target_at(root, asked, target),
        )

    def _target_at(self, root: Path, asked: str, name: str) -> TargetSpec:
        shipped = name in target_files()
        path = _IN_REPOSITORY / f"{name}.toml" if shipped else self._inside(name)
        if not (root / path).is_file():
            what = f'the target "{name}" that comes with acctbench' if shipped else str(path)
            raise UsageError(
                f'revision "{asked}": {what} is not in it; write a target file of the repository '
                "with --target, that both revisions have"
            )
        spec = load_target(str(root / path))
        how = spec.how
        if not isinstance(how, LaunchSpec):
            raise UsageError(
                f"target: {path}: it runs already, and a gate starts each side anew for every "
                "pair; use a target file with [launch]"
            )
        if shipped:
            return replace(spec, how=_as_module_of(root, how))
        fault = fault_of_program(how, root, missing=_missing_submodules(root))
        if fault:
            raise UsageError(
                f"target: {path}: its command runs no program of the revision ({fault}), so both "
                f"sides would be the same; {REMEDY}"
            )
        return spec

    def _inside(self, name: str) -> Path:
        path = Path(name).resolve()
        if not path.is_relative_to(self.root):
            raise UsageError(
                f"target: {name}: it lies outside of {self.root}, so both revisions would be the "
                "same program; put it into the repository, or name two files with --base-target "
                "and --candidate-target"
            )
        return path.relative_to(self.root)


@contextmanager
def checked_out(
    repository: Repository, revisions: Sequence[str], target: str
) -> Iterator[tuple[Revision, ...]]:
    """
    Each of *revisions* in a worktree of its own, while this lasts.

    Raises as `Repository`; TargetError if git can't check one out.
    """
    commits = [repository.commit_of(revision) for revision in revisions]
    _remove_abandoned(repository)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
    made: list[Path] = []
    try:
        found = []
        for place, (revision, commit) in enumerate(zip(revisions, commits, strict=True)):
            root = repository.root
            if revision != HERE:
                root = folder / f"{place}-{commit[:_SHOWN_BYTES]}"
                made.append(root)
                _add_worktree(repository.root, root, commit)
            found.append(repository.revision_at(root, revision, target, commit))
        yield tuple(found)
    finally:
        for root in made:
            _remove_worktree(repository.root, root)
        shutil.rmtree(folder, ignore_errors=True)


def _as_module_of(root: Path, how: LaunchSpec) -> LaunchSpec:
    """A Python module of *root*: found there before any installation of the same, editable say."""
    paths = [str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **how.environment}
    return replace(how, environment=environment, cwd=root)


def _add_worktree(repository_root: Path, root: Path, commit: str) -> None:
    # No hooks: what a checkout of a developer should do has no place in a measurement.
    _git(
        repository_root,
        *("-c", "core.hooksPath=/dev/null"),
        *("worktree", "add", "--detach", "--force", str(root), commit),
    )
    for path, module_commit in _submodules(repository_root, commit):
        module = repository_root / path
        with suppress(GitError):  # its objects are not at hand: own_program says what is missing
            _git(module, "cat-file", "-e", f"{module_commit}^{{commit}}")
            _add_worktree(module, root / path, module_commit)


def _missing_submodules(root: Path) -> tuple[Path, ...]:
    """Submodules of the checkout at *root* that are empty."""
    listed = _git(root, "ls-files", "--stage", "-z").split("\0")
    modules = (line.partition("\t")[2] for line in listed if line.startswith("160000 "))
    return tuple(root / path for path in modules if not (root / path / ".git").exists())


def _submodules(root: Path, commit: str) -> Iterator[tuple[Path, str]]:
    """Where *commit* has submodules that are checked out in the repository too, at what commits."""
    for line in _git(root, "ls-tree", "-r", "-z", commit).split("\0"):
        about, _, path = line.partition("\t")
        if about.startswith("160000 ") and (root / path / ".git").exists():
            yield Path(path), about.split()[2]


def _remove_worktree(repository_root: Path, root: Path) -> None:
    """Take *root* away; what git knows of it and of its submodules is forgotten."""
    shutil.rmtree(root, ignore_errors=True)
    for path, _ in _submodules(repository_root, "HEAD"):
        _git(repository_root / path, "worktree", "prune")
    _git(repository_root, "worktree", "prune")


def _remove_abandoned(repository: Repository) -> None:
    """What gates that were killed have left of worktrees of this repository."""
    for line in _git(repository.root, "worktree", "list", "--porcelain").splitlines():
        key, _, value = line.partition(" ")
        owner = _FOLDER.match(Path(value).parent.name) if key == "worktree" else None
        if owner is not None and not Path(f"/proc/{owner[1]}").exists():
            _remove_worktree(repository.root, Path(value))
            shutil.rmtree(Path(value).parent, ignore_errors=True)


def _git(folder: Path, *arguments: str) -> str:
    return git(folder, *arguments, timeout_s=_TIMEOUT_S)
