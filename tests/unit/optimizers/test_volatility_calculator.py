"""The calculator's caches, its incremental ATR, its figures."""

from __future__ import annotations

import asyncio
import math
import random
from itertools import pairwise
from typing import Any

import pytest

from optimizers import VolatilityCalculator
from optimizers.volatility.atr import WilderAtr
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.runtime.clock import ManualClock


class Candles:
    """A source whose newest candle is open and whose time is moved by ``minute``."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.reads = 0
        self.latency_s = 0.0
        self.error: Exception | None = None
        source, price = random.Random(9), 100.0
        self.all: list[dict[str, Any]] = []
        for n in range(1_000):
            close = price * math.exp(source.gauss(0, 0.001))
            self.all.append(
                {
                    "timestamp": n * 60_000,
                    "open": price,
                    "high": max(price, close) + 0.02,
                    "low": min(price, close) - 0.01,
                    "close": close,
                }
            )
            price = close
        self.minute = 300

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        self.reads += 1
        self.clock.advance(self.latency_s)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        newest = [c for c in self.all if c["timestamp"] <= self.minute * 60_000]
        return newest[-limit:]

    def atr(self, first: int, last: int, period: int = 14) -> float:
        atr = WilderAtr(period)
        for candle in self.all[first : last + 1]:
            atr.update(candle["high"], candle["low"], candle["close"])
        assert atr.value is not None
        return atr.value


def calculator(candles: Candles, **settings: Any) -> VolatilityCalculator:
    return VolatilityCalculator(
        candles, settings=PerformanceSettings(**settings), clock=candles.clock
    )


async def test_atr_is_that_of_the_closed_candles():
    candles = Candles()
    assert await calculator(candles).get_atr("BTCUSDT") == pytest.approx(candles.atr(201, 299))


async def test_results_live_a_minute_and_candles_half_a_minute():
    candles = Candles()
    vol = calculator(candles)
    await vol.get_atr("BTCUSDT")
    candles.clock.advance(29.9)
    await vol.get_volatility("BTCUSDT")
    assert candles.reads == 1
    candles.clock.advance(30.0)
    await vol.get_atr("BTCUSDT")
    assert candles.reads == 1
    candles.clock.advance(0.2)
    assert vol.cached_atr("BTCUSDT") is None
    await vol.get_atr("BTCUSDT")
    assert candles.reads == 2


async def test_atr_goes_on_from_where_it_was():
    candles = Candles()
    vol = calculator(candles)
    for minutes in (0, 1, 3, 0):
        candles.minute += minutes
        candles.clock.advance(61.0)
        atr = await vol.get_atr("BTCUSDT")
    assert atr == pytest.approx(candles.atr(201, 303), rel=1e-12)  # nothing before was forgotten


@pytest.mark.parametrize("missing", [299, 302])
async def test_gap_in_the_candles_starts_the_atr_anew(missing):
    candles = Candles()
    vol = calculator(candles)
    await vol.get_atr("BTCUSDT")
    del candles.all[missing]
    candles.minute += 5
    candles.clock.advance(61.0)
    atr = await vol.get_atr("BTCUSDT")
    assert atr == pytest.approx(candles.atr(205, 303), rel=1e-12)


async def test_volatility_is_the_root_mean_square_of_a_second():
    candles = Candles()
    vol = await calculator(candles).get_volatility("BTCUSDT")
    closes = [c["close"] for c in candles.all[201:300]]
    squares = [math.log(b / a) ** 2 for a, b in pairwise(closes)]
    assert vol == pytest.approx(math.sqrt(sum(squares) / 98 / 60), rel=1e-12)


async def test_move_over_a_missing_minute_is_left_out():
    candles = Candles()
    whole = await calculator(candles).get_volatility("BTCUSDT")
    candles.all[250]["close"] *= 1.5  # inconsistent, so the candle is rejected
    vol = calculator(candles)
    assert await vol.get_volatility("BTCUSDT") == pytest.approx(whole, rel=0.1)
    assert vol.get_cache_stats()["rejected_candles"] == 1


async def test_candle_out_of_order_is_rejected():
    candles = Candles()
    candles.all[250]["timestamp"] = candles.all[240]["timestamp"]
    vol = calculator(candles)
    await vol.get_atr("BTCUSDT")
    assert vol.get_cache_stats()["rejected_candles"] == 1


async def test_those_who_ask_meanwhile_share_one_read():
    candles = Candles()
    vol = calculator(candles)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(vol.get_atr("BTCUSDT")) for _ in range(20)]
    assert len({task.result() for task in asked}) == 1
    stats = vol.get_cache_stats()
    assert (candles.reads, stats["shared"], stats["calculations"]) == (1, 19, 1)


async def test_hit_rate_is_in_percent():
    candles = Candles()
    vol = calculator(candles)
    assert vol.get_cache_stats()["hit_rate"] == 0.0
    for _ in range(4):
        await vol.get_atr("BTCUSDT")
    stats = vol.get_cache_stats()
    assert (stats["hit_rate"], stats["hits"], stats["misses"]) == (75.0, 3, 1)
    assert f"{stats['hit_rate']:.1f}" == "75.0"
    assert stats["size"] == stats["ohlcv_size"] == 1


async def test_calculation_time_is_the_mean_of_the_misses():
    candles = Candles()
    candles.latency_s = 0.05
    vol = calculator(candles)
    await vol.get_atr("BTCUSDT")
    candles.latency_s = 0.15
    await vol.get_atr("ETHUSDT")
    stats = vol.get_cache_stats()
    assert stats["avg_calculation_time"] == pytest.approx(0.1)
    assert stats["slow_calculations"] == 1


async def test_without_caching_everything_is_read_anew():
    candles = Candles()
    vol = calculator(candles, enable_caching=False)
    for _ in range(3):
        await vol.get_atr("BTCUSDT")
        await vol.get_volatility("BTCUSDT")
    assert candles.reads == 6
    assert vol.cached_atr("BTCUSDT") is None
    assert vol.get_cache_stats()["hit_rate"] == 0.0


async def test_invalidated_symbol_is_read_anew():
    candles = Candles()
    vol = calculator(candles)
    assert not vol.invalidate("BTCUSDT")
    await vol.get_atr("BTCUSDT")
    assert vol.invalidate("BTCUSDT")
    assert vol.cached_atr("BTCUSDT") is None
    await vol.get_atr("BTCUSDT")
    assert candles.reads == 2


async def test_too_few_candles_are_an_error_that_is_counted_and_not_kept():
    candles = Candles()
    candles.minute = 14
    vol = calculator(candles)
    with pytest.raises(CorruptDataError, match="needs 15"):
        await vol.get_atr("BTCUSDT")
    candles.minute = 1
    vol.invalidate("BTCUSDT")
    with pytest.raises(CorruptDataError, match="needed are 3"):
        await vol.get_volatility("BTCUSDT")
    assert vol.get_cache_stats()["failed_calculations"] == 2
    candles.minute = 15
    vol.invalidate("BTCUSDT")
    assert await vol.get_atr("BTCUSDT") > 0


async def test_number_of_symbols_kept_is_bounded():
    candles = Candles()
    vol = calculator(candles)
    for n in range(300):
        await vol.get_atr(f"S{n}")
    assert vol.get_cache_stats()["size"] <= 256


@pytest.mark.parametrize("period", [0, 250])
def test_period_out_of_range_is_refused(period):
    with pytest.raises(ValidationError, match="period"):
        VolatilityCalculator(Candles(), period=period)
