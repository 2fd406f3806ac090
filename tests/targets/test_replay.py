"""Replays: the digest is the line that is one; what goes wrong is told, never raised."""

from pathlib import Path

import pytest

from harness.targets.replay import LOG_NAME, replay_journal
from harness.targets.target_file import TargetSpec, parse_target

DIGEST = "0123456789abcdef" * 4


def target(folder: Path, replay: str) -> TargetSpec:
    """A target with this [replay] table."""
    text = f"""
name = "replayed"
{replay}
[launch]
command = ["{{grpc_port}}"]
environment = {{ COLOUR = "blue", PLACE = "{{workdir}}" }}
"""
    return parse_target(text, file=folder / "replayed.toml")


def command(program: str, *arguments: str, timeout: str = "20s") -> str:
    """A [replay] table of Python."""
    listed = "".join(f', "{argument}"' for argument in arguments)
    shown = f"""["{{python}}", "-c", '''{program}'''{listed}]"""
    return f'[replay]\ncommand = {shown}\ntimeout = "{timeout}"'


def test_the_digest_is_the_line_that_is_one(tmp_path: Path) -> None:
    """Among others, of stderr too, in capitals or not; in the folder that the target left."""
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "journal").write_text(DIGEST.upper(), encoding="utf-8")
    program = (
        "import os, sys; print('reading', sys.argv[1], os.environ['COLOUR'], file=sys.stderr); "
        "print('beef'); print(open(os.environ['PLACE'] + '/journal').read()); print('done', 1)"
    )

    replay = replay_journal(target(tmp_path, command(program, "{workdir}")), folder=tmp_path)

    assert replay is not None
    assert (replay.digest, replay.failure) == (DIGEST, "")
    assert f"reading {tmp_path}/workdir blue" in (tmp_path / LOG_NAME).read_text(encoding="utf-8")


def test_without_a_command_there_is_none(tmp_path: Path) -> None:
    """A file that tells no way to replay."""
    assert replay_journal(target(tmp_path, ""), folder=tmp_path) is None


@pytest.mark.parametrize(
    ("program", "timeout", "words"),
    [
        (f"print('{DIGEST}'); raise SystemExit('the journal is torn')", "20s", "journal is torn"),
        (f"print('digest: {DIGEST}')", "20s", "printed no line that is a digest"),
        ("import time; time.sleep(60)", "500ms", "not done within"),
    ],
)
def test_a_failed_replay_has_no_digest(
    program: str, timeout: str, words: str, tmp_path: Path
) -> None:
    """What it printed before does not count; why there is none is told."""
    replay = replay_journal(target(tmp_path, command(program, timeout=timeout)), folder=tmp_path)

    assert replay is not None
    assert replay.digest == ""
    assert words in replay.failure


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """It could not be started."""
    table = '[replay]\ncommand = ["{workdir}/no-such-program"]'
    replay = replay_journal(target(tmp_path, table), folder=tmp_path)

    assert replay is not None
    assert "no-such-program" in replay.failure
