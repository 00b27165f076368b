import asyncio
import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from paper_client import PaperClient

from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    InvariantViolated,
    OffGridError,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.runtime.clock import ManualClock

RESULT_KEYS = {
    "success",
    "error",
    "order_result",
    "execution_metrics",
    "microstructure",
    "optimization_applied",
    "cost_estimate",
    "execution_time_ms",
}
APPLIED_KEYS = {
    "order_type",
    "time_in_force",
    "execution_style",
    "slippage_tolerance",
    "use_limit_orders",
    "limit_offset",
    "split_order",
    "chunk_size",
    "chunks",
}


class Rig:
    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.client = PaperClient(clock=self.clock)
        self.optimizer = PerformanceOptimizer(self.client, clock=self.clock, **settings)

    async def buy(self, quantity: float = 3.0, **changes: Any) -> dict[str, Any]:
        values = {"symbol": "ETHUSDT", "side": "Buy", "quantity": quantity, **changes}
        return await self.optimizer.optimize_order_execution(**values)


async def test_the_guides_example_runs() -> None:
    bybit = PaperClient(clock=ManualClock())
    optimizer = PerformanceOptimizer(bybit)
    result = await optimizer.optimize_order_execution(
        symbol="ETHUSDT", side="Buy", quantity=0.01, urgency="HIGH"
    )
    assert 0 < result["execution_metrics"].execution_quality_score <= 100
    assert result.keys() == RESULT_KEYS
    assert result["optimization_applied"].keys() == APPLIED_KEYS
    assert optimizer.get_performance_summary()["quality_metrics"]["avg_score"] > 80
    assert bybit.ready == 1


async def test_price_and_slippage_equal_a_hand_walk() -> None:
    rig = Rig()
    result = await rig.buy(3.0)
    price = (1 * 3400.10 + 2 * 3400.50) / 3
    assert result["order_result"]["average_price"] == pytest.approx(price, abs=1e-9)
    expected = (price - 3400.0) / 3400.0 * 1e4
    assert result["execution_metrics"].slippage_bps == pytest.approx(expected, abs=1e-9)
    assert result["cost_estimate"]["expected_bps"] == pytest.approx(expected, abs=1e-9)
    sold = await rig.buy(3.0, side="Sell")
    low = (2 * 3399.90 + 1 * 3399.50) / 3
    cost = (3400.0 - low) / 3400.0 * 1e4
    assert sold["execution_metrics"].slippage_bps == pytest.approx(cost, abs=1e-9)


async def test_latency_is_measured_and_scored_with_slippage_and_fill() -> None:
    rig = Rig()
    metrics = (await rig.buy(1.0))["execution_metrics"]
    assert metrics.latency_ms == 40.0
    slippage = 0.1 / 3400 * 1e4
    parts = 100 * (1 - 40 / 1000) + 100 * (1 - slippage / 10) + 100
    assert metrics.execution_quality_score == pytest.approx(parts / 3)


async def test_a_large_order_is_split_and_every_chunk_reported() -> None:
    rig = Rig(max_slippage_bps=1.0)
    result = await rig.buy(12.0)
    order = result["order_result"]
    assert order["split_execution"]
    assert order["chunks_executed"] == len(order["chunk_results"])
    assert order["chunks_executed"] == result["optimization_applied"]["chunks"]
    assert order["total_filled"] == 12.0
    assert order["average_slippage_bps"] <= 1.0
    assert result["cost_estimate"]["expected_bps"] > 1.0


async def test_results_are_json_safe() -> None:
    rig = Rig()
    result = await rig.buy()
    plain = {
        **result,
        "execution_metrics": asdict(result["execution_metrics"]),
        "microstructure": asdict(result["microstructure"]),
    }
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert result["microstructure"].volume_profile["total_liquidity"] > 0


