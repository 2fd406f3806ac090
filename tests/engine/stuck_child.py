"""A load process that never gets anywhere, for the supervisor's tests."""

import asyncio
import os
import signal
import sys

import uvloop

from harness.engine import child
from harness.engine.specification import LoadSpecification


async def main() -> None:
    """Listen and do nothing; the plan's path says how a command is taken."""
    specification = child.read_specification(LoadSpecification)
    child.fail_on_callback_errors()
    child.listen(lambda command: take(specification.plan_path, command["command"]))
    child.say("planned")
    await asyncio.sleep(60.0)


def take(manner: str, command: str) -> None:
    """Take a command badly."""
    sys.stderr.write(f"heard {command}\n")
    sys.stderr.flush()
    match manner:
        case "frozen":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "oserror":
            raise ConnectionResetError("the peer's fault")
        case "stumble":
            raise ZeroDivisionError("a bug of ours")
        case _:
            assert manner == "silent"


if __name__ == "__main__":
    uvloop.run(main())
