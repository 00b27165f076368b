"""What the market maker asks for in each cycle: prices, volatility, quotes."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from itertools import pairwise
from typing import Any

import costs_ours
import engine_kit
import protocol

from agents.market_maker.quoting import Quoter, QuoteSet, Scale
from optimizers.performance_optimizer import PerformanceOptimizer
from optimizers.volatility.atr import WilderAtr
from optimizers.volatility.bars import read_bar
from optimizers.volatility_calculator import VolatilityCalculator
from trading_system.config.sections import MarketMakerSettings, PerformanceSettings
from trading_system.domain.ports import QuoteView
from trading_system.runtime.clock import ManualClock

_SYMBOL = "BTCUSDT"
_PERIOD = 14
_FEE = 0.0002
_BLOCK = 100

Times = list[float]


def price_cache(count: int) -> Times:
    """Time a cached price that a stream brought; a sample is the mean of 100."""
    held = PerformanceOptimizer(
        costs_ours.BookClient(),  # type: ignore[arg-type] # all that it uses
    )
    times = []
    for number in range(count):
        bid = 60_000.0 + number
        assert held.note_price(_SYMBOL, bid, bid + 0.1)
        times += protocol.timed_in_blocks(lambda: held.get_cached_price(_SYMBOL), 1, block=_BLOCK)
        found = held.get_cached_price(_SYMBOL)
        assert found is not None
        assert (found["bid"], found["ask"]) == (bid, bid + 0.1)
    hits = held.price_cache.statistics.hits
    assert hits == count * (_BLOCK + 1), f"{hits} hits counted"
    return times


class Candles:
    """Random one-minute candles; the last one is still open."""

    def __init__(self, count: int = 400) -> None:
        rng, price = random.Random(2), 60_000.0
        self.rows: list[dict[str, Any]] = []
        for number in range(count):
            close = price * math.exp(rng.gauss(0.0, 0.0005))
            self.rows.append(
                {
                    "timestamp": 60_000 * number,
                    "open": price,
                    "high": max(price, close) * 1.0002,
                    "low": min(price, close) * 0.9998,
                    "close": close,
                    "volume": 1.0,
                }
            )
            price = close
        self.end = 200

    async def get_kline_data(
        self, _symbol: str, _interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        return self.rows[self.end - limit : self.end]

    def atr(self, *, first: int) -> float:
        """Return Wilder's ATR of the closed candles from ``first`` on, by its definition."""
        bars = self.rows[first : self.end - 1]
        ranges = [
            max(b["high"] - b["low"], abs(b["high"] - a["close"]), abs(b["low"] - a["close"]))
            for a, b in pairwise(bars)
        ]
        value: float = sum(ranges[:_PERIOD]) / _PERIOD
        for one in ranges[_PERIOD:]:
            value = (value * (_PERIOD - 1) + one) / _PERIOD
        return value


def _near(found: float, wanted: float) -> None:
    assert abs(found / wanted - 1.0) < 1e-9, f"{found}, wanted {wanted}"


async def vol_cached(count: int) -> Times:
    """Time ``get_atr`` of a live value; a sample is the mean of 100."""
    candles = Candles()
    held = VolatilityCalculator(candles, period=_PERIOD)
    _near(await held.get_atr(_SYMBOL), candles.atr(first=100))
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        for _ in range(_BLOCK):
            await held.get_atr(_SYMBOL)
        times.append((time.perf_counter_ns() - began) / 1_000 / _BLOCK)
    assert held.get_cache_stats()["hits"] == count * _BLOCK
    return times


async def vol_incremental(count: int) -> Times:
    """Time ``get_atr`` after its value ended, from candles that are still kept."""
    clock, candles = ManualClock(), Candles()
    rules = PerformanceSettings(volatility_cache_ttl=0.5, ohlcv_cache_ttl=3_600.0)
    held = VolatilityCalculator(candles, settings=rules, clock=clock, period=_PERIOD)
    wanted = await held.get_atr(_SYMBOL)
    times = []
    for _ in range(count):
        clock.advance(1.0)
        began = time.perf_counter_ns()
        found = await held.get_atr(_SYMBOL)
        times.append((time.perf_counter_ns() - began) / 1_000)
        _near(found, wanted)
    stats = held.get_cache_stats()
    assert (stats["candle_reads"], stats["calculations"]) == (1, count + 1)
    return times


