"""Stage latencies: rolling and since the start, in fixed memory.

Which figures are read where:

- :meth:`StageLatency.percentiles` is **rolling**, over the newest minute, and since the start only
  while nothing was measured in that minute. Health, alerts and compliance judge by it: a slow
  start does not hang on them for ever, and a quiet minute does not make them unmeasured.
- :meth:`StageLatency.summary` is **since the start**: what a run report and ``stages`` of the
  status say of the whole run.
- :meth:`StageLatency.detail` has both.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trading_system.domain.ports import Clock
from trading_system.monitoring.histogram import NOTHING_MEASURED, LatencyHistogram, Percentiles
from trading_system.runtime.clock import SystemClock

STAGES = ("receive", "book", "signal", "gate", "send", "ack", "fill")
"""Stages of a message's way, in order.

``receive`` venue time to receipt, ``book`` decode and apply, ``signal`` features and opinion,
``gate`` risk checks, ``send`` decision to first byte handed to the socket layer, ``ack`` send to
the venue's reply, ``fill`` send to the first private execution.
"""

WINDOW_S: Final = 60.0
"""What "rolling" means of stages, seconds."""

BUCKETS_S: Final = tuple(
    step * scale for scale in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0) for step in (1.0, 2.5, 5.0)
)
"""Upper bounds of the buckets in :meth:`StageLatency.detail`, seconds; 10 us to 5 s."""

_NS_PER_US = 1_000.0
_NS_PER_S = 1_000_000_000
_SLOTS: Final = 12
_NOTED: Final = 1_024
_BUCKETS_NS: Final = tuple(round(bound * _NS_PER_S) for bound in BUCKETS_S)


class LatencyRing:
    """The newest durations of one stage, exactly.

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
        """Return the percentiles over the ring by linear interpolation; samples since the start."""
        if not self._count:
            return NOTHING_MEASURED
        held = np.sort(self._ring[: min(self._count, len(self._ring))])
        p50, p95, p99 = (_quantile_us(held, share) for share in (0.50, 0.95, 0.99))
        return Percentiles(
            p50_us=p50,
            p95_us=p95,
            p99_us=p99,
            max_us=round(int(held[-1]) / _NS_PER_US, 3),
            samples=self._count,
        )


def _quantile_us(ordered_ns: npt.NDArray[np.int64], share: float) -> float:
    # As `np.percentile` interpolates; that one takes several times as long.
    rank = share * (len(ordered_ns) - 1)
    below = int(rank)
    lower = int(ordered_ns[below])
    upper = int(ordered_ns[min(below + 1, len(ordered_ns) - 1)])
    return round((lower + (upper - lower) * (rank - below)) / _NS_PER_US, 3)


