"""TCP ports: a free one, whether something answers, and whether something has gone."""

import random
import re
import socket
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"
_CONNECT_TIMEOUT_S = 0.5
_LOOK_INTERVAL_S = 1.0
_CLIENT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_UNPRIVILEGED_PORT_MIN = 1_024
_PICK_COUNT_MAX = 100
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})")


def free_port() -> int:
    """A loopback port that is free now; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def restart_port() -> int:
    """
    A free loopback port for a server that will be killed and must come back on it.

    It lies below the ports that the kernel gives to clients: else one that tries to connect while
    the server is away may be given the very port, and so connect to itself and keep it.
    """
    try:
        low = int(_CLIENT_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return free_port()
    candidates = range(max(_UNPRIVILEGED_PORT_MIN, low // 2), low)
    for port in random.sample(candidates, min(_PICK_COUNT_MAX, len(candidates))):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    return free_port()


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
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Listener:
    """
    Someone else's server: gone when it refuses connections, at every address that it has.

    One that is too slow to answer is not gone: what it does to latency is for the run to show.
    """

    def __init__(self, *addresses: str) -> None:
        self._addresses = [split_address(address) for address in addresses]
        self._looked_s = -_LOOK_INTERVAL_S
        self._is_gone = False

    def accepts(self, *, timeout_s: float) -> bool:
        return any(accepts(*address, timeout_s=timeout_s) for address in self._addresses)

    def is_gone(self) -> bool:
        """Whether it refused the last connection; looks once a second, however often asked."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_INTERVAL_S:
            self._looked_s = now_s
            self._is_gone = all(map(_refuses, self._addresses))
        return self._is_gone


def _refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=_CONNECT_TIMEOUT_S).close()
    except TimeoutError:
        return False
    except OSError:
        return True
    return False
