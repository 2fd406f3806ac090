"""Columns, one number a row, and the tables that the audit makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]  # or Python's own integers where 63 bits are not enough (grouped.exact)
Words = NDArray[np.uint64]  # ids of 64 bits
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnTable:
    """A table whose fields are columns of equal length."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def rows(self, chosen: Any) -> Self:
        """The *chosen* rows, by a slice, a mask or an order."""
        return type(self)(**{item.name: getattr(self, item.name)[chosen] for item in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all *parts*, one part after the other."""
        return cls(
            **{
                item.name: np.concatenate([getattr(part, item.name) for part in parts])
                for item in fields(cls)
            }
        )
