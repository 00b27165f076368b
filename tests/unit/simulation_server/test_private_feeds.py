"""Private pushes per position side, and orders that die with their owner's connections."""

import json
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.bybit_server.private_feeds import PrivateFeeds
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    AccountSpec,
    DcpProduct,
    OrderRequest,
    OrderState,
    PositionMode,
)

D = Decimal
X = "ABCUSDT"


class Listener:
    def __init__(self, *topics):
        self.topics = dict.fromkeys(topics)
        self.frames = []

    def deliver(self, payload, text):
        self.frames.append((text, json.loads(payload)["data"]))


class Floor:
    def __init__(self):
        listed = Instrument(
            symbol=X,
            base_coin="ABC",
            quote_coin="USDT",
            tick_size=D("0.01"),
            qty_step=D("0.1"),
            min_price=D("0.01"),
            max_price=D(1000),
            min_qty=D("0.1"),
            max_qty=D(5000),
            max_market_qty=D(1000),
        )
        spec = AccountSpec(account_id=1, uid=1, api_key="a", api_secret="s", institutional=True)
        self.exchange = Exchange([listed], [spec], seed=1)
        self.now_ms = 1_000
        self.feeds = PrivateFeeds(
            self.exchange, on_trades=lambda symbol, trades: None, now_ms=lambda: self.now_ms
        )
        self.exchange.listener = self.feeds
        self.exchange.set_reference(X, index_price=D(10), mark_price=D(10))
        self.exchange.house_limit(X, Side.SELL, 1001, 1000, now_ms=1)

    def join(self, *topics):
        session = Listener(*topics)
        self.feeds.join(1, session)
        return session

    def buy(self, price=None, **changes):
        request = OrderRequest(
            symbol=X,
            side=Side.BUY,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=D(1),
            price=price,
            **changes,
        )
        return self.exchange.place(1, request, now_ms=self.now_ms)

    def watch(self, now_ms):
        self.now_ms = now_ms
        self.feeds.watch(now_ms)


@pytest.fixture
def floor():
    floor = Floor()
    floor.exchange.set_disconnect_window(1, DcpProduct.DERIVATIVES, 10)
    return floor


def test_push_names_the_side_of_the_position(floor):
    floor.exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
    session = floor.join("position", "order.linear")
    floor.buy(position_idx=1)
    pushed = {text: rows[0]["positionIdx"] for text, rows in session.frames}
    assert pushed == {"position": 1, "order.linear": 1}


def test_orders_die_when_the_window_has_passed(floor):
    order = floor.buy(D(9))
    session = floor.join("dcp.future", "order")
    floor.feeds.leave(1, session)
    floor.watch(10_999)
    assert order.state is OrderState.NEW
    floor.watch(11_000)
    assert (order.state, order.cancel_type) == (OrderState.CANCELLED, "CancelByDCP")
    assert floor.buy(D(9)).state is OrderState.NEW
    floor.watch(60_000)
    assert floor.exchange.open_orders(1) != []


def test_reconnect_in_time_keeps_the_orders_and_arms_again(floor):
    order = floor.buy(D(9))
    floor.feeds.leave(1, floor.join("dcp.future"))
    floor.watch(9_000)
    second = floor.join("dcp.future")
    floor.watch(20_000)
    assert order.state is OrderState.NEW
    floor.feeds.leave(1, second)
    floor.watch(30_000)
    assert order.state is OrderState.CANCELLED


def test_window_starts_when_the_last_subscribed_connection_is_down(floor):
    order = floor.buy(D(9))
    first, second = floor.join("dcp.future"), floor.join("dcp.future", "order")
    floor.feeds.leave(1, first)
    floor.watch(60_000)
    assert order.state is OrderState.NEW
    floor.join("order")
    floor.feeds.leave(1, second)
    floor.watch(70_000)
    assert order.state is OrderState.CANCELLED


def test_connections_without_the_topic_do_not_count(floor):
    order = floor.buy(D(9))
    floor.feeds.leave(1, floor.join("order", "dcp.spot"))
    floor.watch(60_000)
    assert order.state is OrderState.NEW


def test_takeover_is_pushed_as_an_execution_but_not_as_a_fast_one(floor):
    floor.buy()
    session = floor.join("execution", "execution.fast", "position")
    floor.exchange.settle_funding(X, D(10_000), now_ms=2_000)
    kinds = [
        row["execType"] for text, rows in session.frames if text == "execution" for row in rows
    ]
    assert kinds == ["Funding", "BustTrade"]
    created = session.frames[-3:]
    assert "execution.fast" not in {text for text, _ in session.frames}
    statuses = [rows[0]["positionStatus"] for text, rows in created if text == "position"]
    assert statuses[-1] == "Normal"
    assert "Liq" in {
        rows[0]["positionStatus"] for text, rows in session.frames if text == "position"
    }
