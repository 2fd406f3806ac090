"""
From an address to an open HTTP/2 connection: TCP or a Unix socket, TLS with ALPN where asked for.

It makes one connection at a time and keeps none.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from harness.drivers.grpc_connection import GrpcConnection
from harness.model.tls import TlsOptions

CONNECT_TIMEOUT_S: Final = 5.0


class Dialer:
    def __init__(self, address: str, tls: TlsOptions | None) -> None:
        """Read *address*, "host:port" or "unix:/path"; *tls* None means plain text."""
        self._address = address
        self._tls = tls
        self._host, self._port = _split(address)

    @property
    def authority(self) -> str:
        """What requests name as their :authority."""
        server_name = self._tls.server_name if self._tls is not None else ""
        return server_name or ("localhost" if self._port is None else self._address)

    async def connect(self, make: Callable[[], GrpcConnection]) -> GrpcConnection:
        """
        Make a connection whose peer has said its settings.

        Raises:
            OSError: refused, no such host, no TLS, no HTTP/2 on the other side, or too slow.
        """
        loop = asyncio.get_running_loop()
        tls = _make_tls(self._tls) if self._tls is not None else None
        server_name = (self._tls.server_name or self._host) if self._tls is not None else None
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if self._port is None:
                transport, connection = await loop.create_unix_connection(
                    make, self._host, ssl=tls, server_hostname=server_name
                )
            else:
                try:
                    transport, connection = await loop.create_connection(
                        make, self._host, self._port, ssl=tls, server_hostname=server_name
                    )
                except UnicodeError as error:  # of the host's encoding, before it is looked up
                    raise ConnectionError(f"{self._host!r} is no host name: {error}") from error
            try:
                await asyncio.shield(connection.settled)
            except BaseException:
                transport.abort()
                raise
        if tls is not None and _alpn(transport) != "h2":
            transport.abort()
            raise ConnectionError("the peer's TLS doesn't agree to HTTP/2 (ALPN h2)")
        if connection.lost.done():
            raise ConnectionError(connection.fault)
        return connection


def cause_of(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no HTTP/2 settings within {CONNECT_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__


def _split(address: str) -> tuple[str, int | None]:
    if address.startswith("unix:"):
        return address.removeprefix("unix:"), None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not address.isprintable():
        raise ValueError(f'address {address!r} is neither "host:port" nor "unix:/path"')
    return host.strip("[]"), int(port)


def _make_tls(options: TlsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
    except OSError as error:
        raise OSError(f"{options.ca_file}: can't be read as certificates: {error}") from error
    if options.cert_file:
        try:
            context.load_cert_chain(options.cert_file, options.key_file)
        except OSError as error:
            names = f"{options.cert_file}, {options.key_file or 'which has to hold the key too'}"
            raise OSError(f"{names}: can't be read as certificate and key: {error}") from error
    context.set_alpn_protocols(["h2"])
    return context


def _alpn(transport: asyncio.Transport) -> str | None:
    secured: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return secured.selected_alpn_protocol()
