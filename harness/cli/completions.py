"""
What Tab offers for a value: scenarios, their profiles, targets, brokers, stored runs, baselines.

Runs at every keystroke of somebody's shell, so it reads names only, imports nothing heavy, and
stays silent about what it can't read.
"""

import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_TOML = ".toml"
_INCOMPLETE = ".incomplete"  # of harness.storage.run_folder, which loads too much for a keystroke
_BASELINES = "baselines"  # of harness.storage.baselines, likewise
_JSON = ".json"


def packaged_scenarios() -> dict[str, Traversable]:
    """The files of the scenarios that come with the program, by name."""
    folder = resources.files("workloads") / "scenarios"
    return {name.removesuffix(_TOML): folder / name for name in _names(folder)}


def complete_scenarios(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The packaged scenarios with their titles, and files."""
    del ctx, param
    titles = {
        name: str(_parsed(path).get("title", "")) for name, path in packaged_scenarios().items()
    }
    return _matching(titles.items(), incomplete)


def complete_profiles(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The sizes of the scenario that stands on the line already, or of the default one."""
    del param
    # An option that still lacks its value ends click's parsing: what stood before it is in args.
    scenario = str(ctx.args[0] if ctx.args else ctx.params.get("scenario"))
    profiles = _parsed(packaged_scenarios().get(scenario, Path(scenario))).get("profiles")
    names = profiles if isinstance(profiles, dict) else {}
    return _matching([(name, "") for name in names], incomplete, files=False)


def complete_targets(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The packaged targets, and files."""
    del ctx, param
    folder = resources.files("harness.targets") / "files"
    return _matching([(name.removesuffix(_TOML), "") for name in _names(folder)], incomplete)


def complete_brokers(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The brokers that have a name; an address is typed."""
    del ctx, param
    brokers = [
        ("embedded", "starts in milliseconds, keeps nothing"),
        ("apache", "Apache Kafka; needs Java and acctbench kafka install"),
    ]
    return _matching(brokers, incomplete, files=False)


def complete_runs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The stored runs of the folder that --runs names, the newest first, "latest", and folders."""
    del param
    folder = Path(ctx.params.get("runs_folder") or "runs")
    names = sorted(
        (
            name
            for name in _names(folder, "")
            if not name.endswith(_INCOMPLETE) and (folder / name / "record.json").is_file()
        ),
        reverse=True,
    )
    latest = [("latest", names[0])] if names else []
    return _matching([*latest, *((name, "") for name in names)], incomplete)


def complete_baselines(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names that baselines have, or once had, in the folder that --runs names."""
    del param
    folder = Path(ctx.params.get("runs_folder") or "runs") / _BASELINES
    names = [(name.removesuffix(_JSON), "") for name in _names(folder, _JSON)]
    return _matching(names, incomplete, files=False)


def _names(folder: Traversable, ending: str = _TOML) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(ending))
    except OSError:
        return []


def _parsed(path: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _matching(
    named: Iterable[tuple[str, str]], incomplete: str, *, files: bool = True
) -> list[CompletionItem]:
    """
    Those that begin as typed. With *files* the shell adds paths.

    The item that asks the shell for paths comes first: click's bash script forgets what came
    before it.
    """
    items = [CompletionItem(incomplete, type="file")] if files else []
    items += [
        CompletionItem(name, help=text or None)
        for name, text in named
        if name.startswith(incomplete)
    ]
    return items
