import asyncio
import gc
from collections.abc import Iterator

import pytest

from trading_system.monitoring.loop_lag import LoopLag
from trading_system.runtime.clock import ManualClock

DELAYS_S = (0.0, 0.01, 0.04)


class Loop:
    """Wakes late as told and ends the measurement when the delays are used up."""

    def __init__(self, clock: ManualClock, delays_s: Iterator[float]) -> None:
        self._clock = clock
        self._delays_s = delays_s

    async def sleep(self, seconds: float) -> None:
        delay_s = next(self._delays_s, None)
        if delay_s is None:
            raise asyncio.CancelledError
        self._clock.advance(seconds + delay_s)


async def measured(clock: ManualClock, delays_s: tuple[float, ...] = DELAYS_S) -> LoopLag:
    lag = LoopLag(clock=clock, sleep=Loop(clock, iter(delays_s)).sleep)
    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    return lag


async def test_before_the_first_spell_nothing_is_claimed() -> None:
    lag = LoopLag(clock=ManualClock())
    assert lag.p99_ms is None
    assert lag.summary()["gc_pause_max_ms"] is None


async def test_lateness_is_what_the_loop_woke_too_late() -> None:
    summary = (await measured(ManualClock())).summary()
    assert (summary["p50_ms"], summary["max_ms"], summary["samples"]) == (10.0, 40.0, 3)
    assert summary["p99_ms"] == pytest.approx(39.4)


async def test_collector_pauses_are_counted_and_the_callback_is_taken_away() -> None:
    before, spells = list(gc.callbacks), iter((0.05,))

    async def collect(_seconds: float) -> None:
        if next(spells, None) is None:
            raise asyncio.CancelledError
        gc.collect()

    lag = LoopLag(clock=ManualClock(), sleep=collect)
    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    summary = lag.summary()
    assert (summary["gc_pauses"], summary["gc_pause_max_ms"]) == (1, 0.0)
    assert gc.callbacks == before


async def test_an_end_without_a_beginning_is_no_pause() -> None:
    lag = LoopLag(clock=ManualClock())
    lag._on_collection("stop", {})
    assert lag.summary()["gc_pauses"] == 0
