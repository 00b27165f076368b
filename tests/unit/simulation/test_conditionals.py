"""Conditional orders: waiting, moved, triggered, cancelled."""

import pytest
from venue_rig import BUY, SELL, D, X, fresh_exchange, order, print_at, stop

from trading_system.domain.orders import TimeInForce
from trading_system.simulation.conditions import Amendment, GuardRequest, StopKind, TriggerBy
from trading_system.simulation.records import OrderState, VenueReject

NOW = 50


@pytest.fixture
def exchange():
    return fresh_exchange()


def place(exchange, side, quantity, **changes):
    return exchange.place(1, order(side, quantity, **changes), now_ms=NOW)


def code_of(call):
    with pytest.raises(VenueReject) as refused:
        call()
    return refused.value.code


def amend(exchange, record, **changes):
    change = Amendment(**changes)
    return exchange.amend(1, X, order_id=record.order_id, change=change, now_ms=NOW)


def test_it_waits_outside_the_book_without_margin(exchange):
    before = exchange.wallet(1)
    record = place(exchange, BUY, "3", trigger="10.5", price="10.6")
    assert (record.state, record.trigger.on_rise) == (OrderState.UNTRIGGERED, True)
    assert exchange.wallet(1) == before
    assert exchange.open_orders(1) == []
    assert exchange.stop_orders(1) == [record]
    assert exchange.find_order(1, order_id=record.order_id) is record


def test_limit_order_rests_once_its_price_is_reached(exchange):
    record = place(exchange, BUY, "3", trigger="10.2", price="9.8", link_id="c-1")
    exchange.listener.orders.clear()
    print_at(exchange, 1020)
    assert exchange.listener.orders == [("Triggered", 30), ("New", 30)]
    assert (exchange.open_orders(1), exchange.stop_orders(1)) == ([record], [])
    assert exchange.wallet(1).order_margin > 0


def test_market_order_trades_once_its_price_is_reached(exchange):
    record = place(exchange, SELL, "2", trigger="9.9")
    assert record.time_in_force is TimeInForce.IOC
    print_at(exchange, 990)
    assert record.state is OrderState.FILLED
    assert exchange.position(1, X).lots == -20
    assert exchange.executions(1)[-1].stop_kind is StopKind.STOP


def test_only_the_watched_price_triggers(exchange):
    record = place(exchange, BUY, "1", trigger="10.2", by=TriggerBy.MARK, price="9.8")
    print_at(exchange, 1020)
    assert record.state is OrderState.UNTRIGGERED
    exchange.set_reference(X, index_price=D(10), mark_price=D("10.2"), now_ms=NOW + 2)
    assert record.state is OrderState.NEW


def test_limit_price_is_put_into_the_band_of_the_moment_of_the_trigger(exchange):
    record = place(exchange, BUY, "1", trigger="10.2", price="100")
    assert record.price_ticks == 10_000
    print_at(exchange, 1020)
    assert record.state is OrderState.FILLED
    assert record.price_ticks < 2_000


def test_post_only_that_would_take_ends_cancelled_at_its_trigger(exchange):
    record = place(
        exchange, BUY, "1", trigger="10.2", price="10.2", time_in_force=TimeInForce.POST_ONLY
    )
    print_at(exchange, 1020)
    assert record.state is OrderState.CANCELLED
    assert record.reject_reason == "EC_PostOnlyWillTakeLiquidity"


def test_margin_is_needed_at_the_trigger_not_before():
    exchange = fresh_exchange(balance=10)
    record = place(exchange, BUY, "50", trigger="10.2", price="9.9")
    print_at(exchange, 1020)
    assert (record.state, record.reject_reason) == (OrderState.REJECTED, "EC_Others")
    assert exchange.open_orders(1) == exchange.stop_orders(1) == []
    assert exchange.wallet(1).available == D(10)


def test_reduce_only_is_cut_to_the_position_of_the_moment_of_the_trigger(exchange):
    place(exchange, BUY, "3")
    record = place(exchange, SELL, "3", trigger="9.9", reduce_only=True)
    place(exchange, SELL, "2")
    print_at(exchange, 990)
    assert (record.state, record.lots) == (OrderState.FILLED, 10)
    assert exchange.position(1, X).lots == 0


def test_reduce_only_without_a_position_at_its_trigger_is_cancelled(exchange):
    place(exchange, BUY, "3")
    record = place(exchange, SELL, "3", trigger="9.9", reduce_only=True)
    place(exchange, SELL, "3")
    print_at(exchange, 990)
    assert (record.state, record.cancel_type) == (OrderState.CANCELLED, "CancelByReduceOnly")


def test_closing_order_without_a_quantity_takes_the_whole_position_at_its_trigger(exchange):
    place(exchange, BUY, "3")
    record = place(exchange, SELL, "0", trigger="9.9", reduce_only=True, close_on_trigger=True)
    place(exchange, BUY, "2")
    print_at(exchange, 990)
    assert (record.state, record.lots) == (OrderState.FILLED, 50)


