"""Stops over a whole position: set, moved, followed, fired, removed."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.conditions import StopChange, StopKind, TriggerBy
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest, OrderState, VenueReject

D = Decimal
X = "ABCUSDT"
BUY, SELL = Side.BUY, Side.SELL
ABC = Instrument(
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
    min_notional=D(5),
    max_leverage=D(50),
)


class Heard:
    def __init__(self):
        self.orders = []

    def on_order(self, order):
        self.orders.append((order.state.value, order.lots))

    def on_executions(self, executions):
        pass

    def on_position(self, account_id, symbol, position_idx):
        pass

    def on_wallet(self, account_id):
        pass

    def on_trades(self, symbol, trades):
        pass


@pytest.fixture
def exchange():
    account = AccountSpec(account_id=1, uid=1, api_key="k", api_secret="s", balance=D(10_000))
    exchange = Exchange([ABC], [account], seed=3)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    for ticks in (995, 990, 980):
        exchange.house_limit(X, BUY, ticks, 1000, now_ms=1)
    for ticks in (1005, 1010, 1020):
        exchange.house_limit(X, SELL, ticks, 1000, now_ms=1)
    exchange.listener = Heard()
    return exchange


def trade(exchange, side, quantity, **changes):
    request = OrderRequest(
        symbol=X,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(quantity),
        **changes,
    )
    return exchange.place(1, request, now_ms=10)


def stop(price, *, kind=StopKind.STOP_LOSS, by=TriggerBy.LAST):
    return StopChange(kind=kind, price=D(price), by=by)


def set_stops(exchange, *changes):
    exchange.set_stops(1, X, changes, now_ms=20)


def refusal(exchange, *changes):
    with pytest.raises(VenueReject) as refused:
        set_stops(exchange, *changes)
    return refused.value


def test_stop_shows_in_the_position_and_as_an_untriggered_order(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    assert exchange.position(1, X).stop_loss == D("9.7")
    (order,) = exchange.stop_orders(1)
    assert (order.state, order.side, order.lots) == (OrderState.UNTRIGGERED, SELL, 30)
    assert order.reduce_only
    assert order.close_on_trigger
    assert exchange.open_orders(1) == []
    assert exchange.find_order(1, order_id=order.order_id) is order


def test_stop_reserves_no_margin(exchange):
    trade(exchange, BUY, "3")
    before = exchange.wallet(1)
    set_stops(exchange, stop("9.7"))
    assert exchange.wallet(1) == before


@pytest.mark.parametrize(
    ("side", "change", "code", "text"),
    [
        (None, stop("9"), 10001, "zero position"),
        (None, stop("0"), 34040, "not modified"),
        (BUY, stop("10.05"), 10001, "should be lower"),
        (BUY, stop("9", kind=StopKind.TAKE_PROFIT), 10001, "should be higher"),
        (SELL, stop("9"), 10001, "should be higher"),
        (BUY, stop("10", by=TriggerBy.MARK), 10001, "MarkPrice"),
        (BUY, stop("10.01", by=TriggerBy.INDEX), 10001, "IndexPrice"),
        (BUY, stop("9.005"), 10001, "multiple"),
        (BUY, stop("1000000"), 10001, "range"),
        (BUY, stop("-1"), 10001, "range"),
        (BUY, stop("NaN"), 10001, "range"),
    ],
)
def test_impossible_stop_is_refused(exchange, side, change, code, text):
    if side is not None:
        trade(exchange, side, "3")
    refused = refusal(exchange, change)
    assert refused.code == code
    assert text in refused.message
    assert exchange.stop_orders(1) == []


def test_a_bad_half_leaves_the_good_half_undone(exchange):
    trade(exchange, BUY, "3")
    refusal(exchange, stop("9.7"), stop("9", kind=StopKind.TAKE_PROFIT))
    assert exchange.stop_orders(1) == []


def test_unchanged_stop_is_not_modified_and_a_moved_one_keeps_its_id(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    (first,) = exchange.stop_orders(1)
    assert refusal(exchange, stop("9.70")).code == 34040
    assert refusal(exchange).code == 34040
    set_stops(exchange, stop("9.8"))
    (moved,) = exchange.stop_orders(1, X)
    assert (moved.order_id, exchange.position(1, X).stop_loss) == (first.order_id, D("9.8"))
    set_stops(exchange, stop("9.8", by=TriggerBy.MARK))
    assert moved.trigger.by is TriggerBy.MARK


def test_zero_removes_the_stop_with_a_report(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    set_stops(exchange, stop("0"))
    assert exchange.position(1, X).stop_loss is None
    assert exchange.closed_orders(1)[-1].state is OrderState.DEACTIVATED
    assert exchange.listener.orders[-1] == ("Deactivated", 30)


def test_traded_price_fires_the_stop_through_the_book(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.9"))
    exchange.listener.orders.clear()
    exchange.house_market(X, SELL, 1001, now_ms=30)
    assert exchange.position(1, X).lots == 0
    assert exchange.listener.orders == [("Triggered", 30), ("Filled", 30)]
    done = exchange.closed_orders(1)[-1]
    assert done.cum_value == D("29.7")
    assert exchange.executions(1)[-1].stop_kind is StopKind.STOP_LOSS
    assert exchange.stop_orders(1) == []


def test_mark_price_fires_only_the_stop_that_watches_it(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.9", by=TriggerBy.MARK))
    exchange.house_market(X, SELL, 1001, now_ms=30)
    assert exchange.position(1, X).lots == 30
    exchange.set_reference(X, index_price=D(10), mark_price=D("9.9"))
    assert exchange.position(1, X).lots == 30
    exchange.set_reference(X, index_price=D(10), mark_price=D("9.9"), now_ms=40)
    assert exchange.position(1, X).lots == 0


def test_take_profit_of_a_short_fires_on_the_fall_and_takes_the_stop_with_it(exchange):
    trade(exchange, SELL, "3")
    set_stops(exchange, stop("11"), stop("9.85", kind=StopKind.TAKE_PROFIT))
    assert exchange.position(1, X).take_profit == D("9.85")
    exchange.house_market(X, SELL, 2001, now_ms=30)
    states = [order.state for order in exchange.closed_orders(1)[-2:]]
    assert states == [OrderState.FILLED, OrderState.DEACTIVATED]
    assert exchange.position(1, X).lots == 0


def test_stop_follows_the_size_of_the_position(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    trade(exchange, BUY, "2")
    assert exchange.stop_orders(1)[0].lots == 50
    trade(exchange, SELL, "4")
    assert exchange.stop_orders(1)[0].leaves_lots == 10


@pytest.mark.parametrize("quantity", ["3", "5"])
def test_closed_or_turned_position_clears_its_stop(exchange, quantity):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    trade(exchange, SELL, quantity)
    assert exchange.stop_orders(1) == []
    gone = exchange.closed_orders(1)[-1]
    assert (gone.state, gone.cancel_type) == (OrderState.DEACTIVATED, "CancelByTpSlTsClear")


def test_stop_is_cancelled_by_id_or_with_all_stops_but_not_with_plain_orders(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    (order,) = exchange.stop_orders(1)
    assert exchange.cancel_all(1, now_ms=30) == []
    assert exchange.cancel(1, X, order_id=order.order_id, now_ms=30) is order
    set_stops(exchange, stop("9.7"), stop("11", kind=StopKind.TAKE_PROFIT))
    assert len(exchange.cancel_stops(1, symbol=X, now_ms=30)) == 2
    assert exchange.cancel_stops(1, now_ms=30) == []


def test_stop_cannot_be_amended_as_an_order(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7"))
    (order,) = exchange.stop_orders(1)
    with pytest.raises(VenueReject) as refused:
        exchange.amend(1, X, order_id=order.order_id, quantity=D(1), now_ms=30)
    assert refused.value.code == 10001


def test_stop_that_finds_no_buyer_ends_cancelled(exchange):
    trade(exchange, BUY, "3")
    set_stops(exchange, stop("9.7", by=TriggerBy.MARK))
    exchange.house_market(X, SELL, 3000, now_ms=30)
    exchange.set_reference(X, index_price=D(9), mark_price=D(9), now_ms=40)
    last = exchange.closed_orders(1)[-1]
    assert (last.state, last.reject_reason) == (OrderState.CANCELLED, "EC_NoImmediateQtyToFill")
    assert exchange.position(1, X).lots == 30


def test_before_the_first_trade_the_mark_stands_in_for_the_last_price(exchange):
    bid = OrderRequest(
        symbol=X, side=BUY, order_type=OrderType.LIMIT, quantity=D(3), price=D("9.96")
    )
    exchange.place(1, bid, now_ms=10)
    assert refusal(exchange, stop("9.7")).code == 10001
    assert exchange.last_price(X) is None
    exchange.house_limit(X, SELL, 996, 30, now_ms=20)
    set_stops(exchange, stop("9.95"))
    assert exchange.stop_orders(1)[0].last_price_on_created == D("9.96")
