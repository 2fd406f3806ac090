"""Which certificates a connection shows and trusts; paths only, the files are read where used."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """
    TLS towards the peer; its presence alone turns TLS on.

    Attributes:
        ca_file: PEM of the authorities to trust; empty means the system's.
        cert_file: PEM of the client's certificate chain; empty means none.
        key_file: PEM of the client's key; needed with `cert_file`.
        server_name: the name the peer's certificate must carry; empty means the address's host.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    def __post_init__(self) -> None:
        assert bool(self.cert_file) == bool(self.key_file), "cert_file and key_file go together"
