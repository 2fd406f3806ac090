"""Entries and columns of tables. Nothing here turns an absent value into a number."""

import math

from harness.model.text import quantity
from reports.pages.model import Cell, Column, Fact, Section, Table, Term
from reports.text import NO_DATA_TEXT

NO_DATA = Cell(text=NO_DATA_TEXT, is_missing=True)


def cell(value: float | None, unit: str, detail: str = "") -> Cell:
    """A number as a table's entry; None reads as no data."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    return Cell(text=quantity(value, unit), detail=detail)


def fact(name: str, text: str) -> Fact:
    """A name and a text; an empty one reads as no data."""
    return Fact(name=name, cell=Cell(text=text) if text else NO_DATA)


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of words, aligned to the left."""
    return tuple(Column(title=title, is_number=False) for title in titles)


def number_columns(*titles: str, group: str = "") -> tuple[Column, ...]:
    """Columns of numbers, aligned to the right, below the heading *group* if there is one."""
    return tuple(Column(title=title, group=group) for title in titles)


def table_section(
    *,
    id: str,  # noqa: A002 -- as the fields of Section and Table
    title: str,
    columns: tuple[Column, ...],
    rows: tuple[tuple[Cell, ...], ...],
    lead: str = "",
    table_title: str = "",
    note: str = "",
    absence: str = "no data",
    facts: tuple[Fact, ...] = (),
    terms: tuple[Term, ...] = (),
) -> Section:
    """A section that is one table, which has its title unless it has one of its own."""
    table = Table(
        id=f"{id}-table",
        title=table_title or title,
        columns=columns,
        rows=rows,
        note=note,
        absence=absence,
    )
    return Section(id=id, title=title, lead=lead, facts=facts, tables=(table,), terms=terms)
