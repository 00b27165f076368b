"""Take profits and stop losses: brought by orders, partial, trailing, amended, cleared."""

import pytest
from venue_rig import BUY, SELL, D, X, fresh_exchange, order, print_at, stop

from trading_system.domain.orders import OrderType
from trading_system.simulation.conditions import (
    Amendment,
    GuardChange,
    GuardRequest,
    StopKind,
    StopScope,
    TriggerBy,
)
from trading_system.simulation.records import OrderState, VenueReject

NOW = 50
TP, SL, TS = StopKind.TAKE_PROFIT, StopKind.STOP_LOSS, StopKind.TRAILING_STOP
PTP, PSL = StopKind.PARTIAL_TAKE_PROFIT, StopKind.PARTIAL_STOP_LOSS


@pytest.fixture
def exchange():
    return fresh_exchange()


def guard(price, limit_price=None, by=TriggerBy.LAST):
    limit = None if limit_price is None else D(limit_price)
    return GuardRequest(price=D(price), limit_price=limit, by=by)


def moved(price=None, **changes):
    return GuardChange(price=None if price is None else D(price), **changes)


def place(exchange, side, quantity, **changes):
    return exchange.place(1, order(side, quantity, **changes), now_ms=NOW)


def set_stops(exchange, *changes):
    exchange.set_stops(1, X, changes, now_ms=NOW)


def amend(exchange, record, **changes):
    change = Amendment(**changes)
    return exchange.amend(1, X, order_id=record.order_id, change=change, now_ms=NOW)


def code_of(call):
    with pytest.raises(VenueReject) as refused:
        call()
    return refused.value.code


def kinds(exchange):
    return {each.trigger.kind: each for each in exchange.stop_orders(1)}


def test_filled_order_hands_its_guards_to_the_position(exchange):
    parent = place(exchange, BUY, "3", take_profit=guard("11"), stop_loss=guard("9.7"))
    position = exchange.position(1, X)
    assert (position.take_profit, position.stop_loss) == (D(11), D("9.7"))
    stops = kinds(exchange)
    assert set(stops) == {TP, SL}
    assert {each.trigger.parent_id for each in stops.values()} == {parent.order_id}
    assert all(each.lots == 30 and each.reduce_only for each in stops.values())


def test_resting_order_keeps_its_guards_until_it_fills(exchange):
    record = place(exchange, BUY, "3", price="9.96", stop_loss=guard("9.7"))
    assert exchange.stop_orders(1) == []
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    assert kinds(exchange)[SL].lots == 10
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    assert kinds(exchange)[SL].lots == record.cum_lots == 20


def test_later_fills_leave_a_moved_stop_where_its_owner_put_it(exchange):
    place(exchange, BUY, "3", price="9.96", stop_loss=guard("9.7"))
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    set_stops(exchange, stop("9.6"))
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    assert exchange.position(1, X).stop_loss == D("9.6")


def test_full_guards_replace_the_stop_the_position_has(exchange):
    place(exchange, BUY, "3", stop_loss=guard("9.7"))
    (first,) = exchange.stop_orders(1)
    place(exchange, BUY, "2", stop_loss=guard("9.6"))
    assert exchange.stop_orders(1) == [first]
    assert (first.lots, exchange.position(1, X).stop_loss) == (50, D("9.6"))


def test_guards_of_an_order_that_only_reduces_are_not_handed_over(exchange):
    place(exchange, BUY, "5")
    place(exchange, SELL, "3", stop_loss=guard("11"))
    assert exchange.stop_orders(1) == []


def test_order_that_turns_the_position_replaces_its_stops(exchange):
    place(exchange, BUY, "3", stop_loss=guard("9.7"))
    place(exchange, SELL, "5", stop_loss=guard("11"))
    (new,) = exchange.stop_orders(1)
    assert (new.side, new.lots, new.trigger.on_rise) == (BUY, 20, True)
    assert exchange.closed_orders(1)[-1].cancel_type == "CancelByTpSlTsClear"


