"""Stage latencies: bounded rings of nanoseconds with exact percentiles over the ring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STAGES = ("receive", "book", "signal", "gate", "send", "ack", "fill")
"""Stages of a message's way, in order.

``receive`` venue time to receipt, ``book`` decode and apply, ``signal`` features and opinion,
``gate`` risk checks, ``send`` decision to first byte handed to the socket layer, ``ack`` send to
the venue's reply, ``fill`` send to the first private execution.
"""

_NS_PER_US = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Percentiles in microseconds of the newest samples; None while nothing was measured."""

    p50_us: float | None
    p95_us: float | None
    p99_us: float | None
    max_us: float | None
    samples: int


class LatencyRing:
    """The newest durations of one stage.

    Parameters
    ----------
    capacity : int
        How many of the newest samples the percentiles are taken over, at least 1.
    """

    def __init__(self, capacity: int = 4096) -> None:
        assert capacity >= 1
        self._ring = np.zeros(capacity, dtype=np.int64)
        self._count = 0

    @property
    def count(self) -> int:
        """Samples recorded since the start."""
        return self._count

    def record(self, duration_ns: int) -> None:
        """Add one duration; negative ones (clock differences) are kept as they are."""
        self._ring[self._count % len(self._ring)] = duration_ns
        self._count += 1

    def percentiles(self) -> Percentiles:
        """Return the percentiles over the ring by linear interpolation."""
        held = self._ring[: min(self._count, len(self._ring))]
        if not len(held):
            return Percentiles(p50_us=None, p95_us=None, p99_us=None, max_us=None, samples=0)
        p50, p95, p99 = np.percentile(held, (50, 95, 99)) / _NS_PER_US
        return Percentiles(
            p50_us=round(float(p50), 3),
            p95_us=round(float(p95), 3),
            p99_us=round(float(p99), 3),
            max_us=round(float(held.max()) / _NS_PER_US, 3),
            samples=self._count,
        )


class StageLatency:
    """One :class:`LatencyRing` for each stage of :data:`STAGES`."""

    def __init__(self) -> None:
        self._rings = {stage: LatencyRing() for stage in STAGES}

    def record(self, stage: str, duration_ns: int) -> None:
        """Add one duration of ``stage``, a name of :data:`STAGES`."""
        self._rings[stage].record(duration_ns)

    def percentiles(self, stage: str) -> Percentiles:
        """Return the percentiles of one stage."""
        return self._rings[stage].percentiles()

    def summary(self) -> dict[str, dict[str, float | int | None]]:
        """Return ``{stage: {p50_us, p95_us, p99_us, max_us, samples}}`` for all stages."""
        return {
            stage: {
                "p50_us": figures.p50_us,
                "p95_us": figures.p95_us,
                "p99_us": figures.p99_us,
                "max_us": figures.max_us,
                "samples": figures.samples,
            }
            for stage, figures in ((s, self._rings[s].percentiles()) for s in STAGES)
        }
