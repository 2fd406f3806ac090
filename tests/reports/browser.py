"""
A real headless Chromium, driven over its debugging pipe: opens a file, listens, moves the mouse.

Only what the report tests need. Speaks to the browser through two file descriptors, so it opens no
port; everything the page logs, throws or asks the network for is kept.
"""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_S = 60.0  # a busy two-core machine is slow to start a browser
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def browser_program() -> str | None:
    """The Chromium of this machine, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. `events` holds every protocol event so far."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to_browser = to_browser
        self._from_browser = from_browser
        self._pending = b""
        self._last_id = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=1400,
            height=1000,
            deviceScaleFactor=1,
            mobile=False,
        )

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The browser's answer to *method*."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, path: Path, query: str = "") -> None:
        """Load the file at *path* and wait until it has."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + query)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not self._named("Page.loadEventFired"):
            self.events.append(self._read(deadline))

    def load_cpu_ms(self, path: Path) -> float:
        """Load *path*; the CPU time of the page's thread until then, whoever else is busy."""
        self.call("Performance.enable", timeDomain="threadTicks")
        self.open(path)
        found = self.call("Performance.getMetrics")["metrics"]
        self.call("Performance.disable")
        return 1e3 * next(item["value"] for item in found if item["name"] == "TaskDuration")

    def evaluate(self, expression: str) -> Any:
        """The value of *expression* in the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, *, is_down: bool = False) -> None:
        """One mouse event: "mouseMoved", "mousePressed" or "mouseReleased"."""
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if is_down or kind != "mouseMoved" else "none",
            buttons=1 if is_down else 0,
            clickCount=0 if kind == "mouseMoved" else 1,
        )

    def complaints(self) -> list[str]:
        """What the page logged as an error or warning, or threw."""
        found = [
            json.dumps(event["params"]["exceptionDetails"])
            for event in self._named("Runtime.exceptionThrown")
        ]
        found += [
            json.dumps(event["params"]["args"])
            for event in self._named("Runtime.consoleAPICalled")
            if event["params"]["type"] in {"error", "warning", "assert"}
        ]
        found += [
            event["params"]["entry"]["text"]
            for event in self._named("Log.entryAdded")
            if event["params"]["entry"]["level"] in {"error", "warning"}
        ]
        return found

    def requests(self) -> list[str]:
        """Every address the page asked for, the page itself included."""
        urls = [event["params"]["request"]["url"] for event in self._named(_REQUEST)]
        return [url for url in urls if not url.startswith("data:")]

    def _named(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            left_s = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._from_browser], [], [], left_s)
            chunk = os.read(self._from_browser, 1 << 20) if ready else b""
            assert chunk, "the browser does not answer"
            self._pending += chunk
        message, _, self._pending = self._pending.partition(b"\0")
        return dict(json.loads(message))


_REQUEST = "Network.requestWillBeSent"


@contextmanager
def open_browser(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with an empty *profile*, gone at the end."""
    browser_in, to_browser = os.pipe()
    from_browser, browser_out = os.pipe()
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    )
    # The protocol wants descriptors 3 and 4; bash (not every sh) can put them there.
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" "$@" 3<&{browser_in} 4>&{browser_out}', program, *flags],
        pass_fds=(browser_in, browser_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_in)
    os.close(browser_out)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)  # its end of the pipe closed, the browser quits
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)
