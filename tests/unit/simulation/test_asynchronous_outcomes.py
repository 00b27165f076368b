"""What happens to orders behind their owner's back: rejection after acceptance, disconnection."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Category, Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    AccountSpec,
    DcpProduct,
    OrderRequest,
    OrderState,
    VenueReject,
)

D = Decimal
X = "ABCUSDT"


def instrument(category):
    return Instrument(
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
        category=category,
    )


@pytest.fixture
def exchange():
    specs = [
        AccountSpec(account_id=1, uid=1, api_key="a", api_secret="s", institutional=True),
        AccountSpec(account_id=2, uid=2, api_key="b", api_secret="s"),
    ]
    exchange = Exchange([instrument(each) for each in Category], specs, seed=1)
    for key in exchange.instruments:
        exchange.set_reference(key, index_price=D(10), mark_price=D(10))
        exchange.house_limit(key, Side.SELL, 1001, 100, now_ms=1)
    return exchange


def place(exchange, price, *, account=1, symbol=X, **changes):
    request = OrderRequest(
        symbol=symbol,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=D(1),
        price=D(price),
        **changes,
    )
    return exchange.place(account, request, now_ms=10)


def test_armed_rejection_hits_accepted_orders_of_one_account(exchange):
    exchange.reject_next(1, "EC_ReachMaxTradeNum", 2)
    other = place(exchange, 9, account=2)
    orders = [place(exchange, 9, link_id=f"n{number}") for number in range(3)]
    assert [order.state for order in orders] == [
        OrderState.REJECTED,
        OrderState.REJECTED,
        OrderState.NEW,
    ]
    assert other.state is OrderState.NEW
    assert orders[0].reject_reason == "EC_ReachMaxTradeNum"
    assert (orders[0].leaves_lots, orders[0].cum_lots) == (0, 0)
    assert exchange.find_order(1, link_id="n0") is orders[0]
    assert exchange.wallet(1).order_margin == D("0.9") + D("0.00495")


def test_refused_request_does_not_use_up_the_rejection(exchange):
    exchange.reject_next(1, "EC_Others")
    with pytest.raises(VenueReject):
        place(exchange, "9.005")
    assert place(exchange, 9).state is OrderState.REJECTED


def test_spot_orders_are_rejected_alike_and_lock_nothing(exchange):
    exchange.reject_next(1, "EC_Others")
    order = place(exchange, 9, symbol=f"{X}.SPOT")
    assert (order.state, order.reject_reason) == (OrderState.REJECTED, "EC_Others")
    assert exchange.wallet(1).locked == 0


def test_rejection_can_be_disarmed(exchange):
    exchange.reject_next(1, "EC_Others", 5)
    exchange.reject_next(1, "EC_Others", 0)
    assert place(exchange, 9).state is OrderState.NEW


def test_disconnect_protection_is_for_institutions_and_documented_windows(exchange):
    for account, window_s, code in ((2, 10, 10005), (1, 2, 10001), (1, 301, 10001)):
        with pytest.raises(VenueReject) as refused:
            exchange.set_disconnect_window(account, DcpProduct.DERIVATIVES, window_s)
        assert refused.value.code == code
    exchange.set_disconnect_window(1, DcpProduct.DERIVATIVES, 3)
    assert exchange.disconnect_windows_s(1) == {DcpProduct.DERIVATIVES: 3}


def test_lost_connection_cancels_all_orders_of_its_product(exchange):
    bought = place(exchange, "10.01")
    exchange.set_stops(1, X, [StopChange(kind=StopKind.STOP_LOSS, price=D(9))], now_ms=11)
    resting = place(exchange, 9)
    spot = place(exchange, 9, symbol=f"{X}.SPOT")
    assert exchange.cancel_disconnected(1, DcpProduct.DERIVATIVES, now_ms=12) == 2
    assert (resting.state, resting.cancel_type) == (OrderState.CANCELLED, "CancelByDCP")
    assert exchange.stop_orders(1) == []
    assert bought.state is OrderState.FILLED
    assert exchange.position(1, X).lots == 10
    assert exchange.open_orders(1) == [spot]
    assert exchange.cancel_disconnected(1, DcpProduct.SPOT, now_ms=13) == 1
