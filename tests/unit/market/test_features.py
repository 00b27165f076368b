import math
import random
from decimal import Decimal
from itertools import pairwise

import pytest
from engine_rig import BTC

from trading_system.domain.events import TickerState
from trading_system.domain.orders import Side
from trading_system.domain.signals import FEATURE_NAMES, UNSIGNED_FEATURES, MarketFeatures
from trading_system.market.book import OrderBook
from trading_system.market.decode import BookMessage
from trading_system.market.features import FlowTracker
from trading_system.market.flow_kernels import order_flow_event

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ((99, 10, 100, 10), (99, 15, 100, 10), 5),
        ((99, 10, 100, 10), (99, 10, 100, 15), -5),
        ((99, 10, 100, 10), (99, 10, 100, 6), 4),
        ((99, 10, 101, 10), (100, 3, 101, 10), 3),
        ((99, 10, 100, 10), (98, 7, 100, 10), -10),
        ((99, 10, 100, 10), (99, 10, 101, 8), 10),
        ((99, 10, 100, 10), (99, 10, 100, 10), 0),
    ],
)
def test_order_flow_events_equal_those_worked_by_hand(
    before: tuple[int, int, int, int], after: tuple[int, int, int, int], event: int
) -> None:
    assert order_flow_event(before, after) == event


def test_at_constant_prices_order_flow_sums_to_the_change_of_sizes() -> None:
    rng = random.Random(3)
    states = [(99, rng.randrange(1, 50), 100, rng.randrange(1, 50)) for _ in range(200)]
    total = sum(order_flow_event(a, b) for a, b in pairwise(states))
    assert total == (states[-1][1] - states[0][1]) - (states[-1][3] - states[0][3])


def book(bid_qty: float, ask_qty: float, *, empty: bool = False) -> OrderBook:
    made = OrderBook(BTC, depth=50)
    message = BookMessage.of(
        topic="orderbook.50.BTCUSDT",
        symbol="BTCUSDT",
        is_snapshot=True,
        update_id=10,
        sequence=10,
        ts_exchange_ns=1,
        bids=[] if empty else [(50_000.0, bid_qty)],
        asks=[(50_000.1, ask_qty)],
    )
    made.apply(message, 1)
    return made


def test_features_are_measured_from_book_and_trades() -> None:
    flow = FlowTracker("BTCUSDT", tau_s=1.0)
    flow.on_book(book(3.0, 1.0), 0)
    flow.on_trade(Side.SELL, 2.0, 0)
    features = flow.features(book(3.0, 1.0), SECOND)
    assert features is not None
    assert features.mid == pytest.approx(50_000.05)
    assert features.spread_bps == pytest.approx(0.02, rel=1e-3)
    assert features.imbalance == pytest.approx(0.5)
    assert features.micro_deviation_bps == pytest.approx(0.005, rel=1e-3)
    assert features.trade_flow == -1.0


def test_old_flow_fades_with_the_time_constant() -> None:
    flow = FlowTracker("BTCUSDT", tau_s=1.0)
    flow.on_trade(Side.SELL, 1.0, 0)
    flow.on_trade(Side.BUY, 1.0, 3 * SECOND)
    features = flow.features(book(1.0, 1.0), 3 * SECOND)
    assert features is not None
    assert features.trade_flow == pytest.approx((1 - 0.0498) / (1 + 0.0498), abs=1e-3)


def test_imbalance_is_averaged_over_time_not_over_messages() -> None:
    flow = FlowTracker("BTCUSDT", tau_s=1.0)
    flow.on_book(book(3.0, 1.0), 0)
    for _ in range(5):
        flow.on_book(book(1.0, 3.0), SECOND)
    features = flow.features(book(1.0, 3.0), SECOND)
    assert features is not None
    assert features.imbalance == pytest.approx(0.5)


def test_a_one_sided_book_has_no_features_and_breaks_the_chain_of_events() -> None:
    flow = FlowTracker("BTCUSDT")
    flow.on_book(book(1.0, 1.0), 0)
    flow.on_book(book(1.0, 1.0, empty=True), 1)
    assert flow.features(book(1.0, 1.0, empty=True), 1) is None
    flow.on_book(book(9.0, 1.0), 2)
    features = flow.features(book(9.0, 1.0), 2)
    assert features is not None
    assert features.order_flow == 0.0


def test_a_reset_forgets_all_flow() -> None:
    flow = FlowTracker("BTCUSDT")
    flow.on_trade(Side.BUY, 1.0, 0)
    flow.reset()
    features = flow.features(book(1.0, 1.0), 1)
    assert features is not None
    assert (features.trade_flow, features.imbalance) == (0.0, 0.0)


def quotes(bid: float, ask: float, *, bid_qty: float = 1.0, ask_qty: float = 1.0) -> OrderBook:
    made = OrderBook(BTC, depth=50)
    message = BookMessage.of(
        topic="orderbook.50.BTCUSDT",
        symbol="BTCUSDT",
        is_snapshot=True,
        update_id=10,
        sequence=10,
        ts_exchange_ns=1,
        bids=[(bid, bid_qty)],
        asks=[(ask, ask_qty)],
    )
    made.apply(message, 1)
    return made


def walked(prices: list[float], *, step_ns: int) -> MarketFeatures:
    """Show a book around each price, then return the features."""
    flow = FlowTracker("BTCUSDT")
    shown = quotes(1.0, 2.0)
    for number, price in enumerate(prices):
        shown = quotes(price - 0.5, price + 0.5)
        flow.on_book(shown, number * step_ns)
    features = flow.features(shown, (len(prices) - 1) * step_ns)
    assert features is not None
    return features


