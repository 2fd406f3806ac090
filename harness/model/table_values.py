"""
What the values of a scenario file's tables are: text with a unit to numbers, with their bounds.

For the pydantic models of harness.model; the texts themselves are harness.model.units'.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness.model.units import (
    parse_duration_ns,
    parse_positive_duration_ns,
    parse_positive_rate_per_s,
    parse_rate_per_s,
    parse_share,
)


def duration_or_share(value: Any) -> int | float:
    """Nanoseconds (int), or a share of the measured phase (float)."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return parse_share(value)
    return parse_duration_ns(value)


DurationNs = Annotated[int, BeforeValidator(parse_duration_ns)]
PositiveDurationNs = Annotated[int, BeforeValidator(parse_positive_duration_ns)]
RatePerS = Annotated[float, BeforeValidator(parse_rate_per_s)]
PositiveRatePerS = Annotated[float, BeforeValidator(parse_positive_rate_per_s)]
ShareValue = Annotated[float, BeforeValidator(parse_share)]
Count = Annotated[int, Field(ge=1)]


class TomlTable(BaseModel):
    """A table: unknown keys are faults, and nothing is converted silently."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True
    )
