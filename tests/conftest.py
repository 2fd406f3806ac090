"""Fixtures of more than one package."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from harness.errors import InstallError
from harness.targets.apache_install import install
from tests.brokers import LinkedBroker, linked_broker

# A test that takes long on a busy machine is no failure; one that fails does so every time.
hypothesis.settings.register_profile("busy", deadline=None, derandomize=True)
hypothesis.settings.load_profile("busy")

# Ignored where a script runs the tests in its background; services are told to end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test measures the broker in Java: its second compiler took more CPU time than its work.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

pytest_plugins = ["tests.side_by_side", "tests.skipped", "tests.timing"]
APACHE_INSTALL_TIMEOUT_S = 90.0


@pytest.fixture(scope="session")
def apache_installed() -> None:
    """Install Apache Kafka in the user's cache, or skip where that can't be done."""
    try:
        install(timeout_s=APACHE_INSTALL_TIMEOUT_S)
    except InstallError as error:
        pytest.skip(f"no Apache Kafka to test with: {error}")


@pytest.fixture(scope="session")
def shared_apache(
    apache_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LinkedBroker]:
    """One Apache Kafka for all tests: names of topics are a test's own, its state is nobody's."""
    with linked_broker("apache", tmp_path_factory.mktemp("apache")) as broker:
        yield broker


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, a server's and a client's certificate, and another authority."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed: no certificates to test with")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=DNS:accounts.test,IP:127.0.0.1\n")
    new_key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
    for arguments in (
        f"{new_key} -x509 -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
        f"{new_key} -x509 -keyout other.key -out other.pem -subj /CN=other -days 2",
        f"{new_key} -keyout server.key -out server.csr -subj /CN=server",
        f"{sign} -in server.csr -out server.pem",
        f"{new_key} -keyout client.key -out client.csr -subj /CN=client",
        f"{sign} -in client.csr -out client.pem",
    ):
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
    return folder
