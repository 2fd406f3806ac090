"""
A policy file (TOML): what a team demands of every run, apart from what a scenario asks for.

    name = "merge"                          required; lower-case letters, digits, hyphens
    [[objectives]]                          metric, and at_most or at_least, as in a scenario
    metric = "reserve.response_ns.p99"      (see harness.model.scenario_file); of two demands on
    at_most = "20ms"                        one metric the policy's counts

The load is not the policy's: the scenario's digest is the same with and without one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from harness.errors import Fault, PolicyError, UsageError
from harness.model.file_faults import plain_faults
from harness.model.objectives import unknown_kinds
from harness.model.scenario import ObjectiveSpec, Scenario
from harness.model.scenario_tables import ObjectiveTable
from harness.model.table_values import Table
from harness.model.toml_file import parse_toml, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy file, checked."""

    name: str
    file: str
    objectives: tuple[ObjectiveSpec, ...]
    digest: str  # BLAKE2b of the parsed file
    document: Mapping[str, Any]  # the parsed file, for the record


class _PolicyTable(Table):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    objectives: Annotated[list[ObjectiveTable], Field(min_length=1)]


def load_policy(path: Path, *, kinds: Sequence[str]) -> Policy:
    """
    The policy of a file, for a system with operations of these *kinds*.

    Raises:
        UsageError: it can't be read.
        PolicyError: it has faults; all of them are listed.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"policy: {path}: can't be read ({error}); write the path of a policy file; "
            "`acctbench init` writes one to begin with"
        ) from error
    document = parse_toml(text, file=str(path), error=PolicyError)
    try:
        table = _PolicyTable.model_validate(document)
    except ValidationError as error:
        faults = plain_faults(error, _PolicyTable)
        raise PolicyError(tuple(Fault(file=str(path), **f._asdict()) for f in faults)) from error
    objectives = tuple(item.to_spec() for item in table.objectives)
    unknown = unknown_kinds(objectives, kinds)
    if unknown:
        raise PolicyError(
            tuple(Fault(file=str(path), key=k, value=v, remedy=r) for k, v, r in unknown)
        )
    record = json.loads(json.dumps(document, sort_keys=True, default=str))
    return Policy(
        name=table.name,
        file=str(path),
        objectives=objectives,
        digest=blake2b(json.dumps(record).encode(), digest_size=16).hexdigest(),
        document=record,
    )


def with_policy(scenario: Scenario, policy: Policy) -> Scenario:
    """*scenario* with the demands of *policy* too, and the policy in its document."""
    stated = {spec.metric for spec in policy.objectives}
    kept = tuple(spec for spec in scenario.objectives if spec.metric not in stated)
    shown = {"file": policy.file, "digest": policy.digest, **policy.document}
    return replace(
        scenario,
        objectives=kept + policy.objectives,
        document={**scenario.document, "policy": shown},
    )
