"""A side's program is one of its revision, or it is refused."""

from pathlib import Path

import pytest

from harness.targets.own_program import fault_of_program
from harness.targets.target_file import LaunchSpec

PORT = "{grpc_port}"
BUILT = (("make",),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree with a service of every sort."""
    for name in ("deploy/service.py", "deploy/run.sh", "deploy/app.jar", "core/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "deploy" / "elsewhere.py").symlink_to("/etc/hosts")
    return tmp_path


def launch(root: Path, command: tuple[str, ...], **changes: object) -> LaunchSpec:
    """A target file in deploy/ that says *command*."""
    values: dict[str, object] = {
        "here": root / "deploy",
        "build_steps": (),
        "build_timeout_ns": 1,
        "command": command,
        "environment": {},
        "cwd": None,
        "ready_line": "",
        "ready_port": True,
        "ready_timeout_ns": 1,
        "stop_signal": "TERM",
        "stop_grace_ns": 1,
        "replay_command": (),
        "replay_timeout_ns": 1,
    }
    return LaunchSpec(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "cwd", "build_steps", "environment"),
    [
        (("{here}/run.sh", PORT), None, (), {}),
        (("./run.sh", PORT), "deploy", (), {}),
        (("bash", "run.sh"), "deploy", (), {}),
        (("{python}", "{here}/service.py"), None, (), {}),
        (("{python}", "-X", "dev", "-u", "{here}/service.py"), None, (), {}),
        (("python3.11", "service.py"), "deploy", (), {}),
        (("{python}", "-m", "core.server", "--data", "{workdir}"), ".", (), {}),
        (("{python}", "-m", "core.server"), None, (), {"PYTHONPATH": "/x:{here}/.."}),
        (("{python}", "-m", "server"), None, BUILT, {"PYTHONPATH": "{workdir}/lib"}),
        (("java", "-jar", "{here}/app.jar", PORT), None, (), {}),
        (("{workdir}/service", PORT), None, BUILT, {}),
        (("{here}/../target/release/service", PORT), None, BUILT, {}),
        (("java", "-cp", "{workdir}/classes", "Main"), None, BUILT, {}),
        (("./service",), None, BUILT, {}),
        (("node", "--max-old-space-size=4096", "--inspect", "{here}/app.jar"), None, (), {}),
        (("deno", "run", "--allow-net", "{here}/app.jar"), None, (), {}),
        (("go", "run", "./deploy"), ".", (), {}),
        (("nice", "-n", "5", "taskset", "-c", "0,1", "{here}/run.sh"), None, (), {}),
        (("env", "DB=./db", "{python}", "-m", "core"), ".", (), {}),
    ],
)
def test_programs_of_a_revision(
    root: Path,
    command: tuple[str, ...],
    cwd: str | None,
    build_steps: tuple[tuple[str, ...], ...],
    environment: dict[str, str],
) -> None:
    """In its folder, or built from it."""
    how = launch(
        root,
        command,
        cwd=None if cwd is None else root / cwd,
        build_steps=build_steps,
        environment=environment,
    )

    assert not fault_of_program(how, root)


@pytest.mark.parametrize(
    ("command", "cwd", "build_steps"),
    [
        (("my-service", "--port", PORT, "--data", "{workdir}"), None, ()),
        (("my-service", "--data", "{workdir}/data"), None, BUILT),
        (("my-service", PORT), ".", ()),
        (("my-service", "{here}/service.py"), None, ()),
        (("/usr/bin/my-service", PORT), ".", BUILT),
        (("{workdir}/service", PORT), None, ()),
        (("{here}/not-there", PORT), None, ()),
        (("{python}", "-m", "workloads.account.reference", "--workdir", "{workdir}"), None, ()),
        (("{python}", "-m", "somewhere.else"), ".", ()),
        (("{python}", "-m", "somewhere.else"), ".", BUILT),
        (("{python}", "-c", "import core", "{here}/service.py"), ".", ()),
        (("{python}", "{here}/elsewhere.py"), None, ()),
        (("{python}", "/opt/service.py", "{here}/service.py"), None, ()),
        (("{python}",), None, ()),
        (("java", "-jar", "/opt/app.jar", "--data", "{here}/service.py"), None, ()),
        (("java", "-jar", "/opt/app.jar", "-c", "{here}/app.jar"), None, ()),
        (("java", "-jar", "/opt/app.jar", "http://x/y"), None, BUILT),
        (("java", "Main", "{here}/app.jar"), ".", ()),
        (("node", "/opt/server.js", "{here}/service.py"), None, ()),
        (("env", "my-service", "{workdir}"), None, BUILT),
        (("env", "DB=./db", "my-service"), None, BUILT),
        (("nice", "-n", "5", "my-service", "-c", "{here}/service.py"), None, ()),
        (("nice", "-n", "5"), None, ()),
    ],
)
def test_programs_that_both_sides_would_share(
    root: Path,
    command: tuple[str, ...],
    cwd: str | None,
    build_steps: tuple[tuple[str, ...], ...],
) -> None:
    """Found on the PATH or among installed modules, whatever its arguments name."""
    how = launch(root, command, cwd=None if cwd is None else root / cwd, build_steps=build_steps)

    assert fault_of_program(how, root)
