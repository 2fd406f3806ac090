"""
What users hold, made by an earlier version, loads, verifies and compares: the same numbers.

`stored` has runs, a gate, a baseline, an acceptance, a bundle and the files of `init`, and nothing
in it may ever be made anew. `expected.json` has the facts that were drawn from it then; how to draw
them, and to add those of new artefacts, stands in render.py.
"""

import json
from typing import Any

import pytest

from harness.model.release_file import parse_release_policy, read_release_policy
from harness.targets.target_file import load_target
from tests.golden.facts import facts_of, missing
from tests.golden.render import STORED, commands, render

pytestmark = pytest.mark.timeout(300)  # all is drawn before the first test, in 15 s of a core
EXPECTED: dict[str, Any] = json.loads((STORED.parent / "expected.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything drawn again, in this process."""
    out = tmp_path_factory.mktemp("golden") / "out"
    render(out)
    return facts_of(out)


@pytest.mark.parametrize("step", commands(STORED))
def test_what_is_stored_says_the_same(step: str, facts: dict[str, Any]) -> None:
    """Exit code, numbers, statuses and ids; what is new besides does no harm."""
    found = json.loads(json.dumps(facts[step]))

    assert list(missing(EXPECTED[step], found)) == []


def test_every_step_is_expected() -> None:
    """Neither can be forgotten."""
    assert EXPECTED.keys() == commands(STORED).keys()


@pytest.mark.parametrize("name", ["acctbench/target.toml", "slower.toml", "planted.toml"])
def test_targets_load(name: str) -> None:
    """Those of `init` and those that were changed by hand."""
    assert load_target(str(STORED / name)).name == "mine"


def test_the_release_policy_of_init_loads() -> None:
    """No sign-off here is judged by it."""
    path = STORED / "acctbench" / "release.toml"
    (demand,) = parse_release_policy(read_release_policy(path), file=str(path)).demands

    assert (demand.key, demand.run_count) == ("scenario@smoke", 1)


@pytest.mark.parametrize(
    "changed", [{"code": 1}, {"files": {}}, {"files": {"x.json": {"p": 0.5, "status": "FAILED"}}}]
)
def test_a_difference_is_found(changed: dict[str, Any]) -> None:
    """An exit code, a file or a number that is not the same."""
    expected = {"code": 0, "files": {"x.json": {"p": 0.25, "status": "PASSED"}}}

    assert list(missing(expected, expected)) == []
    assert list(missing(expected, expected | changed))
