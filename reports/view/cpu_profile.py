"""The CPU profile of a run: a sentence that names what is hot, the flame graph, the tables."""

from harness.model.profile import Metric
from reports.view.cost_tables import Costs, FunctionCost, costs_of, functions_table, packages_table
from reports.view.flames import FlameWords, flame_graph
from reports.view.model import Cell, Fact, Section, Unit
from reports.view.source import RunTables, profiles_of
from reports.view.words import NO_DATA, cell, count, duration, plain, share

_PLUMBING = frozenset({"asyncio", "grpc", "aiokafka", "kafka", "confluent_kafka", "uvloop"})
_HOT_COUNT = 3


def cpu_section(tables: RunTables) -> tuple[Section, ...]:
    """The section; none where no CPU profile was asked for, or came."""
    found = profiles_of(tables.passes, Metric.CPU_NS)
    if not found:
        return ()
    profiles = [profile for _, profile in found]
    costs = costs_of(profiles, Unit.NS)
    is_native = any("--native" in profile.profiler.get("settings", "") for profile in profiles)
    return (
        Section(
            id="cpu-profile",
            title="CPU profile",
            lead=_lead(costs),
            headlines=_headlines(costs),
            flames=(
                flame_graph(
                    profiles,
                    FlameWords(
                        id="cpu",
                        title="Where the CPU time of an operation goes",
                        explanation="Callers above, what they call below; as wide as its cost."
                        " Click a frame to zoom, / to search, Escape to see all again.",
                        note=""
                        if is_native
                        else "Time in C code (uvloop, gRPC's core, SQLite, protobuf) counts for the"
                        " Python function that called it; --native shows it apart.",
                        absence="no data: no operation was answered while it was taken",
                    ),
                ),
            ),
            tables=(
                functions_table(
                    costs,
                    table_id="cpu-by-own",
                    title="Functions by their own time",
                    of=lambda one: one.own_cost,
                ),
                functions_table(
                    costs,
                    table_id="cpu-by-total",
                    title="Functions by total time",
                    of=lambda one: one.total_cost,
                ),
                packages_table(costs, table_id="cpu-by-package", title="CPU by package"),
            ),
        ),
    )


def _lead(costs: Costs) -> str:
    """The first thing to know: which of the code that somebody can change is hot."""
    if not costs.whole_cost:
        return "No operation was answered while the profile was taken."
    hot = sorted(
        (one for one in costs.functions if _is_changeable(one)), key=lambda one: -one.charged_cost
    )[:_HOT_COUNT]
    said = ", ".join(
        f"{share(costs.share(one.charged_cost))} in {plain(one.name)} ({plain(one.module)})"
        for one in hot
    )
    whole = f"An operation costs {duration(costs.whole_cost)} of CPU."
    return f"{whole} Hottest of the service's own functions: {said}." if said else whole


def _is_changeable(one: FunctionCost) -> bool:
    """Not the event loop, gRPC, a Kafka client, the standard library or native code."""
    return not one.is_frameless and one.package not in _PLUMBING | {"python", "native"}


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
