"""`acctbench gate`: is a candidate worse than its base, as a pipeline must know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.completions import complete_scenarios, complete_targets
from harness.cli.console import command_line, print_json, print_result
from harness.cli.options import asked, kafka_option, runs_option, summary_options, unit_option
from harness.cli.watching import tell_notes
from harness.model.units import parse_duration_ns


@click.command(
    epilog="""\b
Examples:
  acctbench gate --base main --candidate HEAD --policy acctbench/policy.toml
  acctbench gate --base-target old.toml --candidate-target new.toml
  acctbench gate --baseline main --candidate HEAD --junit gate.xml

\b
Exit codes: 0 nothing worse, 1 worse and confirmed, 3 not settled within the
budget, 4 machine or inputs unfit, 5 an audit failed, 6 a side failed to run.
"""
)
@click.option("--base", metavar="REF", help="Revision that the candidate is compared with.")
@click.option(
    "--candidate",
    metavar="REF",
    default="HEAD",
    show_default=True,
    help='Revision; "." is the checkout as it is.',
)
@click.option(
    "--target",
    default="reference",
    show_default=True,
    shell_complete=complete_targets,
    help="Target file of both revisions, inside the repository.",
)
@click.option("--base-target", help="Target file of the base, instead of a revision.")
@click.option("--candidate-target", help="Target file of the candidate, likewise.")
@click.option("--baseline", metavar="NAME", help="Stored baseline instead of a live base.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Policy file: margins, waivers, objectives, [gate].",
)
@click.option(
    "--scenario",
    shell_complete=complete_scenarios,
    help="Name or file. [default: the policy's, else spot-steady]",
)
@unit_option(
    "--budget", "budget_ns", parse_duration_ns, "Time for all pairs. [default: the policy's, 5min]"
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Seed of the plan, and of which side takes the first turn.",
)
@kafka_option
@runs_option
@summary_options
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json.")
@click.option("--quiet", is_flag=True, help="Suppress progress output.")
def gate(
    *,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """
    Say whether a candidate is worse than its base: the exit code is for a pipeline.

    Both sides are started anew for every pair, run at the same time, and get the same load in
    alternating measurement windows of 100 ms, A B B A. Pairs are added until the verdict is settled
    or the budget spent; a regression is reported only if a second, independent set of pairs
    confirms it. Each revision is checked out into a worktree of its own. Prints the path of the
    page.
    """
    from harness.cli.compare_command import show_comparison, write_summaries
    from harness.workflows.gate_trial import gate as judge_gate
    from harness.workflows.requests import GateRequest, tell_nobody

    request = asked(GateRequest, command=command_line(), **options)
    result = judge_gate(request, tell_nobody if quiet else tell_notes)
    comparison = result.details.comparison
    write_summaries(comparison, junit, markdown)
    if not quiet:
        show_comparison(comparison)
    if as_json:
        print_json(result.details.document)
    else:
        print_result(str(result.page))
    return result.exit_code
