"""`acctbench plan`: what a run would send, and its statistics, without sending it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from harness.cli.console import print_json, print_result
from harness.cli.options import (
    DEFAULT_SCENARIO,
    checked_scenario,
    overrides_from,
    scenario_options,
)
from harness.system import load_system


@click.command(
    epilog="""\b
Examples:
  acctbench plan spot-steady
  acctbench plan hot-account-zipf --rate 2000/s --duration 10s --json
"""
)
@click.argument("scenario", default=DEFAULT_SCENARIO)
@scenario_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(scenario: str, as_json: bool, **changes: Any) -> None:
    """
    Show what SCENARIO (a name or a file) would send, and its statistics.

    Nothing is started. The same scenario and seed give the same plan, to the byte.
    """
    checked = checked_scenario(scenario, overrides_from(changes))
    system = load_system(checked.system)
    shard_count = checked.load.worker_count
    plans = [
        system.plan(checked, seed=checked.seed, shard=shard, shard_count=shard_count)
        for shard in range(shard_count)
    ]
    description = {
        "scenario": checked.name,
        "title": checked.title,
        "digest": checked.digest,
        "seed": checked.seed,
        **system.describe(checked, plans),
    }
    if as_json:
        print_json(description)
    else:
        print_result("\n".join(_lines(description, "")))


def _lines(value: Any, indent: str) -> Iterator[str]:
    """A nested document as indented lines, readable without knowing its keys."""
    width = max((len(str(key)) for key in value), default=0) if isinstance(value, Mapping) else 0
    items = value.items() if isinstance(value, Mapping) else enumerate(value, start=1)
    for key, item in items:
        is_nested = isinstance(item, Mapping) or (
            isinstance(item, Sequence) and not isinstance(item, str)
        )
        if is_nested:
            yield f"{indent}{key}"
            yield from _lines(item, indent + "  ")
        else:
            yield f"{indent}{key!s:{width}}  {_words(item)}"


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
