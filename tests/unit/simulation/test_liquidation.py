from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest, OrderState, PositionMode

D = Decimal
X, Y = "ABCUSDT", "XYZUSDT"
BUY, SELL = Side.BUY, Side.SELL


def instrument(symbol):
    return Instrument(
        symbol=symbol,
        base_coin=symbol[:3],
        quote_coin="USDT",
        tick_size=D("0.01"),
        qty_step=D("0.1"),
        min_price=D("0.01"),
        max_price=D(1000),
        min_qty=D("0.1"),
        max_qty=D(5000),
        max_market_qty=D(1000),
        max_leverage=D(50),
    )


class Diary:
    """Hears everything, in order."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.events = []

    def on_order(self, order):
        self.events.append(("order", order.created_by, order.state.value, order.cancel_type))

    def on_executions(self, executions):
        self.events += [("fill", each.created_by, each.exec_type) for each in executions]

    def on_position(self, account_id, symbol, position_idx):
        view = self.exchange.position(account_id, symbol, position_idx)
        self.events.append(("position", view.lots, view.is_liquidating))

    def on_wallet(self, account_id):
        wallet = self.exchange.wallet(account_id)
        moved = wallet.realised - wallet.fees + wallet.funding + wallet.traded + wallet.insurance
        assert wallet.wallet_balance == wallet.start_balance + moved

    def on_trades(self, symbol, trades):
        self.events += [("trade", trade.price_ticks, trade.lots) for trade in trades]


@pytest.fixture
def exchange():
    specs = [
        AccountSpec(account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=balance)
        for i, balance in ((1, D(30)), (2, D(1_000_000)))
    ]
    exchange = Exchange([instrument(X), instrument(Y)], specs, seed=3)
    for symbol in (X, Y):
        exchange.set_reference(symbol, index_price=D(10), mark_price=D(10))
    return exchange


def place(exchange, side, quantity, price=None, *, account=1, **changes):
    request = OrderRequest(
        symbol=changes.pop("symbol", X),
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=D(str(quantity)),
        price=None if price is None else D(str(price)),
        **changes,
    )
    return exchange.place(account, request, now_ms=100)


def hold(exchange, side, lots, *, symbol=X, **changes):
    exchange.house_limit(symbol, side.opposite, 1000, lots, now_ms=1)
    place(exchange, side, D(lots) / 10, 10, symbol=symbol, **changes)


def mark(exchange, price, *, symbol=X):
    price = D(str(price))
    exchange.set_reference(symbol, index_price=price, mark_price=price, now_ms=5_000)


def test_book_takes_a_liquidated_position_at_its_own_prices(exchange):
    hold(exchange, BUY, 200)
    exchange.house_limit(X, BUY, 870, 1000, now_ms=1)
    mark(exchange, "8.56")
    assert exchange.position(1, X).lots == 200
    mark(exchange, "8.55")
    assert exchange.position(1, X).lots == 0
    fill = exchange.executions(1)[-1]
    assert (fill.exec_type, fill.created_by) == ("BustTrade", "CreateByLiq")
    assert (fill.price, fill.closed_lots) == (D("8.7"), 200)
    assert exchange.closed_pnls(1)[-1].exec_type == "BustTrade"
    assert exchange.wallet(1).insurance == 0


def test_empty_book_lets_the_venue_take_over_at_the_bankruptcy_price(exchange):
    hold(exchange, BUY, 200)
    bust = exchange.position(1, X).bankruptcy_price
    mark(exchange, "8.5")
    tried, taken = exchange.closed_orders(1)[-2:]
    assert (tried.created_by, tried.state) == ("CreateByLiq", OrderState.CANCELLED)
    assert taken.created_by == "CreateByTakeOver_PassThrough"
    assert (taken.state, taken.cum_lots) == (OrderState.FILLED, 200)
    assert taken.cum_value / 20 == bust == D("8.52")
    assert exchange.public_trades(X)[-1].price_ticks == 1000
    wallet = exchange.wallet(1)
    assert 0 <= wallet.wallet_balance < D("0.2")


def test_book_takes_what_it_can_and_the_venue_the_rest(exchange):
    hold(exchange, SELL, 200)
    exchange.house_limit(X, SELL, 1140, 50, now_ms=1)
    mark(exchange, "11.45")
    tried, taken = exchange.closed_orders(1)[-2:]
    assert (tried.cum_lots, taken.cum_lots) == (50, 150)
    assert exchange.position(1, X).lots == 0
    assert exchange.wallet(1).wallet_balance >= 0


def test_everything_is_cancelled_first_and_told_in_order(exchange):
    hold(exchange, BUY, 200)
    place(exchange, SELL, 1, 11)
    exchange.set_stops(1, X, [StopChange(kind=StopKind.TAKE_PROFIT, price=D(12))], now_ms=101)
    exchange.listener = diary = Diary(exchange)
    mark(exchange, "8.5")
    assert diary.events == [
        ("order", "CreateByUser", "Deactivated", "CancelAllBeforeLiq"),
        ("order", "CreateByUser", "Cancelled", "CancelAllBeforeLiq"),
        ("position", 200, True),
        ("order", "CreateByLiq", "Cancelled", "UNKNOWN"),
        ("position", 200, True),
        ("fill", "CreateByTakeOver_PassThrough", "BustTrade"),
        ("order", "CreateByTakeOver_PassThrough", "Filled", "UNKNOWN"),
        ("position", 0, True),
        ("position", 0, False),
    ]
    assert exchange.open_orders(1) == exchange.stop_orders(1) == []


def test_liquidation_price_is_where_liquidation_begins(exchange):
    hold(exchange, BUY, 200)
    price = exchange.position(1, X).liquidation_price
    # 30 - 0.11 + 20 (p - 10) = 20 p (0.005 + 0.00055)
    assert price == D("8.55")
    mark(exchange, price + D("0.01"))
    assert exchange.position(1, X).lots == 200
    mark(exchange, price)
    assert exchange.position(1, X).lots == 0


def test_liquidation_price_of_a_short_lies_above(exchange):
    hold(exchange, SELL, 200)
    price = exchange.position(1, X).liquidation_price
    mark(exchange, price - D("0.01"))
    assert exchange.position(1, X).lots == -200
    mark(exchange, price)
    assert exchange.position(1, X).lots == 0


def test_safe_and_flat_positions_have_no_liquidation_price(exchange):
    hold(exchange, BUY, 10)
    assert exchange.position(1, X).liquidation_price is None
    assert exchange.position(1, X).bankruptcy_price is None
    assert exchange.position(2, X).liquidation_price is None


def test_largest_position_goes_first_and_the_healthy_rest_stays(exchange):
    hold(exchange, BUY, 150)
    hold(exchange, BUY, 20, symbol=Y)
    exchange.house_limit(X, BUY, 810, 1000, now_ms=1)
    mark(exchange, "8.05")
    assert exchange.position(1, X).lots == 0
    assert exchange.position(1, Y).lots == 20
    assert exchange.wallet(1).equity > exchange.wallet(1).maintenance_margin


def test_gap_beyond_bankruptcy_leaves_no_debt(exchange):
    hold(exchange, BUY, 150)
    hold(exchange, BUY, 20, symbol=Y)
    mark(exchange, 2)
    wallet = exchange.wallet(1)
    assert exchange.position(1, X).lots == 0
    assert wallet.equity > wallet.maintenance_margin
    assert 0 <= wallet.wallet_balance < D("0.5")


def test_funding_may_exhaust_an_account(exchange):
    hold(exchange, BUY, 200)
    exchange.settle_funding(X, D("0.14"), now_ms=6_000)
    assert exchange.position(1, X).lots == 200
    exchange.settle_funding(X, D("0.01"), now_ms=6_001)
    assert exchange.position(1, X).lots == 0


def test_bankruptcy_price_outside_the_range_is_covered_and_written_down(exchange):
    hold(exchange, SELL, 100)
    exchange.settle_funding(X, D(-20), now_ms=6_000)
    wallet = exchange.wallet(1)
    assert wallet.insurance > 0
    assert wallet.wallet_balance == 0
    entry = exchange.ledger(1)[-1]
    assert (entry.entry_type, entry.change) == ("LIQUIDATION", wallet.insurance)
    assert entry.balance_after == 0


def test_liquidation_of_one_account_may_exhaust_nobody_else(exchange):
    hold(exchange, BUY, 200)
    place(exchange, BUY, 40, "8.6", account=2)
    mark(exchange, "8.5")
    assert exchange.position(2, X).lots == 200
    assert exchange.wallet(2).insurance == 0


def test_both_sides_of_a_hedged_contract_are_closed(exchange):
    exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
    hold(exchange, BUY, 200, position_idx=1)
    hold(exchange, SELL, 20, position_idx=2)
    views = exchange.positions(1, X)
    assert views[0].liquidation_price == views[1].liquidation_price
    mark(exchange, views[0].liquidation_price)
    assert exchange.positions(1, X)[0].lots == 0


def test_fully_hedged_contract_falls_by_its_growing_margin_only(exchange):
    exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
    hold(exchange, BUY, 100, position_idx=1)
    hold(exchange, SELL, 100, position_idx=2)
    price = exchange.positions(1, X)[0].liquidation_price
    assert price > 250
    mark(exchange, price - 1)
    assert [view.lots for view in exchange.positions(1, X)] == [100, -100]
    mark(exchange, price + 1)
    assert 0 in [view.lots for view in exchange.positions(1, X)]


def test_liquidations_are_published_by_number(exchange):
    hold(exchange, BUY, 200)
    mark(exchange, "8.5")
    (first,) = exchange.liquidations(X)
    assert (first.side, first.lots, first.price_ticks) == (BUY, 200, 852)
    assert exchange.liquidations(X, after=first.number) == exchange.liquidations(Y) == []
