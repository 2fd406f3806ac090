"""Both drivers against real grpcio servers: they must agree on every outcome."""

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from harness.drivers.grpc import GrpcDriver, GrpcStatus
from harness.drivers.grpc_wire import GrpcWireDriver
from harness.drivers.grpcio_driver import GrpcioDriver
from harness.errors import TransportError
from harness.model.tls import TlsOptions
from tests.drivers.peer import Replies, Reply, run, settings

METHODS = tuple(
    f"/t.S/{name}" for name in ("Echo", "Refuse", "Hang", "Grow", "Metadata", "Break", "Missing")
)
ECHO, REFUSE, HANG, GROW, METADATA, BREAK, MISSING = range(7)
DETAILS = "4001 déjà vu: 100 % ✓\n"
BOTH = pytest.mark.parametrize("make", [GrpcWireDriver, GrpcioDriver])


class Service(grpc.GenericRpcHandler):
    """A service with one method for each way a call may end."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()
        self._methods = {
            "/t.S/Echo": self._echo,
            "/t.S/Refuse": self._refuse,
            "/t.S/Hang": self._hang,
            "/t.S/Grow": self._grow,
            "/t.S/Metadata": self._metadata,
            "/t.S/Break": self._break,
        }

    def service(self, handler_call_details: Any) -> Any:
        """Find the method; Missing has none."""
        method = self._methods.get(handler_call_details.method)
        return grpc.unary_unary_rpc_method_handler(method) if method else None

    async def _echo(self, request: bytes, _context: Any) -> bytes:
        self.seen[request] += 1
        return request

    async def _refuse(self, _request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, DETAILS)
        return b""

    async def _hang(self, _request: bytes, _context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def _grow(self, request: bytes, _context: Any) -> bytes:
        return bytes(int(request))

    async def _metadata(self, _request: bytes, context: Any) -> bytes:
        pairs = dict(context.invocation_metadata())
        return b"%s %s" % (pairs["key"].encode(), pairs["trace-bin"])

    async def _break(self, _request: bytes, _context: Any) -> bytes:
        raise RuntimeError("broken on purpose")


@asynccontextmanager
async def serving(
    *options: tuple[str, int], credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[tuple[str, Service]]:
    """Serve on a free port."""
    service = Service()
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=[*limits, *options])
    server.add_generic_rpc_handlers((service,))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}", service
    finally:
        await server.stop(grace=0)


@asynccontextmanager
async def driving(
    make: Any, address: str, *, timeout_s: float = 20.0, **options: Any
) -> AsyncIterator[tuple[GrpcDriver, Replies]]:
    """Connect a driver and close it."""
    replies = Replies()
    driver = make(
        address=address,
        methods=METHODS,
        on_reply=replies.take,
        timeout_ns=int(timeout_s * 1e9),
        **options,
    )
    await driver.connect()
    try:
        yield driver, replies
    finally:
        await driver.close()


async def outcomes(make: Any, address: str, script: list[tuple[int, bytes]]) -> list[Reply]:
    """Send *script* at once and return all replies in its order."""
    metadata = [("key", "value"), ("trace-bin", b"\x00\xff\x10")]
    async with driving(make, address, timeout_s=0.5, metadata=metadata) as (driver, replies):
        for token, (method, message) in enumerate(script):
            driver.send(token, method, message)
        driver.flush()
        return [await replies.of(token) for token in range(len(script))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_drivers_agree() -> None:
    """A mixed script has the same outcomes, token by token, in both drivers."""

    async def main() -> None:
        script = [
            (ECHO, b"hello"),
            (ECHO, b""),
            (REFUSE, b""),
            (MISSING, b""),
            (BREAK, b""),
            (METADATA, b""),
            (GROW, b"100000"),
            (ECHO, bytes(300_000)),
            (HANG, b""),
        ] * 5
        async with serving() as (address, _):
            framed = await outcomes(GrpcWireDriver, address, script)
            official = await outcomes(GrpcioDriver, address, script)

        assert [one.status for one in framed[:9]] == [0, 0, 6, 12, 2, 0, 0, 0, 4]
        assert framed[2].text == DETAILS
        assert framed[5].message == b"value \x00\xff\x10"
        for one, other in zip(framed, official, strict=True):
            assert one[:3] == other[:3]
            if one.status != GrpcStatus.DEADLINE_EXCEEDED:  # both make up that text themselves
                assert one.text == other.text

    run(main)


@BOTH
def test_few_stream_slots(make: Any) -> None:
    """
    With three stream slots a call is executed once and OK, or known to have had no effect.

    grpcio's server frees a slot later than it says so, and may refuse a stream that it allowed; a
    client sends it once more, as gRPC prescribes, which may meet the same fate.
    """

    async def main() -> None:
        async with (
            serving(("grpc.max_concurrent_streams", 3)) as (address, service),
            driving(make, address) as (driver, replies),
        ):
            for token in range(60):
                driver.send(token, ECHO, b"%d" % token)
            driver.flush()
            results = [await replies.of(token) for token in range(60)]

            executed = [one for one in results if one.status == 0]
            unsent = [one for one in results if one.text.startswith("not sent: ")]
            assert len(executed) + len(unsent) == 60
            assert len(executed) > 3
            assert service.seen == {b"%d" % one.token: 1 for one in executed}

    run(main)


@BOTH
@pytest.mark.parametrize("size_bytes", [16_379, 16_380, 65_530, 65_531, 3_000_000])
def test_long_messages(make: Any, size_bytes: int) -> None:
    """Messages around and beyond frames and windows come back as they went."""

    async def main() -> None:
        async with serving() as (address, _), driving(make, address) as (driver, replies):
            message = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
            for token in range(3):
                driver.send(token, ECHO, message)
            driver.flush()
            for token in range(3):
                assert (await replies.of(token)).message == message

    run(main)


def test_connections_that_age() -> None:
    """Under GOAWAYs every few milliseconds, each call is executed and answered exactly once."""

    async def main() -> None:
        ages = (("grpc.max_connection_age_ms", 30), ("grpc.max_connection_age_grace_ms", 5_000))
        async with (
            serving(*ages) as (address, service),
            driving(GrpcWireDriver, address) as (driver, replies),
        ):
            token_count = 0
            while driver.stats.goaway_count < 8:
                for _ in range(5):
                    driver.send(token_count, ECHO, b"%d" % token_count)
                    token_count += 1
                driver.flush()
                await asyncio.sleep(0.001)
            results = [await replies.of(token) for token in range(token_count)]

            assert {one.status for one in results} == {0}
            assert len(service.seen) == token_count
            assert set(service.seen.values()) == {1}
            assert driver.stats.reconnect_count >= 4

    run(main)


@BOTH
def test_proxies_of_the_environment(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go straight to the service, whatever proxy is named for others."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async def main() -> None:
        async with serving() as (address, _), driving(make, address) as (driver, replies):
            driver.send(0, ECHO, b"straight")
            driver.flush()
            assert (await replies.of(0)).message == b"straight"

    run(main)


def _server_credentials(folder: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())],
        root_certificates=(folder / "ca.pem").read_bytes(),
        require_client_auth=True,
    )


@BOTH
@pytest.mark.parametrize("server_name", ["", "accounts.test"])
def test_tls(make: Any, server_name: str, certificates: Path) -> None:
    """Both sides show certificates of one authority; calls go as in plain text."""

    async def main() -> None:
        tls = TlsOptions(
            ca_file=str(certificates / "ca.pem"),
            cert_file=str(certificates / "client.pem"),
            key_file=str(certificates / "client.key"),
            server_name=server_name,
        )
        async with (
            serving(credentials=_server_credentials(certificates)) as (address, _),
            driving(make, address, tls=tls) as (driver, replies),
        ):
            driver.send(0, ECHO, bytes(200_000))
            driver.send(1, REFUSE, b"")
            driver.flush()
            assert (await replies.of(0)).message == bytes(200_000)
            assert (await replies.of(1)).text == DETAILS

    run(main)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"ca_file": "other.pem"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"ca_file": "ca.pem", "server_name": "wrong.test"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"ca_file": "ca.pem"}, "can't connect"),  # no client certificate
        (None, "can't connect"),  # plain text to a TLS port
    ],
)
def test_tls_that_must_fail(options: dict[str, str] | None, cause: str, certificates: Path) -> None:
    """Another authority, another name, no client certificate, no TLS: a TransportError."""

    async def main() -> None:
        tls = None
        if options is not None:
            ca_file = str(certificates / options["ca_file"])
            tls = TlsOptions(ca_file=ca_file, server_name=options.get("server_name", ""))
        async with serving(credentials=_server_credentials(certificates)) as (address, _):
            with pytest.raises(TransportError, match=cause):
                async with driving(GrpcWireDriver, address, tls=tls):
                    pass

    run(main)


def test_files_that_are_not_there_are_named(certificates: Path) -> None:
    """A missing or wrong CA, certificate or key is a TransportError that names the file."""
    there = {name: str(certificates / name) for name in ("ca.pem", "client.pem", "client.key")}
    not_there = str(certificates / "gone.pem")
    cases = (
        TlsOptions(ca_file=not_there),
        TlsOptions(ca_file=there["client.key"]),
        TlsOptions(ca_file=there["ca.pem"], cert_file=not_there, key_file=there["client.key"]),
        TlsOptions(ca_file=there["ca.pem"], cert_file=there["client.pem"], key_file=not_there),
    )

    async def main() -> None:
        for tls in cases:
            with pytest.raises(TransportError) as caught:
                async with driving(GrpcWireDriver, "127.0.0.1:1", tls=tls):
                    pass
            assert ".pem" in str(caught.value) or ".key" in str(caught.value)

    run(main)


@pytest.mark.parametrize("host", ["a" * 64, "x..y"])
def test_hosts_that_are_no_names(host: str) -> None:
    """A host that can't be encoded is a TransportError that says so."""

    async def main() -> None:
        with pytest.raises(TransportError, match="can't connect"):
            async with driving(GrpcWireDriver, f"{host}:50051"):
                pass

    run(main)


def test_close_keeps_its_promise_over_tls(certificates: Path) -> None:
    """A peer that reads nothing any more holds no answer back: all are here when close returns."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_done = threading.Event()

    def serve() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(1_000)
            connection.send(settings())
            is_done.wait(20)

    server = threading.Thread(target=serve, daemon=True)
    server.start()

    async def main() -> None:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        tls = TlsOptions(ca_file=str(certificates / "ca.pem"))
        async with driving(GrpcWireDriver, address, tls=tls) as (driver, replies):
            driver.send(0, ECHO, b"never read")
            driver.flush()
            await driver.close()

            assert replies.by_token[0].status == GrpcStatus.UNAVAILABLE

    try:
        run(main)
    finally:
        is_done.set()
        server.join()
        listener.close()
