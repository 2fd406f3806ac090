"""
A named baseline as a value: what was done to a name, and which runs can be one.

Pure. harness.storage.baselines keeps it beside the runs.

History of the format
    1   first
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from harness.model.fitness import unfit, unproved
from harness.model.record import PLAIN, RunRecord
from harness.model.stored_form import check_form

SCHEMA_VERSION = 1


class EventKind(StrEnum):
    PROMOTED = "promoted"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who does something, when (UTC, ISO 8601), and why."""

    who: str
    at: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRun:
    """
    One run of a baseline.

    Attributes:
        folder: Relative to the runs folder, with forward slashes.
        blake2b: Of its files, by name, as they were when it was promoted.
    """

    folder: str
    run_id: str
    blake2b: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEvent:
    """One thing done to a name; *runs* only of a promotion. *is_forced*: against a pin."""

    kind: EventKind
    signature: Signature
    runs: tuple[BaselineRun, ...] = ()
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A name and everything that was ever done to it, oldest first."""

    name: str
    events: tuple[BaselineEvent, ...]
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def promotion(self) -> BaselineEvent | None:
        """The one that counts; None if the name was removed since."""
        last = [e for e in self.events if e.kind in {EventKind.PROMOTED, EventKind.REMOVED}][-1:]
        return next((event for event in last if event.kind is EventKind.PROMOTED), None)

    @property
    def runs(self) -> tuple[BaselineRun, ...]:
        """What the name means now; none if it was removed."""
        return self.promotion.runs if self.promotion else ()

    @property
    def is_pinned(self) -> bool:
        """It can't be moved or removed, except by force."""
        kinds = [event.kind for event in self.events if event.kind is not EventKind.PROMOTED]
        return kinds[-1:] == [EventKind.PINNED]


_ADAPTER: TypeAdapter[Baseline] = TypeAdapter(Baseline)


def baseline_to_json(baseline: Baseline) -> dict[str, Any]:
    return asdict(baseline)


def baseline_from_json(document: Any) -> Baseline:
    """A baseline from parsed JSON; ValueError if it is none, or of a newer format."""
    check_form(document, "baseline", SCHEMA_VERSION)
    return _ADAPTER.validate_python(document)


def faults_of_runs(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """
    Why *records*, of which there is at least one, can't be a baseline together; none: they can.

    Each must be able to carry a verdict, none may count twice, and all must be of the same thing.
    """
    faults = [f"{record.run_id}: {reason}" for record in records for reason in _unworthy(record)]
    ids = [record.run_id for record in records]
    faults += [
        f"{run_id}: given {ids.count(run_id)} times; a run counts once"
        for run_id in dict.fromkeys(ids)
        if ids.count(run_id) > 1
    ]
    first = _asked(records[0])
    for record in records[1:]:
        faults += [
            f'{record.run_id}: its {key} is "{value}", but "{first[key]}" in {records[0].run_id}'
            for key, value in _asked(record).items()
            if value != first[key]
        ]
    return tuple(faults)


def _unworthy(record: RunRecord) -> Iterator[str]:
    yield from unfit(record)
    if record.instrumentation != PLAIN:
        yield f'it ran under "{record.instrumentation}", and only unprofiled runs give timings'
    undecided = unproved(record)
    if undecided:
        yield f"its audit could not decide what its scenario requires: {', '.join(undecided)}"


def _asked(record: RunRecord) -> dict[str, str]:
    """What the repeats of one measurement have in common."""
    environment = record.environment
    return {
        "scenario": str(record.scenario.get("name", "")),
        "scenario digest": str(record.scenario.get("digest", "")),
        "schedule digest": record.schedule_digest,
        "target": str(record.target.get("name", "")),
        "broker": str(record.broker.get("kind", "")),
        "processor": str(environment.get("cpu_model", "")),
        "number of cores": str(environment.get("core_count", "")),
    }
