"""
Two runs side by side: each metric's two values and their ratio.

Pure. Says what is, not what changed: no significance is claimed, since two single runs can't carry
such a claim. What stands in the way of comparing them at all is listed in compare.fitness.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from harness.model.quantiles import Distribution
from harness.model.record import ProcessResources, RunRecord
from reports.view.model import Unit
from reports.view.tables import ALL_KINDS, quantile_name
from reports.view.usage import OPTIONAL_SUBJECTS, SUBJECT_NAMES
from reports.view.words import DASH, NO_DATA, quantity, significant

_QUANTILES = (0.5, 0.99, 0.999)
_RATIO_DECIMALS_MIN = 0.1  # below it three decimals would say too little


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """
    One metric of two runs, in *unit*; None where a run has no data or the figure is withheld.

    Attributes:
        part: What is measured: "rate", "operations", "response_ns", "service_ns", "visible_ns",
            "lateness_ns", "resources".
        subject: Of what: a kind of operation, a process, "all", "generator".
        figure: Which number of it: "p99", "achieved", "CPU mean".
        a_absence, b_absence: What is said where a value is None.
        ratio: b / a; None unless both are there and a is not zero.
        more_is_better: None where neither direction is good in itself.
    """

    part: str
    subject: str
    figure: str
    unit: Unit
    a: float | None
    b: float | None
    more_is_better: bool | None
    a_absence: str = NO_DATA.text
    b_absence: str = NO_DATA.text

    @property
    def has_data(self) -> bool:
        """At least one run measured it, be it too thinly to say."""
        return {self.a_text, self.b_text} != {NO_DATA.text}

    @property
    def metric(self) -> str:
        """Its dotted name, such as "reserve.response_ns.p99"."""
        return f"{self.subject}.{self.part}.{self.figure.replace(' ', '_')}"

    @property
    def ratio(self) -> float | None:
        """B / a, if there is such a number."""
        if self.a is None or self.b is None or self.a == 0:
            return None
        return self.b / self.a

    @property
    def a_text(self) -> str:
        """A's value for a reader."""
        return self.a_absence if self.a is None else quantity(self.a, self.unit)

    @property
    def b_text(self) -> str:
        """B's value for a reader."""
        return self.b_absence if self.b is None else quantity(self.b, self.unit)

    @property
    def ratio_text(self) -> str:
        """The ratio for a reader."""
        if self.ratio is None:
            return DASH
        return (
            f"{self.ratio:,.3f}" if self.ratio >= _RATIO_DECIMALS_MIN else significant(self.ratio)
        )


def compare_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    """Every metric that *a* or *b* has measured, in the order of a run's page."""
    rows = (*_rates(a, b), *_latencies(a, b), *_lateness(a, b), *_resources(a, b))
    return tuple(row for row in rows if row.has_data)


def _rates(a: RunRecord, b: RunRecord) -> Iterable[ComparisonRow]:
    rates: tuple[tuple[str, Callable[[RunRecord], float], bool | None], ...] = (
        ("offered", lambda run: run.rate.offered_per_s, None),
        ("sent", lambda run: run.rate.sent_per_s, None),
        ("achieved", lambda run: run.rate.achieved_per_s, True),
    )
    counts: tuple[tuple[str, Callable[[RunRecord], float], bool | None], ...] = (
        ("rejected", lambda run: run.operations.rejected, None),
        ("failed", lambda run: run.operations.failed, False),
        ("timed out", lambda run: run.operations.timed_out, False),
        ("dropped", lambda run: run.operations.dropped, False),
        ("cancelled", lambda run: run.operations.cancelled, None),
    )
    for part, unit, metrics in (
        ("rate", Unit.PER_S, rates),
        ("operations", Unit.COUNT, counts),
    ):
        for figure, of, more_is_better in metrics:
            values = [of(run) if run.operations.scheduled else None for run in (a, b)]
            yield ComparisonRow(
                part=part,
                subject=ALL_KINDS,
                figure=figure,
                unit=unit,
                a=values[0],
                b=values[1],
                more_is_better=more_is_better,
            )


def _latencies(a: RunRecord, b: RunRecord) -> Iterable[ComparisonRow]:
    for kind in sorted({*a.latency, *b.latency}, key=lambda kind: (kind == ALL_KINDS, kind)):
        for part in ("response_ns", "service_ns", "visible_ns"):
            pair = [
                getattr(run.latency[kind], part) if kind in run.latency else None for run in (a, b)
            ]
            yield from _distribution_rows(part, kind, *pair)


def _lateness(a: RunRecord, b: RunRecord) -> Iterable[ComparisonRow]:
    yield from _distribution_rows("lateness_ns", "generator", a.lateness_ns, b.lateness_ns)


def _distribution_rows(
    part: str, subject: str, a: Distribution | None, b: Distribution | None
) -> Iterable[ComparisonRow]:
    def row(figure: str, of: Callable[[Distribution], int | None]) -> ComparisonRow:
        return ComparisonRow(
            part=part,
            subject=subject,
            figure=figure,
            unit=Unit.NS,
            a=None if a is None else of(a),
            b=None if b is None else of(b),
            more_is_better=False,
            a_absence=_absence(a),
            b_absence=_absence(b),
        )

    for q in _QUANTILES:
        yield row(quantile_name(q), partial(Distribution.at, q=q))
    yield row("max", lambda of: of.max)


def _resources(a: RunRecord, b: RunRecord) -> Iterable[ComparisonRow]:
    parts: tuple[tuple[str, Unit, Callable[[ProcessResources], float | None]], ...] = (
        ("CPU mean", Unit.CORES, lambda used: used.cpu_cores_mean),
        ("memory max", Unit.BYTES, lambda used: used.rss_bytes_max),
        (
            "voluntary switches",
            Unit.PER_S,
            lambda used: used.context_switches_voluntary_per_s,
        ),
        (
            "involuntary switches",
            Unit.PER_S,
            lambda used: used.context_switches_involuntary_per_s,
        ),
    )
    for subject, name in SUBJECT_NAMES.items():
        pair = [run.resources.get(subject) for run in (a, b)]
        if subject in OPTIONAL_SUBJECTS and not any(pair):
            continue
        for figure, unit, of in parts:
            values = [None if used is None else of(used) for used in pair]
            yield ComparisonRow(
                part="resources",
                subject=name,
                figure=figure,
                unit=unit,
                a=values[0],
                b=values[1],
                more_is_better=None,
            )


def _absence(of: Distribution | None) -> str:
    return "n too small" if of is not None and of.count else NO_DATA.text
