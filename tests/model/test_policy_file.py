"""Policy files: demands beside the scenario's, refused with every fault at once."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.model.policy_file import load_policy, with_policy
from harness.model.scenario import ObjectiveSpec
from harness.model.scenario_file import load_scenario
from harness.workflows.scenarios import scenario_folder

KINDS = ("reserve", "fill")


def written(folder: Path, text: str) -> Path:
    """A policy file."""
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_demands_join_those_of_the_scenario(tmp_path: Path) -> None:
    """The policy's demand replaces the scenario's on the same metric; the load stays the same."""
    plain = load_scenario("spot-steady", folder=scenario_folder())
    kept = ObjectiveSpec(metric="rate.achieved_share", limit=0.5, at_most=False)
    replaced = ObjectiveSpec(metric="reserve.response_ns.p99", limit=1e6, at_most=True)
    scenario = replace(plain, objectives=(kept, replaced))
    path = written(
        tmp_path,
        'name = "merge"\n[[objectives]]\nmetric = "reserve.response_ns.p99"\nat_most = "2ms"\n',
    )
    policy = load_policy(path, kinds=KINDS)
    changed = with_policy(scenario, policy)

    assert changed.objectives == (kept, replace(replaced, limit=2e6))
    assert changed.digest == scenario.digest
    assert changed.document["policy"]["digest"] == policy.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[objectives]]\nmetric = "x"\n', ["name: missing", "needs one of at_most and at_least"]),
        ('name = "x"\n', ["demands nothing", "[[margins]]"]),
        ('name = "x"\nalpha = "50%"\n', ["above 0 and below 50%"]),
        ('name = "x"\nruns_min = 1\n', ["must be at least 2"]),
        (
            'name = "x"\n[[margins]]\nmetric = "*"\nfloor = "5%"\nmargin = "1%"\n',
            ["floor is larger than margin"],
        ),
        (
            'name = "x"\n[[margins]]\nmetric = "*"\nfloor = "1%"\nmargin = "0%"\n',
            ["margin must be above 0"],
        ),
        (
            'name = "x"\n[[waivers]]\nmetric = "*"\nreason = "known"\nuntil = 2027-01-31\n',
            ["waivers[0].owner: missing"],
        ),
        (
            'name = "x"\nruns_min = 1\n[[margins]]\nmetric = "*"\n[[waivers]]\nuntil = "soon"\n',
            ["runs_min", "margins[0].floor: missing", "waivers[0].owner", "waivers[0].until"],
        ),
        ('name = "x"\nobjectives = []\n', ["write at least one"]),
        ('name = "x"\nobjectve = []\n', ['did you mean "objectives"?']),
        ('name = "Big Words"\nobjectives = []', ["must match"]),
        ('name = "x"\n[[objectives]]\nmetric = "p99"\nat_most = "5ms"\n', ["is not known"]),
        (
            'name = "x"\n[[objectives]]\nmetric = "reserv.response_ns.p99"\nat_most = "5ms"\n',
            ["no kind of that name", "reserve, fill"],
        ),
        (
            'name = "x"\n[[objectives]]\nmetric = "all.response_ns.p99"\nat_most = 5\n',
            ["write text in quotes"],
        ),
        ("name = \n", ["TOML", "line 1"]),
        ("a = " + "[" * 5_000, ["nested too deep"]),
        ("a = " + "9" * 5_000, ["shorter number"]),
    ],
)
def test_faults_are_told(text: str, said: list[str], tmp_path: Path) -> None:
    """Each fault with its file, key, value and remedy."""
    with pytest.raises(PolicyError) as caught:
        load_policy(written(tmp_path, text), kinds=KINDS)

    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert "policy.toml" in str(caught.value)


COMPARISON = """
name = "merge"
alpha = "1%"
runs_min = 8
metrics = ["*.p50"]
required = ["all.response_ns.p50"]
ignore = ["environment.kernel"]
[[margins]]
metric = "*.p99"
floor = "2%"
margin = "5%"
[[waivers]]
metric = "fill.*"
owner = "settlement"
reason = "second journal"
until = 2027-01-31
"""


def test_what_a_comparison_is_held_to(tmp_path: Path) -> None:
    """Every key arrives as it was written; objectives need not be there."""
    spec = load_policy(written(tmp_path, COMPARISON)).comparison

    assert (spec.alpha, spec.run_count_min) == (0.01, 8)
    assert (spec.metrics, spec.required) == (("*.p50",), ("all.response_ns.p50",))
    assert spec.ignored == ("environment.kernel",)
    assert [(m.pattern, m.floor_share, m.margin_share) for m in spec.margins] == [
        ("*.p99", 0.02, 0.05)
    ]
    assert [(w.metric, w.owner, w.until) for w in spec.waivers] == [
        ("fill.*", "settlement", date(2027, 1, 31))
    ]


def test_an_expired_waiver_is_a_fault_where_it_matters(tmp_path: Path) -> None:
    """On its last day it holds; a day later it must be decided anew. A run doesn't ask."""
    path = written(tmp_path, COMPARISON)
    load_policy(path, today=date(2027, 1, 31))
    load_policy(path, kinds=KINDS)

    with pytest.raises(PolicyError, match=r"waivers\[0\]\.until: 2027-01-31 is over"):
        load_policy(path, today=date(2027, 2, 1))


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """A folder, a missing file, bytes that are no text, a device without end."""
    junk = tmp_path / "junk.toml"
    junk.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "none.toml", junk, Path("/dev/zero")):
        with pytest.raises(UsageError, match=r"can't be read"):
            load_policy(path, kinds=KINDS)