class RollingLatency:
    """Durations of one stage, over a window of the newest seconds and since the start.

    The window is made of twelve histograms in turn, so that it ends between 11/12 of ``window_s``
    and all of it ago (55 to 60 s by default). Of the durations of the slot in use, up to 1,024 are
    kept as they are until somebody reads: counting many at once is cheaper.

    Parameters
    ----------
    window_s : float
        Longest age of a duration in the rolling figures, seconds.
    clock : Clock or None
        Its monotonic time; None is the machine's.
    """

    __slots__ = (
        "_closed",
        "_ever",
        "_ever_read",
        "_noted",
        "_now_ns",
        "_read",
        "_slot",
        "_slot_ns",
        "_slots",
        "_until_ns",
    )

    def __init__(self, window_s: float = WINDOW_S, *, clock: Clock | None = None) -> None:
        self._slot_ns = round(window_s * _NS_PER_S / _SLOTS)
        assert self._slot_ns > 0, "a window has a length"
        self._now_ns = (clock or SystemClock()).monotonic_ns
        self._slots = [LatencyHistogram() for _ in range(_SLOTS)]
        self._slot = 0
        self._noted: list[int] = []  # of the slot in use, not counted yet
        self._until_ns = self._now_ns() + self._slot_ns
        self._ever = LatencyHistogram()  # the slot in use is not in it yet
        self._closed: LatencyHistogram | None = None  # the window without the slot in use
        self._read: Percentiles | None = None  # of the window, until something changes
        self._ever_read: Percentiles | None = None

    def record(self, duration_ns: int) -> None:
        """Count one duration, nanoseconds."""
        if self._now_ns() >= self._until_ns:
            self._turn()
        # The hot path only notes it: what is noted is counted all at once, by whoever reads next.
        noted = self._noted
        noted.append(duration_ns)
        if len(noted) >= _NOTED:
            self._count()

    def rolling(self) -> Percentiles:
        """Return the percentiles of the window, and how many durations it holds."""
        if self._now_ns() >= self._until_ns:
            self._turn()
        self._count()
        if self._read is None:
            self._read = self._window().percentiles()
        return self._read

    def overall(self) -> Percentiles:
        """Return the percentiles of everything so far."""
        self._count()
        if self._ever_read is None:
            self._ever_read = self.since_start().percentiles()
        return self._ever_read

    def since_start(self) -> LatencyHistogram:
        """Return a histogram of everything so far."""
        self._count()
        return _sum(self._ever, self._slots[self._slot])

    def _count(self) -> None:
        if not self._noted:
            return
        self._slots[self._slot].record_all(self._noted)
        self._noted.clear()
        self._read = self._ever_read = None

    def _window(self) -> LatencyHistogram:
        if self._closed is None:
            others = (slot for number, slot in enumerate(self._slots) if number != self._slot)
            self._closed = _sum(*others)
        return _sum(self._closed, self._slots[self._slot])

    def _turn(self) -> None:
        # Close the slot in use and empty every one that has left the window since.
        self._count()
        passed = 1 + (self._now_ns() - self._until_ns) // self._slot_ns
        self._until_ns += passed * self._slot_ns
        self._ever.add(self._slots[self._slot])
        for _ in range(min(passed, _SLOTS)):
            self._slot = (self._slot + 1) % _SLOTS
            self._slots[self._slot].clear()
        self._closed = self._read = None


class StageLatency:
    """One :class:`RollingLatency` for each stage of :data:`STAGES`, about 2 MiB in all.

    Parameters
    ----------
    clock : Clock or None
        Its monotonic time tells how old a sample is; None is the machine's.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._stages = {stage: RollingLatency(clock=clock) for stage in STAGES}
        self._record = {stage: latency.record for stage, latency in self._stages.items()}

    def record(self, stage: str, duration_ns: int) -> None:
        """Add one duration of ``stage``, a name of :data:`STAGES`."""
        self._record[stage](duration_ns)

    def percentiles(self, stage: str) -> Percentiles:
        """Return the rolling percentiles of one stage, since the start if the minute was quiet."""
        rolling = self._stages[stage].rolling()
        return rolling if rolling.samples else self._stages[stage].overall()

    def summary(self) -> dict[str, dict[str, float | int | None]]:
        """Return ``{stage: {p50_us, p95_us, p99_us, max_us, samples}}`` since the start."""
        return {stage: latency.overall().row() for stage, latency in self._stages.items()}

    def detail(self) -> dict[str, dict[str, Any]]:
        """Return for each stage ``rolling``, ``since_start``, ``window_s`` and ``histogram``.

        ``histogram`` is since the start: ``sum_us``, ``count``, and ``buckets`` of
        [upper bound in seconds, durations up to it], cumulative.
        """
        return {stage: _detail(latency) for stage, latency in self._stages.items()}


def _detail(latency: RollingLatency) -> dict[str, Any]:
    rolling, ever = latency.rolling(), latency.since_start()
    within = ever.counts_up_to(_BUCKETS_NS)
    return {
        "rolling": rolling.row(),
        "since_start": latency.overall().row(),
        "window_s": WINDOW_S,
        "histogram": {
            "count": ever.count,
            "sum_us": round(ever.sum_ns / _NS_PER_US, 3),
            "buckets": [list(pair) for pair in zip(BUCKETS_S, within, strict=True)],
        },
    }


def _sum(*histograms: LatencyHistogram) -> LatencyHistogram:
    total = LatencyHistogram()
    for histogram in histograms:
        total.add(histogram)
    return total
