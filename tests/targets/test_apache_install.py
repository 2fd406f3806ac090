"""Installing Apache Kafka: what is missing is said, what is damaged is mended, nothing is half."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import InstallError
from harness.targets import apache_install
from harness.targets.apache_install import (
    find_java,
    install,
    install_folder,
    installation,
)

JARS = {"kafka_2.13-4.1.1.jar": b"the broker", "scala.jar": b"a library"}
# What a small registry of ours holds: this program copies it to where Maven would.
MAVEN = """#!{python}
import pathlib, sys, time
folder = [word for word in sys.argv if word.startswith("-DoutputDirectory=")][0].partition("=")[2]
jars = {jars!r}
pathlib.Path(folder).mkdir()
for name, content in jars.items():
    pathlib.Path(folder, name).write_bytes(content)
{then}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a Java that is new enough, two pinned jars, no Maven yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    pins = tmp_path / "pins"
    shutil.copytree(str(apache_install._files()), pins)
    digests = {name: hashed(content) for name, content in JARS.items()}
    (pins / "jars.sha256").write_text(
        "".join(f"{digest}  {name}\n" for name, digest in digests.items()), encoding="ascii"
    )
    monkeypatch.setattr(apache_install, "_files", lambda: pins)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    write_java(tmp_path, 'openjdk version "17.0.15" 2025-04-15')
    return tmp_path / "cache" / "acctbench"


def hashed(content: bytes) -> str:
    """Its SHA-256 in hex."""
    return apache_install.hashlib.sha256(content).hexdigest()


def write_program(folder: Path, name: str, text: str) -> None:
    """A program on the PATH."""
    program = folder / "bin" / name
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)


def write_java(folder: Path, says: str) -> None:
    """A java that says this of itself."""
    write_program(folder, "java", f"#!{sys.executable}\nimport sys\nsys.stderr.write({says!r})\n")


def write_maven(folder: Path, jars: dict[str, bytes], then: str = "") -> None:
    """An mvn that fetches these."""
    write_program(folder, "mvn", MAVEN.format(python=sys.executable, jars=jars, then=then))


def unfinished(cache: Path) -> list[str]:
    """What installers left behind."""
    return sorted(path.name for path in cache.iterdir() if path.name.startswith("."))


def test_what_is_pinned_is_installed_once(cache: Path, tmp_path: Path) -> None:
    """The jars lie in the cache; a second time Maven is not asked."""
    with pytest.raises(InstallError, match="not installed; run: acctbench kafka install"):
        installation()
    write_maven(tmp_path, JARS)
    found = install()
    write_maven(tmp_path, {}, then="raise SystemExit(1)")
    again = install()

    assert found == again == installation()
    assert found.jars == install_folder() == cache / "kafka-4.1.1"
    assert {path.name for path in found.jars.iterdir()} == set(JARS)
    assert unfinished(cache) == []


@pytest.mark.parametrize(
    ("jars", "said"),
    [
        ({**JARS, "scala.jar": b"changed"}, "scala.jar has SHA-256"),
        ({"scala.jar": JARS["scala.jar"]}, "kafka_2.13-4.1.1.jar is missing"),
        ({**JARS, "more.jar": b""}, "more.jar is not expected"),
    ],
)
def test_other_bytes_are_refused(
    cache: Path, tmp_path: Path, jars: dict[str, bytes], said: str
) -> None:
    """A registry that has anything else than what is pinned installs nothing."""
    write_maven(tmp_path, jars)

    with pytest.raises(InstallError, match="not what this version pins") as refusal:
        install()

    assert said in str(refusal.value)
    assert list(cache.iterdir()) == []


def test_what_maven_says_is_quoted(cache: Path, tmp_path: Path) -> None:
    """A download that fails is told in Maven's words, with where to look."""
    write_maven(tmp_path, {}, then="print('[ERROR] no route to host'); raise SystemExit(1)")

    with pytest.raises(InstallError, match=r"(?s)exited 1.*settings\.xml.*no route to host"):
        install()

    assert list(cache.iterdir()) == []


def test_registry_that_does_not_answer(cache: Path, tmp_path: Path) -> None:
    """Maven is not waited for without end."""
    write_maven(tmp_path, {}, then="time.sleep(60)")

    with pytest.raises(InstallError, match=r"not done within 0\.5 s"):
        install(timeout_s=0.5)

    assert list(cache.iterdir()) == []


def test_damage_is_told_and_mended(cache: Path, tmp_path: Path) -> None:
    """A jar that was changed after it was installed is not run; installing again replaces it."""
    write_maven(tmp_path, JARS)
    folder = install().jars
    (folder / "scala.jar").write_bytes(b"changed")

    with pytest.raises(InstallError, match=r"is damaged: scala\.jar has SHA-256"):
        installation()
    install()

    assert (folder / "scala.jar").read_bytes() == JARS["scala.jar"]
    assert unfinished(cache) == []


def test_killed_installer_leaves_nothing_usable(cache: Path, tmp_path: Path) -> None:
    """SIGKILL while Maven works: nothing counts as installed, and the next one clears it away."""
    write_maven(tmp_path, JARS, then="time.sleep(60)")
    program = (
        "from harness.targets import apache_install; from pathlib import Path; "
        f"apache_install._files = lambda: Path({str(tmp_path / 'pins')!r}); "
        "apache_install.install()"
    )
    installer = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    deadline_s = time.monotonic() + 60
    while not list(cache.glob(".unfinished-*/jars/scala.jar")):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    installer.kill()
    installer.wait()

    with pytest.raises(InstallError, match="is not installed"):
        installation()
    assert len(unfinished(cache)) == 1
    write_maven(tmp_path, JARS)
    install()
    assert unfinished(cache) == []


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "is 11.0.2: Apache Kafka needs Java 17"),
        ('java version "1.8.0_402"', "is 1.8.0_402: Apache Kafka needs Java 17"),
        ("Error: could not create the Java Virtual Machine", "nothing that can be used"),
    ],
)
def test_java_that_will_not_do(cache: Path, tmp_path: Path, says: str, said: str) -> None:
    """An old or broken Java is told with what is needed."""
    del cache
    write_java(tmp_path, says)

    with pytest.raises(InstallError, match=said):
        install()


@pytest.mark.parametrize("says", ['openjdk version "21" 2023-09-19', 'version "25-ea"'])
def test_java_that_will_do(cache: Path, tmp_path: Path, says: str) -> None:
    """Releases without a dot, and those before their time."""
    del cache
    write_java(tmp_path, says)

    assert find_java().version == says.split('"')[1]


def test_java_home_is_asked_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_HOME rules, also when it is wrong: Maven would go by it too."""
    del cache
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert find_java().program == str(tmp_path / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InstallError, match=r"no java in \$JAVA_HOME"):
        find_java()


def test_tools_that_are_not_there(cache: Path, tmp_path: Path) -> None:
    """Maven or Java missing: said by name, with the remedy."""
    del cache
    with pytest.raises(InstallError, match="no mvn on the PATH"):
        install()
    (tmp_path / "bin" / "java").unlink()
    with pytest.raises(InstallError, match="no java on the PATH"):
        install()
