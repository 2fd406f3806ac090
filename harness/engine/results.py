"""
From the tables of the load processes to one table of operations, and the numbers of the record.

Pure but for reading the shards' files: stamps in, distributions and counts out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.drivers.grpc import GrpcStatus
from harness.engine.shard_file import forget_pages, mapped_columns
from harness.model.operation import ANSWERED, UNANSWERED, Outcome
from harness.model.quantiles import ordered_distribution
from harness.model.record import Latency, Operations, OutcomeCount, Rate
from harness.model.validity import count_operations
from harness.model.window import Stamps, Window, ordered_between_ns
from harness.system import Channel, Codec, KindSpec

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
        mapped: The columns that the table has as they lie in files.
    """

    table: pd.DataFrame
    tick_samples: tuple[NDArray[np.int64], ...]
    mapped: tuple[NDArray[Any], ...] = ()

    def forget_pages(self) -> None:
        """Give back the memory in which the table was read so far."""
        forget_pages(self.mapped)

    @property
    def stamps(self) -> Stamps:
        table = self.table
        return Stamps(
            outcome=table["outcome"].to_numpy(np.uint8),
            **{name: table[name].to_numpy(np.int64) for name in _STAMPS},
        )


def read_shards(
    paths: Sequence[Path], plan_paths: Sequence[Path], kinds: Sequence[KindSpec]
) -> Results:
    """
    The tables of all load processes, and the columns of their plans, as one.

    Columns of a single load process stay mapped from its files: what nobody looks at is not read.
    """
    shards = [
        {**mapped_columns(plan_path), **mapped_columns(path)}
        for path, plan_path in zip(paths, plan_paths, strict=True)
    ]
    tables = [_shard_columns(shard, arrays, kinds) for shard, arrays in enumerate(shards)]
    table = {name: _joined([columns[name] for columns in tables]) for name in tables[0]}
    table["kind"] = _named(table["kind"], [spec.name for spec in kinds])
    return Results(
        table=pd.DataFrame(table, copy=False),
        tick_samples=tuple(arrays["samples"] for arrays in shards),
        mapped=tuple(shards[0].values()) if len(shards) == 1 else (),
    )


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _shard_columns(
    shard: int, arrays: Mapping[str, NDArray[Any]], kinds: Sequence[KindSpec]
) -> dict[str, NDArray[Any]]:
    kind = arrays["kind"]
    columns: dict[str, NDArray[Any]] = {
        "shard": np.full(len(kind), shard, np.int16),
        "index": np.arange(len(kind), dtype=np.int32),
        "kind": kind,
        "intended_ns": arrays["intended_ns"],
        "eligible_ns": eligible_ns(arrays, [spec.channel is Channel.KAFKA for spec in kinds]),
    }
    for name in _COPIED:
        columns[name] = arrays[name]
    for name in arrays:
        prefix, _, rest = name.partition(".")
        if prefix in {"plan", "reply"} and rest not in columns:
            columns[rest] = arrays[name]
    return columns


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


def stored_rows(results: Results, window: Window, rows: slice) -> pd.DataFrame:
    """Some rows as they are stored: times from the measured phase's start, null for never."""
    table = results.table.iloc[rows]
    stored: dict[str, Any] = {
        "shard": table["shard"].to_numpy(),
        "index": table["index"].to_numpy(),
        "kind": table["kind"].array,
        "measured": window.holds(table["intended_ns"].to_numpy()),
    }
    for name in _STAMPS:
        stamps = table[name].to_numpy()
        stored[name] = pd.arrays.IntegerArray(stamps - window.start_ns, stamps == 0)
    names = [outcome.name.lower() for outcome in Outcome]
    stored["outcome"] = _named(table["outcome"].to_numpy(), names)
    for name in table.columns:
        if name not in stored:
            stored[str(name)] = table[name].to_numpy()
    return pd.DataFrame(stored, copy=False)


def latencies(
    results: Results, window: Window, causes_event: NDArray[np.bool_]
) -> dict[str, Latency]:
    """
    Distributions by kind, and of all as "all".

    The unanswered are charged to the response, and to `visible` those without the event that
    *causes_event* says they should have caused: left out, the survivors would look fast.
    """
    stamps = results.stamps
    measured = window.holds(stamps.intended_ns)
    found = {
        name: _latency(stamps, measured & is_kind, causes_event)
        for name, is_kind in kinds_of(results.table)
    }
    return {"all": _latency(stamps, measured, causes_event), **found}


