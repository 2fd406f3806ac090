"""The digest by which two plans are the same plan."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.system import ShardPlan


def plan_digest(plan: ShardPlan) -> bytes:
    """
    BLAKE2b of all that a plan says: the same for the same scenario and seed, on any machine.

    Run id, origin times and sequence numbers are not part of a plan, so not of the digest.
    """
    digest = blake2b(digest_size=16)
    named: dict[str, NDArray[Any]] = {
        "intended_offset_ns": plan.intended_offset_ns,
        "kind": plan.kind,
        "needs_a": plan.needs_a,
        "needs_b": plan.needs_b,
        "after": plan.after,
        "stream": plan.stream,
        "late_by": plan.late_by,
        **{f"columns.{name}": values for name, values in plan.columns.items()},
    }
    for name in sorted(named):
        values = named[name]
        digest.update(f"{name}:{values.dtype.str}:{len(values)};".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()