def test_one_full_stop_fires_and_the_rest_is_cleared(exchange):
    place(exchange, BUY, "3", take_profit=guard("10.2"), stop_loss=guard("9.7"))
    set_stops(exchange, stop("0.5", kind=TS))
    exchange.listener.records.clear()
    print_at(exchange, 1020)
    assert exchange.position(1, X).lots == 0
    assert exchange.stop_orders(1) == []
    ends = {each.trigger.kind: (each.state, each.cancel_type) for each in exchange.listener.records}
    cleared = (OrderState.DEACTIVATED, "CancelByTpSlTsClear")
    assert ends == {TP: (OrderState.FILLED, "UNKNOWN"), SL: cleared, TS: cleared}


def test_partial_guards_have_the_filled_size_and_one_of_a_pair_fires(exchange):
    guards = {"take_profit": guard("10.2", "10.15"), "stop_loss": guard("9.7")}
    place(exchange, BUY, "5")
    place(exchange, BUY, "3", price="9.96", scope=StopScope.PARTIAL, **guards)
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    exchange.house_limit(X, SELL, 996, 20, now_ms=NOW)
    stops = kinds(exchange)
    assert {kind: each.lots for kind, each in stops.items()} == {PTP: 30, PSL: 30}
    print_at(exchange, 1020)
    assert exchange.stop_orders(1) == []
    assert stops[PSL].cancel_type == "CancelByTpSlTsClear"
    (resting,) = exchange.open_orders(1)
    assert (resting.order_type, resting.price_ticks, resting.leaves_lots) == (
        OrderType.LIMIT,
        1015,
        30,
    )


@pytest.mark.parametrize(
    ("side", "changes", "code"),
    [
        (BUY, {"take_profit": guard("9.9")}, 10001),
        (BUY, {"stop_loss": guard("10.06")}, 10001),
        (SELL, {"take_profit": guard("10.1")}, 10001),
        (SELL, {"stop_loss": guard("9.9")}, 10001),
        (BUY, {"price": "9.5", "stop_loss": guard("9.5")}, 10001),
        (BUY, {"price": "9.5", "take_profit": guard("9.5")}, 10001),
        (BUY, {"stop_loss": guard("9.705")}, 10001),
        (BUY, {"stop_loss": guard("10", by=TriggerBy.MARK)}, 10001),
        (BUY, {"stop_loss": guard("9.7", "9.6")}, 110060),
        (BUY, {"stop_loss": guard("9.7", "9.605"), "scope": StopScope.PARTIAL}, 10001),
        (BUY, {"stop_loss": guard("9.7"), "trigger": "11"}, 110057),
    ],
)
def test_impossible_guard_is_refused(exchange, side, changes, code):
    assert code_of(lambda: place(exchange, side, "3", **changes)) == code
    assert exchange.position(1, X).lots == 0


def test_reduce_only_order_brings_no_guards(exchange):
    place(exchange, BUY, "3")
    wish = {"reduce_only": True, "stop_loss": guard("11")}
    assert code_of(lambda: place(exchange, SELL, "3", **wish)) == 10001


def test_guards_of_a_resting_order_are_set_moved_and_removed(exchange):
    record = place(exchange, BUY, "3", price="9.9")
    amend(exchange, record, take_profit=moved("11"), stop_loss=moved("9.5"))
    amend(exchange, record, stop_loss=moved("9.6"))
    assert (record.take_profit.price_ticks, record.stop_loss.price_ticks) == (1100, 960)
    amend(exchange, record, take_profit=moved("0"))
    assert (record.take_profit, record.stop_loss.price_ticks) == (None, 960)
    assert code_of(lambda: amend(exchange, record, take_profit=moved("0"))) == 10001
    assert code_of(lambda: amend(exchange, record, stop_loss=moved("9.95"))) == 10001


def test_a_moved_take_profit_keeps_its_limit_price_and_what_it_watches(exchange):
    wish = {"take_profit": guard("11", "10.9", TriggerBy.MARK), "scope": StopScope.PARTIAL}
    record = place(exchange, BUY, "3", price="9.9", **wish)
    amend(exchange, record, take_profit=moved("12"))
    amend(exchange, record, take_profit=moved(limit_price=D("11.5")))
    kept = record.take_profit
    assert (kept.price_ticks, kept.limit_ticks, kept.by) == (1200, 1150, TriggerBy.MARK)
    amend(exchange, record, take_profit=moved(by=TriggerBy.LAST))
    assert (record.take_profit.limit_ticks, record.take_profit.by) == (1150, TriggerBy.LAST)
    nothing = moved(limit_price=D(9))
    assert code_of(lambda: amend(exchange, record, stop_loss=nothing)) == 10001


