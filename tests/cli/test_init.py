"""`acctbench init`: what it writes is true to the last comment, and runs as it is."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.cli.init_command import FILES
from harness.cli.main import exit_code_of
from harness.model import arrivals_tables, policy_file, release_file, scenario_tables, waivers
from harness.model.policy_file import load_policy
from harness.model.release_file import parse_release_policy
from harness.model.scenario import Scenario
from harness.model.scenario_file import ScenarioOverrides
from harness.model.verdict import ExitCode
from harness.targets import target_file
from harness.targets.target_file import AttachSpec, load_target, parse_target
from harness.workflows.scenarios import checked_scenario
from workloads.account.terms.workload import Mix, Workload, parse_workload

# What makes a line of a comment TOML: "# key = value" is a default, "#   key = value" an example.
DEFAULT = re.compile(r"^# (?=[a-z_0-9]+ = )", re.MULTILINE)
EXAMPLE = re.compile(r"^#   (?=[a-z_0-9]+ = (?!.* with )|\[)", re.MULTILINE)
KINDS = ("reserve",)
NEEDED = {  # what no default and no example shows, and why
    "column": "a recording has one column, or a name that only its owner knows",
    "speed": "a recording is played as it was",
    "process": "every rate is memoryless unless somebody knows better",
    "day": "the measured phase is the day",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository after `acctbench init`."""
    monkeypatch.chdir(tmp_path)
    assert exit_code_of(["init"]) == 0
    return tmp_path / "acctbench"


def scenario_of(path: Path) -> Scenario:
    """The scenario of a file, without what depends on its text."""
    scenario = checked_scenario(str(path), ScenarioOverrides())
    workload = parse_workload(scenario.workload).model_dump()
    return replace(scenario, file="", document={}, digest="", workload=workload)


def uncommented(path: Path, pattern: re.Pattern[str]) -> Path:
    """A copy of *path* with the lines of *pattern* no longer comments."""
    text, count = pattern.subn("", path.read_text(encoding="utf-8"))
    assert count > 0
    copy = path.with_name("uncommented.toml")
    copy.write_text(text, encoding="utf-8")
    return copy


def keys_of(model: type[BaseModel]) -> set[str]:
    """Every key of a table, as it is written in a file."""
    return {field.alias or name for name, field in model.model_fields.items()}


def models_of(module: Any) -> Iterator[type[BaseModel]]:
    """Every table that a module of formats describes itself."""
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, BaseModel) and item.model_fields:
            yield item


def test_writes_its_files_and_says_what_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their paths are the result; the next commands, which are right, are for people."""
    monkeypatch.chdir(tmp_path)
    assert exit_code_of(["init", "my bench"]) == 0
    captured = capsys.readouterr()
    _, plan, *_ = (line.strip() for line in captured.err.splitlines())

    assert captured.out.splitlines() == [f"my bench/{name}" for name in FILES]
    assert len(FILES) == 4
    assert exit_code_of(shlex.split(plan)[1:]) == 0


def test_replaces_nothing_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file that is there stops all of it with code 2; --force replaces them."""
    target = folder / "target.toml"
    (folder / "scenario.toml").unlink()
    target.write_text("mine", encoding="utf-8")

    assert exit_code_of(["init"]) == ExitCode.USAGE
    assert str(target.relative_to(folder.parent)) in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == "mine"
    assert not (folder / "scenario.toml").exists()

    assert exit_code_of(["init", "--force"]) == 0
    assert load_target(str(target)).name == "mine"
    assert (folder / "scenario.toml").exists()


def test_says_where_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that can't be made is a message, and code 2."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    assert exit_code_of(["init", str(tmp_path / "file" / "below")]) == ExitCode.USAGE
    assert "can't be written" in capsys.readouterr().err


def test_defaults_in_comments_are_the_defaults(folder: Path) -> None:
    """With every `# key = value` uncommented scenario and target mean the same as before."""
    scenario, target = folder / "scenario.toml", folder / "target.toml"
    before = load_target(str(target))
    after = load_target(str(uncommented(target, DEFAULT)))

    assert scenario_of(uncommented(scenario, DEFAULT)) == scenario_of(scenario)
    assert replace(after, file=before.file) == before


