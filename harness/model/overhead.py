"""What a profiler did to what it looked at: a profiled run against the unprofiled one."""

from dataclasses import dataclass

from harness.model.quantiles import Distribution
from harness.model.record import RunRecord
from harness.model.text import significant


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """
    Ratios, profiled to plain; None where one side has no value.

    Attributes:
        stretch_ratio: How much slower than in the unprofiled run the same operations were sent.
        rate_ratio: Answered rate; 1 / stretch_ratio is what was asked for.
        response_p50_ratio, response_p99_ratio: Of all operations, from the intended time.
        cpu_ratio: CPU time of the target for an answered operation.
    """

    stretch_ratio: float
    rate_ratio: float | None
    response_p50_ratio: float | None
    response_p99_ratio: float | None
    cpu_ratio: float | None

    @property
    def sentence(self) -> str:
        parts = [
            f"{words} {significant(value)} times"
            for words, value in (
                ("p50", self.response_p50_ratio),
                ("p99", self.response_p99_ratio),
                ("CPU an operation", self.cpu_ratio),
                ("answered rate", self.rate_ratio),
            )
            if value is not None
        ]
        if self.stretch_ratio > 1:
            parts.append(
                f"the same operations sent {significant(self.stretch_ratio, 2)} times slower"
            )
        return ", ".join(parts) + " the unprofiled run's" if parts else "nothing to compare with"


def overhead(plain: RunRecord, profiled: RunRecord) -> Overhead:
    """How far *profiled* is from *plain*; both of one plan."""
    return Overhead(
        stretch_ratio=profiled.phases["measure_ns"] / plain.phases["measure_ns"],
        rate_ratio=_ratio(profiled.rate.achieved_per_s, plain.rate.achieved_per_s),
        response_p50_ratio=_ratio(_response(profiled, 0.5), _response(plain, 0.5)),
        response_p99_ratio=_ratio(_response(profiled, 0.99), _response(plain, 0.99)),
        cpu_ratio=_ratio(_cpu_s_per_operation(profiled), _cpu_s_per_operation(plain)),
    )


def _response(record: RunRecord, q: float) -> float | None:
    samples: Distribution = record.latency["all"].response_ns
    return samples.at(q)


def _cpu_s_per_operation(record: RunRecord) -> float | None:
    cores = record.resources["target"].cpu_cores_mean
    if cores is None or not record.rate.achieved_per_s:
        return None
    return cores / record.rate.achieved_per_s


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None
