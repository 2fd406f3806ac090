"""Whether a run's service leaks, in one sentence and a row of figures."""

import pandas as pd

from harness.model.memory_slope import (
    BLOCK_COUNT,
    BLOCK_SAMPLE_COUNT_MIN,
    LeakVerdict,
    MemorySlope,
    memory_slope,
)
from harness.model.record import RunRecord
from harness.model.text import count, plain, size
from reports.pages.cells import NO_DATA, number_columns, text_columns
from reports.pages.model import Cell, Table, Tone

_TONES = {
    LeakVerdict.LEAK: Tone.BAD,
    LeakVerdict.NONE_SEEN: Tone.GOOD,
    LeakVerdict.TOO_SHORT: Tone.UNKNOWN,
}


def slope_of(record: RunRecord, samples: pd.DataFrame) -> MemorySlope | None:
    """The slope of the service's resident memory over the measured phase; None: not sampled."""
    chosen = samples[(samples["subject"] == "target") & (samples["metric"] == "rss_bytes")]
    measure_ns = int(record.phases.get("measure_ns", 0))
    inside = chosen[(chosen["offset_ns"] >= 0) & (chosen["offset_ns"] <= measure_ns)]
    if inside.empty:
        return None
    ordered = inside.sort_values("offset_ns")
    return memory_slope(ordered["offset_ns"].tolist(), ordered["value"].tolist())


def leak_sentence(record: RunRecord, slope: MemorySlope | None) -> str:
    """The verdict as a sentence, in bytes an operation where operations were answered."""
    if slope is None:
        return "Leak: no data, the service's memory was not sampled."
    if slope.verdict is LeakVerdict.TOO_SHORT:
        return (
            f"Leak: too short to tell, {count(slope.sample_count)} samples of resident memory;"
            f" {count(BLOCK_COUNT * BLOCK_SAMPLE_COUNT_MIN)} are needed, one a second."
        )
    grows, low, high = (
        _amount(record, value)
        for value in (slope.slope_bytes_per_s, slope.low_bytes_per_s, slope.high_bytes_per_s)
    )
    if slope.verdict is LeakVerdict.LEAK:
        return (
            f"LEAK: resident memory grows by {grows} ({low} to {high}, 95 %), to the end of the"
            " measured phase; what is kept of every operation is never given back."
        )
    most = _amount(record, max(0.0, slope.high_bytes_per_s))
    return f"No leak seen: at most {most} could have hidden (95 %)."


def slope_table(rows: tuple[tuple[str, RunRecord, MemorySlope | None], ...]) -> Table:
    return Table(
        id="memory-slope",
        title="Growth of resident memory",
        columns=(
            *text_columns("run"),
            *number_columns("samples", "slope", "95 % interval", "an hour"),
            *text_columns("verdict"),
        ),
        rows=tuple(_slope_row(*row) for row in rows),
        note=f"Steps between the medians of {BLOCK_COUNT} blocks of the measured phase, which holds"
        " for memory that wanders too; a fitted line would not.",
    )


def _slope_row(name: str, record: RunRecord, slope: MemorySlope | None) -> tuple[Cell, ...]:
    if slope is None:
        return (Cell(text=plain(name)), *(NO_DATA,) * 5)
    verdict = Cell(text=slope.verdict, tone=_TONES[slope.verdict])
    samples = Cell(text=count(slope.sample_count))
    if slope.verdict is LeakVerdict.TOO_SHORT:
        return (Cell(text=plain(name)), samples, *(NO_DATA,) * 3, verdict)
    ends = (slope.low_bytes_per_s, slope.high_bytes_per_s)
    return (
        Cell(text=plain(name)),
        samples,
        Cell(text=_amount(record, slope.slope_bytes_per_s)),
        Cell(text=" to ".join(_amount(record, end) for end in ends)),
        Cell(text=size(slope.slope_bytes_per_s * 3600)),
        verdict,
    )


def _amount(record: RunRecord, bytes_per_s: float) -> str:
    rate = record.rate.achieved_per_s
    if rate:
        return f"{size(bytes_per_s / rate)} an operation"
    return f"{size(bytes_per_s)} a second"
