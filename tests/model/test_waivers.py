"""Waivers: what they cover, and for how long."""

from datetime import date

import pytest
from pydantic import ValidationError

from harness.model.file_faults import plain_faults
from harness.model.waivers import Waiver, WaiverTable

LAST_DAY = date(2026, 12, 31)
WAIVER = Waiver(metric="*.p99", owner="Ada", reason="the new index", until=LAST_DAY)


def test_covers_what_its_pattern_fits() -> None:
    """A pattern is a shell's, and case counts."""
    assert WAIVER.covers("reserve.response_ns.p99")
    assert not WAIVER.covers("reserve.response_ns.p999")
    assert not WAIVER.covers("reserve.response_ns.P99")


def test_holds_to_the_end_of_its_last_day() -> None:
    """The last day is included."""
    assert not WAIVER.is_expired(LAST_DAY)
    assert WAIVER.is_expired(date(2027, 1, 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner": None}, "owner: missing"),
        ({"owner": " "}, "write some text"),
        ({"reason": ""}, "write some text"),
        ({"until": "2026-12-31"}, "write a date without quotes"),
        ({"untl": LAST_DAY}, 'did you mean "until"?'),
    ],
)
def test_nobody_waives_anonymously(changes: dict[str, object], said: str) -> None:
    """Owner, reason and last day are required, the day as a date."""
    table = {"metric": "*", "owner": "Ada", "reason": "known", "until": LAST_DAY, **changes}
    document = {key: value for key, value in table.items() if value is not None}
    with pytest.raises(ValidationError) as refused:
        WaiverTable.model_validate(document)
    faults = plain_faults(refused.value, WaiverTable)

    assert said in "\n".join(f"{fault.key}: {fault.value}: {fault.remedy}" for fault in faults)
