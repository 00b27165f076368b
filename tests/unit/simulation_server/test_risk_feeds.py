import json
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.bybit_server.risk_feeds import LiquidationTopic, PriceLimitTopic
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest

D = Decimal
X = "ABCUSDT"
LISTED = Instrument(
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


@pytest.fixture
def exchange():
    spec = AccountSpec(account_id=1, uid=1, api_key="a", api_secret="s", balance=D(30))
    exchange = Exchange([LISTED], [spec], seed=1)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    return exchange


def liquidate(exchange, mark):
    exchange.house_limit(X, Side.SELL, 1000, 200, now_ms=1)
    request = OrderRequest(symbol=X, side=Side.BUY, order_type=OrderType.MARKET, quantity=D(20))
    exchange.place(1, request, now_ms=2)
    exchange.set_reference(X, index_price=D(mark), mark_price=D(mark), now_ms=3_000)


def test_liquidation_is_pushed_once_with_the_position_side_and_bankruptcy_price(exchange):
    topic = LiquidationTopic(exchange, GridText(LISTED))
    assert topic.refresh(1) == topic.snapshot(1) == []
    liquidate(exchange, "8.5")
    (frame,) = topic.refresh(3_500)
    assert json.loads(frame) == {
        "topic": f"allLiquidation.{X}",
        "type": "snapshot",
        "ts": 3_500,
        "data": [{"T": 3_000, "s": X, "S": "Buy", "v": "20.0", "p": "8.52"}],
    }
    assert topic.refresh(4_000) == []


def test_price_limits_are_pushed_when_they_move(exchange):
    topic = PriceLimitTopic(exchange, GridText(LISTED))
    assert topic.snapshot(1) == []
    (frame,) = topic.refresh(300)
    assert json.loads(frame) == {
        "topic": f"priceLimit.{X}",
        "data": {"symbol": X, "buyLmt": "10.50", "sellLmt": "9.50"},
        "ts": 300,
    }
    assert topic.refresh(600) == []
    assert topic.snapshot(700)
    exchange.set_reference(X, index_price=D(11), mark_price=D(11))
    assert len(topic.refresh(900)) == 1
