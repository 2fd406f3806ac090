"""What the terminal says of a finished run: three verdicts, why, and the headline figures."""

from rich.text import Text

from harness.cli.console import people, printable
from harness.model.quantiles import Distribution
from harness.model.record import RunRecord
from harness.model.text import duration, rate

_GOOD = {"VALID", "PASSED", "IMPROVED", "UNCHANGED"}
_BAD = {"INVALID", "FAILED", "REGRESSED"}


def summarise(record: RunRecord) -> None:
    """The three verdicts, why they are not green, and the headline figures; for people."""
    for name, section, items in (
        ("validity", record.validity, record.validity.checks),
        ("correctness", record.correctness, record.correctness.invariants),
        ("performance", record.performance, record.performance.objectives),
    ):
        people.print(Text.assemble((f"{name:>12}  ", "dim"), _coloured(section.status)))
        for item in items:
            if item.status not in _GOOD:
                what = printable(f"  {item.id}: {item.sentence}")
                people.print(Text.assemble(" " * 14, _coloured(item.status), what))
    measured, lateness = record.rate, record.lateness_ns
    people.print(
        f"{'rate':>12}  offered {rate(measured.offered_per_s)}, sent {rate(measured.sent_per_s)}, "
        f"answered {rate(measured.achieved_per_s)}"
    )
    for kind, latency in record.latency.items():
        response = latency.response_ns
        people.print(
            f"{kind:>12}  response p50 {_at(response, 0.5)}  p99 {_at(response, 0.99)}  "
            f"p99.9 {_at(response, 0.999)}  max {_known(response.max)}  n {response.count:,}"
            + (f", {response.unanswered_count:,} unanswered" if response.unanswered_count else "")
        )
    people.print(
        f"{'lateness':>12}  p50 {_known(lateness.at(0.5))}  p99 {_known(lateness.at(0.99))}"
    )
    for note in record.notes:
        people.print(printable(f"{'note':>12}  {note}"))


def _coloured(status: str) -> tuple[str, str]:
    if status in _GOOD:
        return (str(status), "bold green")
    return (str(status), "bold red" if status in _BAD else "bold yellow")


def _at(of: Distribution, q: float) -> str:
    if any(item.q == q and item.is_unanswered for item in of.quantiles):
        return "unanswered"
    return _known(of.at(q))


def _known(value_ns: int | None) -> str:
    return "n too small" if value_ns is None else duration(value_ns)
