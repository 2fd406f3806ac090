"""Systems with a bug of their own: it shows when the first reply or acknowledgement comes."""

from dataclasses import replace

from tests.acceptance.mixed import SYSTEM as MIXED_SYSTEM
from tests.acceptance.mixed import MixedCodec
from workloads.null import SYSTEM as NULL_SYSTEM
from workloads.null.system import NullCodec


class FaultyReplies(NullCodec):
    """It can't look at replies."""

    def reply_code(self, message: bytes | memoryview) -> int:
        """Fail."""
        raise ZeroDivisionError(f"of {len(message)} bytes")


class FaultyRecords(MixedCodec):
    """It can't seal records."""

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        """Fail."""
        raise ZeroDivisionError(f"of record {sequence}, {len(payload)} bytes, {origin_ns}")


NULL = replace(NULL_SYSTEM, codec=FaultyReplies())
RECORDS = replace(MIXED_SYSTEM, codec=FaultyRecords())