def test_examples_in_comments_can_be_used(folder: Path) -> None:
    """Every `#   key = value` is right where it stands: arrivals, accounts, objective, step."""
    scenario = folder / "scenario.toml"
    text = scenario.read_text(encoding="utf-8")
    shown = scenario_of(uncommented(scenario, EXAMPLE))
    arrivals = re.findall(r'^#   (kind = "\w+") +with  ([^:\n]*(?:"[^"]*")*)', text, re.MULTILINE)
    accounts = re.findall(r"^#   or (\{.*\})$", text, re.MULTILINE)
    assert (len(shown.objectives), len(shown.steps)) == (1, 1)
    assert (len(arrivals), len(accounts)) == (5, 2)

    moments = "\n".join(str(at) for at in range(0, 20_000, 5))
    (folder / "trades.csv").write_text(f"t\n{moments}\n", encoding="utf-8")
    other = folder / "other.toml"
    for kind, rest in arrivals:
        keys = "\n".join(re.split(r", (?=[a-z_]+ = )(?![^{]*\})", f"{kind}, {rest.strip()}"))
        other.write_text(
            re.sub(r'kind = "poisson".*\nrate = "200/s".*\n', f"{keys}\n", text), encoding="utf-8"
        )
        assert type(scenario_of(other).arrivals) is not type(scenario_of(scenario).arrivals), kind
    for table in accounts:
        other.write_text(
            re.sub(r"^accounts = .*$", f"accounts = {table}", text, flags=re.MULTILINE),
            encoding="utf-8",
        )
        kind = tomllib.loads(f"a = {table}")["a"]["kind"]
        assert scenario_of(other).workload["accounts"]["kind"] == kind


def test_attaching_as_in_the_comments_can_be_used(folder: Path) -> None:
    """[attach], [metadata] and [tls], uncommented, are the whole of a target file."""
    for name in ("ca.pem", "client.pem", "client.key"):
        (folder / name).write_text("", encoding="utf-8")
    text = (folder / "target.toml").read_text(encoding="utf-8")
    below = EXAMPLE.sub("", text[text.index("#   [attach]") :])
    spec = parse_target(f'name = "mine"\n{below}', file=folder / "target.toml")

    assert isinstance(spec.how, AttachSpec)
    assert spec.how.pid == 4242
    assert spec.tls is not None
    assert [entry.variable for entry in spec.metadata] == ["ACCOUNT_TOKEN"]


def test_release_policy_means_what_its_comments_say(folder: Path) -> None:
    """Its defaults are the defaults, and its examples, all together, are a policy."""
    path = folder / "release.toml"
    before = parse_release_policy(path.read_text(encoding="utf-8"), file="")
    after = parse_release_policy(uncommented(path, DEFAULT).read_text(encoding="utf-8"), file="")
    text = EXAMPLE.sub("", re.sub(r"^# (?:count) = .*$", "", path.read_text(), flags=re.MULTILINE))
    shown = parse_release_policy(text, file="")

    assert replace(after, digest="", document={}) == replace(before, digest="", document={})
    assert [demand.key for demand in shown.demands] == ["scenario@smoke", "micro@instructions"]
    assert shown.demands[0].baseline == "release"
    assert shown.waivers[0].covers("scenario@smoke:all.response_ns.p99")


def test_every_metric_in_the_comments_is_one(folder: Path) -> None:
    """Each row of the policy's table of metrics, with its limit, is an objective."""
    policy = folder / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    rows = re.findall(r'^#   (\S+\.\S+) +"(\S+)" ', text, re.MULTILINE)
    assert len(rows) >= 9
    objectives = "".join(
        f'[[objectives]]\nmetric = "{metric.replace("KIND", "reserve")}"\nat_most = "{limit}"\n'
        for metric, limit in rows
    )
    policy.write_text(f'name = "all"\n{objectives}', encoding="utf-8")

    assert len(load_policy(policy, kinds=KINDS).objectives) == len(rows)


def test_every_key_is_explained(folder: Path) -> None:
    """No key of the formats is missing from the files; what was left out on purpose is listed."""
    modules: Mapping[str, tuple[set[str], ...]] = {
        "scenario.toml": (
            *map(keys_of, models_of(scenario_tables)),
            *map(keys_of, models_of(arrivals_tables)),
            keys_of(Workload),
            keys_of(Mix),
        ),
        "target.toml": tuple(map(keys_of, models_of(target_file))),
        "policy.toml": tuple(map(keys_of, models_of(policy_file))),
        "release.toml": (*map(keys_of, models_of(release_file)), keys_of(waivers.WaiverTable)),
    }
    for name, tables in modules.items():
        text = (folder / name).read_text(encoding="utf-8")
        keys = set().union(*tables)

        assert len(keys) >= 2
        assert {key for key in keys - set(NEEDED) if not re.search(rf"\b{key}\b", text)} == set()


def test_runs_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenario, target and policy as written: a whole, audited run of the reference service."""
    scenario, target, policy, _ = (str(folder / name) for name in FILES)
    files = [scenario, "--target", target, "--policy", policy]
    capsys.readouterr()
    code = exit_code_of(["run", *files, "--profile", "smoke", "--quiet"])
    page = Path(capsys.readouterr().out.strip())
    record = json.loads((page.parent / "record.json").read_text(encoding="utf-8"))

    assert code == record["exit_code"]
    assert record["correctness"]["status"] == "PASSED"
    assert record["target"]["name"] == "mine"
    assert record["scenario"]["parameters"]["policy"]["name"] == "merge"
    judged = {item["id"] for item in record["performance"]["objectives"]}
    assert {"reserve.response_ns.p99", "target.rss_bytes_max"} <= judged
