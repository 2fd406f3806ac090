"""`acctbench compare`: what changed between two sets of runs, how sure, and what a gate does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completions import complete_runs
from harness.cli.console import (
    command_line,
    people,
    print_for_people,
    print_json,
    print_result,
    printable,
)
from harness.cli.options import runs_option, summary_options

if TYPE_CHECKING:
    from rich.table import Table

    from reports.compare.verdicts import Comparison

_ROW_COUNT_MAX = 40


@click.command(
    epilog="""\b
Examples:
  acctbench compare 20261122 latest
  acctbench compare "runs/before*" "runs/after*" --output before-after
  acctbench compare --baseline runs/before --candidate runs/after --json

\b
A file of samples, of any language and tool (better: less, more; a list a
process start; with "quantile": 0.99 that quantile of them, else the median):
  {"acctbench_samples": 1, "metrics": [{"name": "parse", "unit": "ns",
    "better": "less", "runs": [[812, 790], [805, 801]]}]}

\b
Exit codes: 0 nothing worse, 1 worse or an objective missed, 3 not enough
evidence, 4 the sides can't be compared, 5 an audit failed.
"""
)
@click.argument("sides", nargs=-1, metavar="[BASELINE CANDIDATE]", shell_complete=complete_runs)
@click.option(
    "--baseline",
    "baseline",
    multiple=True,
    metavar="SIDE",
    shell_complete=complete_runs,
    help="A run of the baseline (repeatable).",
)
@click.option(
    "--candidate",
    "candidate",
    multiple=True,
    metavar="SIDE",
    shell_complete=complete_runs,
    help="A run of the candidate (repeatable).",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Policy file: margins, required metrics, objectives, waivers.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of page, compare.json and verdict.json. [default: below --runs]",
)
@click.option("--json", "as_json", is_flag=True, help="Print compare.json.")
@summary_options
@runs_option
def compare(
    *,
    sides: tuple[str, ...],
    baseline: tuple[str, ...],
    candidate: tuple[str, ...],
    as_json: bool,
    junit: Path | None,
    markdown: Path | None,
    **options: Any,
) -> int:
    """
    Say what changed between two sets of runs, and how sure that is.

    A side is a run (a folder, an id or its beginning, "latest"), several with commas between, a
    pattern ("runs/before-*"), the name of a stored baseline, a JSON file of pytest-benchmark, or a
    file of samples. Runs are whole process starts: five a side at least, ten find 3 %. Prints the
    path of the page.
    """
    from harness.workflows.comparison import compare as compare_runs
    from harness.workflows.requests import CompareRequest

    before, after = _sides(sides, baseline, candidate)
    result = compare_runs(
        CompareRequest(baseline=before, candidate=after, command=command_line(), **options)
    )
    comparison = result.details.comparison
    write_summaries(comparison, junit, markdown)
    if as_json:
        print_json(result.details.document)
    else:
        show_comparison(comparison)
        print_result(str(result.page))
    return result.exit_code


def write_summaries(comparison: Comparison, junit: Path | None, markdown: Path | None) -> None:
    from reports.pages.compare.junit_markdown import comparison_junit, comparison_markdown
    from reports.writing import write_text

    if junit:
        write_text(junit, comparison_junit(comparison))
    if markdown:
        write_text(markdown, comparison_markdown(comparison))


def _sides(
    sides: tuple[str, ...], baseline: tuple[str, ...], candidate: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was named for each side, in either way of naming it."""
    if not sides and baseline and candidate:
        return baseline, candidate
    if len(sides) == 2 and not baseline and not candidate:
        return sides[:1], sides[1:]
    if sides and (baseline or candidate):
        raise click.UsageError(
            "name the sides as BASELINE CANDIDATE, or with --baseline and --candidate, not both"
        )
    raise click.UsageError(
        f"{len(sides) or 'no'} side{'s' if len(sides) != 1 else ''} given: name a baseline and a"
        ' candidate; several runs of a side as "runs/before-*", a,b or --baseline a --baseline b'
    )


def show_comparison(comparison: Comparison) -> None:
    """The verdict and its metrics, worst first; for people."""
    for fault in (*comparison.faults, *comparison.doubts):
        people.print(printable(fault))
    if comparison.metrics:
        print_for_people(_table(comparison))
    for remark in comparison.remarks:
        people.print(printable(f"note  {remark}"))
    for item in comparison.objectives:
        if item.status != "PASSED":
            people.print(printable(f"{item.status}  {item.sentence}"))
    people.print(printable(f"{comparison.status}: {comparison.sentence}"))


def _table(comparison: Comparison) -> Table:
    from rich.table import Table

    from reports.pages.compare.metric_table import (
        change_text,
        interval_text,
        side_text,
        worst_first,
    )

    metrics = worst_first(comparison)
    table = Table(box=None, pad_edge=False)
    for name in ("verdict", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("baseline", "candidate", "change", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in metrics[:_ROW_COUNT_MAX]:
        waived = " (waived)" if metric.is_waived else ""
        cells = (
            f"{metric.status}{waived}",
            metric.name,
            side_text(metric, metric.baseline),
            side_text(metric, metric.candidate),
            change_text(metric),
            interval_text(metric),
        )
        table.add_row(*map(printable, cells))
    if metrics[_ROW_COUNT_MAX:]:
        table.add_row("", f"and {len(metrics) - _ROW_COUNT_MAX} more in the report")
    return table
