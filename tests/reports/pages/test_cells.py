"""Numbers and foreign text as a reader sees them."""

import pytest

from harness.model.text import (
    duration,
    exact,
    plain,
    quantities_apart,
    quantity,
    signed,
    signed_share,
    significant,
    size,
    trimmed,
)
from reports.pages.cells import NO_DATA, cell
from reports.text import flattened


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "0 ns"),
        (7, "7.00 ns"),
        (812_345, "812 µs"),
        (999_499, "999 µs"),
        (999_501, "1.00 ms"),  # rounding moves it into the next unit, not to "1,000 µs"
        (1_236_000, "1.24 ms"),
        (20_000_000_000, "20.0 s"),
        (-1_500_000, "-1.50 ms"),
    ],
)
def test_a_duration_has_three_digits_and_the_unit_that_suits_it(ns: int, expected: str) -> None:
    """A reader never counts zeros."""
    assert duration(ns) == expected


def test_a_size_is_in_powers_of_1024() -> None:
    """As memory is counted."""
    assert size(48.1 * 2**20) == "48.1 MiB"


def test_significant_never_uses_powers_of_ten() -> None:
    """Large and small numbers alike stay plain."""
    assert [significant(value) for value in (123_456, 0.012345)] == ["123,000", "0.0123"]


def test_what_somebody_chose_has_no_zeros_behind_it() -> None:
    """95 % is no measurement of 95.0 %, and a process id has no thousands."""
    assert [trimmed(value) for value in (95.0, 97.5, 0.5, 40_123)] == [
        "95",
        "97.5",
        "0.5",
        "40,100",
    ]
    assert [exact(value) for value in (99.99, 12_345, 100.0)] == ["99.99", "12345", "100"]


def test_a_change_has_a_sign() -> None:
    """Also one that is nothing, where a page shows it."""
    assert [signed(value) for value in (12.34, 0.5, 0.0001)] == ["+12", "+0.50", "±0"]
    assert [signed_share(value) for value in (0.031, -0.5)] == ["+3.1 %", "-50.0 %"]
    assert signed_share(0.000123, 3) == "+0.012 %"


def test_units_of_objectives_are_words() -> None:
    """As they are stored."""
    found = [quantity(2_048, unit) for unit in ("us", "bytes per second", "per second", "ppm")]

    assert found == ["2.05 ms", "2.00 KiB a second", "2,048 per second", "2,048 ppm"]


def test_rates_show_whole_operations() -> None:
    """A rate 1 % below another must not round to the same text."""
    assert [quantity(value, "per_s") for value in (2_004.5, 1_984.1)] == ["2,004/s", "1,984/s"]


def test_a_value_and_its_limit_never_read_the_same_unless_they_are() -> None:
    """98.98 % against at least 99 % needs a fourth digit."""
    assert quantities_apart(0.9898, 0.99, "ratio") == ("98.98 %", "99.00 %")
    assert quantities_apart(0.99, 0.99, "ratio") == ("99.0 %", "99.0 %")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_was_not_measured_reads_as_no_data(value: float | None) -> None:
    """Never as zero."""
    assert cell(value, "ns") == NO_DATA


def test_hostile_text_is_shown_and_bounded() -> None:
    """Controls, direction marks and floods lose their power, and nothing is hidden."""
    assert plain("a\x00b\x1b[31m\u202ec\u200bd\nfoo") == (
        "a\\u0000b\\u001b[31m\\u202ec\\u200bd foo"
    )
    assert plain("x" * 12_745) == "x" * 400 + " … (12,345 more characters)"


def test_facts_of_any_shape_are_flattened_in_the_unit_of_their_name() -> None:
    """Nested tables and lists of tables become dotted keys; units are in the names."""
    facts = {
        "memory_bytes": 2**30,
        "wait": {"late_ns": 1_500_000, "on": True, "name": ""},
        "stats": [{"sent_count": 24_044}],
        "cores": [0, 1],
    }

    assert flattened(facts, "load.") == (
        ("load.memory_bytes", "1.00 GiB"),
        ("load.wait.late_ns", "1.50 ms"),
        ("load.wait.on", "yes"),
        ("load.wait.name", None),
        ("load.stats.0.sent_count", "24,044"),
        ("load.cores", "0, 1"),
    )