@pytest.mark.parametrize(
    "failure",
    [
        OrderDenied("halted", "trading is halted"),
        VenueUnavailable("gone", venue="x", operation="y", outcome=Outcome.UNKNOWN),
        CorruptDataError("bad book"),
    ],
)
async def test_a_refusal_is_a_result_without_success(failure: Exception) -> None:
    rig = Rig()
    rig.client.failure = failure
    result = await rig.buy()
    assert (result["success"], result["error"]) == (False, str(failure))
    assert result["execution_metrics"].execution_quality_score == 0.0
    assert result["execution_time_ms"] >= 0
    assert rig.optimizer.get_performance_summary()["failed_executions"] == 1


async def test_without_a_quote_or_a_fill_nothing_was_traded() -> None:
    rig = Rig()
    rig.client.has_quote = False
    assert (await rig.buy())["error"] == "no quote to start from"
    rig.client.has_quote = True
    killed = await rig.buy(99.0, order_type="Limit", urgency="HIGH")
    assert (killed["success"], killed["error"]) == (False, "the book ended")
    assert killed["order_result"]["total_filled"] == 0.0


async def test_a_book_that_cannot_be_read_is_a_result_without_success() -> None:
    rig = Rig()
    rig.client.asks = ()
    result = await rig.buy()
    assert not result["success"]
    assert (result["microstructure"], result["optimization_applied"]) == (None, None)
    assert rig.client.parents == []


async def test_an_order_below_the_least_value_still_shows_the_market() -> None:
    rig = Rig()
    rig.client.bids, rig.client.asks = (("99.99", "9"),), (("100.01", "9"),)
    result = await rig.buy(0.01)
    assert "min_notional" in result["error"]
    assert result["microstructure"].optimal_execution_size == 9.0
    assert rig.client.parents == []


async def test_a_thin_book_is_limited_instead_of_swept() -> None:
    rig = Rig()
    rig.client.asks = (("3410.00", "0.10"), ("3500.00", "50.00"))
    result = await rig.buy()
    parent = rig.client.parents[0]
    assert not result["success"]
    assert parent.limit_price is not None
    assert parent.limit_price <= Decimal("3406.65")


async def test_a_resting_order_in_a_wide_market_improves_on_crossing() -> None:
    rig = Rig()
    rig.client.bids, rig.client.asks = (("3390.00", "50"),), (("3410.00", "50"),)
    rig.client.fills_resting = True
    result = await rig.buy(1.0)
    assert result["success"]
    assert result["order_result"]["average_price"] == 3395.0
    assert result["execution_metrics"].slippage_bps == pytest.approx(-5 / 3400 * 1e4)


async def test_programming_errors_and_broken_invariants_are_raised() -> None:
    rig = Rig()
    with pytest.raises(ValidationError):
        await rig.buy(side="up")
    with pytest.raises(OffGridError):
        await rig.buy(0.015)
    rig.client.failure = InvariantViolated("stop")
    with pytest.raises(InvariantViolated):
        await rig.buy()
    with pytest.raises(ValidationError, match="max_slippage_bps must be positive"):
        PerformanceOptimizer(rig.client, max_slippage_bps=0.0)


async def test_a_planned_wait_is_no_latency() -> None:
    rig = Rig()
    execute = rig.client.execute_parent

    async def with_wait(parent: Any) -> Any:
        result = await execute(parent)
        rig.clock.advance(5.0)
        result.waited_ms = 5_000.0
        return result

    rig.client.execute_parent = with_wait  # type: ignore[method-assign]  # a slower venue
    result = await rig.buy(1.0)
    assert result["execution_metrics"].latency_ms == pytest.approx(40.0)
    assert result["execution_time_ms"] == pytest.approx(5_040.0)


async def test_orders_never_use_a_cached_book_and_analyses_do_for_their_time() -> None:
    rig = Rig(cache_ttl=30.0)
    await rig.optimizer.get_microstructure("ETHUSDT")
    await rig.optimizer.get_microstructure("ETHUSDT")
    assert len(rig.client.book_requests) == 1
    await rig.buy()
    assert len(rig.client.book_requests) == 2
    rig.clock.advance(31)
    await rig.optimizer.get_microstructure("ETHUSDT")
    assert len(rig.client.book_requests) == 3


