"""Spot pairs in the exchange core: coins instead of positions, and nothing borrowed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spot_rig import (
    LINEAR,
    OTHER,
    PAIR,
    START_MS,
    TRADER,
    Books,
    D,
    limit,
    market,
    spot_exchange,
    waits_for,
)

from trading_system.domain.instruments import Category, category_of
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.conditions import (
    Amendment,
    GuardChange,
    GuardRequest,
    StopKind,
    TriggerRequest,
)
from trading_system.simulation.instruments import SPOT_INSTRUMENTS
from trading_system.simulation.records import OrderRequest, OrderState, SelfMatch, VenueReject

BUY, SELL = Side.BUY, Side.SELL
NOW = START_MS + 10


@pytest.fixture
def exchange():
    return spot_exchange()


def refusal(exchange, request):
    with pytest.raises(VenueReject) as caught:
        exchange.place(1, request, now_ms=NOW)
    return caught.value.code


def test_a_spot_pair_and_its_perpetual_have_different_keys():
    pair = SPOT_INSTRUMENTS[LINEAR]
    assert (pair.key, pair.symbol) == (PAIR, LINEAR)
    assert (category_of(PAIR), category_of(LINEAR)) == (Category.SPOT, Category.LINEAR)


def test_buying_at_market_spends_the_amount_and_pays_its_fee_in_the_coin(exchange):
    order = exchange.place(1, market(BUY, 100), now_ms=NOW)
    assert order.state is OrderState.FILLED
    assert order.cum_value == D("99.95001999")  # 1,999 lots at 50,000.01; 2,000 would exceed 100.
    books = Books(exchange)
    assert books.usdt == D(10_000) - order.cum_value
    assert books.btc == D("0.001999") * (1 - D("0.001"))
    assert order.cum_fee == D("0.000001999")


def test_selling_pays_its_fee_in_the_quote_coin(exchange):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    before = Books(exchange)
    order = exchange.place(1, market(SELL, "0.005"), now_ms=NOW)
    after = Books(exchange)
    value = D("0.005") * D("49999.99")
    assert order.cum_fee == value * D("0.001")
    assert after.usdt - before.usdt == value - order.cum_fee
    assert before.btc - after.btc == D("0.005")


def test_selling_for_an_amount_sells_no_more_than_it_takes(exchange):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    order = exchange.place(1, market(SELL, 100, in_quote=True), now_ms=NOW)
    assert order.state is OrderState.FILLED
    assert D("99.95") < order.cum_value <= 100


def test_what_the_book_cannot_fill_ends_partially_filled_canceled(exchange):
    exchange.place(1, market(BUY, "0.15", in_quote=False), now_ms=NOW)
    order = exchange.place(
        1, limit(SELL, "0.12", "49999.99", time_in_force=TimeInForce.IOC), now_ms=NOW
    )
    assert order.state is OrderState.PARTIALLY_FILLED_CANCELED
    assert order.state.is_final
    assert order.cum_lots == 100_000
    untouched = exchange.place(1, limit(SELL, "0.01", 51_000), now_ms=NOW)
    exchange.cancel(1, PAIR, order_id=untouched.order_id, now_ms=NOW)
    assert untouched.state is OrderState.CANCELLED


def test_resting_orders_lock_what_they_would_pay(exchange):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    free = Books(exchange).available
    bid = exchange.place(1, limit(BUY, "0.02", 49_000), now_ms=NOW)
    ask = exchange.place(1, limit(SELL, "0.004", 51_000), now_ms=NOW)
    books = Books(exchange)
    assert (books.usdt_locked, books.btc_locked) == (980, D("0.004"))
    assert books.available == free - 980
    for order in (bid, ask):
        exchange.cancel(1, PAIR, order_id=order.order_id, now_ms=NOW)
    books = Books(exchange)
    assert (books.usdt_locked, books.btc_locked, books.available) == (0, 0, free)


def test_margin_and_spot_share_the_settlement_coin(exchange):
    exchange.house_limit(LINEAR, SELL, 500_000, 10_000, now_ms=NOW)
    exchange.place(
        1,
        OrderRequest(symbol=LINEAR, side=BUY, order_type=OrderType.MARKET, quantity=D(1)),
        now_ms=NOW,
    )
    margin = exchange.wallet(1).position_margin
    assert margin > 5_000
    assert refusal(exchange, limit(BUY, "0.12", 49_000)) == 170131
    exchange.place(1, limit(BUY, "0.05", 49_000), now_ms=NOW)
    more = OrderRequest(symbol=LINEAR, side=BUY, order_type=OrderType.MARKET, quantity=D(1))
    with pytest.raises(VenueReject) as caught:
        exchange.place(1, more, now_ms=NOW)
    assert caught.value.code == 110007


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (replace(limit(BUY, 1, 49_000), symbol="XUSDT.SPOT"), 170121),
        (limit(BUY, "0.00001", 49_000), 170136),
        (limit(BUY, "0.0000115", 49_000), 170137),
        (limit(BUY, 84, 49_000), 170124),
        (market(BUY, 42, in_quote=False), 170124),
        (market(BUY, 3_000_000), 170124),
        (limit(BUY, "0.01", "49000.001"), 170134),
        (limit(BUY, "0.01", "0.001"), 170133),
        (limit(BUY, "0.01", 2_000_000), 170132),
        (limit(BUY, "0.01", 53_000), 170193),
        (limit(SELL, "0.01", 47_000), 170194),
        (limit(BUY, "0.00005", 49_000), 170140),
        (market(BUY, 4), 170140),
        (market(BUY, -5), 170140),
        (market(BUY, "10.000000001"), 170148),
        (market(BUY, "0.00005", in_quote=False), 170140),
        (limit(BUY, 1, 49_000), 170131),
        (market(BUY, 10_001), 170131),
        (limit(SELL, "0.01", 51_000), 170131),
        (replace(limit(BUY, "0.01", 49_000), price=None), 170105),
        (limit(BUY, "0.01", 49_000, link_id="no spaces"), 10001),
        (limit(BUY, "0.01", 49_000, link_id="used"), 170141),
        (limit(BUY, "0.01", 49_000, reduce_only=True), 170130),
        (limit(BUY, "0.01", 49_000, in_quote=True), 170130),
        (market(BUY, 4, trigger=waits_for(51_000, StopKind.STOP)), 170140),
        (limit(BUY, "0.00005", 49_000, trigger=waits_for(51_000, StopKind.STOP)), 170140),
        (limit(BUY, "0.01", 49_000, trigger=waits_for(50_000, StopKind.STOP)), 170130),
        (limit(BUY, "0.01", 49_000, trigger=waits_for("50000.001", StopKind.STOP)), 170134),
        (limit(SELL, "0.01", 49_000, trigger=waits_for(51_000, StopKind.TPSL)), 170131),
        (limit(BUY, "0.3", 49_000, trigger=waits_for(51_000, StopKind.TPSL)), 170131),
    ],
)
def test_each_rule_has_its_code_and_changes_nothing(exchange, request_, code):
    exchange.place(1, limit(BUY, "0.001", 45_000, link_id="used"), now_ms=NOW)
    before = exchange.wallet(1)
    assert refusal(exchange, request_) == code
    assert exchange.wallet(1) == before
    assert len(exchange.open_orders(1)) == 1


def test_a_pair_without_an_index_price_takes_no_orders():
    exchange = spot_exchange()
    exchange.parts.contracts[PAIR].index = D(0)
    assert refusal(exchange, limit(BUY, "0.01", 49_000)) == 170210


def test_at_most_500_spot_orders_rest_and_contracts_do_not_count(exchange):
    for number in range(500):
        exchange.place(1, limit(BUY, "0.0002", 45_000 + number), now_ms=NOW)
    assert refusal(exchange, limit(BUY, "0.0002", 44_999)) == 170810
    exchange.place(
        1,
        OrderRequest(
            symbol=LINEAR,
            side=BUY,
            order_type=OrderType.LIMIT,
            quantity=D("0.001"),
            price=D(49_000),
        ),
        now_ms=NOW,
    )


def test_cancelling_all_contracts_leaves_spot_orders(exchange):
    order = exchange.place(1, limit(BUY, "0.001", 45_000), now_ms=NOW)
    assert exchange.cancel_all(1, now_ms=NOW) == []
    assert exchange.cancel_all(1, symbol=PAIR, now_ms=NOW) == [order]


def test_an_amended_order_keeps_or_loses_its_place_and_its_lock_follows(exchange):
    order = exchange.place(1, limit(BUY, "0.002", 49_000), now_ms=NOW)
    exchange.amend(1, PAIR, order_id=order.order_id, quantity=D("0.001"), now_ms=NOW)
    assert Books(exchange).usdt_locked == 49
    exchange.amend(1, PAIR, link_id=order.link_id, price=D(48_000), now_ms=NOW)
    assert Books(exchange).usdt_locked == 48
    exchange.amend(1, PAIR, order_id=order.order_id, price=D("50000.01"), now_ms=NOW)
    assert order.state is OrderState.FILLED
    assert Books(exchange).usdt_locked == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"price": D(49_000)}, 10001),
        ({"quantity": D("0.5")}, 170131),
        ({"price": D(56_000)}, 170193),
        ({"quantity": D("0.00002")}, 170140),
        ({"quantity": D("0.000001")}, 170136),
    ],
)
def test_a_refused_amendment_changes_nothing(exchange, change, code):
    order = exchange.place(1, limit(BUY, "0.001", 49_000), now_ms=NOW)
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, now_ms=NOW, **change)
    assert caught.value.code == code
    assert Books(exchange).usdt_locked == 49


def test_an_order_amended_to_what_is_filled_is_over(exchange):
    order = exchange.place(1, limit(BUY, "0.12", "50000.01"), now_ms=NOW)
    assert order.state is OrderState.PARTIALLY_FILLED
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, quantity=D("0.09"), now_ms=NOW)
    assert caught.value.code == 170313
    exchange.amend(1, PAIR, order_id=order.order_id, quantity=D("0.1"), now_ms=NOW)
    assert order.state is OrderState.PARTIALLY_FILLED_CANCELED
    assert Books(exchange).usdt_locked == 0


def test_an_unknown_spot_order_has_spots_code(exchange):
    for act in (exchange.cancel, exchange.amend):
        with pytest.raises(VenueReject) as caught:
            act(1, PAIR, order_id="7", now_ms=NOW)
        assert caught.value.code == 170213


def test_order_ids_are_numbers_and_an_absent_link_id_is_made_up(exchange):
    order = exchange.place(1, limit(BUY, "0.001", 49_000), now_ms=NOW)
    assert order.order_id.isdigit()
    assert order.link_id.isdigit()
    assert exchange.find_order(1, link_id=order.link_id) is order


def test_own_orders_are_passed_over_when_an_amount_is_sized(exchange):
    exchange.place(1, limit(BUY, "0.01", 48_000), now_ms=NOW)
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    exchange.place(1, limit(SELL, "0.009", 50_000), now_ms=NOW)
    order = exchange.place(1, market(BUY, 200, self_match=SelfMatch.CANCEL_MAKER), now_ms=NOW)
    assert order.cum_value <= 200
    assert Books(exchange).btc_locked == 0


def test_an_empty_side_leaves_a_market_order_unfilled():
    exchange = spot_exchange()
    for order in list(exchange.parts.contracts[PAIR].book.priority(SELL)):
        exchange.house_cancel(PAIR, order.order_id)
    order = exchange.place(1, market(BUY, 100), now_ms=NOW)
    assert (order.state, order.cum_lots) == (OrderState.CANCELLED, 0)
    assert Books(exchange).usdt == 10_000


def test_each_fill_leaves_one_ledger_row_per_coin(exchange):
    exchange.place(1, market(BUY, 100), now_ms=NOW)
    quote, base = exchange.ledger(1)
    books = Books(exchange)
    assert (quote.coin, quote.balance_after, quote.fee) == ("USDT", books.usdt, 0)
    assert (base.coin, base.balance_after) == ("BTC", books.btc)
    assert base.change == base.cash_flow - base.fee


def test_a_conditional_order_locks_nothing_and_buys_when_the_price_comes(exchange):
    request = market(BUY, 100, trigger=waits_for("50001.00", StopKind.STOP))
    order = exchange.place(1, request, now_ms=NOW)
    assert order.state is OrderState.UNTRIGGERED
    assert Books(exchange).usdt_locked == 0
    exchange.house_market(PAIR, BUY, 150_000, now_ms=NOW)
    assert order.state is OrderState.FILLED
    assert D(99) < order.cum_value <= 100


@pytest.mark.parametrize(("side", "quantity"), [(BUY, "0.002"), (SELL, "0.004")])
def test_a_tpsl_order_locks_its_coin_until_it_is_gone(exchange, side, quantity):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    trigger = waits_for(49_000, StopKind.TPSL)
    order = exchange.place(1, limit(side, quantity, 48_900, trigger=trigger), now_ms=NOW)
    books = Books(exchange)
    locked = books.usdt_locked if side is BUY else books.btc_locked
    assert locked == (D("97.8") if side is BUY else D("0.004"))
    moved = Amendment(trigger_price=D(48_000))
    exchange.amend(1, PAIR, order_id=order.order_id, change=moved, now_ms=NOW)
    assert order.trigger.price_ticks == 4_800_000
    exchange.cancel(1, PAIR, order_id=order.order_id, now_ms=NOW)
    assert order.state is OrderState.DEACTIVATED
    books = Books(exchange)
    assert (books.usdt_locked, books.btc_locked) == (0, 0)


def test_a_market_tpsl_buy_locks_its_amount(exchange):
    trigger = waits_for(49_000, StopKind.TPSL)
    exchange.place(1, market(BUY, 500, trigger=trigger), now_ms=NOW)
    assert Books(exchange).usdt_locked == 500
    base = market(BUY, "0.01", in_quote=False, trigger=trigger)
    exchange.place(1, base, now_ms=NOW)
    assert Books(exchange).usdt_locked == 990


@pytest.mark.parametrize(
    "change",
    [Amendment(price=D(47_000)), Amendment(trigger_price=D(48_000), quantity=D("0.003"))],
)
def test_of_a_waiting_order_only_the_trigger_price_changes(exchange, change):
    trigger = waits_for(49_000, StopKind.STOP)
    order = exchange.place(1, limit(BUY, "0.002", 48_900, trigger=trigger), now_ms=NOW)
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, change=change, now_ms=NOW)
    assert caught.value.code == 170312
    same = Amendment(trigger_price=D(49_000))
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, change=same, now_ms=NOW)
    assert caught.value.code == 10001


def test_a_triggered_order_without_its_coin_is_rejected(exchange):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    trigger = waits_for("49999.00", StopKind.STOP)
    order = exchange.place(1, limit(SELL, "0.009", 49_000, trigger=trigger), now_ms=NOW)
    exchange.place(1, market(SELL, "0.005"), now_ms=NOW)
    exchange.house_market(PAIR, SELL, 150_000, now_ms=NOW)
    assert order.state.is_final
    assert order.cum_lots == 0
    assert order.reject_reason == "EC_Others"


@pytest.mark.parametrize(("fires", "lots"), [("50010", 100_000), ("49990", 100_000)])
def test_of_a_take_profit_and_a_stop_loss_one_fires_and_clears_the_other(exchange, fires, lots):
    guards = {
        "take_profit": GuardRequest(price=D(50_010)),
        "stop_loss": GuardRequest(price=D(49_990), limit_price=D(49_900)),
    }
    parent = exchange.place(1, limit(BUY, "0.01", "50000.01", **guards), now_ms=NOW)
    assert parent.state is OrderState.FILLED
    assert Books(exchange).btc_locked == D("0.00999")
    waiting = exchange.stop_orders(1)
    assert {order.trigger.price_ticks for order in waiting} == {5_001_000, 4_999_000}
    side, ticks = (BUY, 5_001_000) if fires == "50010" else (SELL, 4_999_000)
    exchange.house_limit(PAIR, side.opposite, ticks, lots, now_ms=NOW)
    exchange.house_market(PAIR, side, 400_000, now_ms=NOW)
    assert exchange.stop_orders(1) == []
    states = {order.trigger.price_ticks: order.state for order in waiting}
    fired, cleared = (5_001_000, 4_999_000) if side is BUY else (4_999_000, 5_001_000)
    assert states[cleared] is OrderState.DEACTIVATED
    assert states[fired] is not OrderState.DEACTIVATED
    books = Books(exchange)
    assert books.btc_locked <= books.btc


def guarded(exchange):
    guards = {
        "take_profit": GuardRequest(price=D(50_010)),
        "stop_loss": GuardRequest(price=D(49_990)),
    }
    exchange.place(1, limit(BUY, "0.01", "50000.01", **guards), now_ms=NOW)
    waiting = {order.trigger.on_rise: order for order in exchange.stop_orders(1)}
    return waiting[True], waiting[False]


def move_trigger(exchange, order, price):
    change = Amendment(trigger_price=D(price))
    exchange.amend(1, PAIR, order_id=order.order_id, change=change, now_ms=NOW)


def test_a_moved_take_profit_stays_the_twin_of_its_stop_loss(exchange):
    profit, loss = guarded(exchange)
    locked = Books(exchange).btc_locked
    move_trigger(exchange, profit, 50_005)
    assert Books(exchange).btc_locked == locked
    assert (profit.trigger.price_ticks, profit.trigger.parent_id) == (
        5_000_500,
        loss.trigger.parent_id,
    )
    exchange.house_limit(PAIR, SELL, 5_000_500, 100_000, now_ms=NOW)
    exchange.house_market(PAIR, BUY, 400_000, now_ms=NOW)
    assert profit.state is OrderState.FILLED
    assert loss.state is OrderState.DEACTIVATED


def test_a_take_profit_or_stop_loss_cannot_pass_the_last_price(exchange):
    profit, loss = guarded(exchange)
    for order, price in ((profit, 49_995), (loss, 50_005)):
        before = order.trigger
        with pytest.raises(VenueReject) as caught:
            move_trigger(exchange, order, price)
        assert caught.value.code == 170130
        assert order.trigger == before


def test_a_moved_trigger_price_must_be_paid_for(exchange):
    request = market(BUY, "0.1", in_quote=False, trigger=waits_for(51_000, StopKind.TPSL))
    order = exchange.place(1, request, now_ms=NOW)
    move_trigger(exchange, order, 90_000)
    with pytest.raises(VenueReject) as caught:
        move_trigger(exchange, order, 110_000)
    assert caught.value.code == 170131
    assert Books(exchange).usdt_locked == 9_000


def test_the_guards_of_a_sale_lock_no_more_than_there_is(exchange):
    exchange.place(1, market(BUY, "0.1", in_quote=False), now_ms=NOW)
    exchange.place(1, market(BUY, 4_990, in_quote=True), now_ms=NOW)
    guards = {
        "take_profit": GuardRequest(price=D(49_000)),
        "stop_loss": GuardRequest(price=D(52_000)),
    }
    exchange.place(1, limit(SELL, "0.09", "49999.99", **guards), now_ms=NOW)
    books = Books(exchange)
    assert len(exchange.stop_orders(1)) == 2
    assert D(4_400) < books.usdt_locked <= books.usdt
    assert books.available >= 0


@pytest.mark.parametrize(
    "change",
    [
        Amendment(take_profit=GuardChange(price=D(60_000))),
        Amendment(price=D(48_000), stop_loss=GuardChange(price=D(40_000))),
        Amendment(price=D(48_000), trigger_price=D(47_000)),
    ],
)
def test_of_a_resting_order_only_price_and_quantity_change(exchange, change):
    order = exchange.place(1, limit(BUY, "0.01", 49_000), now_ms=NOW)
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, change=change, now_ms=NOW)
    assert (caught.value.code, order.price_ticks) == (170312, 4_900_000)


def test_an_amended_price_cannot_pass_the_orders_own_stop_loss(exchange):
    stop_loss = GuardRequest(price=D(48_500))
    order = exchange.place(1, limit(BUY, "0.01", 49_000, stop_loss=stop_loss), now_ms=NOW)
    with pytest.raises(VenueReject) as caught:
        exchange.amend(1, PAIR, order_id=order.order_id, price=D(48_400), now_ms=NOW)
    assert (caught.value.code, order.price_ticks) == (170130, 4_900_000)
    exchange.amend(1, PAIR, order_id=order.order_id, price=D(48_600), now_ms=NOW)
    assert order.price_ticks == 4_860_000


def test_a_filled_sale_waits_to_buy_back_and_locks_the_larger_need(exchange):
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    guards = {
        "take_profit": GuardRequest(price=D(49_000), limit_price=D(49_100)),
        "stop_loss": GuardRequest(price=D(51_000)),
    }
    exchange.place(1, limit(SELL, "0.005", "49999.99", **guards), now_ms=NOW)
    assert Books(exchange).usdt_locked == 255


@pytest.mark.parametrize(
    "request_",
    [
        limit(BUY, "0.01", 49_000, take_profit=GuardRequest(price=D(48_000))),
        limit(BUY, "0.01", 49_000, stop_loss=GuardRequest(price=D(49_000))),
        market(BUY, 100, stop_loss=GuardRequest(price=D(49_000))),
    ],
)
def test_guards_belong_to_limit_orders_and_to_their_side(exchange, request_):
    assert refusal(exchange, request_) == 170130
    assert exchange.wallet(1).locked == 0


def test_at_most_30_waiting_orders_of_a_kind(exchange):
    for kind in (StopKind.STOP, StopKind.TPSL):
        for number in range(30):
            trigger = waits_for(51_000 + number, kind)
            exchange.place(1, limit(BUY, "0.001", 49_000, trigger=trigger), now_ms=NOW)
        more = limit(BUY, "0.001", 49_000, trigger=waits_for(52_000, kind))
        assert refusal(exchange, more) == 170810


SIDES = st.sampled_from([BUY, SELL])
ACTIONS = st.one_of(
    st.tuples(st.just("limit"), SIDES, st.integers(500, 60_000), st.integers(4_990_000, 5_010_000)),
    st.tuples(st.just("market"), SIDES, st.integers(500, 60_000), st.just(0)),
    st.tuples(st.just("tpsl"), SIDES, st.integers(500, 60_000), st.integers(4_990_000, 5_010_000)),
    st.tuples(st.just("cancel"), SIDES, st.integers(0, 5), st.just(0)),
    st.tuples(st.just("house"), SIDES, st.integers(500, 60_000), st.integers(4_990_000, 5_010_000)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2]), ACTIONS), max_size=25))
def test_coins_are_neither_borrowed_nor_made(steps):
    exchange = spot_exchange()
    for account_id in (1, 2):
        exchange.place(account_id, market(BUY, "0.02", in_quote=False), now_ms=NOW)
    for account_id, (kind, side, size, ticks) in steps:
        _act(exchange, account_id, kind, side=side, size=size, ticks=ticks)
        for spec in (TRADER, OTHER):
            books, view = Books(exchange, spec.account_id), exchange.wallet(spec.account_id)
            assert 0 <= books.btc_locked <= books.btc
            assert 0 <= books.usdt_locked <= books.usdt
            assert books.usdt == spec.balance - view.fees + view.traded
            fills = exchange.executions(spec.account_id)
            moved = sum(each.side.sign * each.lots for each in fills) * D("0.000001")
            paid = sum(each.fee for each in fills if each.side is BUY)
            assert books.btc == moved - paid


def _act(exchange, account_id, kind, *, side, size, ticks):
    quantity, price = D(size) / 1_000_000, D(ticks) / 100
    if kind == "house":
        exchange.house_limit(PAIR, side, ticks, size, now_ms=NOW)
        return
    try:
        if kind == "limit":
            exchange.place(account_id, limit(side, quantity, price), now_ms=NOW)
        elif kind == "market":
            exchange.place(account_id, market(side, quantity, in_quote=False), now_ms=NOW)
        elif kind == "tpsl":
            trigger = TriggerRequest(price=price, kind=StopKind.TPSL)
            exchange.place(account_id, limit(side, quantity, price, trigger=trigger), now_ms=NOW)
        elif orders := exchange.open_orders(account_id):
            order = orders[size % len(orders)]
            exchange.cancel(account_id, PAIR, order_id=order.order_id, now_ms=NOW)
    except VenueReject:
        pass
