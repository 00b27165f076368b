import random
from itertools import pairwise

import pytest
from engine_rig import BTC

from trading_system.domain.orders import Side
from trading_system.market.book import OrderBook
from trading_system.market.decode import BookMessage
from trading_system.market.features import FlowTracker, order_flow_event

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
    message = BookMessage(
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