async def test_prices_and_books_live_as_long_as_they_are_told_to() -> None:
    rig = Rig()
    assert rig.optimizer.get_cached_price("ETHUSDT") is None
    await rig.optimizer.get_order_book("ETHUSDT")
    await rig.optimizer.get_order_book("ETHUSDT")
    price = rig.optimizer.get_cached_price("ETHUSDT")
    assert price is not None
    assert price["mid"] == pytest.approx(3400.0)
    assert (len(rig.optimizer.price_cache), len(rig.client.book_requests)) == (1, 1)
    rig.clock.advance(0.11)
    assert rig.optimizer.get_cached_price("ETHUSDT") is None
    rig.clock.advance(0.1)
    await rig.optimizer.get_order_book("ETHUSDT")
    assert len(rig.client.book_requests) == 2


async def test_caching_can_be_switched_off() -> None:
    rig = Rig(enable_caching=False)
    for _ in range(2):
        await rig.optimizer.get_order_book("ETHUSDT")
        await rig.optimizer.get_microstructure("ETHUSDT")
    assert len(rig.client.book_requests) == 4
    assert rig.optimizer.get_cached_price("ETHUSDT") is None
    assert len(rig.optimizer.price_cache) == 0


async def test_calls_are_spaced_per_operation() -> None:
    optimizer = (rig := Rig()).optimizer
    assert optimizer.rate_limit_api_call("get_ticker")
    assert not optimizer.rate_limit_api_call("get_ticker")
    assert optimizer.rate_limit_api_call("get_balance")
    with pytest.raises(DeadlineExceeded):
        await optimizer.acquire_api_call("get_ticker", deadline_s=0.0)
    rig.clock.advance(optimizer.min_api_interval)
    await optimizer.acquire_api_call("get_ticker")
    for i in range(300):
        assert optimizer.rate_limit_api_call(f"operation-{i}")


async def test_a_stream_keeps_the_price_cache_full_without_a_call() -> None:
    rig = Rig()
    rig.optimizer.note_price("ETHUSDT", 3399.0, 3401.0, 12.5)
    cached_ticker = rig.optimizer.get_cached_price("ETHUSDT")
    assert cached_ticker == {
        "symbol": "ETHUSDT",
        "bid": 3399.0,
        "ask": 3401.0,
        "mid": 3400.0,
        "ts": 12.5,
    }
    assert await rig.optimizer.get_price("ETHUSDT") == cached_ticker
    assert rig.client.book_requests == []
    assert rig.optimizer.get_performance_stats()["cache_hit_rates"]["price"] == 100.0
    assert not rig.optimizer.note_price("ETHUSDT", 3401.0, 3399.0)
    assert rig.optimizer.get_cached_price("ETHUSDT") is None


async def test_a_missing_price_is_read_once_for_all_who_ask() -> None:
    rig = Rig()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rig.optimizer.get_price("ETHUSDT")) for _ in range(5)]
    assert {task.result()["mid"] for task in tasks} == {3400.0}
    assert len(rig.client.book_requests) == 1
    tasks[0].result()["mid"] = 0.0  # what one caller does to its answer is nobody else's
    assert rig.optimizer.get_cached_price("ETHUSDT") == tasks[1].result()
    rig.clock.advance(0.1)
    await rig.optimizer.get_price("ETHUSDT")
    assert len(rig.client.book_requests) == 2


