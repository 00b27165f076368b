"""The use that the users' guides 1 to 4 show, unchanged but for imports and the names left open.

Guides 1 to 3 show signatures and results of their models, guide 4 whole snippets; those run on the
embedded venue, through the gated client.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizers import (
    BookProcessor,
    MakerTakerModel,
    MarketImpactModel,
    OptimizedMarketImpact,
    OptimizedSlippageModel,
    VolatilityCalculator,
)
from optimizers.microstructure.levels import read_levels
from trading_system import BybitClient
from trading_system.config.settings import load_settings

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

TESTS = Path(__file__).parents[1]
SYMBOL = "BTCUSDT"
DATA = {
    "symbol": SYMBOL,
    "asks": [["95445.5", "2.0"], ["95446.0", "3.0"], ["95450.0", "10.0"]],
    "bids": [["95445.4", "1.0"], ["95445.0", "4.0"], ["95440.0", "10.0"]],
    "quantity": 4.0,
    "spread": 0.1,
}
CONFIG = """
{
  "performance": {
    "enable_caching": true,
    "price_cache_ttl": 0.1,
    "order_book_cache_ttl": 0.2,
    "volatility_cache_ttl": 60,
    "min_api_interval": 0.05,
    "max_ticker_response_time": 0.5,
    "max_order_response_time": 1.0,
    "max_volatility_calc_time": 0.1,
    "batch_size": 5,
    "batch_timeout": 0.1,
    "performance_log_interval": 300
  }
}
"""
TRADING = """
{
  "trading": {
    "update_interval": 2
  }
}
"""


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


# Guides 1 and 2: the two models.


def test_almgren_chriss_market_impact_model() -> None:
    self = MarketImpactModel()
    impact = self.calculate_impact(quantity=2.0, price=95_445.0, volatility=2e-4, market_depth=50.0)
    assert impact.keys() == {
        "temporary_impact",
        "permanent_impact",
        "total_impact",
        "impact_bps",
    }
    assert impact["total_impact"] == impact["temporary_impact"] + impact["permanent_impact"]
    # As in the guide, twice the volatility is twice the impact.
    twice = self.calculate_impact(2.0, 95_445.0, 4e-4, 50.0)
    assert twice["temporary_impact"] == pytest.approx(2 * impact["temporary_impact"])


def test_maker_taker_prediction_model() -> None:
    self = MakerTakerModel()
    spread, market_depth, price = 0.1, 30.0, 95_445.0
    sizes = np.tile(np.linspace(0.1, 10.0, 50), 12)
    # The guide's features, and orders that fill as maker the more often the smaller they are.
    norm_spread = spread / price
    norm_depth = np.log1p(market_depth)
    rows = [[norm_spread, norm_depth, 2e-4, order_size / market_depth] for order_size in sizes]
    draws = np.random.default_rng(1).random(len(sizes))
    self.fit(rows, (draws > sizes / 10.0).astype(int))
    small = self.predict_maker_probability(spread, market_depth, 2e-4, 0.5, price)
    large = self.predict_maker_probability(spread, market_depth, 2e-4, 9.5, price)
    assert 0.0 < large < 0.5 < small < 1.0


# Guide 3: books, features, messages, cached models.


def test_orderbook_processing() -> None:
    book = BookProcessor().process_orderbook(DATA)
    asks = np.array(DATA["asks"], dtype=float)
    bids = np.array(DATA["bids"], dtype=float)
    assert (book["spreads"] == asks[:, 0] - bids[:, 0]).all()
    assert (book["volumes"] == asks[:, 1] + bids[:, 1]).all()
    assert book["bids"][0, 0] == 95_445.4  # as single precision it would be 95445.3984375


def test_feature_engineering() -> None:
    features = BookProcessor().calculate_features(DATA)
    assert features.keys() == {"spread", "imbalance", "depth", "quantity_ratio"}
    assert features["quantity_ratio"] == DATA["quantity"] / 30.0
    assert features["imbalance"] == 0.0


async def test_message_batching() -> None:
    self = BookProcessor(batch_size=3)
    for symbol in ("A", "B", "C", "D"):
        await self.process_message({**DATA, "symbol": symbol})
    await self.process_messages()
    assert set(self.books) == {"A", "B", "C"}
    assert len(self.buffer) < self.batch_size
    await self.process_batch([{**DATA, "symbol": "E"}])
    assert "E" in self.books


def test_optimized_slippage_model() -> None:
    model = OptimizedSlippageModel()
    model.update_book(read_levels(SYMBOL, DATA))
    features = {"side": "Buy", "quantity": 4.0}
    prediction = model.predict(features)
    assert (len(model.prediction_cache), len(model.feature_cache)) == (1, 1)
    assert model.predict(features) == prediction
    mid, paid = 95_445.45, (2 * 95_445.5 + 2 * 95_446.0) / 4
    assert prediction["slippage_bps"] == pytest.approx((paid / mid - 1) * 1e4, abs=1e-9)


def test_optimized_market_impact() -> None:
    model = OptimizedMarketImpact()
    model.update_book(read_levels(SYMBOL, DATA))
    quantity, price = 4.0, 95_445.45
    impact = model.calculate_impact(quantity, price)
    assert (len(model.impact_cache), len(model.volume_cache)) == (1, 1)
    assert model.calculate_impact(quantity, price) == impact
    assert model.calculate_impact(8.0, price)["impact_bps"] > impact["impact_bps"] > 0


# Guide 4: the market maker.


def test_the_guides_config_is_read(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(CONFIG)
    settings = load_settings({}, environ={}, config_path=config)
    assert settings.performance.batch_size == 5
    assert settings.performance == load_settings({}, environ={}).performance
    config.write_text(TRADING)
    assert load_settings({}, environ={}, config_path=config).market_maker.update_interval_s == 2.0


def on_the_venue(work: Callable[[BybitClient], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with BybitClient() as exchange:
            await work(exchange)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_cache_and_rate_limit_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_PERFORMANCE__PRICE_CACHE_TTL", "30")  # outlives a busy machine

    async def work(exchange: BybitClient) -> None:
        optimizer = exchange.performance_optimizer

        def get_ticker(symbol):
            # Cache hit example
            cached_ticker = optimizer.get_cached_price(symbol)
            if cached_ticker:
                return cached_ticker  # Sub-millisecond response

            if not optimizer.rate_limit_api_call("get_ticker"):
                time.sleep(0.05)  # Wait for rate limit
            return None

        price = await optimizer.get_price(SYMBOL)
        assert get_ticker(SYMBOL) == price
        started = time.perf_counter()
        assert get_ticker("no such symbol") is get_ticker("no such symbol") is None
        assert time.perf_counter() - started >= 0.05

    on_the_venue(work)


def test_interval_and_monitoring_examples(capsys: pytest.CaptureFixture[str]) -> None:
    from agents import MarketMaker  # noqa: PLC0415 - the user's import line

    async def work(exchange: BybitClient) -> None:
        market_maker = self = MarketMaker(exchange, symbols=(SYMBOL,))
        update_interval = 2.0
        await market_maker.cycle()

        # Optimize interval based on performance
        update_interval = self.optimize_update_interval(update_interval)

        # Get performance statistics
        stats = market_maker.collect_performance_stats()
        print(f"Average cycle time: {stats['cycle_times']['avg']:.3f}s")
        print(f"Cache hit rate: {stats['volatility']['hit_rate']:.1f}%")

        assert update_interval == pytest.approx(1.6)  # the cycles are fast
        assert await market_maker.wind_down()

    on_the_venue(work)
    said = capsys.readouterr().out
    assert "Average cycle time: 0." in said
    assert "Cache hit rate: " in said


def test_troubleshooting_examples(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(exchange: BybitClient) -> None:
        volatility = VolatilityCalculator(exchange)
        await volatility.get_atr(SYMBOL)
        await exchange.performance_optimizer.get_price(SYMBOL)

        # Check cache configuration
        optimizer = exchange.performance_optimizer
        print(f"Price cache TTL: {optimizer.price_cache_ttl}")
        print(f"Cache size: {len(optimizer.price_cache)}")

        # Review rate limiting
        stats = exchange.get_performance_stats()
        print(f"API calls: {stats['api_call_count']}")
        print(f"Slow operations: {stats['slow_operations']}")

        # Check volatility cache
        vol_stats = volatility.get_cache_stats()
        print(f"Hit rate: {vol_stats['hit_rate']:.1f}%")
        print(f"Avg calc time: {vol_stats['avg_calculation_time']:.3f}s")

        for _ in range(20):
            optimizer.rate_limit_api_call("get_ticker")
        recommendations = optimizer.get_recommendations()
        for rec in recommendations:
            print(f"- {rec}")

        assert stats["api_calls"]["get_kline_data"] == 1

    on_the_venue(work)
    said = capsys.readouterr().out
    for text in (
        "Price cache TTL: 0.1",
        "Cache size: ",
        "Slow operations: {}",
        "- call less often",
    ):
        assert text in said


def test_the_performance_suite_runs_as_a_script() -> None:
    # cd tests; python test_performance.py
    done = subprocess.run(
        [sys.executable, "test_performance.py"],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:2] for line in done.stdout.splitlines() if line[:1].isdigit()] == [
        f"{number}." for number in range(1, 8)
    ]
    assert "Performance Score: " in done.stdout
