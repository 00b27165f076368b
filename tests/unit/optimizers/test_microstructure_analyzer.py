import asyncio
import json
import random
import threading
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from paper_client import PaperClient

from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.advice import BookFacts, optimal_timing
from optimizers.microstructure.analysis import ImpactParameters
from optimizers.microstructure.history import (
    RollingQuantiles,
    RollingVolatility,
    SymbolHistory,
    trend,
)
from optimizers.microstructure.levels import read_levels
from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.runtime.clock import ManualClock

ADVICE_KEYS = {
    "order_type",
    "execution_style",
    "size_optimization",
    "timing_optimization",
    "size_splitting",
    "timing_delay",
    "use_limit_orders",
    "limit_offset",
    "max_chunk_size",
    "bias",
    "impact_estimate",
    "impact_threshold",
    "size_limit",
    "optimal_timing",
}
TIMING_KEYS = {
    "spread_condition",
    "timing_bias",
    "liquidity_trend",
    "liquidity_bias",
    "imbalance_bias",
}


def made(**settings: Any) -> tuple[MarketMicrostructureAnalyzer, PaperClient, ManualClock]:
    clock = ManualClock()
    client = PaperClient(clock=clock)
    return MarketMicrostructureAnalyzer(client, clock=clock, **settings), client, clock


async def test_an_analysis_has_every_documented_field() -> None:
    analyzer, client, _ = made()
    analysis = await analyzer.analyze_market_microstructure(symbol="ETHUSDT", urgency="NORMAL")
    assert set(analysis.execution_optimization) == ADVICE_KEYS
    assert set(analysis.execution_optimization["optimal_timing"]) == TIMING_KEYS
    assert [usd for usd, _ in analysis.price_impact_curve] == [1e2, 5e2, 1e3, 5e3, 1e4, 5e4, 1e5]
    assert analysis.mid == pytest.approx(3400.0)
    assert client.ready == 1


async def test_an_analysis_is_json_safe_and_the_same_for_text_and_numbers() -> None:
    analyzer, client, _ = made()
    from_text = await analyzer.analyze_market_microstructure("ETHUSDT")
    other, client, _ = made()
    client.bids = [(float(p), float(s)) for p, s in client.bids]  # type: ignore[misc]  # numbers on purpose
    client.asks = [(float(p), float(s)) for p, s in client.asks]  # type: ignore[misc]  # numbers on purpose
    from_numbers = await other.analyze_market_microstructure("ETHUSDT")
    assert from_text == from_numbers
    assert json.loads(json.dumps(asdict(from_text), allow_nan=False))["symbol"] == "ETHUSDT"


async def test_the_summary_has_every_key_before_and_after_the_first_analysis() -> None:
    analyzer, _, _ = made()
    empty = analyzer.get_market_microstructure_summary("ETHUSDT")
    assert (empty["status"], empty["analysis_count"]) == ("no analysis yet", 0)
    for _ in range(12):
        await analyzer.analyze_market_microstructure("ETHUSDT")
    full = analyzer.get_market_microstructure_summary("ETHUSDT")
    assert (full["status"], full["analysis_count"]) == ("ok", 12)
    assert full.keys() == empty.keys()
    for key in ("spread_metrics", "volume_metrics", "liquidity_metrics", "market_balance"):
        assert full[key].keys() == empty[key].keys()
        assert None not in full[key].values()
    assert json.loads(json.dumps(full, allow_nan=False)) == full


async def test_settings_change_what_is_found() -> None:
    narrow, _, _ = made(depth_levels=1)
    tight_budget, _, _ = made(impact_threshold=0.0002, liquidity_threshold=1e6)
    margin, _, _ = made(impact_params=ImpactParameters(beta=1.0, gamma=0.5, decay_rate=1.0))
    plain, _, _ = made()
    one, two, three, four = [
        await a.analyze_market_microstructure("ETHUSDT")
        for a in (narrow, tight_budget, margin, plain)
    ]
    assert one.total_volume < four.total_volume
    assert two.liquidity.optimal_execution_size < four.liquidity.optimal_execution_size
    assert two.liquidity_score < four.liquidity_score
    assert three.price_impact_curve[-1][1] >= four.price_impact_curve[-1][1]
    assert three.impact_model.permanent_impact > four.impact_model.permanent_impact
    assert three.impact_model.impact_after(1.0) < three.impact_model.impact_after(0.0)