async def test_statistics_count_what_was_done() -> None:
    rig = Rig()
    optimizer = rig.optimizer
    for _ in range(4):
        await optimizer.get_order_book("ETHUSDT")
    await optimizer.get_microstructure("ETHUSDT")
    with optimizer.time_operation("place_order"):
        rig.clock.advance(1.5)
    optimizer.get_cached_price("ETHUSDT")
    assert optimizer.rate_limit_api_call("get_ticker")
    assert not optimizer.rate_limit_api_call("get_ticker")
    stats = optimizer.get_performance_stats()
    assert stats["api_call_count"] == 3
    assert stats["api_calls"] == {"get_order_book": 1, "get_microstructure": 1, "place_order": 1}
    assert stats["slow_operations"] == {"place_order": 1}
    assert stats["newest_slow_operations"][0]["duration_s"] == 1.5
    assert stats["operation_averages"]["place_order"] == 1.5
    assert stats["cache_hit_rates"] == {"price": 0.0, "order_book": 75.0, "microstructure": 0.0}
    assert stats["spacing"] == {"granted": 1, "refused": 1}
    assert json.loads(json.dumps(stats, allow_nan=False)) == stats


def test_statistics_have_every_key_from_the_start() -> None:
    stats = Rig().optimizer.get_performance_stats()
    assert stats == {
        "api_call_count": 0,
        "api_calls": {},
        "slow_operations": {},
        "newest_slow_operations": [],
        "failed_operations": {},
        "cache_hit_rates": {"price": None, "order_book": None, "microstructure": None},
        "operation_averages": {},
        "operation_p95": {},
        "operation_counts": {},
        "spacing": {"granted": 0, "refused": 0},
        "batches": {"sent": 0, "orders": 0, "fill_pct": None},
    }


async def test_a_failed_read_is_counted_and_timed() -> None:
    rig = Rig()
    rig.client.asks = ()
    with pytest.raises(CorruptDataError):
        await rig.optimizer.get_order_book("ETHUSDT")
    stats = rig.optimizer.get_performance_stats()
    assert stats["failed_operations"] == {"get_order_book": 1}
    assert stats["api_call_count"] == 1


@pytest.mark.parametrize("enable_caching", [True, False])
async def test_caching_off_is_a_full_bypass_by_the_counted_calls(enable_caching: bool) -> None:
    rig = Rig(enable_caching=enable_caching)
    optimizer = rig.optimizer
    assert optimizer.note_price("BTCUSDT", 1.0, 2.0) is enable_caching
    for _ in range(5):
        await optimizer.get_price("ETHUSDT")
        await optimizer.get_order_book("ETHUSDT")
        await optimizer.get_microstructure("ETHUSDT")
    calls = {"get_order_book": 2, "get_microstructure": 1}  # of a price and of a book
    if not enable_caching:
        calls = {"get_order_book": 10, "get_microstructure": 5}
    stats = optimizer.get_performance_stats()
    assert stats["api_calls"] == calls
    assert len(rig.client.book_requests) == sum(calls.values()) == stats["api_call_count"]
    assert (optimizer.get_cached_price("BTCUSDT") is not None) is enable_caching
    assert len(optimizer.price_cache) == 2 * enable_caching


@pytest.mark.parametrize(
    "wrong",
    [{"price_cache_ttl": 0.0}, {"batch_size": 0}, {"no_such_value": 1}, {"batch_timeout": -1.0}],
)
def test_a_wrong_value_of_the_guide_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Rig(**wrong)


def test_single_values_change_given_settings() -> None:
    settings = PerformanceSettings(price_cache_ttl_s=7.0, batch_size=3)
    optimizer = Rig(settings=settings, batch_size=4).optimizer
    assert (optimizer.price_cache_ttl, optimizer.batch_size) == (7.0, 4)
    assert Rig(settings=settings).optimizer.batch_size == 3


async def test_seven_orders_set_out_as_five_and_two() -> None:
    rig = Rig(batch_timeout=0.01)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(rig.optimizer.queue_order_execution("ETHUSDT", "Buy", f"{i + 1}.00"))
            for i in range(7)
        ]
    assert [t.result()["order_result"]["total_quantity"] for t in tasks] == [1, 2, 3, 4, 5, 6, 7]
    assert rig.optimizer._batcher.sizes == [0, 0, 1, 0, 0, 1]
    assert (rig.optimizer.batch_size, rig.optimizer.batch_timeout) == (5, 0.01)