@pytest.mark.parametrize("price", ["9.5", "9.4"])
def test_an_amended_price_cannot_pass_the_orders_own_stop_loss(exchange, price):
    record = place(exchange, BUY, "3", price="9.9", stop_loss=guard("9.5"))
    assert code_of(lambda: amend(exchange, record, price=D(price))) == 10001
    amend(exchange, record, price=D(price), stop_loss=moved("9"))
    assert (record.price_ticks, record.stop_loss.price_ticks) == (int(D(price) * 100), 900)


def test_amending_guards_keeps_the_place_in_the_queue(exchange):
    record = place(exchange, BUY, "3", price="9.96")
    exchange.house_limit(X, BUY, 996, 10, now_ms=NOW)
    amend(exchange, record, stop_loss=moved("9.5"))
    exchange.house_limit(X, SELL, 996, 30, now_ms=NOW)
    assert record.state is OrderState.FILLED


def test_guards_of_a_partly_filled_or_reducing_order_are_fixed(exchange):
    record = place(exchange, BUY, "3", price="9.96")
    exchange.house_limit(X, SELL, 996, 10, now_ms=NOW)
    assert code_of(lambda: amend(exchange, record, stop_loss=moved("9.5"))) == 110059
    reducing = place(exchange, SELL, "1", price="11", reduce_only=True)
    assert code_of(lambda: amend(exchange, reducing, stop_loss=moved("12"))) == 10001


def test_partial_stops_add_up_and_shrink_with_the_position(exchange):
    place(exchange, BUY, "5")
    set_stops(exchange, stop("9.7", kind=PSL, quantity="3"))
    set_stops(exchange, stop("9.6", kind=PSL, quantity="3"))
    assert exchange.position(1, X).stop_loss is None
    place(exchange, SELL, "3")
    assert [each.lots for each in exchange.stop_orders(1)] == [20, 20]
    place(exchange, SELL, "2")
    assert exchange.stop_orders(1) == []


def test_partial_pair_of_one_request_is_bound(exchange):
    place(exchange, BUY, "5")
    pair = (stop("10.2", kind=PTP, quantity="2"), stop("9.7", kind=PSL, quantity="2"))
    set_stops(exchange, *pair)
    set_stops(exchange, stop("9.6", kind=PSL, quantity="1"))
    print_at(exchange, 1020)
    assert exchange.position(1, X).lots == 30
    (left,) = exchange.stop_orders(1)
    assert left.trigger.price_ticks == 960


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (stop("9.7", kind=PSL), 110058),
        (stop("9.7", kind=PSL, quantity="0.01"), 110058),
        (stop("9.7", kind=PSL, quantity="0.15"), 10001),
        (stop("9.7", kind=PSL, quantity="9"), 10001),
        (stop("9.7", kind=PSL, quantity="1", limit_price="9.605"), 10001),
        (stop("10.1", kind=PSL, quantity="1"), 10001),
        (stop("0", kind=PSL), 34040),
        (stop("0", kind=TS), 34040),
        (stop("10.05", kind=TS), 10001),
        (stop("0.005", kind=TS), 10001),
        (stop("0.5", kind=TS, active_price="10"), 10001),
        (stop("0.5", kind=TS, active_price="11.005"), 10001),
    ],
)
def test_impossible_stop_of_a_long_position_is_refused(exchange, change, code):
    place(exchange, BUY, "3")
    assert code_of(lambda: set_stops(exchange, change)) == code
    assert exchange.stop_orders(1) == []


def test_twenty_partial_stops_of_a_kind_and_no_more(exchange):
    place(exchange, BUY, "5")
    for _ in range(20):
        set_stops(exchange, stop("9.7", kind=PSL, quantity="1"))
    one_more = stop("9.7", kind=PSL, quantity="1")
    assert code_of(lambda: set_stops(exchange, one_more)) == 110061
    wish = {"scope": StopScope.PARTIAL, "stop_loss": guard("9.7")}
    assert code_of(lambda: place(exchange, BUY, "1", **wish)) == 110061


