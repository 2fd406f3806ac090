"""
Two runs side by side: each metric's two values and their ratio.

Pure. Says what is, not what changed: no significance is claimed, since two single runs can't carry
such a claim. What stands in the way of comparing them at all is listed by differences().
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.model.record import ProcessResources, RunRecord
from reports.view.model import Unit
from reports.view.tables import ALL_KINDS, quantile_name
from reports.view.usage import SUBJECT_NAMES
from reports.view.words import DASH, quantity

_QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """
    One metric of two runs, in *unit*; None where a run has no data or the figure is withheld.

    Attributes:
        metric: Its dotted name, e.g. "reserve.response_ns.p99".
        group: The part of the page it belongs to ("rate", "latency", "lateness", "resources").
        ratio: b / a; None unless both are there and a is not zero.
        more_is_better: None where neither direction is good in itself.
    """

    metric: str
    group: str
    unit: Unit
    a: float | None
    b: float | None
    more_is_better: bool | None

    @property
    def ratio(self) -> float | None:
        """B / a, if there is such a number."""
        if self.a is None or self.b is None or self.a == 0:
            return None
        return self.b / self.a

    @property
    def a_text(self) -> str:
        """A's value for a reader."""
        return _text(self.a, self.unit)

    @property
    def b_text(self) -> str:
        """B's value for a reader."""
        return _text(self.b, self.unit)

    @property
    def ratio_text(self) -> str:
        """The ratio for a reader."""
        return DASH if self.ratio is None else f"{self.ratio:,.3f}"


def compare_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    """Every metric of *a* and *b* that at least one of them has."""
    rows = (*_rate_rows(a, b), *_latency_rows(a, b), *_lateness_rows(a, b), *_resource_rows(a, b))
    return tuple(row for row in rows if row.a is not None or row.b is not None)


def _rate_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    def row(
        metric: str,
        unit: Unit,
        of: Callable[[RunRecord], float],
        more_is_better: bool | None,
    ) -> ComparisonRow:
        values = [of(run) if run.operations.scheduled else None for run in (a, b)]
        return ComparisonRow(
            metric=metric,
            group="rate",
            unit=unit,
            a=values[0],
            b=values[1],
            more_is_better=more_is_better,
        )

    return (
        row("rate.offered_per_s", Unit.PER_S, lambda run: run.rate.offered_per_s, None),
        row("rate.sent_per_s", Unit.PER_S, lambda run: run.rate.sent_per_s, None),
        row("rate.achieved_per_s", Unit.PER_S, lambda run: run.rate.achieved_per_s, True),
        row("operations.rejected", Unit.COUNT, lambda run: run.operations.rejected, None),
        row("operations.failed", Unit.COUNT, lambda run: run.operations.failed, False),
        row("operations.timed_out", Unit.COUNT, lambda run: run.operations.timed_out, False),
        row("operations.dropped", Unit.COUNT, lambda run: run.operations.dropped, False),
    )


def _latency_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    kinds = sorted({*a.latency, *b.latency}, key=lambda kind: (kind != ALL_KINDS, kind))
    rows: list[ComparisonRow] = []
    for kind in kinds:
        for part in ("response_ns", "service_ns", "visible_ns"):
            pair = [
                getattr(run.latency[kind], part) if kind in run.latency else None for run in (a, b)
            ]
            figures = [(quantile_name(q), [of and of.at(q) for of in pair]) for q in _QUANTILES]
            figures.append(("max", [of and of.max for of in pair]))
            rows.extend(
                ComparisonRow(
                    metric=f"{kind}.{part}.{name}",
                    group="latency",
                    unit=Unit.NS,
                    a=values[0],
                    b=values[1],
                    more_is_better=False,
                )
                for name, values in figures
            )
    return tuple(rows)


def _lateness_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    return tuple(
        ComparisonRow(
            metric=f"lateness_ns.{quantile_name(q)}",
            group="lateness",
            unit=Unit.NS,
            a=a.lateness_ns.at(q),
            b=b.lateness_ns.at(q),
            more_is_better=False,
        )
        for q in _QUANTILES
    )


def _resource_rows(a: RunRecord, b: RunRecord) -> tuple[ComparisonRow, ...]:
    parts: tuple[tuple[str, Unit, Callable[[ProcessResources], float | None]], ...] = (
        ("cpu_cores_mean", Unit.CORES, lambda used: used.cpu_cores_mean),
        ("rss_bytes_max", Unit.BYTES, lambda used: used.rss_bytes_max),
        (
            "context_switches_voluntary_per_s",
            Unit.PER_S,
            lambda used: used.context_switches_voluntary_per_s,
        ),
        (
            "context_switches_involuntary_per_s",
            Unit.PER_S,
            lambda used: used.context_switches_involuntary_per_s,
        ),
    )

    def value(
        run: RunRecord, subject: str, of: Callable[[ProcessResources], float | None]
    ) -> float | None:
        used = run.resources.get(subject)
        return None if used is None else of(used)

    return tuple(
        ComparisonRow(
            metric=f"{name}.{part}",
            group="resources",
            unit=unit,
            a=value(a, subject, of),
            b=value(b, subject, of),
            more_is_better=None,
        )
        for subject, name in SUBJECT_NAMES.items()
        for part, unit, of in parts
    )


def _text(value: float | None, unit: Unit) -> str:
    return "no data" if value is None else quantity(value, unit)
