"""What `acctbench profile --against` adds: the stored side, and what changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.console import people, print_json, print_result, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.storage.run_folder import StoredRun

PAGE_NAME = "profile-diff.html"

# What makes sense where both sides are stored; anything else belongs to a run that is not made.
_STORED_OPTIONS = frozenset({"against", "runs", "runs_folder", "output", "as_json", "quiet"})


def refuse_options_of_a_run(context: click.Context) -> None:
    """Raise click.UsageError if something was asked of a run, where both sides are stored."""
    given = [
        name
        for name in context.params
        if name not in _STORED_OPTIONS
        and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        flags = [item.opts[0] for item in context.command.params if item.name in given]
        raise click.UsageError(
            f"{', '.join(flags)}: belongs to a run that is made, and --run names one that is stored"
        )


def tell_differences(
    base: Sequence[StoredRun], candidate: Sequence[StoredRun], page: Path, *, as_json: bool
) -> None:
    """
    Compare, write the page and the same as JSON beside it, say what changed, print the path.

    Raises:
        HarnessError: they can't be compared, or a file can't be read or written.
    """
    from reports.pages.profile.diff_page import profile_diff_sentences
    from reports.profile.against import comparison_to_json
    from reports.writing import compare_stored_profiles

    comparison = compare_stored_profiles(base, candidate, page)
    for sentence in profile_diff_sentences(comparison):
        people.print(printable(f"{'changed':>12}  {sentence}"))
    if as_json:
        print_json(comparison_to_json(comparison))
    else:
        print_result(str(page))
