"""
Whether a record's verdicts follow from its own parts: judged again from what it holds.

Pure. A record is a file that somebody may have touched, or an older program have written; a release
is not signed on a word that its own numbers don't bear out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from harness.model.objectives import judge_objectives
from harness.model.record import PLAIN, Objective, RunRecord, undecided
from harness.model.scenario import ObjectiveSpec
from harness.model.scenario_tables import ObjectiveTable
from harness.model.verdict import Correctness, Performance, Validity, exit_code, worst
from reports.compare.sides import required_laws

_MISSED = frozenset({Performance.FAILED, Performance.REGRESSED})


def contradictions(record: RunRecord) -> tuple[str, ...]:
    """Everything in *record* that its own parts contradict, a few words each; none: nothing."""
    return tuple(_contradictions(record))


def _contradictions(record: RunRecord) -> Iterator[str]:
    checks = [check.status for check in record.validity.checks]
    validity = worst(checks, Validity.VALID)
    if checks and record.validity.status is not validity:
        yield f"validity says {record.validity.status}, its checks {validity}"
    audit = worst((law.status for law in record.correctness.invariants), Correctness.UNKNOWN)
    if record.correctness.status is not audit:
        yield f"correctness says {record.correctness.status}, its invariants {audit}"
    missed = [one.id for one in record.performance.objectives if one.status in _MISSED]
    if bool(missed) is not (record.performance.status in _MISSED):
        named = ", ".join(missed) or "none"
        yield f"performance says {record.performance.status}, objectives missed: {named}"
    if record.instrumentation == PLAIN and not record.kernels:
        yield from _objective_contradictions(record)
    still_open = undecided(record.correctness.invariants, required_laws(record))
    code = exit_code(
        record.validity.status,
        record.correctness.status,
        record.performance.status,
        is_required_unknown=bool(still_open) and not record.kernels,
    )
    if record.exit_code != code:
        yield f"the exit code is {record.exit_code}, its verdicts make {int(code)}"


def _objective_contradictions(record: RunRecord) -> Iterator[str]:
    specs = _specs(record.scenario.get("parameters"))
    if specs is None:
        yield "the objectives of its scenario can't be read"
        return
    again = {one.id: one for one in judge_objectives(specs, record).objectives}
    stored = {one.id: one for one in record.performance.objectives}
    for name in dict.fromkeys((*stored, *again)):
        said, found = stored.get(name), again.get(name)
        if said is None or found is None:
            where = "in its scenario" if found is None else "among those judged"
            yield f"the objective {name} is not {where}"
        elif _essence(said) != _essence(found):
            yield f"{name} says {_shown(said)}, its figures say {_shown(found)}"


def _specs(parameters: Any) -> tuple[ObjectiveSpec, ...] | None:
    """The scenario's objectives and its policy's, which come first on the same metric."""
    if not isinstance(parameters, Mapping):
        return None
    policy = parameters.get("policy") or {}
    try:
        own = _parsed(parameters.get("objectives") or ())
        demanded = _parsed(policy.get("objectives") or ())
    except (ValidationError, ValueError, AttributeError):
        return None
    stated = {spec.metric for spec in demanded}
    return (*(spec for spec in own if spec.metric not in stated), *demanded)


def _parsed(tables: Sequence[Any]) -> tuple[ObjectiveSpec, ...]:
    return tuple(ObjectiveTable.model_validate(table).to_spec() for table in tables)


def _essence(objective: Objective) -> tuple[object, ...]:
    return objective.status, objective.value, objective.limit


def _shown(objective: Objective) -> str:
    return f"{objective.status} ({objective.value} against {objective.limit})"
