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
_DIGITS_MAX = 8
_WHOLE_RATES_FROM = 1_000
_CORES_MIN = 0.001  # processor time is counted in ticks of 10 ms
_DURATION_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_BYTE_UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def significant(value: float, digits: int = _DIGITS) -> str:
    """*value* with *digits* significant digits, never in powers of ten: 0.0123, 1.24, 1,240."""
    assert digits >= 1, "a number of no digits says nothing"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    rounded = round(value, digits - 1 - magnitude)
    magnitude = math.floor(math.log10(abs(rounded)))  # 9.999 has become 10.0
    return f"{rounded:,.{max(0, digits - 1 - magnitude)}f}"


def duration(ns: float, digits: int = _DIGITS) -> str:
    """*ns* in the unit that suits it: 812 µs, 1.24 ms, 20.0 s."""
    return _scaled(ns, _DURATION_UNITS, digits)


def size(size_bytes: float, digits: int = _DIGITS) -> str:
    """*size_bytes* in the unit that suits it: 48.1 MiB."""
    return _scaled(size_bytes, _BYTE_UNITS, digits)


def rate(per_s: float, digits: int = _DIGITS) -> str:
    """*per_s* to the whole operation at least: rates must agree within 1 %, and it must show."""
    text = count(per_s) if abs(per_s) >= _WHOLE_RATES_FROM else significant(per_s, digits)
    return f"{text}/s"


def cores(used: float, digits: int = _DIGITS) -> str:
    """Cores in use; less than any clock tick would show reads as that."""
    if 0 < used < _CORES_MIN:
        return f"< {_CORES_MIN} cores"
    return f"{significant(used, digits)} cores"


def share(part: float, digits: int = _DIGITS) -> str:
    """*part* (0 to 1) in per cent."""
    return f"{significant(part * 100, digits)} %"


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def quantity(value: float, unit: str, digits: int = _DIGITS) -> str:
    """*value* in *unit*, an axis's or a check's; a unit unknown here is put behind the number."""
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    known = _FORMATS.get(unit)
    if known:
        return known(value, digits)
    number = count(value) if value == int(value) else significant(value, digits)
    return f"{number} {plain(unit)}".strip()


def quantities_apart(value: float, limit: float, unit: str) -> tuple[str, str]:
    """Both in *unit*, with as many digits as it takes to see which one is larger."""
    for digits in range(_DIGITS, _DIGITS_MAX):
        texts = quantity(value, unit, digits), quantity(limit, unit, digits)
        if value == limit or texts[0] != texts[1]:
            return texts
    return quantity(value, unit, _DIGITS_MAX), quantity(limit, unit, _DIGITS_MAX)


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
    if len(text) <= length_max and text.isascii() and text.isprintable():
        return text  # nearly all text is, and a history has a lot of it
    shown = "".join(_visible(letter) for letter in text[: length_max + 1])
    if len(text) <= length_max:
        return shown
    return f"{shown[:length_max]} … ({len(text) - length_max:,} more characters)"


def sentence(text: str) -> str:
    """Foreign *text* as a sentence that another may follow."""
    shown = plain(text).strip()
    return shown if not shown or shown[-1] in ".!?" else f"{shown}."


def flattened(mapping: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """The leaves of nested *mapping* as (dotted key, text), in its order."""
    leaves: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{plain(str(key))}"
        if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            value = {str(place): item for place, item in enumerate(value)}  # noqa: PLW2901
        if isinstance(value, Mapping):
            leaves.extend(flattened(value, f"{name}."))
        else:
            leaves.append((name, plain(_leaf(name, value))))
    return tuple(leaves)


def _leaf(name: str, value: Any) -> str:
    """A leaf in the unit that its name ends in."""
    match value:
        case None | "" | [] | ():
            return NO_DATA.text
        case bool():
            return "yes" if value else "no"
        case int() | float():
            suffix = next((end for end in _SUFFIX_UNITS if name.endswith(end)), None)
            return quantity(value, _SUFFIX_UNITS[suffix]) if suffix else f"{value:.10g}"
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


def _scaled(value: float, units: tuple[tuple[float, str], ...], digits: int) -> str:
    if value == 0:
        return f"0 {units[-1][1]}"
    for factor, name in units:
        text = significant(value / factor, digits)
        if abs(float(text.replace(",", ""))) >= 1.0:
            return f"{text} {name}"
    factor, name = units[-1]
    return f"{significant(value / factor, digits)} {name}"


_FORMATS: Mapping[str, Callable[[float, int], str]] = {
    Unit.NS: duration,
    Unit.BYTES: size,
    Unit.PER_S: rate,
    Unit.CORES: cores,
    Unit.SHARE: share,
    Unit.SECONDS: lambda value, digits: f"{significant(value, digits)} s",
    Unit.COUNT: lambda value, digits: significant(value, digits) if value % 1 else count(value),
    "us": lambda value, digits: duration(value * 1e3, digits),
    "ms": lambda value, digits: duration(value * 1e6, digits),
    "/s": rate,
    "ratio": share,
}
_SUFFIX_UNITS = {
    "_ns": Unit.NS,
    "_ns_total": Unit.NS,
    "_bytes": Unit.BYTES,
    "_count": Unit.COUNT,
    "_share": Unit.SHARE,
    "_per_s": Unit.PER_S,
}
