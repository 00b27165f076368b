"""Every value of the guide's performance section changes what the optimizer does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from paper_client import PaperClient

from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.config.sections import PerformanceSettings
from trading_system.config.settings import load_settings
from trading_system.runtime.clock import ManualClock

ELSEWHERE = {
    "batch_timeout_s",
    "ohlcv_cache_ttl_s",
    "performance_log_interval_s",
    "volatility_cache_ttl_s",
}
"""Proven by the tests of the batches, of the volatility calculator and of the market maker."""


class Rig:
    def __init__(self, settings: PerformanceSettings) -> None:
        self.clock = ManualClock()
        self.client = PaperClient(clock=self.clock)
        self.optimizer = PerformanceOptimizer(self.client, settings=settings, clock=self.clock)

    def stats(self) -> dict[str, Any]:
        return self.optimizer.get_performance_stats()


async def calls_of_two_reads(rig: Rig) -> object:
    await rig.optimizer.get_order_book("ETHUSDT")
    await rig.optimizer.get_order_book("ETHUSDT")
    return rig.stats()["api_call_count"]


async def price_after_a_while(rig: Rig) -> object:
    rig.optimizer.note_price("ETHUSDT", 1.0, 2.0)
    rig.clock.advance(0.15)
    return rig.optimizer.get_cached_price("ETHUSDT") is not None


async def calls_after_a_while(rig: Rig) -> object:
    await rig.optimizer.get_order_book("ETHUSDT")
    rig.clock.advance(0.25)
    return await calls_of_two_reads(rig)


async def second_turn(rig: Rig) -> object:
    rig.optimizer.rate_limit_api_call("get_ticker")
    rig.clock.advance(0.06)
    return rig.optimizer.rate_limit_api_call("get_ticker")


def slow(name: str, seconds: float) -> Callable[[Rig], Awaitable[object]]:
    async def is_slow(rig: Rig) -> object:
        with rig.optimizer.time_operation(name):
            rig.clock.advance(seconds)
        return rig.stats()["slow_operations"]

    return is_slow


async def batch(rig: Rig) -> object:
    await rig.optimizer.queue_order_execution("ETHUSDT", "Buy", "1.00")
    return rig.stats()["batches"]


def advised(prepare: Callable[[Rig], None]) -> Callable[[Rig], Awaitable[object]]:
    async def sentences(rig: Rig) -> object:
        prepare(rig)
        return len(rig.optimizer.get_recommendations())

    return sentences


def miss_sometimes(rig: Rig) -> None:
    rig.optimizer.note_price("ETHUSDT", 1.0, 2.0)
    for symbol in ["ETHUSDT", "BTCUSDT", "SOLUSDT"] * 10:
        rig.optimizer.get_cached_price(symbol)


def call_too_soon(rig: Rig) -> None:
    for _ in range(30):
        rig.optimizer.rate_limit_api_call("get_ticker")
        rig.clock.advance(0.02)


def be_slow_sometimes(rig: Rig) -> None:
    for index in range(20):
        with rig.optimizer.time_operation("get_ticker"):
            rig.clock.advance(2.0 if index < 2 else 0.01)


def send_half_batches(rig: Rig) -> None:
    rig.optimizer._batcher.sizes[:] = [0, 12, 0, 0, 0, 0]


PROBES: dict[str, tuple[Callable[[Rig], Awaitable[object]], object]] = {
    "enable_caching": (calls_of_two_reads, False),
    "price_cache_ttl_s": (price_after_a_while, 0.2),
    "order_book_cache_ttl_s": (calls_after_a_while, 0.3),
    "min_api_interval_s": (second_turn, 0.07),
    "max_ticker_response_time_s": (slow("get_ticker", 0.6), 0.7),
    "max_order_response_time_s": (slow("place_order", 1.1), 1.2),
    "max_volatility_calc_time_s": (slow("get_volatility", 0.11), 0.12),
    "batch_size": (batch, 1),
    "min_cache_hit_rate_pct": (advised(miss_sometimes), 30.0),
    "max_refused_calls_pct": (advised(call_too_soon), 70.0),
    "max_slow_operations_pct": (advised(be_slow_sometimes), 15.0),
    "min_batch_fill_pct": (advised(send_half_batches), 10.0),
}


@pytest.mark.parametrize("key", PROBES)
async def test_the_value_changes_what_is_done(key: str) -> None:
    probe, other = PROBES[key]
    usual = PerformanceSettings()
    assert getattr(usual, key) != other
    changed = PerformanceSettings.model_validate({key: other})
    assert await probe(Rig(usual)) != await probe(Rig(changed))


def test_no_value_is_forgotten() -> None:
    assert PROBES.keys() | ELSEWHERE == PerformanceSettings.model_fields.keys()


def test_the_guides_config_reaches_the_optimizer(tmp_path: Any) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"performance": {"price_cache_ttl": 0.4, "batch_size": 7}}')
    settings = load_settings(
        {}, environ={}, dotenv_path=tmp_path / "none", config_path=config
    ).performance
    optimizer = Rig(settings).optimizer
    assert (optimizer.price_cache_ttl, optimizer.batch_size) == (0.4, 7)
    assert optimizer.order_book_cache_ttl == 0.2
