"""
A scenario file (TOML) to a Scenario, or to every fault of it at once.

It reads text and checks it; it runs nothing and knows no system. What a [workload] table means is
checked by a function that the caller passes, so that those faults are listed with the others.

The format, with defaults; durations, rates and shares are text with a unit (harness.model.units):

    name = "spot-steady"                    required; lower-case letters, digits, hyphens
    title = "What an exchange does all day" required
    system = "workloads.account:SYSTEM"     required
    requires = []                           capabilities of the target
    citations = []                          where the parameters come from
    seed = 42                               of the plan; not part of the digest

    [arrivals]                              required; one of
    kind = "constant" | "poisson"           rate = "500/s"
    kind = "ramp"                           from = "100/s", to = "2k/s", process = "poisson"
    kind = "steps"                          steps = [{at = "0s", rate = "50/s"}, ...], process
                                            (at: a duration, or a share of measure: "30%")
    kind = "diurnal"                        mean = "500/s", amplitude = "53%", peak_hour = 16.5,
                                            start_hour = 0.0, day = "24h" (default: measure, so
                                            that the measured phase is a day), process
    kind = "hawkes"                         rate = "800/s" (the mean), branching = 0.66,
                                            decay = "1.8/s" (see harness.model.arrivals_hawkes)
    kind = "recorded"                       file = "trades.csv" (from this file's folder; also
                                            .parquet, or text), unit = "ns" | "us" | "ms" | "s",
                                            column = "" (the first), speed = "1x"
    [phases]                                required
    warmup = "5s"   measure = "20s"         drain = "10s"

    [load]
    driver = "wire"  workers = 1  connections = 1  in_flight_max = 20000  timeout = "10s"
    spin = "0s"  realtime = true
    transport = "unary" | "stream"          stream: requests go on standing bidirectional streams
    streams = 8  stream_window = 256        a worker's, over its connections; in flight on each
    [limits]
    lateness_p99 = "1ms"  rate_error = "1%"  generator_cpu = "80%"

    [[objectives]]                          metric, and at_most or at_least
    metric = "reserve.response_ns.p99"      KIND or "all"; response_ns, service_ns, visible_ns,
    at_most = "20ms"                        wait_ns; p50 p90 p99 p999 p9999 mean min max; or
                                            rate.achieved_per_s, rate.achieved_share (of the
                                            offered), operations.failed_share (any outcome);
                                            built in: dropped 0, failed, timed_out and rejected
                                            at_most 0.1%, achieved_share at_least 99%;
                                            target.cpu_cores_mean ("80%"), target.rss_bytes_max
    [[steps]]                               disturbances of target or broker
    at = "3s"  action = "kill-restart-target" | "freeze-target"  duration = "0s"
                        "kill-restart-broker" | "freeze-broker"

    [workload]                              the system's own
    [audit]
    required = "all"                        invariants that must not be UNKNOWN, or the run exits
                                            with 3: ["I1"] those, "all" (default) every one that
                                            lacks evidence, not one that had nothing to judge
    [profiles.smoke]                        overrides any of the above, merged table by table
"""

import difflib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import Fault, ScenarioError, UsageError
from harness.model.arrivals import (
    HawkesArrivals,
    RecordedArrivals,
    expected_count,
    rate_per_s_max,
    scaled_to,
)
from harness.model.arrivals_hawkes import hawkes_lead_s
from harness.model.file_faults import plain_faults
from harness.model.scenario import LoadTransport, Scenario, StepAction
from harness.model.scenario_tables import ScenarioTable, parts_that_parse, without_arrivals
from harness.model.text import count, duration, significant
from harness.model.toml_file import parse_toml, read_text
from harness.model.units import format_duration, format_rate

OPERATION_COUNT_MAX = 2**31 - 1  # an operation's index is an int32

_LEAD_COUNT_MAX = 50_000_000  # Hawkes arrivals drawn and thrown away before a schedule: 400 MB
_SILENT_TAIL_SHARE = 0.1  # of the measured phase, that a recording may leave without arrivals

