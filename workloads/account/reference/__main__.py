"""
The reference account service as a program.

One line on stdout when it serves: `ready {"grpc_port": N, "pid": N}`. It stops on SIGTERM, on
SIGINT and when its stdin (a pipe) is closed, so that it never outlives a launcher that was
killed. Exit codes: 0 stopped, 1 the journal could not be written, 2 it could not start.
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from aiokafka.errors import KafkaError

from workloads.account.reference.consumer import consume_executions
from workloads.account.reference.control import ControlService
from workloads.account.reference.core import Core
from workloads.account.reference.emission import Topics, ensure_topics
from workloads.account.reference.journal import Journal, JournalError
from workloads.account.reference.replay import replayed_digest
from workloads.account.reference.service import AccountService

# How long stopping may take: for calls under way, and for events the broker has not taken.
GRACE_S = 2.0
FLUSH_TIMEOUT_S = 5.0
# The journal thread needs the interpreter for microseconds per commit; the default of 5 ms would
# be added to every commit while the loop is busy.
SWITCH_INTERVAL_S = 0.0005
# Long-lived objects dominate: a full collection walks all of them and finds nothing.
GC_THRESHOLDS = (50_000, 50, 1000)
STDIN = 0
# At 1,000 requests a second this remembers a million of them, 0.5 GB.
DEDUPE_HORIZON_S = 600
_QUIET: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.DEVNULL,
    # In a hook these name another repository than the one that this source is in.
    "env": {name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "timeout": 5,
}


class StartError(Exception):
    """Why the service can't start, in one sentence."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workloads.account.reference",
        description="The reference account service: accounts.v1 over gRPC and Kafka.",
    )
    parser.add_argument("--grpc-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--kafka", default="", metavar="HOST:PORT", help="none: no events")
    parser.add_argument("--topic-prefix", default="")
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="none: plain text")
    parser.add_argument("--tls-key", type=Path, metavar="PEM")
    parser.add_argument("--tls-ca", type=Path, metavar="PEM", help="of the clients' certificates")
    parser.add_argument("--workdir", type=Path, metavar="FOLDER", help="holds the journal")
    parser.add_argument(
        "--dedupe-horizon",
        type=int,
        default=DEDUPE_HORIZON_S,
        metavar="SECONDS",
        help="how long requests, ended orders and settled transfers are remembered at least; "
        "0: for ever",
    )
    parser.add_argument("--executions-partitions", type=int, default=4, help="if made here")
    parser.add_argument("--balances-partitions", type=int, default=1, help="if made here")
    parser.add_argument("--kafka-linger-ms", type=int, default=5)
    parser.add_argument("--kafka-fetch-wait-ms", type=int, default=10)
    parser.add_argument("--kafka-idempotence", choices=("on", "off"), default="off")
    parser.add_argument(
        "--digest",
        type=Path,
        metavar="FOLDER",
        help="replay the journal in FOLDER, print the digest of the state and leave",
    )
    options = parser.parse_args(arguments)
    if options.workdir is None and options.digest is None:
        parser.error("--workdir FOLDER is needed")
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    return options


def _listen(server: grpc.aio.Server, options: argparse.Namespace) -> int:
    """In plain text, or with TLS that asks for a client certificate where an authority is given."""
    address = f"127.0.0.1:{options.grpc_port}"
    if options.tls_cert is None:
        return server.add_insecure_port(address)
    try:
        credentials = grpc.ssl_server_credentials(
            [(options.tls_key.read_bytes(), options.tls_cert.read_bytes())],
            root_certificates=options.tls_ca.read_bytes() if options.tls_ca else None,
            require_client_auth=options.tls_ca is not None,
        )
    except OSError as error:
        raise StartError(f"--tls-cert, --tls-key, --tls-ca: {error}") from error
    return server.add_secure_port(address, credentials)


async def serve(options: argparse.Namespace) -> None:
    if not options.workdir.is_dir():
        raise StartError(f"--workdir {options.workdir}: not a folder")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    topics = Topics.with_prefix(
        options.topic_prefix,
        executions_partitions=options.executions_partitions,
        balances_partitions=options.balances_partitions,
    )
    if options.kafka:
        try:
            await ensure_topics(options.kafka, topics.partition_counts())
        except (KafkaError, OSError, ValueError) as error:
            raise StartError(f"--kafka {options.kafka}: {error}") from error
    core = Core(
        Journal(options.workdir),
        topics=topics,
        kafka=options.kafka,
        linger_ms=options.kafka_linger_ms,
        is_idempotent=options.kafka_idempotence == "on",
    )
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    accounts = AccountService(core)
    control = ControlService(
        core, dedupe_horizon_s=options.dedupe_horizon, git_revision=options.git_revision
    )
    for name, methods in (
        ("AccountService", accounts.methods()),
        ("ControlService", control.methods()),
    ):
        handler = grpc.method_handlers_generic_handler(f"accounts.v1.{name}", methods)
        server.add_generic_rpc_handlers((handler,))
    try:
        port = _listen(server, options)
    except RuntimeError as error:
        raise StartError(f"--grpc-port {options.grpc_port}: the port can't be taken") from error
    await server.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(stream.run()) for stream in core.streams.values()]
        if options.kafka:
            consuming = consume_executions(
                core, kafka=options.kafka, fetch_wait_ms=options.kafka_fetch_wait_ms
            )
            background.append(tasks.create_task(consuming))
        if options.dedupe_horizon:
            background.insert(0, tasks.create_task(_forget(core, options.dedupe_horizon)))
        sys.stdout.write(f"ready {json.dumps({'grpc_port': port, 'pid': os.getpid()})}\n")
        sys.stdout.flush()
        _watch_stdin(loop, stop)
        await stop.wait()
        accounts.drain()
        await server.stop(GRACE_S)
        if options.kafka:
            background.pop().cancel()  # no more input
        await core.flush(FLUSH_TIMEOUT_S)
        for task in background:
            task.cancel()
    core.close()


async def _forget(core: Core, horizon_s: int) -> None:
    while True:
        await asyncio.sleep(horizon_s)
        core.commitment.forget_is_due()


def git_revision() -> str:
    """The commit of this very source, "-dirty" if it was changed since; empty if it is in none."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        # Not the commit of a repository that merely has our folder in it.
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], check=True, **_QUIET)
        describe = [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        told = subprocess.run(describe, check=True, **_QUIET)
    except (OSError, subprocess.SubprocessError):
        return ""
    return str(told.stdout.decode().strip())


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop at the end of stdin if it is a pipe or a socket: then somebody holds the other end."""

    def read() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            stop.set()

    mode = os.fstat(STDIN).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(STDIN, read)


def main() -> int:
    options = parse_arguments()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        if options.digest is not None:
            journal = Journal(options.digest, creates=False)
            sys.stdout.write(f"{replayed_digest(journal).hex()}\n")
        else:
            options.git_revision = git_revision()
            uvloop.run(serve(options))
    except (StartError, JournalError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