def kinds_of(table: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The kinds that occur, and which rows are theirs."""
    kind = table["kind"].cat
    codes = kind.codes.to_numpy()
    occurring = np.flatnonzero(np.bincount(codes, minlength=len(kind.categories)))
    for code in occurring.tolist():
        yield str(kind.categories[code]), codes == code


def _latency(stamps: Stamps, chosen: NDArray[np.bool_], causes_event: NDArray[np.bool_]) -> Latency:
    answered = chosen & np.isin(stamps.outcome, [int(outcome) for outcome in ANSWERED])
    unanswered = chosen & np.isin(stamps.outcome, [int(outcome) for outcome in UNANSWERED])
    unanswered_count = int(np.count_nonzero(unanswered))
    sent_count = int(np.count_nonzero(unanswered & (stamps.sent_ns > 0)))
    seen = chosen & (stamps.visible_ns > 0)
    applied = answered & (stamps.outcome == Outcome.ACKNOWLEDGED)
    unseen = (applied | unanswered) & causes_event & ~seen
    intended_ns, done_ns = stamps.intended_ns, stamps.done_ns
    return Latency(
        response_ns=ordered_distribution(
            ordered_between_ns(intended_ns, done_ns, answered), unanswered_count=unanswered_count
        ),
        service_ns=ordered_distribution(
            ordered_between_ns(stamps.sent_ns, done_ns, answered), unanswered_count=sent_count
        ),
        visible_ns=ordered_distribution(
            ordered_between_ns(intended_ns, stamps.visible_ns, seen),
            unanswered_count=int(np.count_nonzero(unseen)),
        ),
        wait_ns=ordered_distribution(ordered_between_ns(intended_ns, stamps.eligible_ns, answered)),
    )


def unseen_count(results: Results, causes_event: NDArray[np.bool_]) -> int:
    """How many operations were acknowledged and never seen on the observed topic, in the run."""
    stamps = results.stamps
    applied = causes_event & (stamps.outcome == Outcome.ACKNOWLEDGED)
    return int(np.count_nonzero(applied & (stamps.visible_ns == 0)))


def rates(results: Results, window: Window, answered_by_event: NDArray[np.bool_]) -> Rate:
    """
    Planned, sent and answered operations a second of the measured phase.

    That the broker has a record is no answer of the target: what is *answered_by_event* counts when
    its event is seen.
    """
    stamps = results.stamps
    answered = np.isin(stamps.outcome, [int(outcome) for outcome in ANSWERED])
    answered &= np.where(
        answered_by_event, window.holds(stamps.visible_ns), window.holds(stamps.done_ns)
    )
    return Rate(
        offered_per_s=np.count_nonzero(window.holds(stamps.intended_ns)) / window.length_s,
        sent_per_s=np.count_nonzero(window.holds(stamps.sent_ns)) / window.length_s,
        achieved_per_s=np.count_nonzero(answered) / window.length_s,
    )


def operations_by_kind(table: pd.DataFrame, chosen: NDArray[np.bool_]) -> dict[str, Operations]:
    """Counts of the *chosen* rows for each kind that occurs among them."""
    outcome = table["outcome"].to_numpy(np.uint8)
    return {
        name: count_operations(outcome[rows])
        for name, is_kind in kinds_of(table)
        if (rows := chosen & is_kind).any()
    }


def outcome_counts(
    table: pd.DataFrame,
    chosen: NDArray[np.bool_],
    details: Sequence[Sequence[Any]],
    codec: Codec,
) -> tuple[OutcomeCount, ...]:
    """How the *chosen* rows ended by kind and code, the peer's own words beside the failures."""
    words: dict[tuple[str, int], str] = {}
    for kind, status, text, _ in details:
        words.setdefault((str(kind), int(status)), str(text))
    outcomes, codes = table["outcome"].to_numpy(), table["code"].to_numpy()
    counted = []
    for kind, is_kind in kinds_of(table):
        rows = chosen & is_kind
        for outcome in np.flatnonzero(np.bincount(outcomes[rows])).tolist():
            state = Outcome(outcome)
            ended = np.unique(codes[rows & (outcomes == outcome)], return_counts=True)
            counted += [
                OutcomeCount(
                    kind=kind,
                    outcome=state.name.lower(),
                    code=code,
                    code_name=_code_name(state, code, codec),
                    count=count,
                    detail=words.get((kind, code), "")
                    if state in {Outcome.FAILED, Outcome.TIMED_OUT}
                    else "",
                )
                for code, count in zip(*(column.tolist() for column in ended), strict=True)
            ]
    return tuple(counted)


def _named(codes: NDArray[Any], names: Sequence[str]) -> Any:
    small: Any = codes.astype(np.int8)
    return pd.Categorical.from_codes(small, pd.Index(names))


def _code_name(state: Outcome, code: int, codec: Codec) -> str:
    if state in {Outcome.FAILED, Outcome.TIMED_OUT}:
        return GrpcStatus(code).name if code >= 0 else "BROKER"
    return codec.code_name(code)
