"""TCP ports of this machine: a free one, and whether something answers."""

import socket

LOOPBACK = "127.0.0.1"
_CONNECT_TIMEOUT_S = 0.5


def free_port() -> int:
    """A loopback port that is free now; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def accepts(host: str, port: int, *, timeout_s: float = _CONNECT_TIMEOUT_S) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