async def test_a_wrong_order_of_a_batch_hurts_nobody_else() -> None:
    rig = Rig(batch_size=2)
    async with asyncio.TaskGroup() as group:
        good = group.create_task(rig.optimizer.queue_order_execution("ETHUSDT", "Buy", "1.00"))
        with pytest.raises(OffGridError):
            await rig.optimizer.queue_order_execution("ETHUSDT", "Buy", "1.005")
    assert good.result()["success"]


async def test_figures_and_advice_follow_what_was_measured() -> None:
    rig = Rig()
    assert rig.optimizer.get_recommendations() == []
    await rig.buy(1.0)
    assert rig.optimizer.get_recommendations() == []
    rig.client.order_ms = 900.0
    for _ in range(3):
        await rig.buy(1.0)
    assert any("p95 latency" in text for text in rig.optimizer.get_recommendations())
    summary = rig.optimizer.get_performance_summary()
    assert summary["total_executions"] == 4
    assert summary["latency_metrics"]["target_met"] is False
    assert summary["cost_calibration"]["avg_predicted_bps"] == pytest.approx(
        summary["cost_calibration"]["avg_realised_bps"]
    )


async def test_monitoring_warns_beyond_one_and_a_half_times_a_limit() -> None:
    rounds, done = [], asyncio.Event()

    async def pause(seconds: float) -> None:
        rounds.append(seconds)
        done.set()
        await asyncio.Event().wait()

    rig = Rig(pause=pause)
    rig.client.order_ms = 800.0
    await rig.buy(1.0)
    await rig.optimizer.start_performance_monitoring()
    await done.wait()
    assert (rig.optimizer.is_monitoring, rounds) == (True, [60.0])
    assert rig.optimizer.monitoring_warnings == 1
    await rig.optimizer.cleanup()
    assert not rig.optimizer.is_monitoring
    assert len(rig.optimizer.price_cache) == 0


async def test_a_parent_planned_elsewhere_is_judged_like_an_own_one() -> None:
    rig = Rig()
    await rig.buy(1.0)
    result, answer = await rig.optimizer.execute_parent(rig.client.parents[0])
    assert result is not None
    assert answer["success"]
    assert rig.optimizer.get_performance_summary()["total_executions"] == 2
    rig.client.failure = OrderDenied("halted", "trading is halted")
    result, answer = await rig.optimizer.execute_parent(rig.client.parents[0])
    assert (result, answer["error"]) == (None, "halted: trading is halted")
    rig.client.failure = InvariantViolated("stop")
    with pytest.raises(InvariantViolated):
        await rig.optimizer.execute_parent(rig.client.parents[0])


async def test_parents_that_have_ended_are_kept_newest_first_also_failed_ones() -> None:
    rig = Rig()
    await rig.buy(1.0)
    rig.clock.advance(1.0)
    rig.client.failure = OrderDenied("halted", "trading is halted")
    await rig.buy(2.0)
    refused, filled = rig.optimizer.newest_executions(5)
    assert (refused.parent.quantity, refused.result) == (Decimal(2), None)
    assert refused.error == "halted: trading is halted"
    assert (filled.parent.quantity, filled.error) == (Decimal(1), None)
    assert filled.result is not None
    assert filled.result.is_success
    assert refused.utc_ns - filled.utc_ns >= 1_000_000_000
    assert rig.optimizer.newest_executions(1) == [refused]


async def test_an_analyzer_may_be_shared() -> None:
    rig = Rig()
    analyzer = MarketMicrostructureAnalyzer(rig.client, clock=rig.clock)
    optimizer = PerformanceOptimizer(rig.client, analyzer=analyzer, clock=rig.clock)
    await optimizer.optimize_order_execution("ETHUSDT", "Buy", 1.0)
    assert analyzer.get_market_microstructure_summary("ETHUSDT")["analysis_count"] == 1
