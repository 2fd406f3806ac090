"""Kernels of requests and records: encoded by the plan, decoded by the reference."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from workloads.account.contract import accounts_pb2 as contract
from workloads.account.reference import inputs
from workloads.account.terms.market import FIRST_ACCOUNT_ID
from workloads.account.wire.kinds import Kind
from workloads.account.wire.requests import seal_execution
from workloads.micro.kernel import Kernel, Round, first_fault, unequal
from workloads.micro.plan_inputs import MESSAGE_COUNT, PlanInputs, encoded_messages, plan_inputs

_MESSAGES: dict[Kind, Any] = {
    Kind.RESERVE: contract.ReserveRequest,
    Kind.AMEND: contract.AmendRequest,
    Kind.RELEASE: contract.ReleaseRequest,
    Kind.TRANSFER: contract.TransferRequest,
    Kind.FILL: contract.ExecutionEvent,
}
_CALLS: dict[Kind, Callable[[Any], inputs.Call]] = {
    Kind.RESERVE: inputs.reserve_call,
    Kind.AMEND: inputs.amend_call,
    Kind.RELEASE: inputs.release_call,
    Kind.TRANSFER: inputs.transfer_call,
}
_FIELDS = {  # of a message, and the plan's column that it carries
    Kind.RESERVE: (("price_ticks", "price_ticks"), ("qty_lots", "qty_lots"), ("side", "side")),
    Kind.AMEND: (("price_ticks", "price_ticks"), ("leaves_lots", "qty_lots")),
    Kind.RELEASE: (),
    Kind.TRANSFER: (("asset_id", "asset"), ("amount_minor", "amount_minor")),
    Kind.FILL: (("price_ticks", "price_ticks"), ("qty_lots", "qty_lots")),
}
_FIRST_SEQ = 1_000
_ORIGIN_NS = 1_700_000_000_000_000_000


def _fault(kind: Kind, messages: list[Any], planned: PlanInputs) -> str:
    """Where decoded *messages* are not what the plan says."""
    bodies = [message.match for message in messages] if kind is Kind.FILL else messages
    faults = [
        unequal(field, [getattr(body, field) for body in bodies], planned.column(column, kind))
        for field, column in _FIELDS[kind]
    ]
    if kind is not Kind.FILL:
        accounts = [FIRST_ACCOUNT_ID + index for index in planned.column("account", kind)]
        faults.append(unequal("account_id", [body.account_id for body in bodies], accounts))
    return first_fault(faults)


def _encode(kind: Kind) -> Round[list[bytes]]:
    planned = plan_inputs()
    encoder, rows = planned.encoder(), planned.rows(kind)
    encode, parse = encoder.by_kind[kind], _MESSAGES[kind].FromString
    return Round(
        work=lambda: [encode(row) for row in rows],
        fault=lambda encoded: _fault(kind, [parse(raw) for raw in encoded], planned),
    )


def _encode_fill() -> Round[list[bytes]]:
    planned = plan_inputs(is_amended=False)
    encoder, rows = planned.encoder(), planned.rows(Kind.FILL)
    for row in np.flatnonzero(planned.plan.kind == Kind.RESERVE).tolist():
        encoder.by_kind[Kind.RESERVE](row)  # it keeps what is left of an order
    encode = encoder.by_kind[Kind.FILL]

    def fault(encoded: list[bytes]) -> str:
        events = [contract.ExecutionEvent.FromString(raw) for raw in encoded]
        lots = planned.plan.columns["qty_lots"]
        left = dict(enumerate(lots.tolist()))
        for event in events:
            for leg in (event.match.taker, event.match.maker):
                order = leg.order_id & 0xFFFF_FFFF  # the row that reserves it
                left[order] -= event.match.qty_lots
                if leg.leaves_lots != left[order] or left[order] < 0:
                    return f"order {order}: leaves_lots is {leg.leaves_lots}, not {left[order]}"
        return _fault(Kind.FILL, events, planned)

    return Round(work=lambda: [encode(row) for row in rows], fault=fault)


def _seal() -> Round[list[bytes]]:
    payloads = [memoryview(raw) for raw in encoded_messages(Kind.FILL)]

    def fault(sealed: list[bytes]) -> str:
        events = [contract.ExecutionEvent.FromString(raw) for raw in sealed]
        numbers = list(range(_FIRST_SEQ, _FIRST_SEQ + MESSAGE_COUNT))
        return first_fault((
            unequal("seq", [event.seq for event in events], numbers),
            unequal("ts_ns", {event.ts_ns for event in events}, {_ORIGIN_NS}),
            _fault(Kind.FILL, events, plan_inputs()),
        ))  # fmt: skip

    return Round(
        work=lambda: [
            seal_execution(payload, sequence, _ORIGIN_NS)
            for sequence, payload in enumerate(payloads, _FIRST_SEQ)
        ],
        fault=fault,
    )


def _decode(kind: Kind) -> Round[list[inputs.Call]]:
    planned = plan_inputs()
    raws = encoded_messages(kind)
    parse, call_of = _MESSAGES[kind].FromString, _CALLS[kind]

    def fault(calls: list[inputs.Call]) -> str:
        messages = [parse(raw) for raw in raws]
        ids = [message.meta.request_id for message in messages]
        accounts = [FIRST_ACCOUNT_ID + index for index in planned.column("account", kind)]
        lost = [
            (field, value, call)
            for field, column in _FIELDS[kind]
            for value, call in zip(planned.column(column, kind), calls, strict=False)
            if value not in call[2]
        ]
        return first_fault((
            unequal("request ids", [call[0] for call in calls], ids),
            unequal("accounts", [call[2][1] for call in calls], accounts),
            unequal("what a call lacks", lost, []),
        ))  # fmt: skip

    return Round(work=lambda: [call_of(parse(raw)) for raw in raws], fault=fault)


def _decode_execution() -> Round[list[contract.ExecutionEvent]]:
    raws = [
        seal_execution(memoryview(raw), sequence, _ORIGIN_NS)
        for sequence, raw in enumerate(encoded_messages(Kind.FILL), _FIRST_SEQ)
    ]
    parse = contract.ExecutionEvent.FromString
    return Round(
        work=lambda: [parse(raw) for raw in raws],
        fault=lambda events: _fault(Kind.FILL, events, plan_inputs()),
    )


def _decode_operation() -> Round[list[inputs.Call]]:
    """Reserves as they come on a standing stream."""
    raws = encoded_messages(Kind.RESERVE)
    requests = [contract.ReserveRequest.FromString(raw) for raw in raws]
    operations = [
        contract.ReserveOp(client_tag=tag, reserve=request).SerializeToString()
        for tag, request in enumerate(requests, 1)
    ]
    parse, call_of = contract.ReserveOp.FromString, inputs.operation_call
    return Round(
        work=lambda: [call_of(parse(raw)) for raw in operations],
        fault=lambda calls: unequal(
            "calls", calls, [inputs.reserve_call(item) for item in requests]
        ),
    )


def _kernel(name: str, title: str, prepare: Callable[[], Round[Any]]) -> Kernel:
    return Kernel(name=name, title=title, operation_count=MESSAGE_COUNT, prepare=prepare)


KERNELS = (
    *(
        _kernel(
            f"harness.encode-{kind.name.lower()}",
            f"write a {_MESSAGES[kind].DESCRIPTOR.name} of the plan",
            partial(_encode, kind),
        )
        for kind in _CALLS
    ),
    _kernel("harness.encode-fill", "write an ExecutionEvent of the plan", _encode_fill),
    _kernel("harness.seal-fill", "give an ExecutionEvent its number and time at send", _seal),
    *(
        _kernel(
            f"reference.decode-{kind.name.lower()}",
            f"read a {_MESSAGES[kind].DESCRIPTOR.name}, check it, make the state machine's call",
            partial(_decode, kind),
        )
        for kind in _CALLS
    ),
    _kernel("reference.decode-operation", "the same of a ReserveOp of a stream", _decode_operation),
    _kernel("reference.decode-execution", "read an ExecutionEvent", _decode_execution),
)
