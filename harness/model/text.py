"""
Numbers and foreign text as a reader should see them: 3 significant digits, a unit, no surprises.

The only place where a number becomes text, for records, the terminal and reports alike. Does not
escape for HTML: that is the template engine's work.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum

TEXT_LENGTH_MAX = 400  # of foreign text: longer is cut, and says so

_DIGITS = 3
_DIGITS_MAX = 8
_DIGITS_OF_CHANGES = ((10.0, 0), (1.0, 1), (0.1, 2), (0.0, 3))  # by size: what a few runs tell
_WHOLE_RATES_FROM = 1_000
_CORES_MIN = 0.001  # processor time is counted in ticks of 10 ms
_DURATION_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_BYTE_UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


class Unit(StrEnum):
    """What the numbers of an axis are."""

    NS = "ns"
    SECONDS = "s"
    PER_S = "per_s"
    COUNT = "count"
    CORES = "cores"
    BYTES = "bytes"
    SHARE = "share"  # 0 to 1


def significant(value: float, digits: int = _DIGITS) -> str:
    """*value* with *digits* significant digits, never in powers of ten: 0.0123, 1.24, 1,240."""
    assert digits >= 1, "a number of no digits says nothing"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    rounded = round(value, digits - 1 - magnitude)
    magnitude = math.floor(math.log10(abs(rounded)))  # 9.999 has become 10.0
    return f"{rounded:,.{max(0, digits - 1 - magnitude)}f}"


def trimmed(value: float, digits: int = _DIGITS) -> str:
    """As `significant`, without zeros behind the point: of what somebody chose, 90, 97.5, 0.001."""
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(value: float, digits: int = 10) -> str:
    """A number as it was given, thousands not apart: a process id, a fact, 99.99."""
    return f"{value:.{digits}g}"


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


def signed(change: float) -> str:
    """A change with its sign, as precise as a few runs can tell it."""
    size = abs(change)
    digits = next(digits for limit, digits in _DIGITS_OF_CHANGES if size >= limit)
    text = f"{size:,.{digits}f}"
    if not float(text.replace(",", "")):
        return "±0"
    return f"{'+' if change > 0 else '−'}{text}"  # noqa: RUF001 -- a minus


def signed_share(part: float, decimals: int = 1) -> str:
    """A change, *part* (0.031) of what was, as "+3.1 %"."""
    return f"{100.0 * part:+,.{decimals}f} %"


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
    "bytes per second": lambda value, digits: f"{size(value, digits)} a second",
}
