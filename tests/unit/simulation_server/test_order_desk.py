"""Order operations behind both envelopes."""

from decimal import Decimal

import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server.limits import RequestLimits
from trading_system.simulation.bybit_server.order_desk import OrderDesk
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.simulation.records import AccountSpec

SYMBOL = "BTCUSDT"
START_MS = 1_700_000_000_000
TRADER = AccountSpec(account_id=1, uid=101, api_key="k", api_secret="s")


@pytest.fixture
def exchange():
    made = Exchange([INSTRUMENTS[SYMBOL]], [TRADER], seed=1)
    price = Decimal(65_000)
    made.set_reference(SYMBOL, index_price=price, mark_price=price)
    made.house_limit(SYMBOL, Side.SELL, 650_000, 1000, now_ms=START_MS)
    return made


def test_trades_the_market_owes_print_before_the_order_acts(exchange):
    def advance(now_ms):
        exchange.house_market(SYMBOL, Side.BUY, 5, now_ms=now_ms - 3)

    desk = OrderDesk(exchange, RequestLimits(is_enforced=True), advance=advance)
    body = {
        "category": "linear",
        "symbol": SYMBOL,
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.01",
    }
    for now_ms in (START_MS + 10, START_MS + 11):
        outcome = desk.run("order.create", TRADER, read=lambda: Fields(body), now_ms=now_ms)
        assert outcome.code == 0, outcome.message
    lots = [trade.lots for trade in exchange.public_trades(SYMBOL)]
    assert lots == [5, 10, 5, 10]
