"""
Values that must not be seen: taken from the environment, sent to the target, redacted elsewhere.

Nothing of ours writes them. But a service may repeat what it was sent, in an error message or in
its log, and both end up in a run folder and on a terminal: what comes from a target goes through
here.
"""

from dataclasses import dataclass, field
from typing import Any

STRUCK = "[secret]"
_LENGTH_MIN = 6  # a shorter one is part of ordinary words, and striking it would wreck a record


@dataclass(frozen=True, slots=True)
class Secrets:
    """The values of a run; their own text is never shown, not even by `repr`."""

    values: tuple[str, ...] = field(default=(), repr=False)

    def strike(self, text: str) -> str:
        """*text* without any of them."""
        for value in self._long():
            text = text.replace(value, STRUCK)
        return text

    def strike_bytes(self, data: bytes) -> bytes:
        """*data*, UTF-8 or near it, without any of them."""
        for value in self._long():
            data = data.replace(value.encode(), STRUCK.encode())
        return data

    def strike_document(self, document: Any) -> Any:
        """A JSON document, its keys and texts without any of them."""
        if isinstance(document, str):
            return self.strike(document)
        if isinstance(document, dict):
            return {
                self.strike(str(key)): self.strike_document(value)
                for key, value in document.items()
            }
        if isinstance(document, list | tuple):
            return [self.strike_document(item) for item in document]
        return document

    def __bool__(self) -> bool:
        return bool(self._long())

    def _long(self) -> list[str]:
        return sorted((v for v in self.values if len(v) >= _LENGTH_MIN), key=len, reverse=True)
