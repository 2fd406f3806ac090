"""Fixtures of more than one package."""

import shutil
import subprocess
from pathlib import Path

import pytest


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