def test_trailing_stop_follows_the_best_price_and_fires(exchange):
    place(exchange, BUY, "3")
    set_stops(exchange, stop("0.3", kind=TS))
    (record,) = exchange.stop_orders(1)
    assert (record.trigger.price_ticks, exchange.position(1, X).trailing_stop) == (975, D("0.3"))
    for ticks, level in ((1030, 1000), (1010, 1000), (1040, 1010)):
        print_at(exchange, ticks)
        assert record.trigger.price_ticks == level
    print_at(exchange, 1010)
    assert record.state is OrderState.FILLED
    assert exchange.position(1, X).lots == 0


def test_a_trailing_stop_that_follows_is_not_announced(exchange):
    place(exchange, BUY, "3")
    set_stops(exchange, stop("0.3", kind=TS))
    told = len(exchange.listener.orders)
    print_at(exchange, 1030)
    (record,) = exchange.stop_orders(1)
    assert record.trigger.price_ticks == 1000
    assert len(exchange.listener.orders) == told


def test_twenty_partial_take_profits_leave_room_for_stop_losses(exchange):
    place(exchange, BUY, "5")
    for _ in range(20):
        set_stops(exchange, stop("12", kind=PTP, quantity="0.1"))
    set_stops(exchange, stop("9", kind=PSL, quantity="0.1"))
    place(exchange, BUY, "1", stop_loss=guard("9"), scope=StopScope.PARTIAL)
    more = stop("12", kind=PTP, quantity="0.1")
    assert code_of(lambda: set_stops(exchange, more)) == 110061


def test_trailing_stop_of_a_short_sleeps_until_its_active_price(exchange):
    place(exchange, SELL, "3")
    set_stops(exchange, stop("0.2", kind=TS, active_price="9.8"))
    (record,) = exchange.stop_orders(1)
    for ticks, level in ((1020, 0), (981, 0), (980, 1000), (970, 990), (985, 990)):
        print_at(exchange, ticks)
        assert record.trigger.price_ticks == level
    print_at(exchange, 990)
    assert record.state is OrderState.FILLED


def test_trailing_stop_is_changed_removed_and_unchanged(exchange):
    place(exchange, BUY, "3")
    set_stops(exchange, stop("0.3", kind=TS, active_price="10.5"))
    (record,) = exchange.stop_orders(1)
    same = stop("0.3", kind=TS, active_price="10.5")
    assert code_of(lambda: set_stops(exchange, same)) == 34040
    set_stops(exchange, stop("0.3", kind=TS, active_price="10.6"))
    set_stops(exchange, stop("0.4", kind=TS, active_price="10.6"))
    assert exchange.stop_orders(1) == [record]
    assert (record.trigger.trail.distance_ticks, record.trigger.trail.active_ticks) == (40, 1060)
    set_stops(exchange, stop("0", kind=TS))
    assert record.state is OrderState.DEACTIVATED


def test_position_stops_are_amended_as_orders(exchange):
    place(exchange, BUY, "5")
    set_stops(exchange, stop("9.7"), stop("10.8", kind=PTP, quantity="3", limit_price="10.9"))
    full, partial = kinds(exchange)[SL], kinds(exchange)[PTP]
    amend(exchange, full, trigger_price=D("9.6"), quantity=D(5))
    amend(exchange, partial, trigger_price=D("10.7"), price=D("10.6"), quantity=D(2))
    assert exchange.position(1, X).stop_loss == D("9.6")
    assert (partial.trigger.price_ticks, partial.price_ticks, partial.lots) == (1070, 1060, 20)
    for record, change in (
        (full, {"trigger_price": D("10.2")}),
        (partial, {"trigger_price": D("9.9")}),
        (partial, {"quantity": D(6)}),
    ):
        assert code_of(lambda each=record, terms=change: amend(exchange, each, **terms)) == 10001


def test_trailing_stop_is_not_amended_as_an_order(exchange):
    place(exchange, BUY, "3")
    set_stops(exchange, stop("0.3", kind=TS))
    (record,) = exchange.stop_orders(1)
    assert code_of(lambda: amend(exchange, record, trigger_price=D("9.6"))) == 10001


def test_guards_the_market_has_passed_already_fire_at_once():
    exchange = fresh_exchange(depth=10)
    place(exchange, SELL, "1", price="12")
    place(exchange, BUY, "3", price="10.20", take_profit=guard("10.30"), stop_loss=guard("10.15"))
    assert exchange.position(1, X).lots == 30
    print_at(exchange, 1010)
    assert exchange.position(1, X).lots < 30
