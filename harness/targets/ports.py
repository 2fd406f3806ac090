"""TCP ports: a free one, whether something answers, and whether something has gone."""

import re
import socket
import time

LOOPBACK = "127.0.0.1"
_CONNECT_TIMEOUT_S = 0.5
_LOOK_INTERVAL_S = 1.0
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})")


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


def is_address(text: str) -> bool:
    """Whether *text* is "host:port" or "[::1]:port"."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match[2]) < 1 << 16


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[::1]:port"."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Listener:
    """
    Someone else's server: gone when it refuses connections.

    One that is too slow to answer is not gone: what it does to latency is for the run to show.
    """

    def __init__(self, address: str) -> None:
        self._address = split_address(address)
        self._looked_s = -_LOOK_INTERVAL_S
        self._is_gone = False

    def accepts(self, *, timeout_s: float) -> bool:
        """Whether it accepts connections."""
        return accepts(*self._address, timeout_s=timeout_s)

    def is_gone(self) -> bool:
        """Whether it refused the last connection; looks once a second, however often asked."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_INTERVAL_S:
            self._looked_s = now_s
            self._is_gone = self._refuses()
        return self._is_gone

    def _refuses(self) -> bool:
        try:
            socket.create_connection(self._address, timeout=_CONNECT_TIMEOUT_S).close()
        except TimeoutError:
            return False
        except OSError:
            return True
        return False