def test_settings_are_shown_under_their_guide_names() -> None:
    analyzer, _, _ = made()
    assert (analyzer.depth_levels, analyzer.impact_threshold) == (20, 0.001)
    assert analyzer.liquidity_threshold == 10_000.0
    assert analyzer.impact_params == {"alpha": 0.5, "beta": 0.1, "gamma": 0.05, "decay_rate": 0.1}


@pytest.mark.parametrize(
    "settings", [{"depth_levels": 0}, {"impact_threshold": 0.0}, {"liquidity_threshold": -1.0}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**settings)


async def test_an_unknown_urgency_is_refused_before_anything_is_read() -> None:
    analyzer, client, _ = made()
    with pytest.raises(ValidationError, match="urgency"):
        await analyzer.analyze_market_microstructure("ETHUSDT", urgency="ASAP")
    assert client.book_requests == []


async def test_two_interleaved_symbols_do_not_leak() -> None:
    both, client, _ = made()
    alone, _, _ = made()
    for _ in range(25):
        client.asks = (("3400.10", "1.00"), ("3402.00", "30.00"))
        mixed = await both.analyze_market_microstructure("A")
        client.asks = (("3430.00", "0.10"),)
        await both.analyze_market_microstructure("B")
        alone_client = alone._source._client
        alone_client.asks = (("3400.10", "1.00"), ("3402.00", "30.00"))
        single = await alone.analyze_market_microstructure("A")
    assert mixed.execution_optimization == single.execution_optimization
    assert mixed.impact_model == single.impact_model
    assert mixed.impact_model.confidence_interval is not None


async def test_advice_follows_spread_pressure_urgency_and_size() -> None:
    analyzer, client, _ = made()
    client.bids = (("3380.00", "90.00"),)
    wide = await analyzer.analyze_market_microstructure("ETHUSDT", urgency="HIGH")
    advice = wide.execution_optimization
    assert (advice["order_type"], advice["bias"]) == ("Limit", "BUY")
    assert advice["size_splitting"]
    said = analyzer.get_market_microstructure_summary("ETHUSDT")["execution_recommendations"]
    assert [s.split(":")[0].split(" above")[0] for s in said] == [
        "use limit orders",
        "split orders",
        "trade small",
        "expect pressure",
    ]
    low = await analyzer.analyze_market_microstructure("ETHUSDT", urgency="LOW")
    assert low.execution_optimization["execution_style"] == "PASSIVE"


async def test_a_thin_book_is_called_poor_and_an_ask_heavy_one_ask_heavy() -> None:
    analyzer, client, _ = made()
    client.bids, client.asks = (("3300.00", "0.01"),), (("3500.00", "9.00"),)
    await analyzer.analyze_market_microstructure("ETHUSDT")
    summary = analyzer.get_market_microstructure_summary("ETHUSDT")
    assert summary["liquidity_metrics"]["quality"] == "POOR"
    assert summary["market_balance"]["balance_state"] == "ASK_HEAVY"
    client.bids, client.asks = (("3399.90", "1.00"),), (("3400.10", "1.00"),)
    await analyzer.analyze_market_microstructure("ETHUSDT")
    summary = analyzer.get_market_microstructure_summary("ETHUSDT")
    assert summary["liquidity_metrics"]["quality"] == "FAIR"
    assert summary["market_balance"]["balance_state"] == "BALANCED"


def facts(**changes: float) -> BookFacts:
    values = {
        "mid": 100.0,
        "spread": 0.01,
        "spread_pct": 0.01,
        "imbalance": 0.0,
        "score": 0.5,
        "optimal_size": 1.0,
        "impact_bps": 1.0,
        "impact_threshold_bps": 10.0,
    }
    return BookFacts(**{**values, **changes})


def test_timing_compares_an_instant_with_the_symbols_own_past() -> None:
    history = SymbolHistory()
    for i in range(40):
        history.spreads_pct.add(0.01 + i * 0.001)
        history.scores.add(i / 40)
    tight = optimal_timing(facts(score=0.9), history, liquidity_trend="STABLE")
    wide = optimal_timing(facts(spread_pct=0.9, score=0.0), history, liquidity_trend="STABLE")
    middle = optimal_timing(facts(spread_pct=0.03), history, liquidity_trend="DECLINING")
    assert (tight["spread_condition"], tight["timing_bias"]) == ("TIGHT", "EXECUTE_NOW")
    assert (wide["spread_condition"], wide["timing_bias"]) == ("WIDE", "WAIT")
    assert (tight["liquidity_bias"], wide["liquidity_bias"]) == ("DEEP", "THIN")
    assert (middle["spread_condition"], middle["timing_bias"]) == ("NORMAL", "EXECUTE_NOW")


@pytest.mark.parametrize(("spread", "said"), [(0.01, "NORMAL"), (0.005, "TIGHT"), (0.02, "WIDE")])
def test_a_spread_that_never_changed_is_normal(spread: float, said: str) -> None:
    history = SymbolHistory()
    for _ in range(30):
        history.spreads_pct.add(0.01)
    timing = optimal_timing(facts(spread_pct=spread), history, liquidity_trend="STABLE")
    assert timing["spread_condition"] == said
    assert timing["liquidity_bias"] == "UNKNOWN"


async def test_waiting_is_advised_in_a_wide_moment_unless_it_is_urgent() -> None:
    analyzer, client, _ = made()
    for i in range(25):
        client.asks = ((f"{3400.10 + 0.01 * i:.2f}", "5.00"),)
        await analyzer.analyze_market_microstructure("ETHUSDT")
    normal = await analyzer.analyze_market_microstructure("ETHUSDT")
    urgent = await analyzer.analyze_market_microstructure("ETHUSDT", urgency="HIGH")
    assert normal.execution_optimization["timing_delay"] == 1.0
    assert urgent.execution_optimization["timing_delay"] == 0.0
    said = analyzer.get_market_microstructure_summary("ETHUSDT")["execution_recommendations"]
    assert not any(s.startswith("wait") for s in said)


def test_rolling_quantiles_keep_the_newest_in_order() -> None:
    source, rolling = random.Random(3), RollingQuantiles(50)
    values = [source.random() for _ in range(180)]
    for value in values:
        rolling.add(value)
    assert len(rolling) == 50
    assert rolling.quantile(0.5) == sorted(values[-50:])[25]
    assert rolling.newest(3) == values[-3:]
    assert RollingQuantiles(5).quantile(0.5) is None


def test_the_confidence_interval_covers_what_it_says() -> None:
    source, rolling, inside = random.Random(5), RollingQuantiles(200), 0
    for i in range(2_200):
        value = source.gauss(5, 1)
        if i >= 200:
            low, high = rolling.quantile(0.1), rolling.quantile(0.9)
            assert low is not None
            assert high is not None
            inside += low <= value <= high
        rolling.add(value)
    assert 0.76 < inside / 2_000 < 0.84


def test_volatility_is_the_realised_one_of_the_last_minute() -> None:
    source, rolling = random.Random(7), RollingVolatility(capacity=100)
    assert rolling.percent_per_minute() is None
    mids = list(100 * np.exp(np.cumsum([source.gauss(0, 1e-4) for _ in range(200)])))
    for i, mid in enumerate(mids):
        rolling.add(float(mid), i * 1_000_000_000)
    moves = np.diff(np.log(mids[-61:]))
    expected = float(np.sqrt((moves**2).sum()) * 100)
    assert rolling.percent_per_minute() == pytest.approx(expected, rel=1e-6)
    fast = RollingVolatility(capacity=3)
    for i in range(5):
        fast.add(100.0 + i, i * 500_000_000)
    assert fast.percent_per_minute() is not None


def test_a_trend_needs_ten_values_and_a_tenth_of_change() -> None:
    assert trend([1.0] * 9, rising="UP", falling="DOWN") == "INSUFFICIENT_DATA"
    assert trend([1.0] * 10, rising="UP", falling="DOWN") == "STABLE"
    assert trend([1.0] * 5 + [2.0] * 5, rising="UP", falling="DOWN") == "UP"
    assert trend([2.0] * 5 + [1.0] * 5, rising="UP", falling="DOWN") == "DOWN"


async def test_real_time_analysis_runs_every_interval_and_survives_a_bad_book() -> None:
    rounds, done = [], asyncio.Event()

    async def pause(seconds: float) -> None:
        rounds.append(seconds)
        client.asks = ()
        if len(rounds) == 3:
            done.set()
            await asyncio.Event().wait()

    analyzer, client, _ = made(pause=pause)
    assert not analyzer.is_analyzing
    await analyzer.start_real_time_analysis(["ETHUSDT", "BTCUSDT"])
    await analyzer.start_real_time_analysis()
    await done.wait()
    assert analyzer.is_analyzing
    assert analyzer.get_market_microstructure_summary("BTCUSDT")["analysis_count"] == 1
    await analyzer.cleanup()
    await analyzer.stop_real_time_analysis()
    assert (rounds, analyzer.failed_analyses) == ([30.0] * 3, 4)
    assert not analyzer.is_analyzing
    assert analyzer.get_market_microstructure_summary("BTCUSDT")["analysis_count"] == 0


async def test_an_empty_book_is_a_typed_error() -> None:
    analyzer, client, _ = made()
    client.bids = ()
    with pytest.raises(CorruptDataError, match="no bids"):
        await analyzer.analyze_market_microstructure("ETHUSDT")


class SlowPlainClient:
    def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        gate.wait(1.0)
        return {"bids": [["1", "1"]], "asks": [["2", "1"]]}


gate = threading.Event()


async def test_a_client_that_blocks_does_not_stall_the_event_loop() -> None:
    analyzer = MarketMicrostructureAnalyzer(SlowPlainClient())  # type: ignore[arg-type]  # duck-typed on purpose
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(analyzer.analyze_market_microstructure(s)) for s in "AB"]
        await asyncio.sleep(0)  # comes back although both books are still being waited for
        gate.set()
    assert [t.result().symbol for t in tasks] == ["A", "B"]


def test_symbols_are_bounded() -> None:
    analyzer, _, _ = made()
    book = {"bids": [["1", "1"]], "asks": [["2", "1"]]}
    for i in range(300):
        analyzer.analyze_levels(read_levels(f"S{i}", book))
    assert analyzer.get_market_microstructure_summary("S0")["analysis_count"] == 0
    assert analyzer.get_market_microstructure_summary("S299")["analysis_count"] == 1


def test_a_text_book_of_fifty_levels_is_analysed_fast() -> None:
    # The gate is 100 us for the median; a tenfold allowance keeps busy machines out of the result.
    analyzer, _, _ = made()
    book = {
        "bids": [[f"{65000 - 0.1 * i:.1f}", "1.234"] for i in range(50)],
        "asks": [[f"{65000.1 + 0.1 * i:.1f}", "1.234"] for i in range(50)],
    }
    times = []
    for _ in range(200):
        started = time.perf_counter_ns()
        analyzer.analyze_levels(read_levels("BTCUSDT", book))
        times.append(time.perf_counter_ns() - started)
    assert sorted(times)[100] < 1_000_000
