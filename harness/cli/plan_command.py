"""`acctbench plan`: what a run would send, and its statistics, without sending it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from harness.cli.console import print_json, print_result
from harness.cli.options import overrides_from, scenario_argument, scenario_options
from harness.model.text import trimmed
from harness.workflows.scenarios import checked_scenario


@click.command(
    epilog="""\b
Examples:
  acctbench plan spot-steady
  acctbench plan hot-account-zipf --rate 2000/s --duration 10s --json
  acctbench plan spot-steady --reference-data
"""
)
@scenario_argument
@scenario_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--reference-data",
    "shows_reference_data",
    is_flag=True,
    help="Print what is traded, as JSON, for a service that can't be told over gRPC.",
)
def plan(scenario: str, as_json: bool, shows_reference_data: bool, **changes: Any) -> None:
    """
    Show what a run would send, and its statistics.

    SCENARIO is a name or a file. Nothing is started. The same scenario and seed give the same
    plan, to the byte.
    """
    from harness.system import load_system

    checked = checked_scenario(scenario, overrides_from(changes))
    planner = load_system(checked.system).planner
    if shows_reference_data:
        print_result(planner.reference_data(checked).decode().rstrip())
        return
    shard_count = checked.load.worker_count
    plans = [
        planner.plan(checked, seed=checked.seed, shard=shard, shard_count=shard_count)
        for shard in range(shard_count)
    ]
    description = {
        "scenario": checked.name,
        "title": checked.title,
        "digest": checked.digest,
        "seed": checked.seed,
        **planner.describe(checked, plans),
    }
    if as_json:
        print_json(description)
    else:
        print_result("\n".join(_lines(description, "")))


def _lines(document: Mapping[str, Any], indent: str) -> Iterator[str]:
    """A nested document as text, readable without knowing its keys."""
    scalars = {key: value for key, value in document.items() if not _is_nested(value)}
    yield from _columns([(key, _words(value)) for key, value in scalars.items()], indent)
    for key, value in document.items():
        if not _is_nested(value):
            continue
        yield f"{indent}{key}"
        if not isinstance(value, Mapping):
            yield from (f"{indent}  {_words(item)}" for item in value)
        elif value and all(_is_flat(item) for item in value.values()):
            yield from _columns(_table(value), indent + "  ")
        else:
            yield from _lines(value, indent + "  ")


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row a key, under the names of the columns."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    body = [
        (key, *(_words(row[name]) if name in row else "" for name in names))
        for key, row in rows.items()
    ]
    return [("", *names), *body]


def _columns(rows: Sequence[tuple[str, ...]], indent: str) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield (indent + "  ".join(cells)).rstrip()


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str)


def _is_flat(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(map(_is_nested, value.values()))


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return trimmed(value, 6)
    return f"{value:,}" if isinstance(value, int) else str(value)
