"""A system with a bug of its own, which shows when the first reply or acknowledgement comes."""

from tests.acceptance.mixed import MixedSystem
from workloads.null.system import NullSystem


class FaultyNull(NullSystem):
    """It can't look at replies."""

    def reply_code(self, message: bytes | memoryview) -> int:
        """Fail."""
        raise ZeroDivisionError(f"of {len(message)} bytes")


class FaultyRecords(MixedSystem):
    """It can't seal records."""

    def seal(self, payload: memoryview, sequence: int, origin_ns: int) -> bytes:
        """Fail."""
        raise ZeroDivisionError(f"of record {sequence}, {len(payload)} bytes, {origin_ns}")


NULL, RECORDS = FaultyNull(), FaultyRecords()