def bps(after: float, before: float) -> float:
    return math.log(after / before) * 10_000


def test_returns_look_back_one_five_and_thirty_seconds() -> None:
    prices = [50_000.0 + 10 * number for number in range(41)]
    features = walked(prices, step_ns=SECOND)
    assert features.return_1s_bps == pytest.approx(bps(prices[-1], prices[-2]))
    assert features.return_5s_bps == pytest.approx(bps(prices[-1], prices[-6]))
    assert features.return_30s_bps == pytest.approx(bps(prices[-1], prices[-31]))


def test_returns_of_a_short_history_start_at_its_beginning() -> None:
    features = walked([50_000.0, 50_010.0, 50_030.0], step_ns=SECOND)
    assert features.return_5s_bps == features.return_30s_bps
    assert features.return_30s_bps == pytest.approx(bps(50_030.0, 50_000.0))
    assert walked([50_000.0], step_ns=SECOND).return_1s_bps == 0.0


def test_returns_hold_the_last_price_through_a_quiet_time() -> None:
    flow = FlowTracker("BTCUSDT")
    flow.on_book(quotes(49_999.5, 50_000.5), 0)
    flow.on_book(quotes(50_009.5, 50_010.5), 20 * SECOND)
    features = flow.features(quotes(50_009.5, 50_010.5), 20 * SECOND)
    assert features is not None
    assert features.return_1s_bps == pytest.approx(bps(50_010.0, 50_000.0))


def test_a_silence_longer_than_the_history_begins_a_new_one() -> None:
    flow = FlowTracker("BTCUSDT")
    flow.on_book(quotes(49_999.5, 50_000.5), 0)
    flow.on_book(quotes(50_009.5, 50_010.5), 10_000 * SECOND)
    features = flow.features(quotes(50_009.5, 50_010.5), 10_000 * SECOND)
    assert features is not None
    assert (features.return_30s_bps, features.volatility_bps) == (0.0, 0.0)


def test_volatility_is_that_of_the_walk_per_root_second() -> None:
    rng = random.Random(5)
    prices = [50_000.0]
    for _ in range(900):
        step = round(50_000 * rng.gauss(0, 1.35e-4) * math.sqrt(0.1), 1)
        prices.append(round(prices[-1] + step, 1))
    assert walked(prices, step_ns=SECOND // 10).volatility_bps == pytest.approx(1.35, rel=0.2)


def ticker(**given: Decimal | int | None) -> TickerState:
    values: dict[str, object] = {
        "last_price": None,
        "mark_price": None,
        "index_price": None,
        "funding_rate": None,
        "next_funding_ms": None,
        "open_interest": None,
        "ts_exchange_ns": 0,
        "ts_received_ns": 0,
    }
    return TickerState(symbol="BTCUSDT", **{**values, **given})


def test_ticker_fields_are_zero_and_flagged_until_a_ticker_comes() -> None:
    flow = FlowTracker("BTCUSDT")
    before = flow.features(quotes(1.0, 2.0), 0)
    flow.on_ticker(ticker())
    flow.on_ticker(
        ticker(
            mark_price=Decimal(50005),
            index_price=Decimal(50000),
            funding_rate=Decimal("0.0001"),
            open_interest=Decimal(1000),
        )
    )
    flow.on_ticker(ticker(open_interest=Decimal(1010), ts_received_ns=30 * SECOND))
    after = flow.features(quotes(1.0, 2.0), 0)
    assert before is not None
    assert after is not None
    assert (before.has_ticker, before.basis_bps) == (False, 0.0)
    assert after.has_ticker
    assert after.basis_bps == pytest.approx(1.0)
    assert after.funding_rate_bps == pytest.approx(1.0)
    assert after.open_interest_change_bps == pytest.approx(100.0)


def test_open_interest_is_compared_with_the_last_minute_only() -> None:
    flow = FlowTracker("BTCUSDT")
    for second, interest in ((0, 500), (50, 1000), (100, 1020)):
        flow.on_ticker(ticker(open_interest=Decimal(interest), ts_received_ns=second * SECOND))
    features = flow.features(quotes(1.0, 2.0), 0)
    assert features is not None
    assert features.open_interest_change_bps == pytest.approx(200.0)


def test_a_mirrored_market_has_mirrored_features() -> None:
    def seen(sign: int) -> MarketFeatures:
        rng = random.Random(9)
        flow = FlowTracker("BTCUSDT")
        shown = quotes(1.0, 2.0)
        for number in range(200):
            deep, thin, drift = rng.randint(1, 9), rng.randint(1, 9), rng.randint(-3, 3)
            centre = 1_000_000.0 + sign * drift
            bid_qty, ask_qty = (deep, thin) if sign > 0 else (thin, deep)
            shown = quotes(centre - 0.5, centre + 0.5, bid_qty=bid_qty, ask_qty=ask_qty)
            now_ns = number * SECOND // 7
            flow.on_book(shown, now_ns)
            side = Side.BUY if (rng.random() < 0.6) == (sign > 0) else Side.SELL
            flow.on_trade(side, rng.random(), now_ns)
        features = flow.features(shown, 200 * SECOND // 7)
        assert features is not None
        return features

    left, right = seen(1), seen(-1)
    for name in FEATURE_NAMES:
        factor = 1.0 if name in UNSIGNED_FEATURES else -1.0
        assert math.isfinite(getattr(left, name))
        assert getattr(right, name) == pytest.approx(
            factor * getattr(left, name), rel=1e-3, abs=1e-6
        ), name
