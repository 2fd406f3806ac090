"""
The micro suite: every kernel by name, and the digests that say whether two suites are one.

A figure of a kernel can be compared with another only where both ran the same work. Its digest
covers the sources that define that work: this package's modules, not what they measure.
"""

import hashlib
import inspect
from collections.abc import Iterable
from types import ModuleType

from workloads.micro import (
    kernel,
    ledger_kernels,
    load_kernels,
    plan_inputs,
    reply_kernels,
    request_kernels,
)
from workloads.micro.kernel import Kernel

_DIGEST_BYTES = 16

KERNELS: tuple[Kernel, ...] = (
    *ledger_kernels.KERNELS,
    *request_kernels.KERNELS,
    *reply_kernels.KERNELS,
    *load_kernels.KERNELS,
)
BY_NAME = {item.name: item for item in KERNELS}
assert len(BY_NAME) == len(KERNELS), "a name is used twice"

_INPUTS = {request_kernels: (plan_inputs,)}  # modules that a module's kernels take work from


def kernel_digests() -> dict[str, str]:
    """Of each kernel: BLAKE2b of the module that defines it, and of those it takes inputs from."""
    modules = (ledger_kernels, request_kernels, reply_kernels, load_kernels)
    return {
        item.name: _digest([kernel, module, *_INPUTS.get(module, ())])
        for module in modules
        for item in module.KERNELS
    }


def suite_digest(digests: Iterable[str]) -> str:
    """One digest of those of several kernels, in their order."""
    joined = "\n".join(digests)
    return hashlib.blake2b(joined.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _digest(modules: Iterable[ModuleType]) -> str:
    return suite_digest(inspect.getsource(module) for module in modules)
