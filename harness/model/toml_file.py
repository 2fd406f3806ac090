"""
TOML written by people: read within bounds, every way of being no TOML a fault with a remedy.

Scenario, target and policy files go through it, so that they fail alike.
"""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import Fault, FileFaultsError
from harness.model.text import size

FILE_BYTES_MAX = 16 * 2**20  # no file of ours comes near; a device or a wrong path may never end


def read_text(path: Path) -> str:
    """The text of *path*, a pipe included; OSError or UnicodeDecodeError say why not."""
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise OSError(f"longer than {size(FILE_BYTES_MAX)}, so not meant as TOML")
    return content.decode("utf-8-sig")


def parse_toml(text: str, *, file: str, error: type[FileFaultsError]) -> dict[str, Any]:
    """The document that *text* is; where it is no TOML, an error of the type *error*."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        fault = Fault(file=file, key="TOML", value=str(cause), remedy="correct this line")
    except RecursionError:
        fault = Fault(file=file, key="TOML", value="nested too deep", remedy="write it flat")
    except ValueError as cause:  # an integer of more digits than Python converts
        fault = Fault(file=file, key="TOML", value=str(cause), remedy="write a shorter number")
    raise error((fault,))
