"""Target files: one that is right is a value, one that is wrong lists all that is."""

from pathlib import Path

import pytest

from harness.errors import TargetFileError, UsageError
from harness.targets.target_file import (
    AttachSpec,
    LaunchSpec,
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
environment = { LOG = "warn", TOPICS = "{topic_prefix}" }
cwd = "."
[ready]
port = true
timeout = "500ms"
[stop]
signal = "INT"
grace = "1s"
[seed]
by = "transfers"
[metadata]
authorization = { env = "ACCTBENCH_TEST_TOKEN", prefix = "Bearer " }
venue = "x"
[contract]
features = ["amend"]
absent_topics = ["acct.balances.v1"]
"""

LAUNCHED = 'name = "x"\n[launch]\ncommand = ["{grpc_port}"]\n'

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
    """A variable is read when it is used, and the spec keeps its name only."""
    spec = parse_target(MINE, file=tmp_path / "mine.toml")
    monkeypatch.setenv("ACCTBENCH_TEST_TOKEN", "s3cr3t-token")

    assert spec.metadata_pairs() == (("authorization", "Bearer s3cr3t-token"), ("venue", "x"))
    assert spec.secrets().strike("no Bearer s3cr3t-token here") == "no Bearer [secret] here"
    assert "s3cr3t" not in repr(spec) + repr(spec.secrets())


@pytest.mark.parametrize(
    ("value", "what"), [(None, "is not set"), ("", "is empty"), ("s3cr3t\n", "can't carry")]
)
def test_every_variable_that_can_not_be_sent_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, what: str
) -> None:
    """One fault a variable, with key and remedy, and never its value."""
    text = MINE.replace('venue = "x"', 'venue = { env = "ACCTBENCH_TEST_VENUE" }')
    for name in ("ACCTBENCH_TEST_TOKEN", "ACCTBENCH_TEST_VENUE"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    spec = parse_target(text, file=tmp_path / "mine.toml")

    with pytest.raises(TargetFileError) as caught:
        spec.metadata_pairs()
    assert [fault.key for fault in caught.value.faults] == [
        "metadata.authorization",
        "metadata.venue",
    ]
    assert all(what in fault.value and fault.remedy for fault in caught.value.faults)
    assert "s3cr3t" not in str(caught.value)


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
        ('name = "x"\n[launch]\ncommand = ["{grpc_port}"]\ncwd = "nowhere"', "launch.cwd"),
        ('name = "x"\n[launch]\ncommand = ["a"]', "launch.command"),
        (f'{LAUNCHED}environment = {{ A = "{{prot}}" }}', "launch.environment.A"),
        (f'{LAUNCHED}[build]\nsteps = [["{{kafka}}"]]', "build.steps[0]"),
        (f'{LAUNCHED}[stop]\nsignal = "HUP"', "stop.signal"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[replay]\ncommand = ["a"]', "replay"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[build]\nsteps = [["a"]]', "build"),
        (f'{LAUNCHED}[metadata]\nVenue = "x"', "metadata.Venue"),
        (f'{LAUNCHED}[metadata]\ngrpc-a = "x"', "metadata.grpc-a"),
        (f'{LAUNCHED}[metadata]\na-bin = "x"', "metadata.a-bin"),
        (f'{LAUNCHED}[metadata]\na = "env:NAME"', "metadata.a"),
        (f'{LAUNCHED}[metadata]\na = "\u00e4"', "metadata.a"),
        (f"{LAUNCHED}[metadata]\na = 1", "metadata.a"),
        (f'{LAUNCHED}[metadata]\na = {{ env = "1X" }}', "metadata.a"),
        (f'{LAUNCHED}[metadata]\na = {{ env = "X", prefx = "b" }}', "metadata.a"),
        (f'{LAUNCHED}metadata = "x"', "launch.metadata"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[tls]\nca = "nowhere.pem"', "tls.ca"),
        ('name = "x"\n[attach]\ngrpc = "h:1"\n[tls]\ncert = "c.pem"', "tls"),
        ('name = "x"\n[launch]\ncommand = ["a"]\n[ready]\ntimeout = "1s"', "ready"),
        ('name = "x', "TOML"),
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
