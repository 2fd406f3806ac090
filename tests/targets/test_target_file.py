"""Target files: one that is right is a value, one that is wrong lists all that is."""

from pathlib import Path

import pytest

from harness.errors import TargetFileError, UsageError
from harness.targets.target_file import (
    AttachSpec,
    LaunchSpec,
    fill,
    load_target,
    parse_target,
    target_files,
)

MINE = """
name = "mine"
[build]
steps = [["make", "service"]]
[launch]
command = ["./service", "--port", "{grpc_port}", "--json", '{"a": 1}']
environment = { LOG = "warn" }
cwd = "."
[ready]
port = true
timeout = "500ms"
[stop]
grace = "1s"
[seed]
by = "transfers"
[metadata]
authorization = "env:ACCTBENCH_TEST_TOKEN"
venue = "x"
"""

WRONG = """
name = ""
metdata = 1
[launch]
command = ["{prot}"]
cwd = "nowhere"
[ready]
timeout = "soon"
[attach]
grpc = "localhost"
pid = 0
[seed]
by = "hand"
"""


def test_every_shipped_target_can_be_used() -> None:
    """The reference is there, and whatever else ships parses."""
    specs = {name: load_target(name) for name in target_files()}

    assert specs["reference"].name == "reference"
    assert isinstance(specs["reference"].how, LaunchSpec)


def test_file_becomes_a_value(tmp_path: Path) -> None:
    """Text with units is plain numbers, and paths are relative to the file."""
    spec = parse_target(MINE, file=tmp_path / "mine.toml")

    assert isinstance(spec.how, LaunchSpec)
    assert (spec.how.ready_timeout_ns, spec.how.stop_grace_ns) == (500_000_000, 1_000_000_000)
    assert spec.how.cwd == tmp_path
    assert spec.how.build_steps == (("make", "service"),)
    assert spec.seed_by == "transfers"


def test_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value "env:NAME" is resolved when used, and the spec keeps the name only."""
    spec = parse_target(MINE, file=tmp_path / "mine.toml")
    monkeypatch.setenv("ACCTBENCH_TEST_TOKEN", "s3cr3t")

    assert spec.metadata_pairs() == (("authorization", "s3cr3t"), ("venue", "x"))
    assert "s3cr3t" not in repr(spec)


def test_unset_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set is a usage error that says which."""
    monkeypatch.delenv("ACCTBENCH_TEST_TOKEN", raising=False)
    spec = parse_target(MINE, file=tmp_path / "mine.toml")

    with pytest.raises(UsageError, match="ACCTBENCH_TEST_TOKEN is not set"):
        spec.metadata_pairs()


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    """Wrong values, unknown keys and contradictions come in one message, with file and remedy."""
    with pytest.raises(TargetFileError) as caught:
        parse_target(WRONG, file=tmp_path / "wrong.toml")
    keys = {fault.key for fault in caught.value.faults}

    assert keys >= {
        "name",
        "metdata",
        "launch.command",
        "launch, attach",
        "ready.timeout",
        "attach.grpc",
        "attach.pid",
        "seed.by",
    }
    assert {fault.file for fault in caught.value.faults} == {"wrong.toml"}
    assert all(fault.remedy for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('name = "x"', "launch, attach"),
        ('name = "x"\n[launch]\ncommand = ["a"]\ncwd = "nowhere"', "launch.cwd"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[tls]\nca = "nowhere.pem"', "tls.ca"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[tls]\ncert = "c.pem"', "tls"),
        ('name = "x"\n[launch]\ncommand = ["a"]\n[ready]\ntimeout = "1s"', "ready"),
        ('name = "x', "(file)"),
    ],
)
def test_fault_names_its_key(tmp_path: Path, text: str, key: str) -> None:
    """Each fault of its own kind is found and named."""
    with pytest.raises(TargetFileError) as caught:
        parse_target(text, file=tmp_path / "wrong.toml")

    assert [fault.key for fault in caught.value.faults] == [key]


def test_attached_target(tmp_path: Path) -> None:
    """An address that runs already needs nothing else."""
    text = 'name = "x"\n[attach]\ngrpc = "127.0.0.1:50051"\npid = 7\n'
    spec = parse_target(text, file=tmp_path / "x.toml")

    assert isinstance(spec.how, AttachSpec)
    assert (spec.how.grpc_address, spec.how.pid) == ("127.0.0.1:50051", 7)


def test_unknown_target_names_the_known_ones() -> None:
    """A name that is neither a target nor a file says what there is."""
    with pytest.raises(UsageError, match=r"one of: .*reference"):
        load_target("referense")


def test_only_placeholders_are_replaced() -> None:
    """Braces that name no placeholder, such as JSON, stay."""
    filled = fill(["{grpc_port}", '{"a": 1}', "x{kafka}y"], {"grpc_port": "1", "kafka": "k"})

    assert filled == ("1", '{"a": 1}', "xky")
