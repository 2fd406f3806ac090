"""
A comparison for a pull request (Markdown) and for a pipeline (JUnit XML). Pure.

Foreign text is escaped for each: a metric's name may come from anyone's file.
"""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from harness.model.text import plain
from reports.compare.verdicts import Change, Comparison, MetricVerdict, meaning_of
from reports.pages.compare.metric_table import change_text, interval_text, side_text, worst_first
from reports.text import sentence

# GitHub takes 65,536 characters a comment: four lists of so many lines, each of so many letters
# that may all have to be escaped, stay below it.
_ROW_COUNT_MAX = 30
_LINE_LENGTH_MAX = 200
_NOT_TIMED = "0"  # seconds; readers of JUnit's form reject a case without a time
_MARKS = {
    Change.INVALID: "⛔",
    Change.REGRESSED: "🔴",
    Change.INCONCLUSIVE: "❔",
    Change.IMPROVED: "🟢",
    Change.UNCHANGED: "⚪",
}
_MARKDOWN_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>()#+-!|~"})


def comparison_markdown(comparison: Comparison) -> str:
    """The verdict and its metrics, worst first, as a table of a pull request."""
    metrics = worst_first(comparison)
    shown = [metric for metric in metrics if metric.status is not Change.UNCHANGED]
    sides = f"{_escaped(comparison.candidate)} against {_escaped(comparison.baseline)}"
    lines = [
        f"## {_MARKS[comparison.status]} {comparison.status}: {sides}",
        "",
        _escaped(comparison.sentence),
        "",
        f"Exit code {int(comparison.exit_code)}: {meaning_of(comparison)}.",
        "",
        *_bounded([sentence(fault) for fault in (*comparison.faults, *comparison.doubts)]),
        *_bounded([f"{item.status}: {sentence(item.sentence)}" for item in comparison.objectives]),
        *_bounded(comparison.remarks),
    ]
    if shown:
        lines += [
            "",
            "| verdict | metric | baseline | candidate | change | 95 % interval | runs |",
            "|---|---|---:|---:|---:|---:|---:|",
            *map(_markdown_row, shown[:_ROW_COUNT_MAX]),
        ]
    if len(shown) > _ROW_COUNT_MAX:
        lines += ["", f"and {len(shown) - _ROW_COUNT_MAX} more in the report."]
    unchanged_count = len(metrics) - len(shown)
    if unchanged_count:
        names = "metric is" if unchanged_count == 1 else "metrics are"
        lines += ["", f"{unchanged_count} {names} UNCHANGED within the margins."]
    return "\n".join(lines) + "\n"


def comparison_junit(comparison: Comparison) -> str:
    """
    A test case a metric, and one for the inputs: failure where it regressed, error where INVALID.

    INCONCLUSIVE is an error too, unless a gate merely watches it: a skipped test would read as
    green. Waived is skipped.
    """
    cases = [_input_case(comparison), *map(_metric_case, worst_first(comparison))]
    cases += [_objective_case(comparison, place) for place in range(len(comparison.objectives))]
    suite = ET.Element(
        "testsuite",
        {
            "time": _NOT_TIMED,
            "name": f"acctbench compare {plain(comparison.baseline)} {plain(comparison.candidate)}",
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        },
    )
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _markdown_row(metric: MetricVerdict) -> str:
    values = [side_text(metric, side) for side in (metric.baseline, metric.candidate)]
    waived = " (waived)" if metric.is_waived else ""
    cells = (
        f"{_MARKS[metric.status]} {metric.status}{waived}",
        _escaped(metric.name),
        *map(_escaped, values),
        change_text(metric),
        interval_text(metric),
        f"{metric.baseline.run_count} + {metric.candidate.run_count}",
    )
    return f"| {' | '.join(cells)} |"


def _bounded(items: Sequence[str]) -> Iterator[str]:
    yield from (f"- {_escaped(item)}" for item in items[:_ROW_COUNT_MAX])
    if len(items) > _ROW_COUNT_MAX:
        yield f"- and {len(items) - _ROW_COUNT_MAX} more in the report."


def _escaped(text: str) -> str:
    """*text* as itself in Markdown: nothing in it may make a link, an image or a row."""
    return (
        plain(text, _LINE_LENGTH_MAX)
        .translate(_MARKDOWN_SPECIAL)
        .replace("@", "@\N{ZERO WIDTH SPACE}")
    )


def _input_case(comparison: Comparison) -> ET.Element:
    case = ET.Element("testcase", _named("acctbench.compare", "inputs"))
    problems = [*comparison.faults, *comparison.doubts]
    if problems or not comparison.metrics:
        text = "\n".join(map(plain, problems)) or "There is no metric to compare."
        _said(case, "error", text, comparison.status)
    return case


def _metric_case(metric: MetricVerdict) -> ET.Element:
    case = ET.Element("testcase", _named("acctbench.compare.metrics", metric.name))
    text = f"{change_text(metric)}. {metric.sentence}"
    match metric.status:
        case Change.REGRESSED if metric.waiver:
            _said(case, "skipped", f"{text} {metric.waiver}", metric.status)
        case Change.REGRESSED:
            _said(case, "failure", text, metric.status)
        case Change.INCONCLUSIVE if metric.is_watched:
            ET.SubElement(case, "system-out").text = _xml_text(f"Watched only. {text}")
        case Change.INVALID | Change.INCONCLUSIVE:
            _said(case, "error", text, metric.status)
        case _:
            ET.SubElement(case, "system-out").text = _xml_text(text)
    return case


def _objective_case(comparison: Comparison, place: int) -> ET.Element:
    item = comparison.objectives[place]
    case = ET.Element("testcase", _named("acctbench.compare.objectives", item.id))
    if item.status == "FAILED":
        _said(case, "failure", item.sentence, item.status)
    elif item.status != "PASSED":
        _said(case, "error", item.sentence, item.status)
    return case


def _named(classname: str, name: str) -> dict[str, str]:
    return {"classname": classname, "name": plain(name), "time": _NOT_TIMED}


def _said(case: ET.Element, tag: str, text: str, kind: str) -> None:
    child = ET.SubElement(case, tag, {"message": _xml_text(text), "type": kind})
    child.text = _xml_text(text)


def _xml_text(text: str) -> str:
    """Without the letters that XML has no place for."""
    return plain(text, length_max=2_000)
