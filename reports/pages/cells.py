"""A number as a table's entry. Nothing here turns an absent value into a number."""

import math

from harness.model.text import quantity
from reports.pages.model import Cell
from reports.text import NO_DATA_TEXT

NO_DATA = Cell(text=NO_DATA_TEXT, is_missing=True)


def cell(value: float | None, unit: str, detail: str = "") -> Cell:
    """A number as a table's entry; None reads as no data."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    return Cell(text=quantity(value, unit), detail=detail)
