"""The compiled flow state against its plain twin, on any course of books, trades and silences."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_flow import PlainFlow

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market.book import OrderBook
from trading_system.market.decode import BookMessage
from trading_system.market.features import FlowTracker

BTC = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.10"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1_000),
    max_market_qty=Decimal(100),
)
LEVELS = st.dictionaries(st.integers(1, 30), st.integers(1, 5_000), max_size=6)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 40_000_000_000) | st.integers(0, 300_000_000),
        st.one_of(st.tuples(LEVELS, LEVELS), st.sampled_from(Side)),
    ),
    min_size=1,
    max_size=30,
)


def message(number, bids, asks):
    return BookMessage.of(
        topic="orderbook.50.BTCUSDT",
        symbol="BTCUSDT",
        is_snapshot=True,
        update_id=number,
        sequence=number,
        ts_exchange_ns=0,
        bids=[((500_000 - depth) / 10, lots / 1000) for depth, lots in bids.items()],
        asks=[((500_000 + depth) / 10, lots / 1000) for depth, lots in asks.items()],
    )


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_compiled_features_equal_their_plain_twin(events):
    book, flow, plain = OrderBook(BTC, depth=50), FlowTracker("BTCUSDT"), PlainFlow()
    now_ns = 1_000_000_000
    for number, (elapsed_ns, event) in enumerate(events, start=2):
        now_ns += elapsed_ns
        if isinstance(event, Side):
            flow.on_trade(event, number / 7, now_ns)
            plain.on_trade(event, number / 7, now_ns)
        else:
            book.apply(message(number, *event), now_ns)
            flow.on_book(book, now_ns)
            plain.on_book(book, now_ns)
        found, wanted = flow.features(book, now_ns), plain.features(book)
        if wanted is None:
            assert found is None
            continue
        assert found is not None
        assert found.ts_ns == now_ns
        for name, value in wanted.items():
            assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-9), name
