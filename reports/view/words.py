"""
Numbers and foreign text as a reader should see them: 3 significant digits, a unit, no surprises.

The only place of the Python side where a number becomes text. Does not escape for HTML: that is
the template engine's work. Nothing here turns an absent value into a number.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from reports.view.model import Cell, Unit

NO_DATA = Cell(text="no data", is_missing=True)
DASH = "\N{EN DASH}"  # nothing to say here, by its nature
TEXT_LENGTH_MAX = 400  # of foreign text: longer is cut, and says so

_DIGITS = 3
_DURATION_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_BYTE_UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def significant(value: float) -> str:
    """*value* with 3 significant digits, never in powers of ten: 0.0123, 1.24, 1,240."""
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    rounded = round(value, _DIGITS - 1 - magnitude)
    magnitude = math.floor(math.log10(abs(rounded)))  # 9.999 has become 10.0
    return f"{rounded:,.{max(0, _DIGITS - 1 - magnitude)}f}"


def duration(ns: float) -> str:
    """*ns* in the unit that suits it: 812 µs, 1.24 ms, 20.0 s."""
    return "0 ns" if ns == 0 else _scaled(ns, _DURATION_UNITS)


def size(size_bytes: float) -> str:
    """*size_bytes* in the unit that suits it: 48.1 MiB."""
    return "0 B" if size_bytes == 0 else _scaled(size_bytes, _BYTE_UNITS)


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def quantity(value: float, unit: str) -> str:
    """*value* in *unit*, an axis's or a check's; a unit unknown here is put behind the number."""
    formats: Mapping[str, Callable[[float], str]] = {
        Unit.NS: duration,
        Unit.BYTES: size,
        Unit.COUNT: lambda number: significant(number) if number % 1 else count(number),
        Unit.PER_S: lambda number: f"{significant(number)}/s",
        Unit.SECONDS: lambda number: f"{significant(number)} s",
        Unit.SHARE: lambda number: f"{significant(number * 100)} %",
        Unit.CORES: lambda number: f"{significant(number)} cores",
        "/s": lambda number: f"{significant(number)}/s",
        "ratio": lambda number: f"{significant(number * 100)} %",
    }
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    known = formats.get(unit)
    return known(value) if known else f"{significant(value)} {unit}".strip()


def cell(value: float | None, unit: str, detail: str = "") -> Cell:
    """A number as a table's entry; None reads as no data."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    return Cell(text=quantity(value, unit), detail=detail)


def plain(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """
    Foreign *text* made harmless to the eye: controls and direction marks shown, length bounded.

    A service chooses its own error details; they must not reverse, hide or flood the page.
    """
    shown = "".join(_visible(letter) for letter in text[: length_max + 1])
    if len(text) <= length_max:
        return shown
    return f"{shown[:length_max]} … ({len(text) - length_max:,} more characters)"


def flattened(mapping: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """The leaves of nested *mapping* as (dotted key, text), in its order."""
    leaves: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{plain(str(key))}"
        if isinstance(value, Mapping):
            leaves.extend(flattened(value, f"{name}."))
        else:
            leaves.append((name, plain(_leaf(value))))
    return tuple(leaves)


def _leaf(value: Any) -> str:
    match value:
        case None | "" | [] | ():
            return "no data"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)


def _visible(letter: str) -> str:
    category = unicodedata.category(letter)
    if letter in "\n\t":
        return " "
    if category in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return f"\\u{ord(letter):04x}"
    return letter


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for factor, name in units:
        text = significant(value / factor)
        if abs(float(text.replace(",", ""))) >= 1.0:
            return f"{text} {name}"
    factor, name = units[-1]
    return f"{significant(value / factor)} {name}"
