"""
Target files: how a service is built, launched or reached, and how it says that it is ready.

A file is parsed once into a frozen TargetSpec, or rejected with every fault of it listed. Nothing
is started here. Secrets stay outside (see metadata.py), and so does the machine: placeholders (see
placeholders.py) stand for what a run picks.

    name = "mine"
    [build]                                  optional; in cwd, before every run: what is up to date
    steps = [["go", "build", "-o", "{workdir}/service", "."]]       is for the build tool to know
    timeout = "10min"                        of each step
    [launch]                                 or [attach], not both
    command = ["{workdir}/service", "--port", "{grpc_port}", "--kafka", "{kafka}"]
    cwd = "."                                relative to this file; without it {workdir}
    environment = { TOPICS = "{topic_prefix}" }      added to the harness's own
    [ready]
    port = true                              the harness picks {grpc_port}; ready when it opens
    line = "ready "                          and/or: when a line of output begins so. Without
    timeout = "20s"                          port = true {grpc_port} is 0, the service picks one and
                                             says it in JSON on that line: ready {"grpc_port": N}
    [stop]                                   end of stdin and the signal, then SIGKILL after grace
    signal = "TERM"                          or "INT"
    grace = "5s"
    [replay]                                 optional: the journal of a run, into a fresh instance
    command = ["{workdir}/service", "--replay", "{workdir}"]        prints the digest as a line
    timeout = "10min"
    [seed]
    by = "control"                           ControlService.Seed, or "transfers"
    [contract]                               what it has of the contract, where not all
    features = ["amend"]                     where it has no ControlService to say so
    absent_topics = ["acct.balances.v1"]     that it never writes; what they prove is not checked
    [attach]
    grpc = "host:port"
    pid = 1234                               optional: its resources are measured
    topic_prefix = ""
    [metadata]                               of every call
    venue = "paper"
    authorization = { env = "ACCT_TOKEN", prefix = "Bearer " }
    [tls]
    ca = "ca.pem"
    cert = "client.pem"
    key = "client.key"
    server_name = ""                         the name in its certificate, if not the host's
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harness.errors import Fault, TargetFileError, UsageError
from harness.model.file_faults import plain_faults
from harness.model.secrets import Secrets
from harness.model.table_values import DurationNs
from harness.model.tls import TlsOptions
from harness.model.toml_file import parse_toml, read_text
from harness.targets.metadata import (
    MetadataEntry,
    parse_metadata,
    resolve_metadata,
    secret_values,
)
from harness.targets.placeholders import (
    KNOWN_WHILE_BUILDING,
    MEANINGS,
    names_in,
    unknown_placeholders,
)
from harness.targets.ports import is_address


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """How a target of ours to start is built and started; its placeholders are not filled yet."""

    here: Path  # the folder of the target file
    build_steps: tuple[tuple[str, ...], ...]
    build_timeout_ns: int  # of each step
    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path | None  # None: the run's own work folder
    ready_line: str  # what a line of output begins with; empty: none is awaited
    ready_port: bool  # the port is picked by the harness, and must open
    ready_timeout_ns: int
    stop_signal: str  # "TERM" or "INT"
    stop_grace_ns: int
    replay_command: tuple[str, ...]  # empty: its journal can't be replayed
    replay_timeout_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachSpec:
    grpc_address: str
    pid: int | None
    topic_prefix: str
    timeout_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    name: str
    file: str
    how: LaunchSpec | AttachSpec
    seed_by: str  # "control" or "transfers"
    features: tuple[str, ...]  # where it has no ControlService to say what it can do
    absent_topics: tuple[str, ...]  # names without prefix
    metadata: tuple[MetadataEntry, ...]
    tls: TlsOptions | None

    def metadata_pairs(self) -> tuple[tuple[str, str], ...]:
        """The gRPC metadata, with the values of the environment; raises TargetFileError."""
        return resolve_metadata(self.metadata, os.environ, file=self.file)

    def secrets(self) -> Secrets:
        """What must not be seen of the metadata."""
        return Secrets(secret_values(self.metadata, os.environ))


def target_files() -> Mapping[str, Path]:
    folder = Path(str(resources.files("harness.targets") / "files"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_target(name_or_path: str) -> TargetSpec:
    """The target of that name, or of that file; raises UsageError or TargetFileError."""
    shipped = target_files()
    path = shipped.get(name_or_path, Path(name_or_path))
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f'target: "{name_or_path}" is no target, and no file that can be read ({error}); '
            f"write the path of a target file, or one of: {', '.join(shipped)}"
        ) from error
    return parse_target(text, file=path)


def parse_target(text: str, *, file: Path) -> TargetSpec:
    """The target that *text* describes; paths are relative to *file*. Raises TargetFileError."""
    document = parse_toml(text, file=file.name, error=TargetFileError)
    entries, metadata_faults = parse_metadata(document.pop("metadata", {}), file=file.name)
    faults = [*_way_faults(document, file.name), *metadata_faults]
    try:
        model = _TargetModel.model_validate(document)
    except ValidationError as error:
        found = [Fault(file=file.name, **f._asdict()) for f in plain_faults(error, _TargetModel)]
        raise TargetFileError((*faults, *found)) from error
    faults += [*_path_faults(model, file), *_port_faults(model, file.name)]
    if faults:
        raise TargetFileError(tuple(faults))
    return _spec(model, file, entries)


def _known_at_start(argv: tuple[str, ...]) -> tuple[str, ...]:
    return _reject_unknown(argv, tuple(MEANINGS))


def _known_while_building(argv: tuple[str, ...]) -> tuple[str, ...]:
    return _reject_unknown(argv, KNOWN_WHILE_BUILDING)


def _reject_unknown(argv: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    if fault := unknown_placeholders(" ".join(argv), known):
        raise ValueError(fault)
    return argv


def _text(text: str) -> str:
    return _known_at_start((text,))[0]


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(f'"{text}" is no address; write e.g. "127.0.0.1:50051"')
    return text


_Text = Annotated[str, AfterValidator(_text)]
_Words = Annotated[tuple[str, ...], Field(min_length=1)]
_Argv = Annotated[_Words, AfterValidator(_known_at_start)]
_Step = Annotated[_Words, AfterValidator(_known_while_building)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Build(_Table):
    steps: tuple[_Step, ...] = ()
    timeout: DurationNs = 600_000_000_000


class _Launch(_Table):
    command: _Argv
    environment: dict[str, _Text] = Field(default_factory=dict)
    cwd: str | None = None


class _Ready(_Table):
    line: str = ""
    port: bool = False
    timeout: DurationNs = 20_000_000_000

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if not self.line and not self.port:
            raise ValueError('no rule; write line = "ready " or port = true')
        return self


class _Stop(_Table):
    signal: Literal["TERM", "INT"] = "TERM"
    grace: DurationNs = 5_000_000_000


class _Replay(_Table):
    command: _Step
    timeout: DurationNs = 600_000_000_000


class _Seed(_Table):
    by: Literal["control", "transfers"] = "control"


class _Contract(_Table):
    features: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    absent_topics: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class _Attach(_Table):
    grpc: Annotated[str, AfterValidator(_address)]
    pid: Annotated[int, Field(gt=0)] | None = None
    topic_prefix: str = ""


class _Tls(_Table):
    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if bool(self.cert) != bool(self.key):
            raise ValueError("one of cert and key; write both, or neither")
        return self

    def files(self) -> dict[str, str]:
        return {"ca": self.ca, "cert": self.cert, "key": self.key}


class _TargetModel(_Table):
    name: Annotated[str, Field(min_length=1)]
    build: _Build = _Build()
    launch: _Launch | None = None
    ready: _Ready = _Ready(port=True)
    stop: _Stop = _Stop()
    replay: _Replay | None = None
    seed: _Seed = _Seed()
    contract: _Contract = _Contract()
    attach: _Attach | None = None
    tls: _Tls | None = None


def _spec(model: _TargetModel, file: Path, metadata: tuple[MetadataEntry, ...]) -> TargetSpec:
    folder = file.resolve().parent
    return TargetSpec(
        name=model.name,
        file=file.name,
        how=_attach(model) if model.launch is None else _launch(model, model.launch, folder),
        seed_by=model.seed.by,
        features=model.contract.features,
        absent_topics=model.contract.absent_topics,
        metadata=metadata,
        tls=None if model.tls is None else _tls(model.tls, folder),
    )


def _launch(model: _TargetModel, launch: _Launch, folder: Path) -> LaunchSpec:
    return LaunchSpec(
        here=folder,
        build_steps=model.build.steps,
        build_timeout_ns=model.build.timeout,
        command=launch.command,
        environment=launch.environment,
        cwd=None if launch.cwd is None else folder / launch.cwd,
        ready_line=model.ready.line,
        ready_port=model.ready.port,
        ready_timeout_ns=model.ready.timeout,
        stop_signal=model.stop.signal,
        stop_grace_ns=model.stop.grace,
        replay_command=() if model.replay is None else model.replay.command,
        replay_timeout_ns=0 if model.replay is None else model.replay.timeout,
    )


def _attach(model: _TargetModel) -> AttachSpec:
    assert model.attach is not None
    return AttachSpec(
        grpc_address=model.attach.grpc,
        pid=model.attach.pid,
        topic_prefix=model.attach.topic_prefix,
        timeout_ns=model.ready.timeout,
    )


def _tls(tls: _Tls, folder: Path) -> TlsOptions:
    paths = {key: str(folder / file) if file else "" for key, file in tls.files().items()}
    return TlsOptions(
        ca_file=paths["ca"],
        cert_file=paths["cert"],
        key_file=paths["key"],
        server_name=tls.server_name,
    )


def _way_faults(document: Mapping[str, Any], file: str) -> Iterator[Fault]:
    ways = [way for way in ("launch", "attach") if way in document]
    if len(ways) != 1:
        yield Fault(
            file=file,
            key="launch, attach",
            value="both" if ways else "(missing)",
            remedy="write either [launch], to have it started, or [attach], if it runs already",
        )
    for table in ("build", "stop", "replay"):
        if ways == ["attach"] and table in document:
            remedy = "take it out: an attached target is not built, started, stopped or replayed"
            yield Fault(file=file, key=table, value="beside [attach]", remedy=remedy)


def _port_faults(model: _TargetModel, file: str) -> Iterator[Fault]:
    """A port that the harness picks must get to the service somehow."""
    launch = model.launch
    if launch is None or not model.ready.port:
        return
    if not any("grpc_port" in names_in(t) for t in (*launch.command, *launch.environment.values())):
        yield Fault(
            file=file,
            key="launch.command",
            value="names no {grpc_port}",
            remedy="write it where the service takes its port, or [ready] line = ... without port",
        )


def _path_faults(model: _TargetModel, file: Path) -> Iterator[Fault]:
    files = model.tls.files() if model.tls is not None else {}
    paths = {f"tls.{key}": file for key, file in files.items()}
    if model.launch is not None and model.launch.cwd is not None:
        paths["launch.cwd"] = model.launch.cwd
    for key, value in paths.items():
        if value and not (file.resolve().parent / value).exists():
            remedy = "there is no such file; its path is relative to this one"
            yield Fault(file=file.name, key=key, value=repr(value), remedy=remedy)
