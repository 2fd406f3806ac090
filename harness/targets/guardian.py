"""
Kills what a dead harness left behind; run as a program of its own, by its path.

The harness writes "+PGID" and "-PGID" lines to its stdin as process groups come and go. When the
harness is gone (end of file, or its pid ends, however it died) every group still listed is killed.
Unlike PR_SET_PDEATHSIG this reaches the children of a child too: a service behind a shell script or
behind a profiler is a grandchild. It imports nothing of ours, so that it starts in 20 ms.
"""

import contextlib
import os
import select
import signal
import sys

_BUFFER_BYTES = 4096


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it leaves when the harness has left, not before
    harness_pid = int(sys.argv[1])
    poller = select.poll()
    poller.register(0, select.POLLIN)
    with contextlib.suppress(OSError):  # no pidfd here: the end of stdin says it too
        poller.register(os.pidfd_open(harness_pid), select.POLLIN)
    kill(watch(poller))


def watch(poller: select.poll) -> set[int]:
    groups: set[int] = set()
    received = b""
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        chunk = os.read(0, _BUFFER_BYTES) if 0 in ready else b""
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
        if not chunk:
            return groups


def kill(groups: set[int]) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
