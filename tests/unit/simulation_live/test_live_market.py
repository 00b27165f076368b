import json
import random
from decimal import Decimal

import public_frames as frames
import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.live_market.feed import LiveFeed
from trading_system.simulation.records import OrderRequest, OrderState
from trading_system.simulation.replay.bybit import instrument_of_row, topic_of
from trading_system.simulation.replay.messages import BadLine
from trading_system.simulation.venue import build_live_venue, default_accounts

NOW = 1_700_000_000_000


class Rig:
    """A live venue whose stream is spoken by the test."""

    def __init__(self, fill_model="queue"):
        instrument = instrument_of_row(frames.ROW, category="linear")
        self.venue = build_live_venue(
            instruments=[instrument],
            accounts=default_accounts(seed=1),
            seed=random.Random(1).getrandbits(31),
            source="somewhere",
            depth=50,
            fill_model=fill_model,
        )
        self.exchange = self.venue.exchange
        self.feed = LiveFeed(self.venue.market, self.exchange.instruments)
        self.now_ms = NOW
        self.feed.on_connected()

    def hear(self, *said):
        for frame in said:
            body = frame.encode()
            self.feed.on_frame(topic_of(body), body, self.now_ms * 1_000_000)
        self.advance()

    def advance(self):
        self.now_ms += 20
        self.venue.advance(self.now_ms)

    def open(self):
        self.hear(frames.snapshot(7))
        self.venue.prepare(self.now_ms)
        return self

    def place(self, side, price=None, quantity="1.0"):
        request = OrderRequest(
            symbol="ABCUSDT",
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=None if price is None else Decimal(price),
            time_in_force=TimeInForce.IOC if price is None else TimeInForce.POST_ONLY,
        )
        return self.exchange.place(1, request, now_ms=self.now_ms)

    def top(self, side):
        return self.exchange.book("ABCUSDT").top(side, 5)


def test_the_book_follows_the_stream():
    rig = Rig().open()
    rig.hear(frames.book(8, bids=[("10.00", "0"), ("9.98", "3.0")]))
    assert rig.top(Side.BUY) == [(999, 70), (998, 30)]
    assert rig.top(Side.SELL) == [(1002, 40)]


def test_own_orders_fill_by_their_place_in_the_queue():
    rig = Rig().open()
    order = rig.place(Side.BUY, "10.00")
    rig.hear(frames.trade("10.00", "4.9"))
    assert order.cum_lots == 0
    rig.hear(frames.trade("10.00", "0.6"))
    assert order.cum_lots == 5


def test_pessimistic_orders_fill_only_when_traded_through():
    rig = Rig("trade-through").open()
    order = rig.place(Side.BUY, "10.00")
    rig.hear(frames.trade("10.00", "90.0"))
    assert order.cum_lots == 0
    rig.hear(frames.trade("9.99", "90.0"))
    assert order.state is OrderState.FILLED


def test_nothing_fills_while_the_source_is_lost():
    rig = Rig().open()
    resting = rig.place(Side.BUY, "10.00")
    rig.feed.on_lost("gone")
    rig.advance()
    assert rig.venue.market.stale_symbols == ["ABCUSDT"]
    taking = rig.place(Side.BUY)
    assert (taking.cum_lots, taking.state) == (0, OrderState.CANCELLED)
    assert (resting.cum_lots, resting.state.is_final) == (0, False)
    assert rig.top(Side.SELL) == []
    assert rig.top(Side.BUY) == [(1000, 10)]


def test_trades_and_updates_without_a_snapshot_are_not_believed():
    rig = Rig().open()
    order = rig.place(Side.BUY, "10.00")
    rig.feed.on_lost("gone")
    rig.feed.on_connected()
    rig.hear(frames.trade("9.00", "9.0"), frames.book(8, bids=[("9.50", "1.0")]))
    assert order.cum_lots == 0
    assert rig.top(Side.BUY) == [(1000, 10)]


def test_after_an_outage_own_orders_stand_behind_what_is_shown():
    rig = Rig().open()
    order = rig.place(Side.BUY, "10.00")
    rig.feed.on_lost("gone")
    rig.feed.on_connected()
    rig.hear(frames.snapshot(90))
    assert rig.venue.market.stale_symbols == []
    assert rig.top(Side.BUY) == [(1000, 60), (999, 70)]
    rig.hear(frames.trade("10.00", "5.0"))
    assert order.cum_lots == 0
    rig.hear(frames.trade("10.00", "0.2"))
    assert order.cum_lots == 2


def test_a_market_that_moved_through_an_order_meanwhile_fills_it():
    rig = Rig().open()
    order = rig.place(Side.BUY, "10.00")
    rig.feed.on_lost("gone")
    rig.feed.on_connected()
    rig.hear(frames.snapshot(90, bids=[("9.90", "1.0")], asks=[("9.95", "8.0")]))
    assert order.state is OrderState.FILLED
    assert rig.top(Side.SELL) == [(995, 70)]


def test_a_missing_update_is_not_believed():
    rig = Rig().open()
    with pytest.raises(BadLine, match="update 9 follows 7"):
        rig.hear(frames.book(9))


def test_references_funding_and_open_interest_are_the_sources():
    rig = Rig().open()
    assert rig.exchange.mark_price("ABCUSDT") == Decimal("10.01")
    told = {"markPrice": "10.05", "indexPrice": "10.04", "fundingRate": "0.0002"}
    rig.hear(frames.ticker(**told, openInterest="77"))
    assert rig.exchange.mark_price("ABCUSDT") == Decimal("10.05")
    assert rig.venue.statistics.funding("ABCUSDT")[0] == Decimal("0.0002")
    assert rig.venue.statistics.ticker("ABCUSDT").open_interest == 77


def test_a_venue_does_not_open_without_a_two_sided_book():
    rig = Rig()
    with pytest.raises(ConfigurationError, match="no two-sided book of ABCUSDT"):
        rig.venue.prepare(NOW)
    rig.hear(frames.snapshot(7, asks=[]))
    with pytest.raises(ConfigurationError, match="no two-sided book of ABCUSDT"):
        rig.venue.prepare(NOW)


def test_books_of_other_symbols_are_ignored():
    rig = Rig().open()
    rig.hear(frames.snapshot(7, symbol="XYZUSDT"))
    assert len(rig.top(Side.BUY)) == 2


def test_the_description_says_where_it_comes_from():
    told = Rig().venue.market.description()
    assert json.loads(json.dumps(told)) == told
    assert (told["market"], told["source"]) == ("live", "somewhere")
    assert not Rig().venue.market.is_finished
