"""`acctbench verify`: whether a bundle is the one that was signed, and says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import click

from harness.cli.console import people, print_json, print_result, printable
from harness.errors import UsageError
from harness.model.verdict import ExitCode

_HASH = re.compile(r"[0-9a-f]{64}")
_FAULT_COUNT_MAX = 20


@click.command(
    epilog="""\b
Examples:
  acctbench verify release-1.4
  acctbench verify release-1.4 --json
"""
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--hash", "signed_hash", default="", help="Expected hash, as printed on the signed page."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify(bundle: Path, signed_hash: str, as_json: bool) -> int:
    """
    Check the bundle of a sign-off: every hash, and that its verdict follows from its files.

    Everything is judged again from the records. Names the first difference. Exit code 0 if there is
    none, whatever the verdict on the release was; 4 if there is. Prints the bundle's hash.
    """
    from harness.workflows.signoff import program
    from reports.bundle.verify import verify_bundle

    signed_hash = signed_hash.strip().lower()
    if signed_hash and not _HASH.fullmatch(signed_hash):
        raise UsageError(f'--hash: "{signed_hash}" is no hash; write the 64 hexadecimal digits')
    if not bundle.is_dir():
        raise UsageError(f"{bundle}: no such folder; write the one that acctbench signoff printed")
    checked = verify_bundle(bundle, signed_hash=signed_hash, program=program())
    word = checked.judged.sign_off.word if checked.judged else "not judged"
    for fault in checked.faults[:_FAULT_COUNT_MAX]:
        people.print(printable(fault), style="red")
    if len(checked.faults) > _FAULT_COUNT_MAX:
        people.print(f"and {len(checked.faults) - _FAULT_COUNT_MAX} more")
    if not checked.faults:
        asked = "the signed hash" if signed_hash else "compare its hash with the signed one"
        people.print(
            printable(f"unchanged, and the verdict follows from the files: {word}; {asked}")
        )
    if as_json:
        print_json({"sha256": checked.sha256, "verdict": word, "faults": checked.faults})
    else:
        print_result(checked.sha256)
    return ExitCode.INVALID if checked.faults else ExitCode.OK
