"""
Apache Kafka on this machine: fetched by Maven, checked byte for byte, kept in the user's cache.

Which version and which bytes is fixed by the files in apache/; where they come from is up to
Maven's own settings. An installation is there whole or not at all: it is made in a folder of its
own, and renamed when every jar has the SHA-256 that this version pins. It is checked again at each
start. What is missing, too old or not as pinned is an InstallError with the command that mends it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.errors import InstallError
from harness.targets.process import ChildFailedError, ChildProcess, Command

COMMAND = "acctbench kafka install"
JAVA_RELEASE_MIN = 17  # what a broker of Kafka 4 needs
INSTALL_TIMEOUT_S = 900.0
_JAVA_TIMEOUT_S = 30.0
_UNFINISHED = ".unfinished-"
_GOAL = "dependency:copy-dependencies"
_ERROR_LINE_COUNT = 3
_SHOWN_COUNT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java that can run the broker."""

    program: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Apache Kafka, every byte as pinned."""

    version: str
    jars: Path
    java: Java


def pinned_version() -> str:
    pom = (_files() / "pom.xml").read_text(encoding="utf-8")
    found = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert found is not None, "the pom of this package names the broker"
    return found[1]


def install_folder() -> Path:
    """Where the jars are, or will be: $XDG_CACHE_HOME/acctbench/kafka-VERSION."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(given) if given.startswith("/") else Path.home() / ".cache"
    except RuntimeError as error:
        raise InstallError("no home folder is known; set XDG_CACHE_HOME to a folder") from error
    return cache / "acctbench" / f"kafka-{pinned_version()}"


def find_java() -> Java:
    """The Java of $JAVA_HOME, or else of the PATH."""
    home = os.environ.get("JAVA_HOME", "")
    program = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    where = f"in $JAVA_HOME ({home})" if home else "on the PATH"
    needed = f"Apache Kafka needs Java {JAVA_RELEASE_MIN} or later"
    if program is None:
        raise InstallError(f"no java {where}: {needed}; install one, or set JAVA_HOME")
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            timeout=_JAVA_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{program} can't be run: {error}") from error
    said = re.search(r'version "((\d+)(?:\.(\d+))?[^"]*)"', done.stderr + done.stdout)
    if done.returncode != 0 or said is None:
        raise InstallError(f"{program} -version says nothing that can be used: {done.stderr[:200]}")
    release = int(said[3] or 0) if said[2] == "1" else int(said[2])  # 8 called itself 1.8
    if release < JAVA_RELEASE_MIN:
        raise InstallError(f"java {where} is {said[1]}: {needed}; set JAVA_HOME to one")
    return Java(program=program, version=said[1])


def find_maven() -> str:
    """The mvn of the PATH."""
    program = shutil.which("mvn")
    if program is None:
        raise InstallError("no mvn on the PATH: Apache Kafka is installed by Maven; install it")
    return program


def installation() -> Installation:
    folder = install_folder()
    version = pinned_version()
    if not folder.is_dir():
        raise InstallError(f"Apache Kafka {version} is not installed; run: {COMMAND}")
    if faults := _faults(folder):
        raise InstallError(f"{folder} is damaged: {_listed(faults)}; run: {COMMAND}")
    return Installation(version=version, jars=folder, java=find_java())


def install(*, timeout_s: float = INSTALL_TIMEOUT_S) -> Installation:
    """Have Maven fetch the jars, unless they are there; about 43 MB."""
    folder, java, maven = install_folder(), find_java(), find_maven()
    if not folder.is_dir() or _faults(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(folder.parent)
            with tempfile.TemporaryDirectory(
                prefix=f"{_UNFINISHED}{os.getpid()}-", dir=folder.parent
            ) as work:
                _fetch(Path(work), maven, timeout_s)
                _put_in_place(Path(work), folder)
        except OSError as error:
            raise InstallError(f"{folder.parent} can't be written: {error}") from error
    return Installation(version=pinned_version(), jars=folder, java=java)


def _files() -> Traversable:
    return resources.files("harness.targets") / "apache"


def _pinned_digests() -> Mapping[str, str]:
    """SHA-256 in hex by name of the jar."""
    lines = (_files() / "jars.sha256").read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _fetch(work: Path, maven: str, timeout_s: float) -> None:
    jars, pom, log = work / "jars", work / "pom.xml", work / "maven.log"
    pom.write_bytes((_files() / "pom.xml").read_bytes())
    command = Command(
        name="Maven",
        argv=(
            *(maven, "--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never"),
            *("--file", str(pom), _GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"),
        ),
        environment={},
        cwd=work,
        log=log,
    )
    try:
        ChildProcess(command).run_to_end(timeout_s)
    except ChildFailedError as error:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if "ERROR" in line] or lines
        how = str(error).partition(";")[0]
        raise InstallError(
            f"Apache Kafka could not be fetched ({how}); nothing was installed. Which registry "
            "Maven asks is said in its settings.xml. It says:\n"
            + "\n".join(told[:_ERROR_LINE_COUNT])
        ) from error
    if faults := _faults(jars):
        raise InstallError(
            f"what Maven fetched is not what this version pins: {_listed(faults)}; nothing was "
            "installed. The registry, or Maven's local repository, has other files"
        )


def _put_in_place(work: Path, folder: Path) -> None:
    if folder.exists():
        if not _faults(folder):
            return  # another installer was faster
        folder.rename(work / "damaged")
    (work / "jars").rename(folder)


def _remove_unfinished(parent: Path) -> None:
    """What an installer left that was killed."""
    for left in parent.glob(f"{_UNFINISHED}*"):
        pid = left.name.removeprefix(_UNFINISHED).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _faults(folder: Path) -> list[str]:
    """How the jars of *folder* differ from those pinned, a few words each."""
    pinned = _pinned_digests()
    present = {path.name: path for path in folder.glob("*") if path.is_file()}
    faults = [f"{name} is missing" for name in sorted(pinned.keys() - present.keys())]
    faults += [f"{name} is not expected" for name in sorted(present.keys() - pinned.keys())]
    for name in sorted(pinned.keys() & present.keys()):
        with present[name].open("rb") as jar:
            digest = hashlib.file_digest(jar, "sha256").hexdigest()
        if digest != pinned[name]:
            faults.append(f"{name} has SHA-256 {digest} instead of {pinned[name]}")
    return faults


def _listed(faults: list[str]) -> str:
    more = len(faults) - _SHOWN_COUNT
    return ", ".join(faults[:_SHOWN_COUNT]) + (f" and {more} more" if more > 0 else "")
