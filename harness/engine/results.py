"""
From the tables of the load processes to one table of operations, and the numbers of the record.

Pure but for reading the shards' files: stamps in, distributions and counts out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.drivers.grpc import GrpcStatus
from harness.model.operation import ANSWERED, UNANSWERED, Outcome
from harness.model.quantiles import distribution
from harness.model.record import Latency, Operations, OutcomeCount, Rate
from harness.model.validity import Stamps, Window, count_operations
from harness.system import Channel, KindSpec, System

_STAMPS = ("intended_ns", "eligible_ns", "sent_ns", "done_ns", "visible_ns")
_COPIED = (
    *("sent_ns", "done_ns", "visible_ns", "outcome", "code", "sequence", "never_sent"),
    *("resolved_outcome", "resolved_code", "resolved_replayed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """
    All operations of a run.

    Attributes:
        table: One row an operation: shard, index, kind (name), intended_ns, eligible_ns, sent_ns,
            done_ns, visible_ns (int64, absolute, 0 = did not happen), outcome, code, sequence,
            never_sent, resolved_outcome, resolved_code, resolved_replayed, the plan's columns, and
            the replies' columns.
        tick_samples: A load process each: rows of (time_ns, in flight, processor time_ns).
    """

    table: pd.DataFrame
    tick_samples: tuple[NDArray[np.int64], ...]

    @property
    def stamps(self) -> Stamps:
        """The stamps and outcomes as arrays."""
        table = self.table
        return Stamps(
            outcome=table["outcome"].to_numpy(np.uint8),
            **{name: table[name].to_numpy(np.int64) for name in _STAMPS},
        )


def read_shards(
    paths: Sequence[Path], plan_paths: Sequence[Path], kinds: Sequence[KindSpec]
) -> Results:
    """The tables of all load processes, and the columns of their plans, as one."""
    frames, samples = [], []
    for shard, (path, plan_path) in enumerate(zip(paths, plan_paths, strict=True)):
        with (
            np.load(plan_path, allow_pickle=False) as plan,
            np.load(path, allow_pickle=False) as own,
        ):
            arrays = {**plan, **own}
        frames.append(_shard_frame(shard, arrays, kinds))
        samples.append(arrays["samples"])
    return Results(table=pd.concat(frames, ignore_index=True), tick_samples=tuple(samples))


def _shard_frame(
    shard: int, arrays: Mapping[str, NDArray[Any]], kinds: Sequence[KindSpec]
) -> pd.DataFrame:
    kind = arrays["kind"]
    names = [spec.name for spec in kinds]
    columns: dict[str, Any] = {
        "shard": np.full(len(kind), shard, np.int16),
        "index": np.arange(len(kind), dtype=np.int32),
        "kind": _named(kind, names),
        "intended_ns": arrays["intended_ns"],
        "eligible_ns": eligible_ns(arrays, [spec.channel is Channel.KAFKA for spec in kinds]),
    }
    for name in _COPIED:
        columns[name] = arrays[name]
    for name in arrays:
        prefix, _, rest = name.partition(".")
        if prefix in {"plan", "reply"} and rest not in columns:
            columns[rest] = arrays[name]
    return pd.DataFrame(columns)


def eligible_ns(arrays: Mapping[str, NDArray[Any]], is_kafka: Sequence[bool]) -> NDArray[np.int64]:
    """
    The later of the intended time and of what the operation waited for.

    *arrays* are a load process's, *is_kafka* is by kind. What was seen after the operation went was
    not waited for: either the wait was given up, or the other had ended otherwise. A record that
    needs another only waited until that was sent.
    """
    done_ns, visible_ns, sent_ns = arrays["done_ns"], arrays["visible_ns"], arrays["sent_ns"]
    found: NDArray[np.int64] = np.maximum(arrays["intended_ns"], arrays["given_up_ns"])
    found = np.maximum(found, arrays["let_go_ns"])
    is_record = np.array(is_kafka)[arrays["kind"]]
    for column in ("needs_a", "needs_b", "after"):
        waits = np.flatnonzero(arrays[column] >= 0)
        other = arrays[column][waits]
        settled_ns = done_ns[other]
        if column != "after":
            in_stream = is_record[waits] & is_record[other]
            settled_ns = np.where(in_stream, sent_ns[other], settled_ns)
        found[waits] = np.maximum(found[waits], settled_ns)
        if column == "after":
            seen_ns = np.where(is_record[other], visible_ns[other], 0)
            seen_ns[(sent_ns[waits] > 0) & (seen_ns > sent_ns[waits])] = 0
            found[waits] = np.maximum(found[waits], seen_ns)
    return found


def stored_table(results: Results, window: Window) -> pd.DataFrame:
    """The table as it is stored: times from the start of the measured phase, null for never."""
    table = results.table
    stored: dict[str, Any] = {
        "shard": table["shard"],
        "index": table["index"],
        "kind": table["kind"],
        "measured": window.holds(table["intended_ns"].to_numpy()),
    }
    for name in _STAMPS:
        stamps = table[name].to_numpy()
        offsets = pd.Series(stamps - window.start_ns, dtype="Int64")
        stored[name] = offsets.mask(stamps == 0)
    names = [outcome.name.lower() for outcome in Outcome]
    stored["outcome"] = _named(table["outcome"].to_numpy(), names)
    rest = table.drop(columns=["outcome", *stored.keys()], errors="ignore")
    return pd.concat([pd.DataFrame(stored), rest], axis=1)


def latencies(results: Results, window: Window) -> dict[str, Latency]:
    """Distributions by kind, and of all as "all"; the unanswered are charged to the response."""
    table, stamps = results.table, results.stamps
    measured = window.holds(stamps.intended_ns)
    kinds = table["kind"].astype(str).to_numpy()
    found = {
        str(kind): _latency(stamps, measured & (kinds == kind))
        for kind in table["kind"].cat.categories
        if (kinds == kind).any()
    }
    return {"all": _latency(stamps, measured), **found}


def _latency(stamps: Stamps, chosen: NDArray[np.bool_]) -> Latency:
    answered = chosen & np.isin(stamps.outcome, [int(outcome) for outcome in ANSWERED])
    unanswered = chosen & np.isin(stamps.outcome, [int(outcome) for outcome in UNANSWERED])
    unanswered_count = int(np.count_nonzero(unanswered))
    sent_count = int(np.count_nonzero(unanswered & (stamps.sent_ns > 0)))
    seen = answered & (stamps.visible_ns > 0)
    intended_ns, done_ns = stamps.intended_ns, stamps.done_ns
    return Latency(
        response_ns=distribution(
            done_ns[answered] - intended_ns[answered], unanswered_count=unanswered_count
        ),
        service_ns=distribution(
            done_ns[answered] - stamps.sent_ns[answered], unanswered_count=sent_count
        ),
        visible_ns=distribution(stamps.visible_ns[seen] - intended_ns[seen]),
        wait_ns=distribution(stamps.eligible_ns[answered] - intended_ns[answered]),
    )


def rates(results: Results, window: Window) -> Rate:
    """Planned, sent and answered operations a second of the measured phase."""
    stamps = results.stamps
    answered = np.isin(stamps.outcome, [int(outcome) for outcome in ANSWERED])
    return Rate(
        offered_per_s=np.count_nonzero(window.holds(stamps.intended_ns)) / window.length_s,
        sent_per_s=np.count_nonzero(window.holds(stamps.sent_ns)) / window.length_s,
        achieved_per_s=np.count_nonzero(answered & window.holds(stamps.done_ns)) / window.length_s,
    )


def shares(operations: Operations, rate: Rate) -> dict[str, float | None]:
    """The counts and rates that objectives may name; None without data."""
    scheduled, offered_per_s = operations.scheduled, rate.offered_per_s
    outcomes = ("dropped", "acknowledged", "rejected", "failed", "timed_out", "cancelled")
    return {
        "rate.achieved_per_s": rate.achieved_per_s,
        "rate.sent_per_s": rate.sent_per_s,
        "rate.achieved_share": rate.achieved_per_s / offered_per_s if offered_per_s else None,
        **{
            f"operations.{name}_share": getattr(operations, name) / scheduled if scheduled else None
            for name in outcomes
        },
    }


def operations_by_kind(table: pd.DataFrame) -> dict[str, Operations]:
    """Counts for each kind that occurs."""
    return {
        str(kind): count_operations(group["outcome"].to_numpy(np.uint8))
        for kind, group in table.groupby("kind", observed=True)
    }


def outcome_counts(
    table: pd.DataFrame, details: Sequence[Sequence[Any]], system: System
) -> tuple[OutcomeCount, ...]:
    """How operations ended by kind and code, the peer's own words beside the failures."""
    words: dict[tuple[str, int], str] = {}
    for kind, status, text, _ in details:
        words.setdefault((str(kind), int(status)), str(text))
    counted = []
    grouped = table.groupby(["kind", "outcome", "code"], observed=True).size()
    for (kind, outcome, code), count in zip(grouped.index.to_list(), grouped, strict=True):
        state = Outcome(outcome)
        counted.append(
            OutcomeCount(
                kind=str(kind),
                outcome=state.name.lower(),
                code=int(code),
                code_name=_code_name(state, int(code), system),
                count=int(count),
                detail=words.get((str(kind), int(code)), "")
                if state in {Outcome.FAILED, Outcome.TIMED_OUT}
                else "",
            )
        )
    return tuple(counted)


def _named(codes: NDArray[Any], names: Sequence[str]) -> Any:
    return pd.Categorical.from_codes(codes.astype(np.int8).tolist(), pd.Index(names))


def _code_name(state: Outcome, code: int, system: System) -> str:
    if state in {Outcome.FAILED, Outcome.TIMED_OUT}:
        return GrpcStatus(code).name if code >= 0 else "BROKER"
    return system.code_name(code)