async def vol_next(count: int) -> Times:
    """Time one more closed candle of a running average; a sample is the mean of 100."""
    candles = Candles(count=_PERIOD + 2 + _BLOCK)
    bars = [read_bar(row) for row in candles.rows]
    candles.end = len(bars) + 1
    times = []
    for _ in range(count):
        atr = WilderAtr(_PERIOD)
        atr.extend(bars[:-_BLOCK])
        began = time.perf_counter_ns()
        for bar in bars[-_BLOCK:]:
            atr.update(bar.high, bar.low, bar.close)
        times.append((time.perf_counter_ns() - began) / 1_000 / _BLOCK)
        assert atr.value is not None
        _near(atr.value, candles.atr(first=0))
    return times


async def vol_cold(count: int) -> Times:
    """Time ``get_atr`` of a symbol that nothing is known of; reading candles takes no time."""
    candles = Candles()
    held = VolatilityCalculator(candles, period=_PERIOD)
    times = []
    for number in range(count):
        candles.end = 200 + number % 200
        held.invalidate(_SYMBOL)
        began = time.perf_counter_ns()
        found = await held.get_atr(_SYMBOL)
        times.append((time.perf_counter_ns() - began) / 1_000)
        _near(found, candles.atr(first=candles.end - 100))
    return times


def quotes3(count: int) -> Times:
    """Time the quotes of both sides, three tiers, at moving mids and inventories."""
    rng, settings = random.Random(4), MarketMakerSettings(tiers=3)
    quoter = Quoter(engine_kit.BTC, settings, maker_fee=_FEE)
    times = []
    for _ in range(count):
        bid = Decimal(rng.randint(590_000, 610_000)) / 10
        ask, position = bid + Decimal("0.1"), Decimal(rng.randint(-40, 40)) / 1_000
        mid = float(bid + ask) / 2
        view = QuoteView(
            symbol=_SYMBOL, bid=bid, ask=ask, mid=mid, microprice=mid, age_s=0.01, position=position
        )
        scale = Scale(rng.uniform(5.0, 100.0))
        began = time.perf_counter_ns()
        found = quoter.quotes(view, scale)
        times.append((time.perf_counter_ns() - began) / 1_000)
        require_fair(found, bid_ticks=int(bid * 10), ask_ticks=int(ask * 10))
    return times


def require_fair(found: QuoteSet, *, bid_ticks: int, ask_ticks: int) -> None:
    """Require two sides outside the fee floor, behind the other side's touch, within the limit."""
    bids, asks = [q.ticks for q in found.bids], [q.ticks for q in found.asks]
    assert bids or asks, found
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    for price in bids:
        assert price < ask_ticks
    for price in asks:
        assert price > bid_ticks
    if bids and asks:
        width = (asks[0] - bids[0]) / (asks[0] + bids[0]) * 2
        assert width >= 2 * _FEE, f"{width} does not pay the fees"
    room = found.limit_lots - abs(found.position_lots)
    assert sum(q.lots for q in found.bids if found.position_lots > 0) <= max(room, 0)
    assert sum(q.lots for q in found.asks if found.position_lots < 0) <= max(room, 0)


STEPS: dict[str, Callable[[int], Times | Coroutine[Any, Any, Times]]] = {
    "price_cache": price_cache,
    "vol_cached": vol_cached,
    "vol_incremental": vol_incremental,
    "vol_next": vol_next,
    "vol_cold": vol_cold,
    "quotes3": quotes3,
}


def main() -> None:
    engine_kit.quiet()
    protocol.ready()
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop:
        for question in protocol.questions():
            found = STEPS[question["what"]](question["count"])
            protocol.say({"us": loop.run(found) if asyncio.iscoroutine(found) else found})


if __name__ == "__main__":
    main()
