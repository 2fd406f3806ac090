"""Someone else's server: gone is not the same as slow."""

import socket

import pytest

from harness.targets import ports
from harness.targets.ports import Listener, free_port, split_address


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every question."""
    monkeypatch.setattr(ports, "_LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(ports, "_CONNECT_TIMEOUT_S", 0.05)


def test_server_that_closed_is_gone() -> None:
    """A server is there while it listens and gone when it refuses."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        listener = Listener(f"127.0.0.1:{server.getsockname()[1]}")
        while_listening = listener.is_gone()

    assert (while_listening, listener.is_gone()) == (False, True)


def test_server_too_slow_to_accept_is_not_gone() -> None:
    """A full backlog times out: that is a slow server, for the run to show."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        listener = Listener(f"127.0.0.1:{server.getsockname()[1]}")

        assert not listener.accepts(timeout_s=0.05)
        assert not listener.is_gone()


def test_answer_is_kept_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looks the last answer stands: a check several times a second opens no flood."""
    monkeypatch.setattr(ports, "_LOOK_INTERVAL_S", 3600.0)
    port = free_port()
    listener = Listener(f"127.0.0.1:{port}")
    first = listener.is_gone()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()

        assert (first, listener.is_gone()) == (True, True)


def test_addresses_are_split() -> None:
    """Brackets of an IPv6 address are not part of the host."""
    assert split_address("host:1") == ("host", 1)
    assert split_address("[::1]:50051") == ("::1", 50051)
