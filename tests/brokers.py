"""Brokers for tests, of every kind, each behind a link that can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.targets.broker import Broker, start_broker

KINDS = ("embedded", "apache")


class Link:
    """A TCP link to a broker that can be cut and mended; what was on its way is lost."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._target: tuple[str, int] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self, target: str) -> None:
        """Pass connections on to *target*."""
        host, port = target.split(":")
        self._target = (host, int(port))

    def cut(self) -> None:
        """Drop every connection, and each new one at once."""
        self._target = None
        while self._ends:
            with suppress(OSError):
                self._ends.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The end of the link."""
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = self._connect()
            if far is None:
                near.close()
                continue
            self._ends += (near, far)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        if self._target is None:
            return None
        try:
            return socket.create_connection(self._target)
        except OSError:  # the broker is away
            return None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    # The other direction's pump ends too; the one that is last closes nothing twice.
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


class LinkedBroker:
    """A broker whose clients know it by its link's address only."""

    def __init__(self, link: Link, broker: Broker) -> None:
        self._link = link
        self.address = link.address
        self.own = broker
        self.mend()

    def cut(self) -> None:
        """Out of reach."""
        self._link.cut()

    def mend(self) -> None:
        """Within reach again, with all that it held."""
        self._link.mend(self.own.address)


@contextmanager
def linked_broker(kind: str, folder: Path) -> Iterator[LinkedBroker]:
    """One of this kind, stopped at the end."""
    link = Link()
    try:
        broker = start_broker(kind, folder=folder, advertised=link.address)
        try:
            yield LinkedBroker(link, broker)
        finally:
            broker.stop()
    finally:
        link.close()
