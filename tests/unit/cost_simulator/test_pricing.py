"""One book, one request, one answer: hand-computed numbers, or a clear error."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from frozen_books import ASKS, BIDS, FrozenFeed

from optimizers.costs.fees import FeeTables
from optimizers.costs.maker_taker import MakerTakerModel
from trading_system.config.settings import Settings
from trading_system.cost_simulator.faults import (
    BookUnavailableError,
    UnknownInstrumentError,
    VolatilityUnknownError,
)
from trading_system.cost_simulator.pricing import PriceDesk
from trading_system.cost_simulator.requests import read_request
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import ValidationError
from trading_system.runtime.clock import ManualClock

SYMBOL = "BTCUSDT"
TRADE: dict[str, Any] = {
    "exchange": "bybit",
    "instrument": SYMBOL,
    "side": "buy",
    "quantity": 1,
    "volatility_bps": 5,
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def feed(clock: ManualClock) -> FrozenFeed:
    feed = FrozenFeed("bybit", SYMBOL, clock=clock)
    feed.show(SYMBOL)
    return feed


@pytest.fixture
async def simulator(feed: FrozenFeed, clock: ManualClock) -> AsyncIterator[CostSimulator]:
    async with CostSimulator(Settings(), feeds=[feed], clock=clock) as simulator:
        yield simulator


def buy(simulator: CostSimulator, quantity: float | str = 6, **more: Any) -> dict[str, Any]:
    return simulator.estimate(**{"side": "buy", "quantity": quantity, "volatility_bps": 1, **more})


async def test_a_hand_made_book_gives_hand_computed_numbers(simulator: CostSimulator) -> None:
    answer = buy(simulator)
    # Asks 100.1 x 2, 100.2 x 3, 100.5 x 1: mean 100.21666..., mid 100, taker fee of VIP 0 0.055 %.
    mean = (100.1 * 2 + 100.2 * 3 + 100.5) / 6
    assert answer["fill_price_quote"] == pytest.approx(mean, rel=1e-9)
    assert answer["slippage_bps"] == pytest.approx(21.0 + 2 / 3, abs=1e-9)
    assert answer["fees_bps"] == pytest.approx(5.5 * mean / 100, abs=1e-9)
    assert answer["fees_quote"] == pytest.approx(0.00055 * mean * 6, abs=1e-9)
    assert answer["market_impact_bps"] == 0.0
    assert answer["notional_quote"] == pytest.approx(600.0, abs=1e-9)
    assert (answer["maker_pct"], answer["taker_pct"]) == (0.0, 100.0)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("more", [{}, {"order_type": "limit", "price": 99.95}])
async def test_net_cost_is_exactly_the_sum_of_its_parts(
    simulator: CostSimulator, side: str, more: dict[str, Any]
) -> None:
    answer = simulator.estimate(side=side, quantity=3, volatility_bps=1, **more)
    parts = answer["slippage_bps"] + answer["fees_bps"] + answer["market_impact_bps"]
    assert answer["net_cost_bps"] == parts
    assert answer["naive_sum_bps"] >= answer["net_cost_bps"]
    interval = answer["interval"]
    assert interval["p10_bps"] <= interval["p50_bps"] <= interval["p90_bps"]
    assert interval["source"] in {"model", "volatility", "outcomes"}


async def test_quote_and_usd_amounts_are_the_base_amount_at_the_mid(
    simulator: CostSimulator,
) -> None:
    in_base, in_quote = buy(simulator, 6), buy(simulator, 600, unit="quote")
    assert buy(simulator, "600", unit="usd")["net_cost_bps"] == in_quote["net_cost_bps"]
    assert in_quote["net_cost_bps"] == pytest.approx(in_base["net_cost_bps"], abs=1e-9)


async def test_a_dollar_is_no_unit_where_prices_are_in_bitcoin(clock: ManualClock) -> None:
    feed = FrozenFeed("okx", "ETH-BTC", "BTC-USDT-SWAP", clock=clock)
    for instrument in ("ETH-BTC", "BTC-USDT-SWAP"):
        feed.show(instrument)
    async with CostSimulator(Settings(), feeds=[feed], clock=clock) as okx:
        asked = {"exchange": "okx", "instrument": "ETH-BTC", "unit": "usd"}
        with pytest.raises(ValidationError, match=r"BTC.*unit quote or base"):
            buy(okx, 500, **asked)
        in_quote = buy(okx, 500, **{**asked, "unit": "quote"})
        assert in_quote["quantity_base"] == pytest.approx(5.0)
        dollars = buy(okx, 500, **{**asked, "instrument": "BTC-USDT-SWAP"})
        assert dollars["quantity_base"] == pytest.approx(5.0)


async def test_another_book_gives_another_answer_at_once(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    before = buy(simulator)
    feed.show(SYMBOL, BIDS, [(price, size / 4) for price, size in ASKS])
    after = buy(simulator)
    assert after["net_cost_bps"] > before["net_cost_bps"]
    assert after["is_extrapolated"] is True
    assert after["market_impact_bps"] > 0.0
    assert after["book"]["sequence"] == before["book"]["sequence"] + 1


async def test_buying_and_selling_differ_on_an_uneven_book(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    feed.show(SYMBOL, [(price, size / 3) for price, size in BIDS], ASKS)
    sell = simulator.estimate(side="sell", quantity=4, volatility_bps=1)
    assert sell["slippage_bps"] > buy(simulator, 4)["slippage_bps"]


async def test_cost_in_bps_never_falls_with_size(simulator: CostSimulator) -> None:
    costs = [buy(simulator, 1.3**i / 10)["slippage_bps"] for i in range(20)]
    assert costs == sorted(costs)


async def test_a_resting_limit_order_mixes_maker_and_taker(simulator: CostSimulator) -> None:
    answer = buy(simulator, 1, order_type="limit", price=99.9, volatility_bps=5)
    assert 0.0 < answer["maker_pct"] < 100.0
    assert answer["maker_pct"] + answer["taker_pct"] == pytest.approx(100.0)
    assert answer["fees_bps"] < 5.5


async def test_the_schedule_trades_the_whole_order_over_the_horizon(
    simulator: CostSimulator,
) -> None:
    answer = buy(simulator, 6, horizon_s=30)
    steps = answer["schedule"]["steps"]
    assert steps or answer["schedule"]["note"]
    if steps:
        assert sum(step["quantity_base"] for step in steps) == pytest.approx(6.0)
        assert steps[-1]["remaining_base"] == pytest.approx(0.0, abs=1e-9)


async def test_a_better_tier_pays_less_and_an_unknown_one_is_refused(
    simulator: CostSimulator,
) -> None:
    lowest, better = buy(simulator), buy(simulator, tier="vip1")
    assert better["fees_bps"] < lowest["fees_bps"]
    assert (lowest["fees"]["tier"], better["fees"]["tier"]) == ("VIP 0", "VIP 1")
    with pytest.raises(ValidationError, match="VIP 0"):
        buy(simulator, tier="VIP 77")


async def test_an_answer_is_json_with_plain_numbers(simulator: CostSimulator) -> None:
    text = json.dumps(buy(simulator), allow_nan=False)
    assert json.loads(text)["instrument"] == SYMBOL


async def test_a_book_that_is_too_old_gives_no_number(
    simulator: CostSimulator, clock: ManualClock, feed: FrozenFeed
) -> None:
    clock.advance(4.9)
    buy(simulator)
    clock.advance(0.2)
    with pytest.raises(BookUnavailableError, match=r"5\.1 s old.*STALE_AFTER_S"):
        buy(simulator)
    feed.show(SYMBOL)
    assert buy(simulator)["book"]["age_ms"] == 0.0


async def test_a_lost_book_gives_no_number(simulator: CostSimulator, feed: FrozenFeed) -> None:
    feed.lose(SYMBOL)
    with pytest.raises(BookUnavailableError, match="no valid book"):
        buy(simulator)
    assert not simulator.is_healthy


async def test_a_book_that_is_crossed_gives_no_number(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    feed.show(SYMBOL, [(101.0, 1.0)], [(100.0, 1.0)])
    with pytest.raises(BookUnavailableError, match="crossed"):
        buy(simulator)


async def test_realised_volatility_is_asked_for_only_when_it_is_known(
    simulator: CostSimulator, feed: FrozenFeed, clock: ManualClock
) -> None:
    with pytest.raises(VolatilityUnknownError, match=r"0 of 10.*volatility_bps"):
        buy(simulator, volatility_bps=None)
    for step in range(11):
        shift = step % 2
        feed.show(SYMBOL, [(99.9 + shift, 2.0)], [(100.1 + shift, 2.0)])
        clock.advance(1.0)
    answer = buy(simulator, 1, volatility_bps=None)
    assert (answer["volatility_source"], answer["volatility_samples"]) == ("realised", 11)
    assert answer["volatility_bps"] == pytest.approx(95, rel=0.05)


async def test_a_mid_that_never_moved_has_no_volatility(
    simulator: CostSimulator, feed: FrozenFeed, clock: ManualClock
) -> None:
    for _ in range(12):
        feed.show(SYMBOL)
        clock.advance(1.0)
    with pytest.raises(VolatilityUnknownError, match="has not moved"):
        buy(simulator, volatility_bps=None)


async def test_unknown_names_are_refused_with_names_that_exist(simulator: CostSimulator) -> None:
    with pytest.raises(UnknownInstrumentError, match="take BTCUSDT"):
        buy(simulator, instrument="DOGEUSDT")
    with pytest.raises(UnknownInstrumentError, match="take bybit"):
        buy(simulator, exchange="kraken", instrument="BTCUSDT")


async def test_a_size_beyond_all_reason_is_refused(simulator: CostSimulator) -> None:
    with pytest.raises(ValidationError):
        buy(simulator, 1e308)


async def test_latency_is_measured_by_the_guides_stages(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    feed.show(SYMBOL)
    latency = buy(simulator)["latency"]
    assert (latency["message_processing_us"], latency["book_update_us"]) == (1.0, 2.0)
    assert latency["total_pipeline_us"] == 3.0
    assert latency["maker_taker_us"] is None
    stages = simulator.status()["markets"][0]["latency"]
    assert stages["book_update"]["guide_us"] == 200.0
    assert stages["total_pipeline"]["samples"] == 1


def fitted() -> MakerTakerModel:
    rng = np.random.default_rng(1)
    rows = rng.uniform((0.0001, 1.0, 0.00001, 0.01), (0.01, 5.0, 0.001, 1.0), size=(400, 4))
    model = MakerTakerModel()
    model.fit(rows, (rng.uniform(size=400) < 0.6).astype(int))
    return model


async def test_the_fitted_model_is_timed_and_asked_for_limit_orders_only(
    feed: FrozenFeed, clock: ManualClock
) -> None:
    desk = PriceDesk(
        [feed],
        cost=Settings().cost,
        tables=FeeTables.load(),
        maker=fitted(),
        slippage=None,
        clock=clock,
    )
    asked = {**TRADE, "order_type": "limit", "price": 99.9}
    market, limit = desk.price(read_request(TRADE)), desk.price(read_request(asked))
    assert market["latency"]["maker_taker_us"] is None
    assert limit["latency"]["maker_taker_us"] == 0.0
    assert 0.0 < limit["maker_pct"] <= 100.0


LIMIT: dict[str, Any] = {"order_type": "limit", "price": 99.9, "volatility_bps": 5}


async def test_a_limit_order_says_what_is_assumed_of_it(simulator: CostSimulator) -> None:
    answer = buy(simulator, 1, **LIMIT)
    limit = answer["limit"]
    assert limit["maker_fill_price_quote"] == 99.9
    assert limit["completion_price_quote"] > 100.1
    assert (limit["unfilled"], limit["horizon_s"]) == ("taken", 60.0)
    p = limit["fill_probability"]
    mean = p * 99.9 + (1 - p) * limit["completion_price_quote"]
    assert answer["fill_price_quote"] == pytest.approx(mean, abs=1e-3)
    assert answer["interval"]["mean_bps"] == answer["net_cost_bps"]
    assert buy(simulator)["limit"] is None


async def test_a_cancelled_limit_order_is_priced_as_it_fills(simulator: CostSimulator) -> None:
    answer = buy(simulator, 1, **LIMIT, unfilled="cancelled")
    limit = answer["limit"]
    assert (limit["unfilled"], limit["completion_price_quote"]) == ("cancelled", None)
    assert 0.0 < limit["fill_probability"] < 1.0
    assert (answer["fill_price_quote"], answer["maker_pct"]) == (99.9, 100.0)
    assert answer["net_cost_bps"] == pytest.approx(-10.0 + 1.998, abs=1e-9)


async def test_a_hopeless_price_has_a_plain_zero_for_its_probability(
    simulator: CostSimulator,
) -> None:
    answer = buy(simulator, 1, order_type="limit", price=90, volatility_bps=0.1)
    assert (answer["limit"]["fill_probability"], answer["maker_pct"]) == (0.0, 0.0)
    assert answer["taker_pct"] == 100.0


async def test_an_order_that_crosses_whole_has_no_maker_fill(simulator: CostSimulator) -> None:
    answer = buy(simulator, 1, order_type="limit", price=101)
    limit = answer["limit"]
    assert (limit["at_once_pct"], limit["maker_fill_price_quote"]) == (100.0, None)
    assert (answer["maker_source"], answer["maker_pct"]) == ("none", 0.0)


@pytest.mark.parametrize("quantity", [0.37, 3.1, 7.77, 40.0])
@pytest.mark.parametrize("more", [{}, LIMIT])
async def test_what_is_shown_adds_up_as_shown(
    simulator: CostSimulator, quantity: float, more: dict[str, Any]
) -> None:
    answer = buy(simulator, quantity, **more)
    for unit in ("bps", "quote"):
        parts = [answer[f"{name}_{unit}"] for name in ("slippage", "fees", "market_impact")]
        assert answer[f"net_cost_{unit}"] == sum(parts)
        assert all(part == round(part, 10) for part in parts)


async def test_own_fees_are_shown_as_such(simulator: CostSimulator) -> None:
    answer = buy(simulator, 1, taker_bps=3, maker_bps=-0.5)
    fees = answer["fees"]
    assert (fees["tier"], fees["maker_bps"], fees["taker_bps"]) == ("own", -0.5, 3.0)
    assert answer["fees_bps"] == pytest.approx(3.0 * 1.001, abs=1e-9)
    assert "taker of tier VIP 0" in buy(simulator, 1, maker_bps=1)["fees"]["source"]


async def test_shipped_models_speak_in_their_own_market_only(
    feed: FrozenFeed, clock: ManualClock
) -> None:
    # Within the range of the shipped coefficients: narrow and deep.
    for environment, source, interval in (
        ("simulated", "model", "model"),
        ("testnet", "touch", "volatility"),
    ):
        settings = Settings(environment=environment)
        async with CostSimulator(settings, feeds=[feed], clock=clock) as simulator:
            feed.show(SYMBOL, [(100.0, 200.0)], [(100.01, 200.0), (100.02, 200.0)])
            resting = buy(simulator, 1, order_type="limit", price=100, volatility_bps=2)
            market = buy(simulator, 2, volatility_bps=2)
        assert (resting["maker_source"], market["interval"]["source"]) == (source, interval)
        expected = "synthetic market" if source == "model" else None
        assert resting["limit"]["fitted_on"] == market["interval"]["fitted_on"] == expected
    # Half the spread and the fee are charged at once, whatever the imbalance of the book.
    assert market["interval"]["p50_bps"] >= 0.5 + 5.5


@pytest.mark.parametrize(
    ("exchange", "instrument", "currency"),
    [
        ("bybit", "ETHUSDT", "USDT"),
        ("bybit", "ETHPERP", "USDC"),
        ("bybit", "ETHUSDT-25DEC26", "USDT"),
        ("bybit", "ODD", None),
        ("okx", "ETH-BTC", "BTC"),
        ("okx", "ODD", None),
    ],
)
async def test_the_quote_currency_is_named(
    exchange: str, instrument: str, currency: str | None, clock: ManualClock
) -> None:
    feed = FrozenFeed(exchange, instrument, clock=clock)
    feed.show(instrument)
    async with CostSimulator(
        Settings(), exchange, instrument, feeds=[feed], clock=clock
    ) as simulator:
        assert buy(simulator, 1)["quote_currency"] == currency


async def test_the_default_instrument_follows_the_exchange(clock: ManualClock) -> None:
    feed = FrozenFeed("okx", "BTC-USDT-SWAP", clock=clock)
    feed.show("BTC-USDT-SWAP")
    async with CostSimulator(Settings(), " OKX", feeds=[feed], clock=clock) as simulator:
        assert buy(simulator, 1)["instrument"] == "BTC-USDT-SWAP"
        named = buy(simulator, 1, exchange="Okx ", instrument="btc-usdt-swap")
        assert named["instrument"] == "BTC-USDT-SWAP"
