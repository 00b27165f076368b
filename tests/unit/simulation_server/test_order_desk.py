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
BUY = {
    "category": "linear",
    "symbol": SYMBOL,
    "side": "Buy",
    "orderType": "Market",
    "qty": "0.01",
}


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
        return now_ms

    desk = OrderDesk(exchange, RequestLimits(is_enforced=True), advance=advance)
    for now_ms in (START_MS + 10, START_MS + 11):
        outcome = desk.run("order.create", TRADER, read=lambda: Fields(BUY), now_ms=now_ms)
        assert outcome.code == 0, outcome.message
    lots = [trade.lots for trade in exchange.public_trades(SYMBOL)]
    assert lots == [5, 10, 5, 10]


def test_an_order_acts_at_the_time_the_market_has_reached(exchange):
    desk = OrderDesk(exchange, RequestLimits(is_enforced=True), advance=lambda now_ms: now_ms - 40)
    outcome = desk.run("order.create", TRADER, read=lambda: Fields(BUY), now_ms=START_MS)
    order = exchange.find_order(1, order_id=outcome.result["orderId"])
    assert order.created_ms == START_MS - 40


@pytest.mark.parametrize("operation", ["order.create", "order.create-batch", "order.cancel-all"])
def test_orders_are_refused_while_the_market_is_far_behind(exchange, operation):
    limits = RequestLimits(is_enforced=True)
    desk = OrderDesk(exchange, limits, advance=lambda now_ms: now_ms - 5_000)
    outcome = desk.run(operation, TRADER, read=lambda: Fields(BUY), now_ms=START_MS)
    assert (outcome.code, outcome.admission.remaining) == (429, 9)
    assert outcome.message.endswith("behind by 5 s")
    assert not exchange.closed_orders(1)


def test_looking_at_a_quota_costs_nothing(exchange):
    desk = OrderDesk(exchange, RequestLimits(is_enforced=True), advance=lambda now_ms: now_ms)
    for _ in range(20):
        quota = desk.quota("order.create", TRADER, now_ms=START_MS, read=lambda: Fields(BUY))
    assert (quota.limit, quota.remaining) == (10, 10)
