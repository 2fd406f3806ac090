"""
Target files: how a service is built, launched or reached, and how it says that it is ready.

A file is parsed once into a frozen TargetSpec, or refused with every fault of it listed. Nothing is
started here. Secrets stay outside: a metadata value "env:NAME" is read when it is used and never
stored.

    name = "mine"
    [build]                                  optional
    steps = [["go", "build", "-o", "account-service", "."]]
    [launch]                                 or [attach], not both
    command = ["./account-service", "--port", "{grpc_port}", "--kafka", "{kafka}"]
    cwd = "."                                relative to this file
    environment = { LOG = "warn" }
    [ready]
    port = true                              the harness picks {grpc_port}; ready when it opens
    line = "ready "                          and/or: when a line of output begins so. Without
    timeout = "20s"                          port = true {grpc_port} is 0, the service picks one and
                                             says it in JSON on that line: ready {"grpc_port": N}
    [stop]
    grace = "5s"
    [seed]
    by = "control"                           ControlService.Seed, or "transfers"
    [attach]
    grpc = "host:port"
    pid = 1234                               optional: its resources are measured
    topic_prefix = ""
    [metadata]
    authorization = "env:ACCOUNT_TOKEN"
    [tls]
    ca = "ca.pem"
    cert = "client.pem"
    key = "client.key"
    server_name = ""                         the name in its certificate, if not the host's
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harness.errors import Fault, TargetFileError, UsageError
from harness.model.file_faults import plain_faults
from harness.model.tls import TlsOptions
from harness.model.units import parse_duration_ns

PLACEHOLDERS = ("python", "grpc_port", "kafka", "topic_prefix", "workdir")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})")
_ENVIRONMENT_VALUE = "env:"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """How a target of ours to start is started; argv still holds its placeholders."""

    build_steps: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path | None  # None: the run's own work folder
    ready_line: str  # what a line of output begins with; empty: none is awaited
    ready_port: bool  # the port is picked by the harness, and must open
    ready_timeout_ns: int
    stop_grace_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachSpec:
    """Where a target that runs already is."""

    grpc_address: str
    pid: int | None
    topic_prefix: str
    timeout_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """One target file."""

    name: str
    file: str
    how: LaunchSpec | AttachSpec
    seed_by: str  # "control" or "transfers"
    metadata: Mapping[str, str]  # as written: "env:NAME" is not resolved
    tls: TlsOptions | None

    def metadata_pairs(self) -> tuple[tuple[str, str], ...]:
        """
        The gRPC metadata, with the values of the environment.

        Raises:
            UsageError: a variable is not set.
        """
        return tuple((key, self._value(key, text)) for key, text in self.metadata.items())

    def _value(self, key: str, text: str) -> str:
        if not text.startswith(_ENVIRONMENT_VALUE):
            return text
        name = text.removeprefix(_ENVIRONMENT_VALUE)
        value = os.environ.get(name)
        if value is None:
            raise UsageError(f"{self.file}: metadata.{key}: {name} is not set; export it")
        return value


def target_files() -> Mapping[str, Path]:
    """The targets that come with the program, by name."""
    folder = Path(str(resources.files("harness.targets") / "files"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_target(name_or_path: str) -> TargetSpec:
    """
    The target of that name, or of that file.

    Raises:
        UsageError: there is none.
        TargetFileError: it can't be used; every fault is listed.
    """
    shipped = target_files()
    path = shipped.get(name_or_path, Path(name_or_path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f'target: "{name_or_path}" is no target and no readable file; '
            f"write the path of a target file, or one of: {', '.join(shipped)}"
        ) from error
    return parse_target(text, file=path)


def parse_target(text: str, *, file: Path) -> TargetSpec:
    """
    The target that *text* describes; relative paths are relative to *file*.

    Raises:
        TargetFileError: it can't be used; every fault is listed.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(file=file.name, key="(file)", value=str(error), remedy="write valid TOML")
        raise TargetFileError((fault,)) from error
    faults = list(_way_faults(document, file.name))
    try:
        model = _TargetModel.model_validate(document)
    except ValidationError as error:
        found = [Fault(file=file.name, **f._asdict()) for f in plain_faults(error, _TargetModel)]
        raise TargetFileError((*faults, *found)) from error
    faults += _path_faults(model, file)
    if faults:
        raise TargetFileError(tuple(faults))
    return _spec(model, file)


def fill(argv: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """*argv* with its placeholders replaced; other braces stay as they are."""
    return tuple(
        _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), part) for part in argv
    )


def _duration_ns(value: Any) -> int:
    return parse_duration_ns(value)


def _known_placeholders(argv: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for part in argv for name in _PLACEHOLDER.findall(part)]
    unknown = [name for name in unknown if name not in PLACEHOLDERS]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"{{{unknown[0]}}} is no placeholder; write one of {known}")
    return argv


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        raise ValueError(f'"{text}" is no address; write e.g. "127.0.0.1:50051"')
    return text


_DurationNs = Annotated[int, BeforeValidator(_duration_ns)]
_Argv = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known_placeholders)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Build(_Table):
    steps: tuple[_Argv, ...] = ()


class _Launch(_Table):
    command: _Argv
    environment: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None


class _Ready(_Table):
    line: str = ""
    port: bool = False
    timeout: _DurationNs = 20_000_000_000

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if not self.line and not self.port:
            raise ValueError('no rule; write line = "ready " or port = true')
        return self


class _Stop(_Table):
    grace: _DurationNs = 5_000_000_000


class _Seed(_Table):
    by: Literal["control", "transfers"] = "control"


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
    seed: _Seed = _Seed()
    attach: _Attach | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    tls: _Tls | None = None


def _spec(model: _TargetModel, file: Path) -> TargetSpec:
    folder = file.resolve().parent
    return TargetSpec(
        name=model.name,
        file=file.name,
        how=_attach(model) if model.launch is None else _launch(model, model.launch, folder),
        seed_by=model.seed.by,
        metadata=model.metadata,
        tls=None if model.tls is None else _tls(model.tls, folder),
    )


def _launch(model: _TargetModel, launch: _Launch, folder: Path) -> LaunchSpec:
    return LaunchSpec(
        build_steps=model.build.steps,
        command=launch.command,
        environment=launch.environment,
        cwd=None if launch.cwd is None else folder / launch.cwd,
        ready_line=model.ready.line,
        ready_port=model.ready.port,
        ready_timeout_ns=model.ready.timeout,
        stop_grace_ns=model.stop.grace,
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


def _path_faults(model: _TargetModel, file: Path) -> Iterator[Fault]:
    files = model.tls.files() if model.tls is not None else {}
    paths = {f"tls.{key}": file for key, file in files.items()}
    if model.launch is not None and model.launch.cwd is not None:
        paths["launch.cwd"] = model.launch.cwd
    for key, value in paths.items():
        if value and not (file.resolve().parent / value).exists():
            remedy = "there is no such file; its path is relative to this one"
            yield Fault(file=file.name, key=key, value=repr(value), remedy=remedy)
