"""Revisions: each side is what its commit says, and nothing of it is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import TargetError, TargetFileError, UsageError
from harness.targets.build import place_values
from harness.targets.placeholders import fill
from harness.targets.revisions import HERE, Repository, Revision, checked_out
from harness.targets.target_file import LaunchSpec

TARGET = """
name = "mine"
[launch]
command = ["{python}", "{here}/service.py", "{grpc_port}"]
"""


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository: tag v1 has no target, main has one whose service prints 2."""
    root = tmp_path / "user"
    (root / "deploy").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "deploy" / "service.py").write_text("print(1)\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1")
    (root / "deploy" / "service.py").write_text("print(2)\n")
    (root / "deploy" / "target.toml").write_text(TARGET)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "two")
    return root


def said_by(revision: Revision) -> str:
    """What the program of *revision* prints."""
    how = revision.target.how
    assert isinstance(how, LaunchSpec)
    values = {**place_values(how, how.here), "grpc_port": "0"}
    argv = [fill(part, values) for part in how.command]
    done = subprocess.run(argv, cwd=how.cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_side_is_its_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that are not committed are in HERE alone, which says that it has them."""
    monkeypatch.chdir(folder)
    (folder / "deploy" / "service.py").write_text("print(3)\n")

    with checked_out(Repository(folder), ["main", HERE], "deploy/target.toml") as sides:
        assert [said_by(side) for side in sides] == ["2", "3"]
        assert [side.is_dirty for side in sides] == [False, True]
        assert sides[0].commit == sides[1].commit == git(folder, "rev-parse", "main")
        assert "uncommitted" in sides[1].title
        assert "uncommitted" not in sides[0].title


def test_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worktree, no folder, after an interrupt as well."""
    monkeypatch.chdir(folder)
    seen: list[Path] = []

    def interrupted() -> None:
        with checked_out(Repository(folder), ["main"], "deploy/target.toml") as (side,):
            assert isinstance(side.target.how, LaunchSpec)
            seen.append(side.target.how.here)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert not seen[0].exists()
    assert git(folder, "worktree", "list").count("\n") == 0


def test_what_a_killed_gate_left_is_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worktree whose process is gone goes; one of a process that runs stays."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        root = tmp_path / f"acctbench-gate-{pid}-x" / "0-abc"
        git(folder, "worktree", "add", "--detach", str(root), "main")

    with checked_out(Repository(folder), ["main"], "deploy/target.toml"):
        pass

    left = git(folder, "worktree", "list", "--porcelain")
    assert f"acctbench-gate-{gone.pid}-" not in left
    assert f"acctbench-gate-{os.getpid()}-x" in left


def test_hooks_of_the_repository_are_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A post-checkout hook that fails does not keep a side from being checked out."""
    monkeypatch.chdir(folder)
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with checked_out(Repository(folder), ["main"], "deploy/target.toml") as sides:
        assert said_by(sides[0]) == "2"


@pytest.mark.parametrize(
    ("revision", "target", "said"),
    [
        ("nope", "deploy/target.toml", 'revision "nope": no commit'),
        ("--help", "deploy/target.toml", 'revision "--help": no commit'),
        ("v1", "deploy/target.toml", 'revision "v1": deploy/target.toml is not in it'),
        ("main", "/etc/hosts", "lies outside of"),
        ("main", "reference", "comes with acctbench is not in it"),
    ],
)
def test_what_cannot_be_a_side(
    folder: Path, revision: str, target: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what to write instead; nothing is left behind."""
    monkeypatch.chdir(folder)

    with (
        pytest.raises(UsageError, match=said),
        checked_out(Repository(folder), [revision], target),
    ):
        pass

    assert git(folder, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'name = "x"\n[launch]\ncommand = ["service", "{grpc_port}"]\n',
            "no program of the revision",
        ),
        ('name = "x"\n[attach]\ngrpc = "127.0.0.1:1"\n', "it runs already"),
        ('name = "x"\n[launch]\n', "command"),
    ],
)
def test_targets_that_would_be_the_same_twice(
    folder: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of the PATH, or one that runs already, is not of any revision."""
    monkeypatch.chdir(folder)
    (folder / "target.toml").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "three")

    with (
        pytest.raises((UsageError, TargetFileError), match=said),
        checked_out(Repository(folder), ["main"], "target.toml"),
    ):
        pass


@pytest.fixture
def with_submodule(tmp_path: Path, folder: Path) -> Path:
    """The repository, with its program in a submodule at vendor/library."""
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet", "--initial-branch=main")
    (library / "service.py").write_text("print(3)\n")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "-m", "library")
    allowed = ("-c", "protocol.file.allow=always")
    git(folder, *allowed, "submodule", "--quiet", "add", str(library), "vendor/library")
    text = TARGET.replace("{here}/service.py", "{here}/../vendor/library/service.py")
    (folder / "deploy" / "target.toml").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "three")
    return folder


def test_submodules_at_hand_are_checked_out(
    with_submodule: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side has its revision's submodules, and nothing of them is left behind."""
    folder = with_submodule
    monkeypatch.chdir(folder)
    with checked_out(Repository(folder), ["main"], "deploy/target.toml") as sides:
        assert said_by(sides[0]) == "3"

    assert git(folder / "vendor" / "library", "worktree", "list").count("\n") == 0
    assert git(folder, "worktree", "list").count("\n") == 0


def test_submodules_that_are_missing_are_named(
    with_submodule: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that lies in one is not "outside"."""
    folder = with_submodule
    git(folder, "submodule", "--quiet", "deinit", "--force", "vendor/library")
    monkeypatch.chdir(folder)
    said = "in the submodule vendor/library, which is not checked out"

    with (
        pytest.raises(UsageError, match=said),
        checked_out(Repository(folder), ["main"], "deploy/target.toml"),
    ):
        pass


def test_programs_that_git_does_not_have_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a build would make, and no build makes, is missing, not elsewhere."""
    (folder / "deploy" / "target.toml").write_text(TARGET.replace("service.py", "built.py"))
    git(folder, "commit", "--quiet", "-a", "-m", "three")
    monkeypatch.chdir(folder)

    with (
        pytest.raises(UsageError, match="not in this revision: git does not have it"),
        checked_out(Repository(folder), ["main"], "deploy/target.toml"),
    ):
        pass


def test_outside_of_a_repository(tmp_path: Path) -> None:
    """It says so, and names the other way."""
    with pytest.raises(UsageError, match="--base-target"):
        Repository(tmp_path)


def test_git_that_fails_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that is refused is the target's failure, with git's own words."""
    monkeypatch.chdir(folder)
    repository = Repository(folder)
    (folder / ".git" / "worktrees").write_text("in the way\n")

    with (
        pytest.raises(TargetError, match="git"),
        checked_out(repository, ["main"], "deploy/target.toml"),
    ):
        pass


def test_the_reference_is_that_of_the_worktree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules come from the revision's folder, though this installation has the same ones."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    monkeypatch.chdir(root)
    with checked_out(Repository(root), ["HEAD"], "reference") as (side,):
        how = side.target.how
        assert isinstance(how, LaunchSpec)
        for safe_path in ("", "1"):  # with PYTHONSAFEPATH the folder of a program is not searched
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import workloads.account.reference as m; print(m.__file__)",
                ],
                cwd=how.cwd,
                env={**os.environ, **how.environment, "PYTHONSAFEPATH": safe_path},
                capture_output=True,
                text=True,
                check=True,
            )

            assert how.cwd is not None
            assert done.stdout.startswith(str(how.cwd))
            assert not done.stdout.startswith(str(root))
