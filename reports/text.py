"""What pages say of foreign values: sentences, and the leaves of nested mappings."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.model.text import Unit, count, exact, plain, quantity

NO_DATA_TEXT = "no data"
DASH = "\N{EN DASH}"  # nothing to say here, by its nature


def sentence(text: str) -> str:
    """Foreign *text* as a sentence that another may follow."""
    shown = plain(text).strip()
    return shown if not shown or shown[-1] in ".!?" else f"{shown}."


def told(text: str | None) -> str:
    """*text*; None and nothing, of what nobody recorded, read as no data."""
    return text or NO_DATA_TEXT


def counted(number: int, what: str) -> str:
    """A number of things: "1 run", "2 runs"."""
    return f"{count(number)} {what}{'s' * (number != 1)}"


def bounded(texts: Sequence[str], count_max: int, more: str = "more") -> tuple[str, ...]:
    """The first of *texts*, and how many *more* are listed below them on the page."""
    left = len(texts) - count_max
    shown = tuple(texts[:count_max])
    return (*shown, f"and {left} {more}, all listed below") if left > 0 else shown


def flattened(mapping: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str | None], ...]:
    """The leaves of nested *mapping* as (dotted key, text or None), in its order."""
    leaves: list[tuple[str, str | None]] = []
    for key, value in mapping.items():
        name = f"{prefix}{plain(str(key))}"
        if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            value = {str(place): item for place, item in enumerate(value)}  # noqa: PLW2901
        if isinstance(value, Mapping):
            leaves.extend(flattened(value, f"{name}."))
        else:
            text = _leaf(name, value)
            leaves.append((name, None if text is None else plain(text)))
    return tuple(leaves)


def _leaf(name: str, value: Any) -> str | None:
    """A leaf in the unit that its name ends in; None where there is nothing."""
    match value:
        case None | "" | [] | ():
            return None
        case bool():
            return "yes" if value else "no"
        case int() | float():
            suffix = next((end for end in _SUFFIX_UNITS if name.endswith(end)), None)
            return quantity(value, _SUFFIX_UNITS[suffix]) if suffix else exact(value)
        case list() | tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)


_SUFFIX_UNITS = {
    "_ns": Unit.NS,
    "_ns_total": Unit.NS,
    "_bytes": Unit.BYTES,
    "_count": Unit.COUNT,
    "_share": Unit.SHARE,
    "_per_s": Unit.PER_S,
}
