"""The worked examples of the protocol reference, section 15, to the last digit."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    AccountSpec,
    OrderRequest,
    OrderState,
    VenueReject,
)

D = Decimal
ABC = Instrument(
    symbol="ABCUSDT",
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.1"),
    min_price=D("0.01"),
    max_price=D("199999.98"),
    min_qty=D("0.1"),
    max_qty=D("5000.0"),
    max_market_qty=D("1000.0"),
    min_notional=D(5),
    max_leverage=D(50),
)


class Diary:
    """Remembers the kind and subject of every event."""

    def __init__(self):
        self.lines = []

    def on_order(self, order):
        self.lines.append(("order", order.state, order.leaves_lots))

    def on_executions(self, executions):
        self.lines.append(("executions", len(executions)))

    def on_position(self, account_id, symbol, position_idx):
        self.lines.append(("position", account_id))

    def on_wallet(self, account_id):
        self.lines.append(("wallet", account_id))

    def on_trades(self, symbol, trades):
        self.lines.append(("trades", [(t.taker_side, t.lots, t.price_ticks) for t in trades]))

    def take(self):
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def exchange():
    spec = AccountSpec(account_id=1, uid=1, api_key="k", api_secret="s", balance=D(10_000))
    exchange = Exchange([ABC], [spec], seed=1, maintenance_rate=D("0.01"))
    exchange.set_reference("ABCUSDT", index_price=D("10.01"), mark_price=D("10.01"))
    exchange.house_limit("ABCUSDT", Side.SELL, 1001, 1, now_ms=1)
    exchange.house_market("ABCUSDT", Side.BUY, 1, now_ms=2)
    exchange.house_limit("ABCUSDT", Side.BUY, 1000, 1000, now_ms=3)
    exchange.house_limit("ABCUSDT", Side.SELL, 1002, 20, now_ms=3)
    exchange.house_limit("ABCUSDT", Side.SELL, 1003, 500, now_ms=3)
    exchange.listener = Diary()
    return exchange


def post_only(price, link_id):
    return OrderRequest(
        symbol="ABCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=D(5),
        price=price,
        time_in_force=TimeInForce.POST_ONLY,
        link_id=link_id,
    )


def market(side, link_id, *, reduce_only=False):
    return OrderRequest(
        symbol="ABCUSDT",
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(3),
        link_id=link_id,
        reduce_only=reduce_only,
    )


def test_post_only_order_reserves_margin_until_it_is_cancelled(exchange):
    order = exchange.place(1, post_only(D("9.90"), "lk-1"), now_ms=10)
    assert order.last_price_on_created == D("10.01")
    assert exchange.wallet(1).order_margin == D("4.977225")
    assert exchange.listener.take() == [
        ("order", OrderState.NEW, 50),
        ("position", 1),
        ("wallet", 1),
    ]

    exchange.amend(1, "ABCUSDT", order_id=order.order_id, price=D("9.95"), quantity=D(6), now_ms=11)
    assert (order.price_ticks, order.lots, order.leaves_lots) == (995, 60, 60)
    assert (order.created_ms, order.updated_ms) == (10, 11)
    assert exchange.wallet(1).order_margin == D("6.002835")
    assert exchange.listener.take()[0] == ("order", OrderState.NEW, 60)

    exchange.cancel(1, "ABCUSDT", link_id="lk-1", now_ms=12)
    assert (order.state, order.leaves_lots) == (OrderState.CANCELLED, 0)
    assert (order.cancel_type, order.reject_reason) == ("CancelByUser", "EC_PerCancelRequest")
    assert exchange.wallet(1).order_margin == 0
    assert exchange.wallet(1).available == 10_000
    assert exchange.open_orders(1) == []
    assert exchange.find_order(1, order_id=order.order_id) is order
    with pytest.raises(VenueReject) as refused:
        exchange.cancel(1, "ABCUSDT", link_id="lk-1", now_ms=13)
    assert refused.value.code == 110001


def test_market_buy_fills_in_two_executions(exchange):
    order = exchange.place(1, market(Side.BUY, "lk-2"), now_ms=20)
    first, second = exchange.executions(1)
    assert (first.price, first.lots, first.value, first.fee, first.leaves_lots) == (
        D("10.02"),
        20,
        D("20.04"),
        D("0.011022"),
        10,
    )
    assert (second.price, second.lots, second.value, second.fee, second.leaves_lots) == (
        D("10.03"),
        10,
        D("10.03"),
        D("0.0055165"),
        0,
    )
    assert first.sequence == second.sequence
    assert {first.realised, second.realised, first.closed_lots} == {0}
    assert ABC.ticks_to_price(order.price_ticks) == D("10.52")
    assert (order.state, order.time_in_force) == (OrderState.FILLED, TimeInForce.IOC)
    assert (order.cum_value, order.cum_fee, order.closed_pnl) == (D("30.07"), D("0.0165385"), 0)
    assert exchange.listener.take() == [
        ("executions", 2),
        ("order", OrderState.FILLED, 0),
        ("position", 1),
        ("wallet", 1),
        ("trades", [(Side.BUY, 20, 1002), (Side.BUY, 10, 1003)]),
    ]
    assert exchange.book("ABCUSDT").top(Side.SELL, 5) == [(1003, 490)]


def test_position_and_wallet_after_the_market_buy(exchange):
    exchange.place(1, market(Side.BUY, "lk-2"), now_ms=20)
    position = exchange.position(1, "ABCUSDT")
    assert (position.lots, position.entry_price) == (30, D("10.02333333"))
    assert position.position_value == D("30.07")
    assert position.initial_margin == D("3.0195165")
    assert position.maintenance_margin == D("0.3168165")
    assert position.break_even_price == D("10.03436507")
    assert position.unrealised == D("-0.04")
    assert position.session_realised == position.cumulative_realised == D("-0.0165385")
    assert position.opened_ms == 20
    wallet = exchange.wallet(1)
    assert wallet.equity == D("9999.9434615")
    assert wallet.wallet_balance == D("9999.9834615")
    assert wallet.available == D("9996.923945")
    assert wallet.maintenance_margin == D("0.3168165")
    assert wallet.realised - wallet.fees == D("-0.0165385")


def test_reduce_only_close_realises_profit_and_both_fees(exchange):
    exchange.place(1, market(Side.BUY, "lk-2"), now_ms=20)
    order = exchange.place(1, market(Side.SELL, "lk-3", reduce_only=True), now_ms=30)
    execution = exchange.executions(1)[-1]
    assert (execution.price, execution.lots, execution.value) == (D("10.00"), 30, D("30.00"))
    assert (execution.fee, execution.closed_lots, execution.realised) == (
        D("0.0165"),
        30,
        D("-0.07"),
    )
    assert (order.state, order.closed_pnl) == (OrderState.FILLED, D("-0.1030385"))
    position = exchange.position(1, "ABCUSDT")
    assert (position.lots, position.entry_price, position.position_value) == (0, 0, 0)
    assert position.session_realised == position.cumulative_realised == D("-0.1030385")
    assert position.opened_ms == 0
    wallet = exchange.wallet(1)
    assert wallet.wallet_balance == wallet.equity == wallet.available == D("9999.8969615")
    exchange.listener.take()
    with pytest.raises(VenueReject) as refused:
        exchange.place(1, market(Side.SELL, "lk-3b", reduce_only=True), now_ms=31)
    assert refused.value.code == 110017
    assert exchange.listener.take() == []


def test_close_is_listed_with_entry_exit_and_fees(exchange):
    exchange.place(1, market(Side.BUY, "lk-2"), now_ms=20)
    exchange.place(1, market(Side.SELL, "lk-3", reduce_only=True), now_ms=30)
    (closed,) = exchange.closed_pnls(1)
    assert (closed.side, closed.closed_lots, closed.fill_count) == (Side.SELL, 30, 1)
    assert (closed.entry_value, closed.exit_value) == (D("30.07"), D(30))
    assert (closed.open_fee, closed.close_fee) == (D("0.0165385"), D("0.0165"))
    assert closed.closed_pnl == D("-0.1030385")


def test_post_only_that_would_cross_is_accepted_and_cancelled(exchange):
    sequence = exchange.book("ABCUSDT").sequence
    order = exchange.place(1, post_only(D("10.05"), "lk-4"), now_ms=40)
    assert (order.state, order.leaves_lots, order.cum_lots) == (OrderState.CANCELLED, 0, 0)
    assert order.reject_reason == "EC_PostOnlyWillTakeLiquidity"
    assert order.cancel_type == "UNKNOWN"
    assert exchange.listener.take()[0] == ("order", OrderState.CANCELLED, 0)
    assert exchange.executions(1) == []
    assert exchange.book("ABCUSDT").sequence == sequence
