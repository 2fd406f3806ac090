"""TlsOptions as grpcio wants them: for the cross-check driver and for control calls."""

from pathlib import Path
from typing import Any

import grpc

from harness.model.tls import TlsOptions


def channel_credentials(tls: TlsOptions) -> grpc.ChannelCredentials:
    """What a channel shows and trusts; raises OSError where a file can't be read."""
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca_file),
        private_key=_read(tls.key_file),
        certificate_chain=_read(tls.cert_file),
    )


def channel_options(tls: TlsOptions | None) -> list[tuple[str, Any]]:
    """
    What every channel of ours has.

    It goes straight to its address, whatever proxy the environment names for others: what a proxy
    adds is no latency of the service. With *tls* also the name that the peer's certificate must
    carry, where it is not the address's.
    """
    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _read(file: str) -> bytes | None:
    return Path(file).read_bytes() if file else None
