"""The pages are true: their examples, maps and tables are compared with the program."""

import ast
import re
import tomllib
from datetime import date
from itertools import takewhile
from pathlib import Path

from harness.cli.manual import manual
from harness.model.operation import Outcome
from harness.model.scenario import StepAction
from harness.model.scenario_file import ScenarioOverrides, list_scenarios
from harness.model.verdict import EXIT_SENTENCES, Correctness, Performance, Validity
from harness.targets.apache_broker import APACHE
from harness.targets.broker import EMBEDDED
from harness.targets.broker_fit import check_broker_fits
from harness.targets.placeholders import MEANINGS
from harness.targets.target_file import parse_target
from harness.workflows.scenarios import checked_scenario, scenario_folder
from reports.compare.verdicts import Change
from reports.release.verdicts import Word
from tests.documents import COMMANDS, PAGES, ROOT, blocks, table, words

TARGETS, SCENARIOS, REPORTS = (
    "harness/targets/README.md",
    "workloads/README.md",
    "reports/README.md",
)
FIGURES, PICTURE = "ci/figures.md", ROOT / "reports/pages/report.png"
PICTURE_BYTES_MAX = 200_000
README_LINE_COUNT_MAX = 150


def parts_of_figures() -> set[str]:
    """What `ci/figures` measures, by name."""
    tree = ast.parse((ROOT / "ci" / "figures.py").read_text(encoding="utf-8"))
    (parts,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PARTS"
    ]
    assert isinstance(parts, ast.Dict)
    return {key.value for key in parts.keys if isinstance(key, ast.Constant)} | {"large"}


def test_target_files_can_be_used(tmp_path: Path) -> None:
    """Every target file shown is a right one."""
    names = [parse_target(text, file=tmp_path / "x.toml").name for text in blocks(TARGETS, "toml")]

    assert names == ["my-service", "staging"]


def test_placeholders_are_all_there_are() -> None:
    """The table of placeholders has those of target files, and no other."""
    assert [row[0] for row in table(TARGETS, "placeholder")] == [
        f"`{{{name}}}`" for name in MEANINGS
    ]


def test_brokers_are_all_there_are() -> None:
    """The table of brokers has the two that the harness starts, and an address."""
    shown = [words(row[0])[0] for row in table(TARGETS, "`--kafka`")]

    assert shown == [EMBEDDED, APACHE, "HOST:PORT"]


def test_steps_can_be_planned(tmp_path: Path) -> None:
    """The steps shown fit the default scenario, and the broker that they are shown for."""
    (steps,) = blocks(SCENARIOS, "toml")
    file = tmp_path / "harmed.toml"
    file.write_text((scenario_folder() / "spot-steady.toml").read_text() + steps)
    scenario = checked_scenario(str(file), ScenarioOverrides())

    check_broker_fits("apache", scenario)
    assert len(scenario.steps) == 2


def test_faults_are_all_there_are() -> None:
    """The table of faults has every action of a step."""
    assert [words(row[0]) for row in table(SCENARIOS, "action")] == [[item] for item in StepAction]


def test_scenarios_are_all_there_are() -> None:
    """The table of scenarios has those of the installation, with their titles."""
    shown = {(words(row[0])[0], row[1]) for row in table(SCENARIOS, "scenario")}

    assert shown == {(item.name, item.title) for item in list_scenarios(scenario_folder())}


def test_verdicts_are_those_of_the_program() -> None:
    """The words of the tables of verdicts are those that are written."""
    of_a_run = {row[0]: row[2].split(", ") for row in table(REPORTS, "verdict")}
    of_a_comparison = {row[0] for row in table("reports/compare/README.md", "verdict")}

    assert of_a_run["validity"] == list(Validity)
    assert of_a_run["correctness"] == list(Correctness)
    assert set(of_a_run["performance"]) < set(Performance)
    assert of_a_comparison == set(Change)
    assert [row[0] for row in table("reports/release/README.md", "verdict")] == list(Word)


def test_exit_codes_are_those_of_the_program() -> None:
    """The table of exit codes says what --help says; a pipeline is told what to do with each."""
    shown = {int(row[0]): row[1] for row in table(REPORTS, "code")}

    assert shown == {int(code): sentence for code, sentence in EXIT_SENTENCES.items()}
    assert [int(row[0]) for row in table("ci/pipeline.md", "exit code")] == sorted(EXIT_SENTENCES)


def test_the_glossary_has_every_outcome_once() -> None:
    """Its words are those of the program; none is explained twice."""
    outcomes = [row[0] for row in table("harness/glossary.md", "outcome")]
    entries = [row[0] for row in table("harness/glossary.md", "word")] + outcomes
    meant = " ".join(
        row[1] for header in ("word", "outcome") for row in table("harness/glossary.md", header)
    )

    assert outcomes == [item.name.lower().replace("_", " ") for item in Outcome]
    assert len(entries) == len(set(entries))
    for word in re.findall(r"\*(.+?)\*", meant):
        assert {word, word.removesuffix("s"), word.removesuffix("es")} & {*entries, "outcome"}, word


def test_map_shows_every_folder() -> None:
    """The map has all folders of the packages that hold modules, and no other."""
    (tree,) = [block for block in blocks("README.md") if block.startswith("harness/ ")]
    shown: set[str] = set()
    above: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = list(takewhile(lambda word: word.endswith("/"), line.split()))
        above = [*above[:depth], names[-1]]
        shown |= {"".join([*above[:depth], name]) for name in names}
    there = {
        f"{path.parent.relative_to(ROOT)}/"
        for package in ("harness", "workloads", "reports")
        for path in (ROOT / package).rglob("*.py")
    }

    assert shown == there | {"workloads/scenarios/", "tests/", "ci/"}


def test_every_figure_says_when_and_by_which_command() -> None:
    """Each row has a day and a command; the parts of ci/figures are all there, and no others."""
    rows = table(FIGURES, "what")
    days = [date.fromisoformat(row[3]) for row in rows]
    commands = [command.split() for row in rows for command in words(row[4])]

    assert min(days) >= date(2026, 11, 22)
    assert all(words(row[4]) for row in rows)
    assert {parts[1] for parts in commands if parts[0] == "ci/figures"} == parts_of_figures()


def test_every_command_and_option_is_in_the_manual() -> None:
    """harness/cli/commands.md is what the help texts say now."""
    assert PAGES[COMMANDS] == manual(), (
        "write it anew: python -m harness.cli.manual > harness/cli/commands.md"
    )


def test_the_newest_version_of_the_changelog_is_this_one() -> None:
    """A release has an entry."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"^## (\S+)", PAGES["ci/CHANGELOG.md"], re.MULTILINE)

    assert versions[0] == project["version"]


def test_the_readme_is_short_and_its_picture_small() -> None:
    """Somebody who meets the repository reads all of it, and loads it at once."""
    assert len(PAGES["README.md"].splitlines()) <= README_LINE_COUNT_MAX
    assert PICTURE.stat().st_size <= PICTURE_BYTES_MAX
    assert PICTURE.read_bytes().startswith(b"\x89PNG")
