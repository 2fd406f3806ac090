"""The README is true: its usage, its examples and its map are compared with the program."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from harness.cli.main import exit_code_of
from harness.cli.manual import manual
from harness.cli.options import checked_scenario, scenario_folder
from harness.model.scenario_file import ScenarioOverrides
from harness.targets.broker_fit import check_broker_fits
from harness.targets.target_file import parse_target

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USAGE = re.compile(r"(?<=<!-- usage -->\n```\n).*?(?=```\n<!-- /usage -->)", re.DOTALL)

STEPS = "[[steps]]"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in this language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def test_usage_is_that_of_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usage block is what --help prints on 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert exit_code_of(["--help"]) == 0
    match = USAGE.search(README)
    assert match is not None

    assert match[0] == capsys.readouterr().out


def test_target_files_can_be_used(tmp_path: Path) -> None:
    """Every target file shown is a right one."""
    targets = [text for text in blocks("toml") if not text.startswith(STEPS)]
    names = [parse_target(text, file=tmp_path / "x.toml").name for text in targets]

    assert names == ["my-service", "staging"]


def test_steps_can_be_planned(tmp_path: Path) -> None:
    """The steps shown fit the default scenario, and the broker that they are shown for."""
    (steps,) = [text for text in blocks("toml") if text.startswith(STEPS)]
    file = tmp_path / "harmed.toml"
    file.write_text((scenario_folder() / "spot-steady.toml").read_text() + steps)
    scenario = checked_scenario(str(file), ScenarioOverrides())

    check_broker_fits("apache", scenario)
    assert len(scenario.steps) == 2


def test_map_shows_every_folder() -> None:
    """The map has all folders of the packages that hold modules, and no other."""
    (tree,) = [block for block in blocks("") if block.startswith("harness/ ")]
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


def test_every_command_and_option_is_in_the_manual() -> None:
    """harness/cli/commands.md is what the help texts say now."""
    stored = (ROOT / "harness" / "cli" / "commands.md").read_text(encoding="utf-8")

    assert stored == manual(), (
        "write it anew: python -m harness.cli.manual > harness/cli/commands.md"
    )
