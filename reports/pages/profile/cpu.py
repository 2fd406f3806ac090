"""The CPU profile of a run: a sentence that names what is hot, the flame graph, the tables."""

from collections.abc import Mapping

from harness.model.profile import Metric, Profile
from harness.model.record import RunRecord
from harness.model.text import Unit, count, duration, plain, share
from reports.figures.run_tables import RunTables, profiles_of
from reports.pages import glossary
from reports.pages.cells import NO_DATA, cell, number_columns, text_columns
from reports.pages.model import Cell, Fact, Section, Table
from reports.pages.profile.cost_tables import Costs, costs_of, functions_table, packages_table
from reports.pages.profile.flames import FlameWords, flame_graph
from reports.profile.kinds import KindCost, is_the_services, kind_costs
from reports.text import DASH

_HOT_COUNT = 3


def cpu_sections(tables: RunTables) -> tuple[Section, ...]:
    found = profiles_of(tables.passes, Metric.CPU_NS)
    return tuple(
        _section(
            profile,
            _addresses(tables.record, one.record),
            name=f" ({plain(one.name)})" if len(found) > 1 else "",
            suffix=f"-{number}" if number > 1 else "",
        )
        for number, (one, profile) in enumerate(found, start=1)
    )


def _section(profile: Profile, addresses: Mapping[str, str], *, name: str, suffix: str) -> Section:
    costs = costs_of([profile], Unit.NS)
    by_kind, unattributed_ns = kind_costs([profile], addresses)
    return Section(
        id=f"cpu-profile{suffix}",
        title=f"CPU profile{name}",
        lead=_lead(costs, by_kind),
        headlines=_headlines(costs),
        flames=(
            flame_graph(
                [profile],
                FlameWords(
                    id=f"cpu{suffix}",
                    title="Where the CPU time of an operation goes",
                    explanation="Callers above, what they call below; as wide as its cost."
                    " Click a frame to zoom, / to search, Escape to see all again.",
                    note=_note(profile),
                    absence="no data: no operation was answered while it was taken",
                ),
            ),
        ),
        tables=(
            functions_table(
                costs,
                table_id=f"cpu-by-own{suffix}",
                title="Functions by their own time",
                of=lambda one: one.own_cost,
            ),
            functions_table(
                costs,
                table_id=f"cpu-by-total{suffix}",
                title="The service's own functions by total time",
                of=lambda one: one.total_cost if is_the_services(one.function) else 0.0,
                note="Without the event loop, gRPC, the Kafka client and Python's library.",
            ),
            _kinds_table(costs, by_kind, unattributed_ns, f"cpu-by-kind{suffix}"),
            packages_table(costs, table_id=f"cpu-by-package{suffix}", title="CPU by package"),
        ),
        terms=(glossary.PER_OPERATION, glossary.OWN, glossary.TOTAL, glossary.NO_FRAME),
    )


def _note(profile: Profile) -> str:
    is_native = "--native" in profile.profiler.get("settings", "")
    if profile.profiler.get("name") != "py-spy" or is_native:
        return ""
    return (
        "Time in C code (uvloop, gRPC's core, SQLite, protobuf) counts for the Python function that"
        " called it; --native shows it apart."
    )


def _lead(costs: Costs, by_kind: tuple[KindCost, ...]) -> str:
    """The first thing to know: which of the code that somebody can change is hot."""
    if not costs.whole_cost:
        return "No operation was answered while the profile was taken."
    hot = sorted(
        (one for one in costs.functions if is_the_services(one.function)),
        key=lambda one: -one.charged_cost,
    )[:_HOT_COUNT]
    said = ", ".join(
        f"{share(costs.share(one.charged_cost))} in {plain(one.function.function)}"
        f" ({plain(one.function.module)})"
        for one in hot
    )
    whole = f"An operation costs {duration(costs.whole_cost)} of CPU."
    parts = [whole, f"Hottest of the service's own functions: {said}." if said else ""]
    parts += [_spends(kind) for kind in by_kind if kind.cost and kind.hottest][:1]
    return " ".join(part for part in parts if part)


def _spends(kind: KindCost) -> str:
    assert kind.hottest is not None
    return (
        f"What stacks show of {plain(', '.join(kind.kinds))} spends"
        f" {share(kind.hottest_cost / kind.cost)} in {plain(kind.hottest.function)}."
    )


def _headlines(costs: Costs) -> tuple[Fact, ...]:
    is_known = costs.whole_cost > 0
    return (
        Fact(name="CPU an operation", cell=cell(costs.whole_cost or None, Unit.NS)),
        Fact(
            name="no Python frame",
            cell=Cell(text=share(costs.share(costs.frameless_cost))) if is_known else NO_DATA,
        ),
        Fact(name="samples", cell=Cell(text=count(costs.sample_count))),
        Fact(name="operations", cell=Cell(text=count(costs.operation_count))),
    )


def _addresses(*records: RunRecord) -> Mapping[str, str]:
    """Where each kind is sent; records of before this was kept don't say."""
    for record in records:
        addresses = record.load.get("addresses")
        if isinstance(addresses, Mapping):
            return {str(kind): str(address) for kind, address in addresses.items()}
    return {}


def _kinds_table(
    costs: Costs, by_kind: tuple[KindCost, ...], unattributed_ns: int, table_id: str
) -> Table:
    whole_ns = sum(kind.cost for kind in by_kind) + unattributed_ns
    return Table(
        id=table_id,
        title="CPU by kind of operation",
        columns=(
            *text_columns("kind", "seen below"),
            *number_columns("operations", "an operation of the kind", "share of all"),
            *text_columns("hottest below it"),
        ),
        rows=(
            *(_kind_row(kind, whole_ns) for kind in by_kind),
            (
                Cell(text="not attributed", detail="no stack shows for which operation it was"),
                Cell(text=DASH),
                Cell(text=count(costs.operation_count)),
                cell(unattributed_ns / max(1, costs.operation_count), Unit.NS, "of any kind"),
                Cell(text=share(unattributed_ns / whole_ns)),
                Cell(text=DASH),
            ),
        )
        if whole_ns and costs.operation_count
        else (),
        note="A stack counts for a kind if one of the service's functions in it is named after the"
        " kind, its gRPC method or its topic. Work that is done for many operations at once (the"
        " event loop, a journal's thread, batches to Kafka) is not shared out.",
        absence="no data: no operation was answered while it was taken",
    )


def _kind_row(kind: KindCost, whole_ns: int) -> tuple[Cell, ...]:
    is_known = kind.address not in kind.kinds
    name = Cell(text=plain(", ".join(kind.kinds)), detail=plain(kind.address) if is_known else "")
    operations = Cell(text=count(kind.operation_count))
    if not kind.functions:
        unseen = Cell(text="in no stack", is_missing=True)
        return (name, unseen, operations, NO_DATA, NO_DATA, Cell(text=DASH))
    hottest = kind.hottest
    assert hottest is not None, "a function that was seen has a cost"
    return (
        name,
        Cell(text=plain(", ".join(function.function for function in kind.functions))),
        operations,
        cell(kind.cost / kind.operation_count if kind.operation_count else None, Unit.NS),
        Cell(text=share(kind.cost / whole_ns)),
        Cell(
            text=plain(hottest.function),
            detail=f"{share(kind.hottest_cost / kind.cost)} of it, {plain(hottest.module)}",
        ),
    )
