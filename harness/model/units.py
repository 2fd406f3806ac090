"""
Text with a unit to plain numbers and back: "250ms", "2k/s", "1%", "2MiB".

Inside the program are int nanoseconds, operations a second, shares (0.01) and bytes; text exists at
the two edges only. What parses raises ValueError with the value and the remedy; whoever asked knows
the subject (the key of a file, the name of a flag) and puts it in front.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

NANOS_PER_SECOND = 1_000_000_000

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # as it is shown
    "ms": 1_000_000,
    "s": NANOS_PER_SECOND,
    "min": 60 * NANOS_PER_SECOND,
    "h": 3_600 * NANOS_PER_SECOND,
    "d": 86_400 * NANOS_PER_SECOND,
}
_RATE_PER_S = {"/s": 1, "k/s": 1_000, "M/s": 1_000_000}
_SPEED = {"x": 1}
_SHARE = {"%": Decimal("0.01"), "ppm": Decimal("0.000001")}
_SIZE_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_COUNT = {"": 1, "k": 1_000, "M": 1_000_000}
_NUMBER_AND_UNIT = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?)\s*(\S*)\s*", re.ASCII)


def parse_duration_ns(text: Any) -> int:
    """Nanoseconds of e.g. "250ms", "20s", "1.5min", "0s"."""
    return int(_parse(text, _DURATION_NS, "a duration", '"250ms" or "20s"'))


def parse_rate_per_s(text: Any) -> float:
    """Operations a second of e.g. "2000/s", "2k/s", "0.5/s"."""
    return float(_parse(text, _RATE_PER_S, "a rate", '"500/s" or "2k/s"'))


def parse_positive_duration_ns(text: Any) -> int:
    """As parse_duration_ns, but longer than nothing."""
    duration_ns = parse_duration_ns(text)
    if duration_ns <= 0:
        raise ValueError(f'"{text}" is nothing; write e.g. "20s"')
    return duration_ns


def parse_positive_rate_per_s(text: Any) -> float:
    """As parse_rate_per_s, but above 0."""
    rate_per_s = parse_rate_per_s(text)
    if rate_per_s <= 0:
        raise ValueError(f'"{text}" sends nothing; write e.g. "500/s"')
    return rate_per_s


def parse_speed(text: Any) -> float:
    """The factor of e.g. "4x", "0.5x"; above 0."""
    speed = float(_parse(text, _SPEED, "a speed", '"1x" or "4x"'))
    if speed <= 0:
        raise ValueError(f'"{text}" plays nothing; write e.g. "1x" or "4x"')
    return speed


def parse_share(text: Any) -> float:
    """The share of e.g. "1%" (0.01), "80%", "100ppm"; may be above 1."""
    return float(_parse(text, _SHARE, "a share", '"1%" or "0.5%"'))


def parse_size_bytes(text: Any) -> int:
    """Bytes of e.g. "2MiB", "64kB", "512B"."""
    return int(_parse(text, _SIZE_BYTES, "a size", '"2MiB" or "64kB"'))


def parse_count(text: Any) -> float:
    """The number of e.g. "12_500", "12.5k", "3M"."""
    return float(_parse(text, _COUNT, "a number", '"12_500" or "12.5k"'))


def format_duration(duration_ns: int) -> str:
    """The shortest exact text that parse_duration_ns reads back: "250ms"."""
    for unit in ("h", "min", "s", "ms", "us"):
        if duration_ns and duration_ns % _DURATION_NS[unit] == 0:
            return f"{duration_ns // _DURATION_NS[unit]}{unit}"
    return f"{duration_ns}ns" if duration_ns else "0s"


def format_rate(rate_per_s: float) -> str:
    """Text that parse_rate_per_s reads back, to six digits: "2000/s"."""
    return f"{rate_per_s:.6f}".rstrip("0").rstrip(".") + "/s"


def format_share(share: float) -> str:
    """Text that parse_share reads back, to four digits behind the point: "1%"."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + "%"


def _parse(text: Any, units: Mapping[str, int | Decimal], noun: str, example: str) -> Decimal:
    match = _NUMBER_AND_UNIT.fullmatch(text) if isinstance(text, str) else None
    factor = units.get(match[2]) if match is not None else None
    if match is None or factor is None:
        shown = f'"{text}"' if isinstance(text, str) else repr(text)
        raise ValueError(f"{shown} is not {noun}; write e.g. {example}")
    return Decimal(match[1]) * factor
