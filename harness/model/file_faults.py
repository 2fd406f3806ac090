"""
What pydantic finds wrong in a file, in plain words: dotted key, value, what to write instead.

Used for scenario files, workload tables and target files, so that all faults read alike. It knows
no format: the nearest known key is looked up in the model that rejected the file.
"""

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_OWN_FAULT = "Value error, "  # what pydantic puts before the text of a ValueError
_REMEDIES = {
    "missing": "write it",
    "int_type": "write a whole number without quotes",
    "bool_type": "write true or false without quotes",
    "string_type": "write text in quotes",
    "list_type": "write a list in [brackets], or [[double]] headings",
    "dict_type": "write a table",
    "model_type": "write a table",
    "model_attributes_type": "write a table",
    "string_too_short": "write some text",
    "too_short": "write at least one",
    "date_type": "write a date without quotes, e.g. 2026-12-31",
}
_BOUNDS = {"greater_than_equal": "ge", "less_than_equal": "le"}


Location = tuple[str | int, ...]


class PlainFault(NamedTuple):
    """One fault: where, what is written there, what to write instead."""

    key: str
    value: str
    remedy: str


def plain_faults(error: ValidationError, model: type[BaseModel]) -> list[PlainFault]:
    """Every fault that made *model* reject a document."""
    return [_plain(item, model) for item in error.errors()]


def _plain(item: Mapping[str, Any], model: type[BaseModel]) -> PlainFault:
    location, kind, context = item["loc"], item["type"], item.get("ctx", {})
    key = _dotted(location, model)
    if kind == "missing":
        return PlainFault(key, "missing", _REMEDIES[kind])
    if kind == "extra_forbidden":
        return PlainFault(key, "unknown key", _nearest(str(location[-1]), location[:-1], model))
    if kind == "literal_error":
        return PlainFault(key, repr(item["input"]), f"write one of {context['expected']}")
    if kind == "union_tag_invalid":
        tag_key = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        return PlainFault(tag_key, repr(context["tag"]), f"write one of {context['expected_tags']}")
    if kind == "union_tag_not_found":
        tag_key = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        return PlainFault(tag_key, "missing", _REMEDIES["missing"])
    if kind == "value_error":
        value, _, remedy = item["msg"].removeprefix(_OWN_FAULT).partition("; ")
        return PlainFault(key, value, remedy or "change it")
    value = "the table" if isinstance(item["input"], dict) else repr(item["input"])
    if kind in _BOUNDS:
        side = "at least" if kind == "greater_than_equal" else "at most"
        return PlainFault(key, value, f"must be {side} {context[_BOUNDS[kind]]}")
    if kind == "string_pattern_mismatch":
        return PlainFault(key, value, f"must match {context['pattern']}")
    return PlainFault(key, value, _REMEDIES.get(kind, item["msg"]))


def _nearest(key: str, location: Location, model: type[BaseModel]) -> str:
    *_, last = _walk(location, model)
    known = [field.alias or name for name, field in last.model.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"


def _dotted(location: Location, model: type[BaseModel]) -> str:
    tags = {visit.position for visit in _walk(location, model) if visit.is_tag}
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for position, part in enumerate(location)
        if position not in tags
    ]
    return "".join(parts).removeprefix(".") or "the file"


class _Visit(NamedTuple):
    """A model on the way; is_tag: pydantic put this part in to name the member of a union."""

    position: int
    model: type[BaseModel]
    is_tag: bool


def _walk(location: Location, model: type[BaseModel]) -> Iterator[_Visit]:
    yield _Visit(-1, model, is_tag=False)
    holder: type[BaseModel] | None = model
    choices: tuple[type[BaseModel], ...] = ()
    discriminator = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            continue
        is_tag = len(choices) > 1
        if is_tag:
            choices = tuple(item for item in choices if _has_tag(item, discriminator, part))
        else:
            field = _field(holder, part) if holder is not None else None
            choices = tuple(_models_in(field.annotation)) if field is not None else ()
            discriminator = str(field.discriminator) if field is not None else ""
        holder = choices[0] if len(choices) == 1 else None
        if holder is not None:
            yield _Visit(position, holder, is_tag)


def _field(model: type[BaseModel], key: str) -> FieldInfo | None:
    fields = model.model_fields.items()
    return next((field for name, field in fields if key in {name, field.alias}), None)


def _has_tag(model: type[BaseModel], discriminator: str, tag: str) -> bool:
    field = model.model_fields.get(discriminator)
    return field is not None and tag in get_args(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, list, tuple}:
        for part in get_args(annotation):
            yield from _models_in(part)
    elif get_origin(annotation) is Annotated:
        yield from _models_in(get_args(annotation)[0])
