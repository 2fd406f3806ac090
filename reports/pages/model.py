"""
What a page shows, as plain values: the seam between saying and drawing.

A page is verdicts, notices and sections; a section is facts, flame graphs, charts and tables.
Everything a reader sees is decided here in words and numbers, so that it can be tested without a
browser; templates only place it. Holds no HTML, no colour, no pixel.

The one idea: a run's report and the comparison of two runs are both a Page.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from harness.model.text import Unit


class Tone(StrEnum):
    """
    What a status means to the reader, the best first.

    Drawn as a mark and a colour, never colour alone.
    """

    GOOD = "good"
    UNKNOWN = "unknown"
    WARNING = "warning"
    BAD = "bad"


class Scale(StrEnum):
    """How an axis is spaced."""

    LINEAR = "linear"
    LOG = "log"
    PERCENTILE = "percentile"  # log(1 / (1 - share)): each further nine takes the same room


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis; *title* names the quantity, the unit follows from *unit*."""

    title: str
    unit: Unit
    scale: Scale = Scale.LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line; a y of None is a gap. *colour* is a name that the style sheet knows."""

    name: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A stretch of the x axis that means something, such as the warm-up."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ribbon:
    """A band around a line: from *low* to *high* at each x; None is a gap."""

    colour: str
    x: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """
    One chart. Without series it reads as *absence*, the sentence that says why.

    Attributes:
        link: Charts of one page with the same link zoom together; empty: alone.
        note: What a reader must know beside it, such as what was withheld.
    """

    id: str
    title: str
    explanation: str
    x_axis: Axis
    y_axis: Axis
    series: tuple[Series, ...]
    bands: tuple[Band, ...] = ()
    ribbons: tuple[Ribbon, ...] = ()
    link: str = ""
    note: str = ""
    absence: str = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """
    Every run of two sides as a dot, so that a reader sees the noise; drawn small, in a table.

    Attributes:
        a, b: Of baseline and candidate, in the metric's unit; None: the run has no value.
        low, high: Within which a value counts as unchanged; None where that is not known.
        label: The same in words.
    """

    a: tuple[float | None, ...]
    b: tuple[float | None, ...]
    low: float | None
    high: float | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlameGroup:
    """
    Functions that have a colour in common: a package, or code of one sort.

    Attributes:
        colour: A name that the style sheet knows.
        is_foldable: Its frames may be shown as one, where only what calls and is called matters.
        is_folded: They are, until a reader wants to see them.
    """

    name: str
    colour: str
    is_foldable: bool = False
    is_folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlameGraph:
    """
    Stacks merged into a tree. Without nodes it reads as *absence*.

    Functions and nodes are columns: function i is names[i] of modules[i] in groups[group_of[i]];
    node i is function function_of[i] called by node parents[i], which is below i, or -1 at the
    bottom of a stack. A differential graph has the base's weights too: its colours are the change.

    Attributes:
        unit: Of the weights.
        operation_count: What the weights belong to; 0: they belong to no operations.
        base_operation_count: The same of the base's weights.
        own: Weight of each node itself, without what it calls.
        base_own: The base's, in a differential graph; else empty.
        samples: Taken of each node itself, where the profiler counts samples; else empty.
        note: What a reader must know beside it.
    """

    id: str
    title: str
    explanation: str
    unit: Unit
    operation_count: int = 0
    base_operation_count: int = 0
    groups: tuple[FlameGroup, ...] = ()
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    group_of: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    function_of: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    base_own: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()
    note: str = ""
    absence: str = "no data"

    def __post_init__(self) -> None:
        """Columns of different lengths, or a child before its parent, are bugs."""
        assert len(self.names) == len(self.modules) == len(self.group_of)
        assert len(self.parents) == len(self.function_of) == len(self.own)
        assert all(len(column) in {0, len(self.own)} for column in (self.base_own, self.samples))
        assert all(-1 <= parent < node for node, parent in enumerate(self.parents))

    @property
    def is_differential(self) -> bool:
        return bool(self.base_own)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendMark:
    """Something that happened between point *index* - 1 and point *index* of a trend."""

    index: int
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """
    One metric over stored runs: a point each, the level of every stretch, and what changed it.

    Attributes:
        values: In *unit*; None is a gap.
        levels: Index of the first and of the last point of a stretch, and its level.
    """

    id: str
    title: str
    note: str
    unit: str
    values: tuple[float | None, ...]
    levels: tuple[tuple[int, int, float], ...]
    marks: tuple[TrendMark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendSet:
    """
    Trends over the same runs.

    Attributes:
        names, dates, revisions: Of each run, for axis and pointer.
        gaps: Why a run is no point; empty: it is one.
    """

    names: tuple[str, ...]
    dates: tuple[str, ...]
    revisions: tuple[str, ...]
    gaps: tuple[str, ...]
    trends: tuple[Trend, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One entry of a table: what is said, smaller print beneath it, and what it means."""

    text: str
    detail: str = ""
    tone: Tone | None = None
    is_missing: bool = False
    strip: Strip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; *group* is a heading shared with its neighbours."""

    title: str
    is_number: bool = True
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. Without rows it reads as *absence*."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    absence: str = "no data"

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """The headings above the columns' own, each with how many columns it spans."""
        runs = groupby(self.columns, key=lambda column: column.group)
        return tuple((name, len(list(columns))) for name, columns in runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and what is so."""

    name: str
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A metric's name and one sentence that explains it to a person who didn't build it."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a page; its contents stand in the order of the fields."""

    id: str
    title: str
    lead: str = ""
    headlines: tuple[Fact, ...] = ()
    command: str = ""
    facts: tuple[Fact, ...] = ()
    flames: tuple[FlameGraph, ...] = ()
    charts: tuple[Chart, ...] = ()
    trends: TrendSet | None = None
    tables: tuple[Table, ...] = ()
    remarks: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """One of the three verdicts: its question, its word, one plain sentence, and the reasons."""

    name: str
    question: str
    word: str
    tone: Tone
    sentence: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictGroup:
    """The three verdicts of one run, and the exit code that follows from them."""

    run_name: str
    summary: str
    tone: Tone
    verdicts: tuple[VerdictView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that must be read before the numbers are."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One report."""

    title: str
    subtitle: str
    verdict_groups: tuple[VerdictGroup, ...]
    notices: tuple[Notice, ...]
    sections: tuple[Section, ...]


def charts_of(page: Page) -> tuple[Chart, ...]:
    return tuple(chart for section in page.sections for chart in section.charts if chart.series)


def trends_of(page: Page) -> tuple[TrendSet, ...]:
    return tuple(section.trends for section in page.sections if section.trends)


def strips_of(page: Page) -> tuple[Strip, ...]:
    """The strips of *page*, in the order in which their cells stand."""
    return tuple(
        cell.strip
        for section in page.sections
        for table in section.tables
        for row in table.rows
        for cell in row
        if cell.strip
    )


def flames_of(page: Page) -> tuple[FlameGraph, ...]:
    """The flame graphs of *page* that have something to draw, in order."""
    return tuple(flame for section in page.sections for flame in section.flames if flame.own)
