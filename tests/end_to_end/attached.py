"""A service and a broker that somebody else runs, and the command line against them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.storage.run_folder import load_run
from harness.targets.broker import start_broker
from harness.targets.process import ChildProcess, Command
from tests.commands import Done, acctbench

SCENARIO = """
name = "attached"
title = "A short run against a service that runs already"
system = "workloads.account:SYSTEM"
[arrivals]
kind = "poisson"
rate = "200/s"
[phases]
warmup = "500ms"
measure = "1500ms"
drain = "10s"
[load]
timeout = "20s"         # tests run on machines that are busy
[limits]
lateness_p99 = "5s"
generator_cpu = "99%"
rate_error = "50%"
[workload]
accounts = { count = 60, kind = "uniform" }
instruments = 4
order_life = "200ms"
new_accounts = "20%"
seed_minor = 10000000000
[workload.mix]
reserve = "43%"
release = "40%"
fill = "4%"
transfer = "12%"
create_account = "1%"
"""
TARGET = """
name = "staging"
[attach]
grpc = "{address}"
pid = {pid}
topic_prefix = "staging."
[seed]
by = "transfers"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Where a service is that the harness did not start."""

    folder: Path
    kafka: str
    service: ChildProcess
    target_file: Path

    def command(self, *options: str) -> Done:
        """One run by the command line, with more *options*."""
        return acctbench(
            *("run", str(self.folder / "scenario.toml")),
            *("--target", str(self.target_file), "--kafka", self.kafka),
            *("--runs", str(self.folder / "runs")),
            *options,
        )

    def check_green(self, *, undecided: frozenset[str] = frozenset()) -> str:
        """A run that fails nothing and decides all laws but *undecided*; its schedule's digest."""
        done = self.command()
        assert done.stdout, done.stderr
        record = load_run(Path(done.stdout.strip()).parent).record
        found = {item.id: item.status for item in record.correctness.invariants}
        assert "FAILED" not in found.values(), record.correctness
        assert {key for key, status in found.items() if status == "UNKNOWN"} == undecided
        assert record.correctness.status == ("UNKNOWN" if undecided else "PASSED")
        assert done.returncode == record.exit_code
        assert record.operations.acknowledged > 100
        assert record.operations.rejected == record.operations.failed == 0
        assert (record.target["kind"], record.target["ended"]) == ("attached", "left running")
        assert record.resources["target"].cpu_cores_mean
        assert record.broker["kind"] == "address"
        assert self.service.exit_words() == ""
        return record.schedule_digest


@contextmanager
def staging(folder: Path, *command: str, scenario: str = "") -> Iterator[Staging]:
    """A broker of its own and the service of *command*, which may hold {kafka} and {folder}."""
    broker = start_broker("embedded", folder=folder)
    service = ChildProcess(
        Command(
            name="staging",
            argv=tuple(part.format(kafka=broker.address, folder=folder) for part in command),
            environment={},
            cwd=Path(__file__).parents[2],
            log=folder / "staging.log",
        )
    )
    try:
        port = json.loads(service.wait_for_line("ready ", timeout_s=60))["grpc_port"]
        target_file = folder / "staging.toml"
        text = TARGET.format(address=f"127.0.0.1:{port}", pid=service.pid)
        target_file.write_text(text, encoding="utf-8")
        (folder / "scenario.toml").write_text(SCENARIO + scenario, encoding="utf-8")
        yield Staging(folder=folder, kafka=broker.address, service=service, target_file=target_file)
    finally:
        service.stop(grace_s=5)
        broker.stop()
