"""
A file of recorded offsets to nanoseconds, or to every fault of it with its line.

Three forms, told apart by the file's ending; in all of them an offset counts from the start of
warm-up, offsets ascend (equal ones are a burst), and the unit is stated in the scenario:

    .csv        a header row, then rows; `column` names the one that is read (default: the first)
    .parquet    one number a row; `column` likewise; columns of a time type are not offsets
    any other   one number a line; empty lines, and lines that begin with #, are passed over

Parsed as bytes that somebody else has read: this module does no input itself.
"""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import Fault, ScenarioError

OFFSET_UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FAULT_COUNT_MAX = 20  # told one by one; the others are counted
_OFFSET_NS_MAX = 2**53  # 104 days: nanoseconds up to here are exact as doubles


def parse_recording(file: str, content: bytes, *, unit: str, column: str) -> NDArray[np.int64]:
    """
    The offsets of a recording in nanoseconds.

    Args:
        file: Its name, whose ending says its form.
        content: Its bytes.
        unit: A key of OFFSET_UNITS_NS.
        column: Of a CSV or Parquet file; empty for the first.

    Raises ScenarioError: each fault with its line or row, the first twenty are listed.
    """
    where = "row" if file.endswith(".parquet") else "line"
    if where == "row":
        values = _parquet_values(file, content, column)
        lines: NDArray[np.int64] = np.arange(1, len(values) + 1)
        faulty = [
            (int(lines[index]), "no number", "write a number in each row")
            for index in np.flatnonzero(np.isnan(values)).tolist()
        ]
    else:
        fields, lines = _fields(file, content, column)
        values, faulty = _numbers(fields, lines)
    if not len(values):
        raise _rejected(file, [("the file", "no offsets", "record at least one arrival")])
    faulty += _out_of_order(values, lines, _OFFSET_NS_MAX / OFFSET_UNITS_NS[unit], unit)
    if faulty:
        raise _rejected(file, [(f"{where} {number}", *rest) for number, *rest in sorted(faulty)])
    return np.rint(values * OFFSET_UNITS_NS[unit]).astype(np.int64)


_LineFault = tuple[int, str, str]


def _rejected(file: str, faults: Sequence[tuple[str, ...]]) -> ScenarioError:
    told = [
        Fault(file=file, key=key, value=value, remedy=remedy)
        for key, value, remedy in faults[:_FAULT_COUNT_MAX]
    ]
    if len(faults) > _FAULT_COUNT_MAX:
        more = f"{len(faults) - _FAULT_COUNT_MAX:,} more faults"
        told.append(Fault(file=file, key="the file", value=more, remedy="correct those above"))
    return ScenarioError(tuple(told))


def _fields(file: str, content: bytes, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """The texts that should be numbers, and the line of each."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"the byte {content[error.start]:#04x}"
        raise _rejected(file, [(f"line {line}", what, "write text in UTF-8")]) from error
    pairs = list(_csv_fields(file, text, column) if file.endswith(".csv") else _text_fields(text))
    return [field for _, field in pairs], np.array([line for line, _ in pairs], dtype=np.int64)


def _text_fields(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        field = line.strip()
        if field and not field.startswith("#"):
            yield number, field


def _csv_fields(file: str, text: str, column: str) -> Iterator[tuple[int, str]]:
    rows = csv.reader(io.StringIO(text))
    names = [name.strip() for name in next(rows, [])]
    position = _position(file, names, column, "line 1")
    for row in rows:
        if row:
            yield rows.line_num, row[position].strip() if position < len(row) else ""


def _position(file: str, names: Sequence[str], column: str, where: str) -> int:
    if column and column not in names:
        remedy = f"write one of {', '.join(names) or 'its columns (it has none)'}"
        raise _rejected(file, [(where, f'no column "{column}"', remedy)])
    return names.index(column) if column else 0


def _numbers(
    fields: list[str], lines: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[_LineFault]]:
    """All at once if they are numbers; NaN, and a fault, for each that is none."""
    try:
        values = np.array(fields, dtype=np.float64)
    except ValueError:
        values = np.array([_number(field) for field in fields])
    bad = np.flatnonzero(~np.isfinite(values))
    values[bad] = np.nan
    remedy = "write a number, e.g. 12.5"
    return values, [(int(lines[i]), f'"{fields[i]}"', remedy) for i in bad.tolist()]


def _number(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return float("nan")


def _parquet_values(file: str, content: bytes, column: str) -> NDArray[np.float64]:
    # Imported on first use: it takes longer than all the rest of a scenario.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        names = pq.read_schema(pa.BufferReader(content)).names
        position = _position(file, names, column, "the file")
        read = pq.read_table(pa.BufferReader(content), columns=[names[position]]).column(0)
    except (pa.ArrowException, OSError, IndexError) as error:
        what = f"no Parquet file with a column ({error})"
        raise _rejected(file, [("the file", what, "write one column of offsets")]) from error
    if not (pa.types.is_integer(read.type) or pa.types.is_floating(read.type)):
        what = f'column "{names[position]}" holds {read.type}'
        raise _rejected(file, [("the file", what, "write offsets as numbers")])
    values: NDArray[np.float64] = read.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _out_of_order(
    values: NDArray[np.float64], lines: NDArray[np.int64], limit: float, unit: str
) -> list[_LineFault]:
    """Offsets below 0, too late, or before the one above them; those that are none are skipped."""
    known = np.flatnonzero(~np.isnan(values))
    values, lines = values[known], lines[known]
    faulty = [
        (int(lines[i]), f"{values[i]:g}", "offsets count from the start of warm-up, so from 0")
        for i in np.flatnonzero(values < 0).tolist()
    ]
    faulty += [
        (int(lines[i]), f"{values[i]:g} {unit}", "is past 104 days; write offsets, not dates")
        for i in np.flatnonzero(values > limit).tolist()
    ]
    faulty += [
        (int(lines[i]), f"{values[i]:g} after {values[i - 1]:g}", "offsets ascend; sort them")
        for i in (np.flatnonzero((np.diff(values) < 0) & (values[1:] >= 0)) + 1).tolist()
    ]
    return faulty
