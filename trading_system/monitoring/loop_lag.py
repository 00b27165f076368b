"""Lateness of the event loop, and the garbage collector's share in it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from trading_system.domain.ports import Clock
from trading_system.monitoring.latency import LatencyRing

_NS_PER_S = 1_000_000_000
_US_PER_MS = 1_000.0
_KEPT = 600


class LoopLag:
    """Sleeps for short spells and measures how much later than asked the loop wakes it.

    The percentiles are over the newest 600 spells: half a minute at the default interval.

    Parameters
    ----------
    clock : Clock
        Its monotonic time.
    interval_s : float
        Length of a spell, seconds; 0.05 costs about 20 wake-ups of a few microseconds a second.
    sleep : Callable[[float], Awaitable[object]]
        Sleeps for some seconds.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        interval_s: float = 0.05,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._sleep = sleep
        self._lag = LatencyRing(_KEPT)
        self._pauses = LatencyRing(_KEPT)
        self._collection_began_ns: int | None = None

    async def run(self) -> None:
        """Measure until cancelled."""
        gc.callbacks.append(self._on_collection)
        try:
            while True:
                asked_ns = self._clock.monotonic_ns() + round(self._interval_s * _NS_PER_S)
                await self._sleep(self._interval_s)
                self._lag.record(max(0, self._clock.monotonic_ns() - asked_ns))
        finally:
            gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        # Called inside the collector: it must allocate next to nothing.
        now_ns = self._clock.monotonic_ns()
        if phase == "start":
            self._collection_began_ns = now_ns
        elif self._collection_began_ns is not None:
            self._pauses.record(now_ns - self._collection_began_ns)
            self._collection_began_ns = None

    @property
    def p99_ms(self) -> float | None:
        """Lateness at the 99th percentile, milliseconds; None before the first spell."""
        return _milliseconds(self._lag.percentiles().p99_us)

    def summary(self) -> dict[str, Any]:
        """Return lateness and collector pauses in milliseconds, None where nothing happened."""
        lag, pauses = self._lag.percentiles(), self._pauses.percentiles()
        return {
            "p50_ms": _milliseconds(lag.p50_us),
            "p99_ms": _milliseconds(lag.p99_us),
            "max_ms": _milliseconds(lag.max_us),
            "samples": lag.samples,
            "gc_pause_p99_ms": _milliseconds(pauses.p99_us),
            "gc_pause_max_ms": _milliseconds(pauses.max_us),
            "gc_pauses": pauses.samples,
        }


def _milliseconds(figure_us: float | None) -> float | None:
    return None if figure_us is None else round(figure_us / _US_PER_MS, 3)
