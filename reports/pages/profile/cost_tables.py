"""
What an operation costs, as tables: by function, by package, by kind of operation.

Costs come from reports.profile.costs; here they get names, units and an order. Code without a
Python frame is a row with a label of its own in every table, so that columns add up to the whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.model.profile import Frame, Profile
from harness.model.text import Unit, count, plain, quantity, share
from reports.pages.cells import cell, number_columns, text_columns
from reports.pages.model import Cell, Table
from reports.pages.profile.flames import UNSEEN
from reports.profile.costs import CostTable, cost_table
from reports.profile.diff import variance_between
from reports.text import DASH

ROW_COUNT_MAX = 20
_NAME_LENGTH_MAX = 120
_FRAMELESS = Frame(function="no Python frame", module="", package="native")

PACKAGE_NAMES: Mapping[str, str] = {"python": "Python's library", "native": "native code"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCost:
    """
    One function, or all code without a Python frame.

    Attributes:
        own_cost, total_cost, charged_cost: Of an operation, in the unit of the metric
            (reports.profile.costs).
        half_width: Of the 95 % interval of the own cost, from segment to segment; 0 where there
            is one segment only.
        sample_count: Taken of itself; 0 where the profiler does not sample.
    """

    function: Frame
    own_cost: float
    total_cost: float
    charged_cost: float
    half_width: float
    sample_count: int

    @property
    def is_frameless(self) -> bool:
        return self.function == _FRAMELESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """
    All functions of some profiles.

    Attributes:
        whole_cost: Of an operation; 0 if none was answered.
        operation_count, sample_count: In the segments of the measured phase.
    """

    unit: Unit
    functions: tuple[FunctionCost, ...]
    whole_cost: float
    operation_count: int
    sample_count: int

    def share(self, cost: float) -> float:
        return cost / self.whole_cost if self.whole_cost else 0.0

    @property
    def frameless_cost(self) -> float:
        return sum(one.own_cost for one in self.functions if one.is_frameless)


def costs_of(profiles: Sequence[Profile], unit: Unit) -> Costs:
    """
    The costs of *profiles*, at least one, all of one metric.

    Raises:
        ValueError: they are of several metrics, or there is none.
    """
    table = cost_table(profiles)
    samples = _samples(profiles)
    functions = _named(table, samples)
    return Costs(
        unit=unit,
        functions=functions,
        whole_cost=float(table.per_operation(table.own).sum()),
        operation_count=int(table.operation_counts.sum()),
        sample_count=int(table.sample_counts.sum()),
    )


def _samples(profiles: Sequence[Profile]) -> Mapping[Frame, int]:
    found: dict[Frame, int] = {}
    for profile in profiles:
        for segment in profile.segments:
            for number, sampled in segment.samples.items():
                stack = profile.stacks[number]
                if stack and segment.start_ns >= 0:
                    frame = profile.frames[stack[-1]]
                    found[frame] = found.get(frame, 0) + sampled
    return found


def _named(table: CostTable, samples: Mapping[Frame, int]) -> tuple[FunctionCost, ...]:
    """The functions that cost something; those without a frame as one."""
    rows: dict[Frame, list[float]] = {}
    columns = [table.per_operation(costs) for costs in (table.own, table.total, table.charged)]
    variances = _variances(table)
    for place, frame in enumerate(table.functions):
        if not columns[1][place]:
            continue
        named = _FRAMELESS if frame.function.startswith(UNSEEN) else frame
        row = rows.setdefault(named, [0.0, 0.0, 0.0, 0.0, 0])
        for column, values in enumerate(columns):
            row[column] += float(values[place])
        row[3] += float(variances[place])
        row[4] += samples.get(frame, 0)
    freedom = max(1, len(table.operation_counts) - 1)
    quantile = float(stats.t.ppf(0.975, freedom))
    return tuple(
        FunctionCost(
            function=function,
            own_cost=row[0],
            total_cost=row[1],
            charged_cost=row[2],
            half_width=quantile * float(np.sqrt(row[3])),
            sample_count=int(row[4]),
        )
        for function, row in rows.items()
    )


def _variances(table: CostTable) -> NDArray[np.float64]:
    """Of each function's own cost of an operation, from the scatter between segments."""
    if not table.operation_counts.sum():
        return np.zeros(len(table.functions))
    return variance_between(table.own, table.operation_counts.astype(np.float64))


def functions_table(
    costs: Costs,
    *,
    table_id: str,
    title: str,
    of: Callable[[FunctionCost], float],
    note: str = "",
) -> Table:
    ordered = sorted(costs.functions, key=lambda one: (-of(one), str(one.function)))
    shown = [one for one in ordered if of(one)][:ROW_COUNT_MAX]
    left = len([one for one in ordered if of(one)]) - len(shown)
    rest = f"{count(left)} more functions cost less than these." if left else ""
    has_samples = any(one.sample_count for one in costs.functions)
    return Table(
        id=table_id,
        title=title,
        columns=(
            *text_columns("function"),
            *number_columns(
                "an operation", "share", *(["samples"] if has_samples else []), group="self"
            ),
            *number_columns("an operation", "share", group="cumulative"),
        ),
        rows=tuple(_function_row(costs, one, has_samples) for one in shown),
        note=" ".join(part for part in (note, rest) if part),
        absence="no data: no operation was answered while it was taken",
    )


def _function_row(costs: Costs, one: FunctionCost, has_samples: bool) -> tuple[Cell, ...]:
    return (
        Cell(
            text=plain(one.function.function, _NAME_LENGTH_MAX),
            detail=plain(one.function.module, _NAME_LENGTH_MAX),
        ),
        cell(one.own_cost, costs.unit, _interval(costs, one)),
        Cell(text=share(costs.share(one.own_cost))),
        *((Cell(text=count(one.sample_count)),) if has_samples else ()),
        cell(one.total_cost, costs.unit),
        Cell(text=share(costs.share(one.total_cost))),
    )


def _interval(costs: Costs, one: FunctionCost) -> str:
    return f"\N{PLUS-MINUS SIGN} {quantity(one.half_width, costs.unit)}" if one.half_width else ""


def packages_table(costs: Costs, *, table_id: str, title: str) -> Table:
    sums: dict[str, float] = {}
    for one in costs.functions:
        package = one.function.package
        name = one.function.function if one.is_frameless else PACKAGE_NAMES.get(package, package)
        sums[name] = sums.get(name, 0.0) + one.own_cost
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return Table(
        id=table_id,
        title=title,
        columns=(*text_columns("package"), *number_columns("an operation", "share")),
        rows=(
            *(
                (
                    Cell(text=plain(name, _NAME_LENGTH_MAX)),
                    cell(cost, costs.unit),
                    Cell(text=share(costs.share(cost))),
                )
                for name, cost in ordered
            ),
            (Cell(text="all"), cell(costs.whole_cost, costs.unit), Cell(text=DASH)),
        )
        if costs.whole_cost
        else (),
        absence="no data: no operation was answered while it was taken",
    )
