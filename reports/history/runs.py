"""
A stored run as a history needs it: what it was a run of, its figures, and why it is no point.

Pure. Runs of the same Setting make series: asked the same (scenario, schedule, phases), of the same
target by name, on the same class of machine, with the same broker, load and instrumentation, by
the same version of the harness. Where one of these changes a new series starts, since what came
before says nothing about what comes after. What may change within a series (kernel, Python,
packages, the commit of the harness) is kept as facts, to be told where a level changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from harness.model.fitness import unfit
from harness.model.metrics import Figure, figures_of, kernel_metric
from harness.model.record import EMBEDDED, PLAIN, RunRecord
from harness.model.text import plain
from reports.compare.comparable import must_be_same
from reports.text import told

_FACTS = (
    *("environment.kernel", "environment.python", "environment.gil_enabled"),
    *("environment.packages", "environment.harness_digest", "environment.git_sha"),
)
_SHORT_COUNT = 8  # letters of a commit's name


@dataclass(frozen=True, slots=True)
class RunSetting:
    """
    What a run was a run of; runs of equal settings are points of the same series.

    Attributes:
        facts: Everything that must be the same, as (dotted name, text), sorted; None: not recorded.
        family: Scenario, profile, target, instrumentation, broker and machine: settings of one
            family follow each other. Empty: not recorded.
    """

    facts: tuple[tuple[str, str | None], ...]
    family: tuple[str, ...]

    @property
    def id(self) -> str:
        """Short, the same wherever the same is measured."""
        facts = (f"{name}={told(value)}" for name, value in self.facts)
        *of_run, machine, cores = self.family
        text = "\n".join((*facts, *of_run, told(machine), told(cores)))
        return blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def title(self) -> str:
        scenario, profile, target, instrumentation, broker, machine, cores = self.family
        named = f"{scenario} ({profile})" if profile else scenario
        under = f", under {instrumentation}" if instrumentation != PLAIN else ""
        where = f"{told(machine)}, {told(cores)} cores"
        return f"{named} on {target}{under}, {broker or 'no'} broker, {where}"

    @property
    def has_embedded_broker(self) -> bool:
        """Visible latencies are mostly that broker's own polling."""
        return self.family[4] == EMBEDDED


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """
    One run.

    Attributes:
        place: Its folder, for people.
        started_at: UTC.
        git_sha, is_dirty: Of the target, as far as it is known.
        unfit: Why it is no point; none: it is one.
        facts: What may change within a series.
        figures: By name.
    """

    run_id: str
    place: str
    started_at: datetime
    setting: RunSetting
    git_sha: str
    is_dirty: bool
    unfit: tuple[str, ...]
    verdicts: Mapping[str, str]
    facts: Mapping[str, str | None]
    figures: Mapping[str, Figure]
    works: Mapping[str, str]  # of kernels: what defines their work, by the figure's name

    @property
    def revision(self) -> str:
        """Short; "+" where it was not all committed, empty where not known."""
        return self.git_sha[:_SHORT_COUNT] + ("+" if self.is_dirty and self.git_sha else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A folder that is not in the history, and why."""

    place: str
    reason: str


def history_run(record: RunRecord, place: str) -> HistoryRun:
    """
    The run of *record*, which lies in *place*.

    Raises:
        ValueError: it doesn't say when it was made.
    """
    same = must_be_same(record)
    facts = {name: text for name, text in same.items() if name.startswith(_FACTS)}
    sha, is_dirty = _revision(record)
    return HistoryRun(
        run_id=plain(record.run_id),
        place=place,
        started_at=_moment(record.created_at),
        setting=_setting(record, {k: v for k, v in same.items() if k not in facts}),
        git_sha=sha,
        is_dirty=is_dirty,
        unfit=unfit(record),
        verdicts={
            "validity": str(record.validity.status),
            "correctness": str(record.correctness.status),
            "performance": str(record.performance.status),
        },
        facts=facts,
        figures={figure.name: figure for figure in figures_of(record)},
        works={kernel_metric(kernel): kernel.digest for kernel in record.kernels},
    )


def _setting(record: RunRecord, same: Mapping[str, str | None]) -> RunSetting:
    scenario, environment = record.scenario, record.environment
    family = (
        scenario.get("name"),
        scenario.get("profile"),
        record.target.get("name"),
        record.instrumentation,
        record.broker.get("kind"),
        environment.get("cpu_model"),
        environment.get("core_count"),
    )
    return RunSetting(
        facts=tuple(sorted(same.items())), family=tuple(plain(str(item or "")) for item in family)
    )


def _revision(record: RunRecord) -> tuple[str, bool]:
    """Of the target: what the harness saw where it was launched, or what it told itself."""
    seen, told = record.target.get("revision"), record.target.get("capabilities")
    if isinstance(seen, Mapping) and seen.get("git_sha"):
        return plain(str(seen["git_sha"])), bool(seen.get("git_dirty"))
    if isinstance(told, Mapping) and told.get("git_revision"):
        return plain(str(told["git_revision"])), False
    return "", False


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