def test_close_on_trigger_only_reduces(exchange):
    place(exchange, BUY, "3")
    record = place(exchange, SELL, "9", trigger="9.9", close_on_trigger=True)
    assert record.reduce_only
    print_at(exchange, 990)
    assert exchange.position(1, X).lots == 0


@pytest.mark.parametrize(
    ("trigger", "rises", "code"),
    [
        ("10.00", True, 110092),
        ("9.99", True, 110092),
        ("10.00", False, 110093),
        ("10.01", False, 110093),
        ("10.00", None, 110093),
        ("10.005", None, 10001),
        ("-1", None, 10001),
        ("NaN", None, 10001),
        ("1000.01", None, 10001),
    ],
)
def test_trigger_must_lie_ahead_of_the_watched_price(exchange, trigger, rises, code):
    request = order(BUY, "1", trigger=trigger, on_rise=rises, by=TriggerBy.MARK, price="9.8")
    assert code_of(lambda: exchange.place(1, request, now_ms=NOW)) == code
    assert exchange.stop_orders(1) == []


def test_direction_follows_from_the_present_price(exchange):
    rising = place(exchange, BUY, "1", trigger="10.5", price="9.8")
    falling = place(exchange, BUY, "1", trigger="9.5", price="9.8")
    assert (rising.trigger.on_rise, falling.trigger.on_rise) == (True, False)


def test_ten_wait_in_a_contract_and_no_more(exchange):
    for _ in range(10):
        place(exchange, BUY, "1", trigger="10.5", price="9.8")
    assert code_of(lambda: place(exchange, BUY, "1", trigger="10.5", price="9.8")) == 110009


@pytest.mark.parametrize("by_link", [True, False])
def test_cancelling_deactivates(exchange, by_link):
    record = place(exchange, BUY, "1", trigger="10.5", price="9.8", link_id="c-1")
    name = {"link_id": "c-1"} if by_link else {"order_id": record.order_id}
    assert exchange.cancel(1, X, **name, now_ms=NOW) is record
    assert (record.state, record.cancel_type) == (OrderState.DEACTIVATED, "CancelByUser")
    assert code_of(lambda: exchange.cancel(1, X, **name, now_ms=NOW)) == 110001
    print_at(exchange, 1050)
    assert exchange.position(1, X).lots == 0


def test_cancel_all_tells_conditional_orders_from_stops(exchange):
    place(exchange, BUY, "3")
    record = place(exchange, BUY, "1", trigger="10.5", price="9.8")
    exchange.set_stops(1, X, [stop("9.5")], now_ms=NOW)
    assert exchange.cancel_all(1, symbol=X, now_ms=NOW) == []
    assert exchange.cancel_stops(1, symbol=X, own_only=True, now_ms=NOW) == [record]
    assert exchange.cancel_stops(1, limit=0, now_ms=NOW) == []
    assert len(exchange.cancel_stops(1, now_ms=NOW)) == 1


def test_amending_moves_the_trigger_the_price_and_the_quantity(exchange):
    record = place(exchange, BUY, "1", trigger="10.5", price="9.8")
    amend(exchange, record, trigger_price=D("10.4"), price=D("9.7"), quantity=D(2))
    assert (record.trigger.price_ticks, record.price_ticks, record.lots) == (1040, 970, 20)
    amend(exchange, record, trigger_by=TriggerBy.MARK)
    assert record.trigger.by is TriggerBy.MARK
    print_at(exchange, 1040)
    assert record.state is OrderState.UNTRIGGERED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"trigger_price": D("10.5")}, 10001),
        ({}, 10001),
        ({"trigger_price": D("9.9")}, 110092),
        ({"trigger_price": D("10.005")}, 10001),
        ({"price": D("9.805")}, 10001),
        ({"price": D(2000)}, 110003),
        ({"quantity": D("0.05")}, 10001),
        ({"quantity": D("0.1"), "price": D("9.8")}, 110094),
        ({"take_profit": GuardRequest(price=D(11))}, 110057),
        ({"stop_loss": GuardRequest(price=D(0))}, 110057),
    ],
)
def test_impossible_amendment_changes_nothing(exchange, change, code):
    record = place(exchange, BUY, "1", trigger="10.5", price="9.8")
    before = (record.trigger, record.price_ticks, record.lots)
    assert code_of(lambda: amend(exchange, record, **change)) == code
    assert (record.trigger, record.price_ticks, record.lots) == before


def test_price_of_a_market_order_means_nothing_in_an_amendment(exchange):
    record = place(exchange, BUY, "1", trigger="10.5")
    assert code_of(lambda: amend(exchange, record, price=D("9.7"))) == 10001


def test_order_in_the_book_has_no_trigger_to_amend(exchange):
    record = place(exchange, BUY, "1", price="9.8")
    assert code_of(lambda: amend(exchange, record, trigger_price=D("10.5"))) == 10001


def test_one_trigger_may_reach_the_next(exchange):
    first = place(exchange, BUY, "101", trigger="10.05")
    second = place(exchange, SELL, "1", trigger="10.10")
    print_at(exchange, 1005)
    assert (first.state, second.state) == (OrderState.FILLED, OrderState.FILLED)
