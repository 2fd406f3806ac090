"""Launched and attached targets, against a small real service."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import TargetError, UsageError
from harness.targets import service
from harness.targets.ports import accepts, free_port
from harness.targets.service import Target, start_target
from harness.targets.target_file import parse_target
from tests.targets.programs import wait_for_state, write_service

READY_LINE = 'line = "ready "'
READY_PORT = "port = true"


def start(folder: Path, ready: str, *, before: str = "") -> Target:
    """The small service, launched under this rule of readiness."""
    program = write_service(folder)
    text = f"""
name = "small"
{before}
[launch]
command = ["{{python}}", "{program}", "{{grpc_port}}"]
[ready]
{ready}
"""
    return start_text(folder, text)


def start_text(folder: Path, text: str) -> Target:
    """The target of a file with this *text*."""
    spec = parse_target(text, file=folder / "small.toml")
    return start_target(spec, folder=folder, kafka_address="127.0.0.1:1", topic_prefix="run.")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """The small service, launched."""
    started = start(tmp_path, READY_LINE)
    yield started
    started.stop()


def connects(target: Target) -> bool:
    """Whether it answers where it says it is."""
    host, _, port = target.endpoint.grpc_address.rpartition(":")
    return accepts(host, int(port), timeout_s=30.0)


def test_port_comes_from_the_ready_line(target: Target) -> None:
    """A target that picks its port is found where it says."""
    assert connects(target)
    assert target.endpoint.topic_prefix == "run."
    target.check_alive()


def test_port_is_picked_and_awaited(tmp_path: Path) -> None:
    """With port = true the harness picks the port and waits until it opens."""
    target = start(tmp_path, READY_PORT)
    is_there = connects(target)

    assert is_there
    assert target.stop() in {"exited 0", "killed by signal 15"}


def test_taken_port_is_picked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process takes the port first, the target is started on another one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = iter([other.getsockname()[1], free_port()])
        monkeypatch.setattr(service, "free_port", lambda: next(ports))
        target = start(tmp_path, f"{READY_LINE}\n{READY_PORT}")
        taken = other.getsockname()[1]
    target.check_alive()

    assert target.endpoint.grpc_address != f"127.0.0.1:{taken}"
    target.stop()


def test_restart_keeps_port_and_work_folder(target: Target, tmp_path: Path) -> None:
    """After a kill the target is back at its address, with its own files, as another process."""
    before, pid = target.endpoint, target.pid
    target.kill_and_restart()

    assert target.endpoint == before
    assert target.pid != pid
    assert connects(target)
    assert (tmp_path / "workdir" / "starts").read_text().count("started") == 2


def test_planned_restart_raises_no_alarm(target: Target) -> None:
    """Who watches the target from another thread sees no death while it is restarted."""
    restart = threading.Thread(target=target.kill_and_restart)
    restart.start()
    look_count = 0
    while restart.is_alive():
        target.check_alive()
        look_count += 1
        time.sleep(0.001)

    assert look_count > 0
    target.check_alive()


def test_freeze_and_thaw(target: Target) -> None:
    """Freeze stops the process, thaw lets it go on."""
    assert target.pid is not None
    target.freeze()
    frozen = wait_for_state(target.pid, "T")
    target.thaw()

    assert frozen == "T"
    assert wait_for_state(target.pid, "RS") in "RS"


def test_death_at_start_has_the_last_words(tmp_path: Path) -> None:
    """A target that dies at start is reported at once, with its log."""
    text = """
name = "small"
[launch]
command = ["{python}", "-c", "raise SystemExit('no disk')", "{grpc_port}"]
[ready]
port = true
timeout = "180s"
"""
    begin_s = time.monotonic()

    with pytest.raises(TargetError, match=r"(?s)small.*exited 1.*no disk"):
        start_text(tmp_path, text)
    assert time.monotonic() - begin_s < 90.0


def test_ready_line_without_port_says_what_to_write(tmp_path: Path) -> None:
    """A ready line that carries no JSON is refused with the remedy."""
    text = """
name = "small"
[launch]
command = ["{python}", "-c", "print('ready now', flush=True); input()"]
[ready]
line = "ready "
"""
    with pytest.raises(TargetError, match="port = true"):
        start_text(tmp_path, text)


def test_command_and_environment_are_filled(tmp_path: Path) -> None:
    """Both may hold placeholders, and the reference data lie where theirs says."""
    text = """
name = "small"
[launch]
command = ["{python}", "-c", '''
import os, sys
print(os.environ["WHERE"], open(sys.argv[1]).read(), flush=True)
print('ready {"grpc_port": 1}', flush=True)
sys.stdin.read()
''', "{reference_data}"]
environment = { WHERE = "{kafka} {topic_prefix} {here} {{kafka}}" }
[ready]
line = "ready "
"""
    target = start_target(
        parse_target(text, file=tmp_path / "small.toml"),
        folder=tmp_path,
        kafka_address="127.0.0.1:1",
        topic_prefix="run.",
        reference_data=b'{"assets": []}',
    )
    target.stop()

    (first, _) = (tmp_path / "target.log").read_text().splitlines()
    assert first == f'127.0.0.1:1 run. {tmp_path} {{kafka}} {{"assets": []}}'


def test_stop_signal_is_the_one_written(tmp_path: Path) -> None:
    """A service that ends in order only on SIGINT is given SIGINT."""
    text = """
name = "small"
[launch]
command = ["{python}", "-c", '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready {"grpc_port": 1}', flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    raise SystemExit(7)
''']
[ready]
line = "ready "
[stop]
signal = "INT"
grace = "10s"
"""
    assert start_text(tmp_path, text).stop() == "exited 7"


def test_attached_target_is_spoken_to_and_left_alone(target: Target, tmp_path: Path) -> None:
    """An attached target has an address; it is not killed, frozen or stopped."""
    address, pid = target.endpoint.grpc_address, target.pid
    text = f'name = "other"\n[attach]\ngrpc = "{address}"\npid = {pid}\ntopic_prefix = "its."'
    attached = start_text(tmp_path, text)
    attached.check_alive()

    assert (attached.endpoint.grpc_address, attached.endpoint.topic_prefix) == (address, "its.")
    for refused in (attached.kill_and_restart, attached.freeze, attached.thaw):
        with pytest.raises(UsageError, match="attached target"):
            refused()
    assert attached.stop() == "left running"
    target.check_alive()


def test_attached_target_that_is_not_there(tmp_path: Path) -> None:
    """Nothing at the address, or no such process, is a target error."""
    text = f'name = "x"\n[attach]\ngrpc = "127.0.0.1:{free_port()}"'

    with pytest.raises(TargetError, match="nothing answers"):
        start_text(tmp_path, text)
    with pytest.raises(TargetError, match="no process"):
        start_text(tmp_path, text + "\npid = 4194305")  # above the kernel's largest pid