WorkloadCheck = Callable[[Scenario], Sequence[tuple[str, str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioOverrides:
    """What the command line changes; None leaves the file's value."""

    profile: str | None = None
    rate_per_s: float | None = None  # the highest rate; the shape of the arrivals stays
    measure_ns: int | None = None
    warmup_ns: int | None = None
    seed: int | None = None
    driver: str | None = None
    worker_count: int | None = None
    connection_count: int | None = None
    in_flight_count_max: int | None = None
    timeout_ns: int | None = None
    spin_ns: int | None = None
    realtime: bool | None = None
    transport: LoadTransport | None = None
    stream_count: int | None = None
    stream_window_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioListing:
    """One packaged scenario, as far as it can be read."""

    name: str
    title: str
    file: str
    profiles: tuple[str, ...]


def load_scenario(
    path_or_name: str,
    *,
    folder: Traversable | None = None,
    overrides: ScenarioOverrides | None = None,
    check_workload: WorkloadCheck | None = None,
) -> Scenario:
    """
    The scenario of a file, or of that name in *folder*, with the command line's changes.

    Raises UsageError if there is no such file, name or size, ScenarioError with all its faults.
    """
    changes = overrides or ScenarioOverrides()
    file, text = _read(path_or_name, folder)
    document = _with_profile(
        parse_toml(text, file=file, error=ScenarioError), changes.profile, file
    )
    faults: list[Fault] = []
    try:
        table = ScenarioTable.model_validate(document)
    except ValidationError as error:
        faults = [Fault(file=file, **f._asdict()) for f in plain_faults(error, ScenarioTable)]
        rest = parts_that_parse(document, error)
        if rest is None:
            raise ScenarioError(tuple(faults)) from error
        table = rest
    written, more = _scenario_of(table, file, changes)
    faults += more
    scenario = _changed(written, changes)
    faults += _cross_check(scenario)
    if check_workload is not None:
        faults += _workload_faults(scenario, check_workload)
    if faults:
        raise ScenarioError(tuple(faults))
    given = {key: value for key, value in asdict(changes).items() if value is not None}
    if isinstance(scenario.arrivals, RecordedArrivals):
        document["arrivals"] |= {"file_digest": scenario.arrivals.file_digest}
    record = json.loads(json.dumps({**document, "overrides": given}, default=str))
    return replace(scenario, digest=_digest(scenario), document=record)


def _scenario_of(
    table: ScenarioTable, file: str, changes: ScenarioOverrides
) -> tuple[Scenario, Sequence[Fault]]:
    """The model's value, and the faults of a recording, whose place a stand-in takes."""

    def build(of: ScenarioTable) -> Scenario:
        return of.to_scenario(
            file=file,
            profile=changes.profile or "",
            measure_ns=changes.measure_ns,
            read=lambda name: _read_recording(Path(file).parent / name, file),
        )

    try:
        return build(table), ()
    except ScenarioError as error:
        return build(without_arrivals(table)), error.faults


def _read_recording(path: Path, file: str) -> tuple[str, bytes]:
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        fault = Fault(
            file=file,
            key="arrivals.file",
            value=f"{path} can't be read ({error.strerror})",
            remedy="write a path from this file's folder, or an absolute one",
        )
        raise ScenarioError((fault,)) from error


def list_scenarios(folder: Traversable) -> tuple[ScenarioListing, ...]:
    """The scenario files of *folder* by name; one that is no TOML is listed without a title."""
    listings = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".toml"):
            continue
        try:
            document = tomllib.loads(entry.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            document = {}
        profiles = document.get("profiles", {})
        listings.append(
            ScenarioListing(
                name=entry.name.removesuffix(".toml"),
                title=str(document.get("title", "")),
                file=str(entry),
                profiles=tuple(profiles) if isinstance(profiles, dict) else (),
            )
        )
    return tuple(listings)


def _read(path_or_name: str, folder: Traversable | None) -> tuple[str, str]:
    if path_or_name.endswith(".toml") or "/" in path_or_name:
        try:
            return path_or_name, read_text(Path(path_or_name))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"scenario: {path_or_name}: can't be read ({error}); "
                "write the path of a file, or a name of `acctbench list scenarios`"
            ) from error
    names = [listing.name for listing in list_scenarios(folder)] if folder is not None else []
    if folder is None or path_or_name not in names:
        near = difflib.get_close_matches(path_or_name, names, n=3, cutoff=0.3) or names
        raise UsageError(
            f'scenario: "{path_or_name}" is not known; '
            f"write one of {', '.join(near) or 'the paths of your own files'}"
        )
    entry = folder / f"{path_or_name}.toml"
    return str(entry), entry.read_text(encoding="utf-8")


def _with_profile(document: dict[str, Any], profile: str | None, file: str) -> dict[str, Any]:
    profiles = document.pop("profiles", {})
    if profile is None:
        return document
    if not isinstance(profiles, dict) or not isinstance(profiles.get(profile), dict):
        known = ", ".join(profiles) if isinstance(profiles, dict) and profiles else "none"
        raise UsageError(
            f'profile: "{profile}" is not in {file}; its profiles: {known}; '
            f"write one of them, or a table [profiles.{profile}]"
        )
    return merged(document, profiles[profile])


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """
    *base* with *changes*: tables are merged key by key, everything else is replaced.

    A table that names another `kind` is replaced too: the keys of the old kind mean nothing to it.
    """
    if changes.get("kind", base.get("kind")) != base.get("kind"):
        return dict(changes)
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        both_tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both_tables else value  # type: ignore[arg-type]
    return result


def _changed(scenario: Scenario, changes: ScenarioOverrides) -> Scenario:
    load_names = {field.name for field in fields(scenario.load)}
    given = {key: value for key, value in asdict(changes).items() if value is not None}
    load = replace(scenario.load, **{k: v for k, v in given.items() if k in load_names})
    own = {k: v for k, v in given.items() if k in {"warmup_ns", "seed"}}
    if changes.rate_per_s is not None:
        own["arrivals"] = scaled_to(scenario.arrivals, changes.rate_per_s)
    return replace(scenario, load=load, **own)


def _cross_check(scenario: Scenario) -> list[Fault]:
    faults = []

    def add(key: str, value: str, remedy: str) -> None:
        faults.append(Fault(file=scenario.file, key=key, value=value, remedy=remedy))

    rate_per_s = rate_per_s_max(scenario.arrivals)
    bound = scenario.load.in_flight_count_max * scenario.load.worker_count
    for index, step in enumerate(scenario.steps):
        end_ns = step.at_ns + step.duration_ns
        if end_ns > scenario.measure_ns:
            add(
                f"steps[{index}].at",
                f"ends {format_duration(end_ns)} into the measured phase",
                f"must end within {format_duration(scenario.measure_ns)} (phases.measure)",
            )
        needed = rate_per_s * step.duration_ns / 1e9
        if step.action is StepAction.FREEZE and needed >= bound:
            add(
                "load.in_flight_max",
                f"{bound} of all workers, and steps[{index}] holds back {count(needed)} operations "
                f"({format_rate(rate_per_s)} for {format_duration(step.duration_ns)})",
                "raise the bound above that, or the freeze would be seen as drops",
            )
    for key, value, remedy in _arrivals_faults(scenario):
        add(key, value, remedy)
    return faults


def _arrivals_faults(scenario: Scenario) -> Iterator[tuple[str, str, str]]:
    """Faults that only the phases, or the command line's rate, make."""
    arrivals = scenario.arrivals
    end_ns = scenario.warmup_ns + scenario.measure_ns
    warmup_ns, measure_ns = scenario.warmup_ns, scenario.measure_ns
    expected = expected_count(arrivals, warmup_ns=warmup_ns, measure_ns=measure_ns)
    if not 1 <= expected < OPERATION_COUNT_MAX / 2:
        what = f"{significant(expected)} operations in all"
        yield "arrivals", what, "raise or lower rate or measure"
    if isinstance(arrivals, HawkesArrivals):
        lead_s = hawkes_lead_s(arrivals.branching_ratio, arrivals.decay_per_s)
        if lead_s * arrivals.rate_per_s > _LEAD_COUNT_MAX:
            what = f"{significant(lead_s * arrivals.rate_per_s, 2)} arrivals come before the first"
            yield "arrivals", what, "raise decay, or lower branching or rate"
    if isinstance(arrivals, RecordedArrivals):
        last_ns = int(arrivals.offset_ns[-1])
        if last_ns < end_ns - _SILENT_TAIL_SHARE * scenario.measure_ns:
            yield (
                "arrivals.file",
                f"its last arrival is at {duration(last_ns)}",
                f"lower phases.measure or arrivals.speed: the phases are {duration(end_ns)} long",
            )


def _workload_faults(scenario: Scenario, check: WorkloadCheck) -> list[Fault]:
    try:
        found = check(scenario)
    except UsageError as error:
        found = [("system", scenario.system, str(error))]
    return [
        Fault(file=scenario.file, key=key, value=value, remedy=remedy)
        for key, value, remedy in found
    ]


def _digest(scenario: Scenario) -> str:
    """Of what is run: two files that say the same in other words, or titles, have the same."""
    left_out = {"title", "file", "profile", "citations", "digest", "document", "seed"}
    values = {key: value for key, value in asdict(scenario).items() if key not in left_out}
    values["arrivals"]["kind"] = type(scenario.arrivals).__name__
    del values["load"]["burst_ns"]  # no file has it: a gate sends so under memray
    if isinstance(scenario.arrivals, RecordedArrivals):
        values["arrivals"] |= {"file": "", "offsets": ""}  # its digest stands for both
    text = json.dumps(values, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()
