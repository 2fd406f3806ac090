"""A whole run over TLS with a client certificate: load, control calls and audit."""

from pathlib import Path

import pytest

from harness.errors import TargetError
from tests.acceptance.conftest import RunOnce

SCENARIO = """
name = "tls"
title = "A short run over TLS"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "150/s"
[phases]
warmup = "300ms"
measure = "1500ms"
drain = "5s"
[limits]
lateness_p99 = "50ms"
generator_cpu = "95%"
[workload]
accounts = {{ count = 40, kind = "uniform" }}
instruments = 4
mix = {{ reserve = "48%", release = "45%", fill = "4%", transfer = "3%" }}
[load]
driver = "{driver}"
"""
TARGET = """
name = "tls"
[launch]
command = [
    "{{python}}", "-m", "workloads.account.reference", "--grpc-port", "{{grpc_port}}",
    "--kafka", "{{kafka}}", "--topic-prefix", "{{topic_prefix}}", "--workdir", "{{workdir}}",
    "--tls-cert", "{folder}/server.pem", "--tls-key", "{folder}/server.key",
    "--tls-ca", "{folder}/ca.pem",
]
[ready]
line = "ready "
[tls]
ca = "{folder}/{authority}.pem"
cert = "{folder}/client.pem"
key = "{folder}/client.key"
"""


@pytest.mark.parametrize("driver", ["wire", "grpcio"])
def test_run_over_tls_is_like_any_other(run_once: RunOnce, certificates: Path, driver: str) -> None:
    """Both drivers and the control calls show the client certificate; the audit is green."""
    target = TARGET.format(folder=certificates, authority="ca")

    run = run_once(SCENARIO.format(driver=driver), target)

    assert run.record.correctness.status == "PASSED"
    assert run.record.operations.acknowledged > 100
    assert run.record.operations.failed == 0


def test_server_of_another_authority_is_refused(run_once: RunOnce, certificates: Path) -> None:
    """A certificate that the target file does not trust ends the run before any load."""
    target = TARGET.format(folder=certificates, authority="other")

    with pytest.raises(TargetError):
        run_once(SCENARIO.format(driver="wire"), target)
