"""The last word of a session before pytest's own: what was skipped and why, in one line."""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None]:
    """Write the line behind all other sections."""
    yield
    names: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        names.setdefault(reason, []).append(report.nodeid.partition("@")[0])
    parts = [f"{len(of)} because {reason}: {', '.join(of)}" for reason, of in names.items()]
    terminalreporter.write_line(f"skipped: {'; '.join(parts) or 'nothing'}")
