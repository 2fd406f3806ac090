"""Text with units: what is read, what is refused, and that both ways agree."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import units


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (units.parse_duration_ns, "250ms", 250_000_000),
        (units.parse_duration_ns, "1.5s", 1_500_000_000),
        (units.parse_duration_ns, " 2 min ", 120_000_000_000),
        (units.parse_duration_ns, "0s", 0),
        (units.parse_duration_ns, "120us", 120_000),
        (units.parse_duration_ns, "120 µs", 120_000),
        (units.parse_rate_per_s, "2000/s", 2_000.0),
        (units.parse_rate_per_s, "2k/s", 2_000.0),
        (units.parse_rate_per_s, "0.5/s", 0.5),
        (units.parse_share, "1%", 0.01),
        (units.parse_share, "80 %", 0.8),
        (units.parse_share, "100ppm", 0.0001),
        (units.parse_size_bytes, "2MiB", 2 << 20),
        (units.parse_size_bytes, "64kB", 64_000),
    ],
)
def test_reads(parse: Callable[[Any], float], text: str, expected: float) -> None:
    """Each unit is worth what it says, to the last digit."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_duration_ns, "fast"),
        (units.parse_duration_ns, "5"),
        (units.parse_duration_ns, 5),
        (units.parse_duration_ns, "-1s"),
        (units.parse_duration_ns, "1 m s"),
        (units.parse_rate_per_s, "2000"),
        (units.parse_rate_per_s, "2000/min"),
        (units.parse_share, "0.01"),
        (units.parse_size_bytes, "2M"),
        (units.parse_size_bytes, None),
    ],
)
def test_refuses(parse: Callable[[Any], float], text: Any) -> None:
    """What has no unit, or another one, is refused with the value and an example."""
    with pytest.raises(ValueError, match=r"is not a \w+; write e\.g\. ") as caught:
        parse(text)

    assert str(text) in str(caught.value)


@given(st.integers(0, 10**15))
def test_durations_read_back(duration_ns: int) -> None:
    """A formatted duration is the duration."""
    assert units.parse_duration_ns(units.format_duration(duration_ns)) == duration_ns


@given(st.integers(1, 10**9))
def test_rates_read_back(thousandths: int) -> None:
    """A formatted rate is the rate."""
    rate_per_s = thousandths / 1_000

    assert units.parse_rate_per_s(units.format_rate(rate_per_s)) == rate_per_s


@given(st.integers(0, 10**6))
def test_shares_read_back(ppm: int) -> None:
    """A formatted share is the share."""
    assert units.parse_share(units.format_share(ppm / 10**6)) == pytest.approx(ppm / 10**6)
