from decimal import Decimal

import pytest

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS, START_PRICES
from trading_system.simulation.records import (
    AccountSpec,
    OrderRequest,
    OrderState,
    SelfMatch,
    VenueReject,
)

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
    min_qty=D("0.2"),
    max_qty=D(5000),
    max_market_qty=D(1000),
    min_notional=D(5),
    max_leverage=D(50),
)


def specs(balance):
    return [
        AccountSpec(account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=balance)
        for i in (1, 2)
    ]


def build(*, balance=D(10_000)):  # noqa: B008 - a Decimal is immutable
    exchange = Exchange([ABC], specs(balance), seed=3)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    return exchange


@pytest.fixture
def exchange():
    return build()


def request(side, quantity, price=None, **changes):
    return OrderRequest(
        symbol=changes.pop("symbol", X),
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=D(str(quantity)),
        price=None if price is None else D(str(price)),
        **changes,
    )


def place(exchange, side, quantity, price=None, *, account=1, **changes):
    return exchange.place(account, request(side, quantity, price, **changes), now_ms=100)


def code_of(call):
    with pytest.raises(VenueReject) as refused:
        call()
    return refused.value.code


def house(exchange, side, price_ticks, lots):
    return exchange.house_limit(X, side, price_ticks, lots, now_ms=50)


def owners(exchange, side):
    return [(order.owner, order.lots) for order in exchange.book(X).priority(side)]


# Validation.


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        (10001, request(BUY, 1, 10, symbol="NOPE")),
        (10001, request(BUY, 1, "10.005")),
        (10001, request(BUY, 1, "NaN")),
        (10001, OrderRequest(symbol=X, side=BUY, order_type=OrderType.LIMIT, quantity=D(1))),
        (110003, request(BUY, 1, "1000.01")),
        (110003, request(BUY, 1, "1e30")),
        (110003, request(BUY, 1, 0)),
        (110003, request(BUY, 1, -1)),
        (10001, request(BUY, "1.05", 10)),
        (10001, request(BUY, "0.1", 10)),
        (10001, request(BUY, 0, 10)),
        (10001, request(BUY, -1, 10)),
        (10001, request(BUY, "Infinity", 10)),
        (10001, request(BUY, 5001, 10)),
        (10001, request(BUY, 1001)),
        (110094, request(BUY, "0.4", 10)),
        (110094, request(BUY, "0.4")),
        (10001, request(BUY, 1, 10, link_id="ü")),
        (10001, request(BUY, 1, 10, link_id="a" * 37)),
        (10001, request(BUY, 1, 10, link_id="a\n")),
        (10001, request(BUY, 1, 10, position_idx=1)),
        (110017, request(SELL, 1, 10, reduce_only=True)),
        (110017, request(SELL, 0, reduce_only=True, close_on_trigger=True)),
        (110007, request(BUY, 5000, 10, time_in_force=TimeInForce.POST_ONLY)),
    ],
)
def test_broken_rule_is_refused_with_its_code(code, bad):
    exchange = build(balance=D(1000))
    assert code_of(lambda: exchange.place(1, bad, now_ms=1)) == code
    assert len(exchange.book(X)) == 0
    assert exchange.closed_orders(1) == exchange.open_orders(1) == []
    assert exchange.wallet(1).available == 1000


def test_rules_are_checked_in_the_documented_order(exchange):
    everything = request(SELL, "0.15", "2000.005", link_id="?", position_idx=1, reduce_only=True)
    assert code_of(lambda: exchange.place(1, everything, now_ms=1)) == 10001
    off_range = request(SELL, "0.15", 2000, link_id="?", position_idx=1, reduce_only=True)
    assert code_of(lambda: exchange.place(1, off_range, now_ms=1)) == 110003


def test_nothing_trades_before_the_first_mark_price():
    exchange = Exchange([ABC], specs(D(1)), seed=1)
    assert exchange.mark_price(X) == exchange.index_price(X) == 0
    assert code_of(lambda: place(exchange, BUY, 1, 10)) == 110074


def test_a_position_with_its_orders_stays_within_the_risk_limit():
    exchange = build(balance=D(1_000_000))
    for _ in range(100):
        house(exchange, SELL, 1000, 1000)
    for _ in range(39):
        place(exchange, BUY, 5000, 10)
    assert exchange.position(1, X).lots == 100_000
    resting = place(exchange, BUY, 4000, 10)
    assert code_of(lambda: place(exchange, BUY, 1001, 10)) == 110090
    assert code_of(lambda: place(exchange, BUY, 1000, "10.01")) == 110090
    change = {"quantity": D(5000), "price": D("10.01")}
    ids = {"order_id": resting.order_id, "now_ms": 101}
    assert code_of(lambda: exchange.amend(1, X, **ids, **change)) == 110090
    assert (resting.price_ticks, resting.lots) == (1000, 40_000)
    place(exchange, SELL, 5000, 10)
    place(exchange, BUY, 1000, 10)


def test_link_id_is_unique_even_after_the_order_is_closed(exchange):
    order = place(exchange, BUY, 1, 9, link_id="once")
    assert code_of(lambda: place(exchange, BUY, 1, 9, link_id="once")) == 110072
    exchange.cancel(1, X, link_id="once", now_ms=101)
    assert code_of(lambda: place(exchange, BUY, 1, 9, link_id="once")) == 110072
    assert exchange.find_order(1, link_id="once") is order
    assert place(exchange, BUY, 1, 9, link_id="once", account=2).state is OrderState.NEW


def test_refused_request_does_not_use_up_its_link_id(exchange):
    assert code_of(lambda: place(exchange, BUY, 1, 10, link_id="a", position_idx=2)) == 10001
    assert place(exchange, BUY, 1, 9, link_id="a").link_id == "a"


def test_the_501st_active_order_is_refused(exchange):
    for _ in range(500):
        place(exchange, BUY, 1, 9)
    assert code_of(lambda: place(exchange, BUY, 1, 9)) == 110020
    house(exchange, SELL, 1000, 10)
    assert place(exchange, BUY, 1).state is OrderState.FILLED
    assert len(exchange.cancel_all(1, now_ms=200)) == 500


# Matching.


def test_market_order_without_opposite_quotes_is_cancelled(exchange):
    order = place(exchange, BUY, 1)
    assert (order.state, order.reject_reason) == (OrderState.CANCELLED, "EC_NoImmediateQtyToFill")
    assert order.time_in_force is TimeInForce.IOC


def test_market_order_takes_only_what_lies_inside_the_band(exchange):
    house(exchange, SELL, 1050, 5)
    house(exchange, SELL, 1051, 50)
    order = place(exchange, BUY, 2)
    assert (order.price_ticks, order.cum_lots, order.state) == (1050, 5, OrderState.CANCELLED)
    assert order.reject_reason == "EC_NoImmediateQtyToFill"
    assert order.leaves_lots == 0


@pytest.mark.parametrize(("side", "price", "ticks"), [(BUY, 99, 1050), (SELL, 1, 950)])
def test_too_aggressive_limit_is_re_priced_to_the_band(exchange, side, price, ticks):
    assert place(exchange, side, 10, price).price_ticks == ticks


def test_ioc_rest_is_cancelled(exchange):
    house(exchange, SELL, 1000, 4)
    order = place(exchange, BUY, 1, 10, time_in_force=TimeInForce.IOC)
    assert (order.cum_lots, order.state) == (4, OrderState.CANCELLED)
    assert exchange.open_orders(1) == []


@pytest.mark.parametrize(("lots", "state"), [(9, OrderState.CANCELLED), (10, OrderState.FILLED)])
def test_fok_is_filled_completely_or_not_at_all(exchange, lots, state):
    house(exchange, SELL, 1000, lots)
    order = place(exchange, BUY, 1, 10, time_in_force=TimeInForce.FOK)
    assert order.state is state
    assert order.cum_lots in {0, 10}
    if state is OrderState.CANCELLED:
        assert order.reject_reason == "EC_NoEnoughQtyToFill"


def test_resting_order_trades_at_its_own_price_and_maker_rate(exchange):
    resting = place(exchange, BUY, 2, "9.95")
    taker = place(exchange, SELL, 3, "9.90", account=2)
    (maker_fill,), (taker_fill,) = exchange.executions(1), exchange.executions(2)
    assert maker_fill.price == taker_fill.price == D("9.95")
    assert (maker_fill.fee, maker_fill.is_maker) == (D("19.9") * D("0.0002"), True)
    assert (taker_fill.fee, taker_fill.is_maker) == (D("19.9") * D("0.00055"), False)
    assert resting.state is OrderState.FILLED
    assert (taker.state, taker.leaves_lots) == (OrderState.PARTIALLY_FILLED, 10)
    assert exchange.book(X).top(SELL, 2) == [(990, 10)]
    assert exchange.last_price(X) == D("9.95")


@pytest.mark.parametrize(
    ("rule", "taker_state", "maker_state"),
    [
        (SelfMatch.CANCEL_MAKER, OrderState.NEW, OrderState.CANCELLED),
        (SelfMatch.CANCEL_TAKER, OrderState.CANCELLED, OrderState.NEW),
        (SelfMatch.CANCEL_BOTH, OrderState.CANCELLED, OrderState.CANCELLED),
    ],
)
def test_self_match_prevention_names_the_other_order(exchange, rule, taker_state, maker_state):
    maker = place(exchange, SELL, 1, 10)
    taker = place(exchange, BUY, 1, 10, self_match=rule)
    assert (taker.state, maker.state) == (taker_state, maker_state)
    for order, other in ((taker, maker), (maker, taker)):
        if order.state is OrderState.CANCELLED:
            assert (order.cancel_type, order.reject_reason) == ("CancelBySmp", "EC_BySelfMatch")
            assert order.smp_order_id == other.order_id
    assert exchange.executions(1) == []


def test_without_prevention_an_account_may_trade_with_itself(exchange):
    place(exchange, SELL, 1, 10, self_match=SelfMatch.CANCEL_BOTH)
    place(exchange, BUY, 1, 10)
    assert len(exchange.executions(1)) == 2
    assert exchange.position(1, X).lots == 0


# Amend and cancel.


def test_price_change_and_increase_lose_priority_and_decrease_keeps_it(exchange):
    first = place(exchange, BUY, 5, 9)
    place(exchange, BUY, 5, 9, account=2)
    exchange.amend(1, X, order_id=first.order_id, quantity=D(4), price=D(9), now_ms=101)
    assert owners(exchange, BUY) == [(1, 40), (2, 50)]
    exchange.amend(1, X, order_id=first.order_id, quantity=D(6), now_ms=102)
    assert owners(exchange, BUY) == [(2, 50), (1, 60)]
    exchange.amend(1, X, order_id=first.order_id, price=D("9.01"), now_ms=103)
    assert owners(exchange, BUY) == [(1, 60), (2, 50)]


def test_amended_price_that_crosses_trades_as_taker(exchange):
    house(exchange, SELL, 1000, 5)
    order = place(exchange, BUY, 1, 9)
    exchange.amend(1, X, order_id=order.order_id, price=D("10.01"), now_ms=101)
    assert (order.state, order.leaves_lots) == (OrderState.PARTIALLY_FILLED, 5)
    assert not exchange.executions(1)[0].is_maker
    assert exchange.book(X).best_bid() == 1001


def test_post_only_order_amended_across_is_cancelled(exchange):
    house(exchange, SELL, 1000, 5)
    order = place(exchange, BUY, 1, 9, time_in_force=TimeInForce.POST_ONLY)
    exchange.amend(1, X, order_id=order.order_id, price=D(10), now_ms=101)
    assert order.reject_reason == "EC_PostOnlyWillTakeLiquidity"
    assert exchange.open_orders(1) == []
    assert exchange.wallet(1).order_margin == 0


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (10001, {"price": D(9)}),
        (10001, {}),
        (10001, {"quantity": D(5)}),
        (10001, {"price": D("9.001")}),
        (10001, {"quantity": D("4.05")}),
        (110064, {"quantity": D(1)}),
        (110064, {"quantity": D("0.5")}),
        (110003, {"price": D(5000)}),
        (110007, {"quantity": D(5000)}),
    ],
)
def test_impossible_amendment_changes_nothing(code, change):
    exchange = build(balance=D(1000))
    order = place(exchange, BUY, 5, 9)
    place(exchange, BUY, 5, 9, account=2)
    exchange.house_market(X, SELL, 10, now_ms=100)
    wallet = exchange.wallet(1)

    def call():
        return exchange.amend(1, X, order_id=order.order_id, **change, now_ms=101)

    assert code_of(call) == code
    assert (order.price_ticks, order.lots, order.leaves_lots) == (900, 50, 40)
    assert exchange.wallet(1) == wallet
    assert owners(exchange, BUY) == [(1, 40), (2, 50)]


def test_final_or_foreign_order_cannot_be_changed(exchange):
    house(exchange, SELL, 1000, 10)
    done = place(exchange, BUY, 1, link_id="done")
    theirs = place(exchange, BUY, 1, 9, account=2)
    for keys in ({"order_id": done.order_id}, {"link_id": "done"}, {"order_id": theirs.order_id}):
        assert code_of(lambda keys=keys: exchange.cancel(1, X, **keys, now_ms=1)) == 110001
    assert code_of(lambda: exchange.amend(1, X, order_id="?", price=D(9), now_ms=1)) == 110001
    assert code_of(lambda: exchange.cancel(1, "NOPE", order_id="?", now_ms=1)) == 10001


def test_order_id_wins_over_link_id(exchange):
    first = place(exchange, BUY, 1, 9, link_id="a")
    second = place(exchange, BUY, 1, 9, link_id="b")
    exchange.cancel(1, X, order_id=first.order_id, link_id="b", now_ms=101)
    assert (first.state, second.state) == (OrderState.CANCELLED, OrderState.NEW)
    assert exchange.find_order(1, order_id=second.order_id, link_id="a") is second


def test_open_orders_are_listed_newest_first_and_cancelled_by_symbol(exchange):
    orders = [place(exchange, BUY, 1, 9) for _ in range(3)]
    assert exchange.open_orders(1, X) == orders[::-1]
    assert exchange.open_orders(1, "OTHER") == []
    assert exchange.cancel_all(1, symbol=X, now_ms=101) == orders
    assert exchange.cancel_all(2, symbol=X, now_ms=101) == []
    assert exchange.closed_orders(1) == orders


# Reduce-only.


@pytest.fixture
def long_exchange(exchange):
    house(exchange, SELL, 1000, 100)
    place(exchange, BUY, 5)
    return exchange


def test_reduce_only_order_is_cut_to_the_position(long_exchange):
    order = place(long_exchange, SELL, 8, 11, reduce_only=True)
    assert (order.lots, order.leaves_lots) == (50, 50)
    assert long_exchange.wallet(1).order_margin == 0
    long_exchange.amend(1, X, order_id=order.order_id, quantity=D(4), now_ms=101)
    long_exchange.amend(1, X, order_id=order.order_id, quantity=D(9), now_ms=102)
    assert order.lots == 50


def test_reduce_only_orders_shrink_and_go_with_the_position(long_exchange):
    order = place(long_exchange, SELL, 5, 11, reduce_only=True)
    house(long_exchange, BUY, 990, 100)
    place(long_exchange, SELL, 2)
    assert (order.lots, order.leaves_lots, order.state) == (30, 30, OrderState.NEW)
    assert dict(long_exchange.book(X).levels(SELL))[1100] == 30
    place(long_exchange, SELL, 3)
    assert (order.state, order.cancel_type) == (OrderState.CANCELLED, "CancelByReduceOnly")
    assert 1100 not in dict(long_exchange.book(X).levels(SELL))


def test_two_reduce_only_orders_never_flip_the_position(long_exchange):
    first = place(long_exchange, SELL, 5, "10.20", reduce_only=True)
    second = place(long_exchange, SELL, 5, "10.30", reduce_only=True)
    place(long_exchange, BUY, 14.5, "10.30", account=2, time_in_force=TimeInForce.IOC)
    assert long_exchange.position(1, X).lots == 0
    assert (first.state, second.state) == (OrderState.FILLED, OrderState.CANCELLED)


def test_fok_does_not_count_reduce_only_lots_beyond_the_position(long_exchange):
    place(long_exchange, SELL, 5, "10.20", reduce_only=True)
    place(long_exchange, SELL, 5, "10.20", reduce_only=True)
    long_exchange.house_market(X, BUY, 50, now_ms=101)
    fok = TimeInForce.FOK
    order = place(long_exchange, BUY, "5.1", "10.20", account=2, time_in_force=fok)
    assert (order.state, order.cum_lots) == (OrderState.CANCELLED, 0)
    order = place(long_exchange, BUY, 5, "10.20", account=2, time_in_force=fok)
    assert order.state is OrderState.FILLED


def test_zero_quantity_with_both_flags_closes_the_position(long_exchange):
    house(long_exchange, BUY, 990, 100)
    order = place(long_exchange, SELL, 0, reduce_only=True, close_on_trigger=True)
    assert (order.lots, order.state) == (50, OrderState.FILLED)
    assert long_exchange.position(1, X).lots == 0


# Margin, leverage, funding.


def test_margin_decides_to_the_last_digit():
    needed = D(100) / 10 + D(100) * D("0.00055")
    enough, short = build(balance=needed), build(balance=needed - D("1E-8"))
    assert place(enough, BUY, 10, 10).state is OrderState.NEW
    assert enough.wallet(1).available == 0
    assert code_of(lambda: place(short, BUY, 10, 10)) == 110007


def test_market_order_is_margined_along_the_book():
    exchange = build(balance=D("10.1"))
    house(exchange, SELL, 1000, 1000)
    assert place(exchange, BUY, 10).state is OrderState.FILLED


def test_the_reducing_part_of_an_order_costs_nothing(long_exchange):
    before = long_exchange.wallet(1)
    order = place(long_exchange, SELL, 5, 11)
    assert long_exchange.wallet(1).order_margin == 0
    place(long_exchange, SELL, 5, 11)
    assert long_exchange.wallet(1).order_margin == D("5.53025")
    assert long_exchange.wallet(1).available == before.available - D("5.53025")
    long_exchange.cancel(1, X, order_id=order.order_id, now_ms=101)
    assert long_exchange.wallet(1).order_margin == 0
    place(long_exchange, SELL, 7, 11)
    assert long_exchange.wallet(1).order_margin == D("7.74235")


def test_full_account_can_still_close():
    exchange = build(balance=D("10.1"))
    house(exchange, SELL, 1000, 1000)
    house(exchange, BUY, 999, 1000)
    place(exchange, BUY, 10)
    assert code_of(lambda: place(exchange, BUY, 1)) == 110007
    assert place(exchange, SELL, 10).state is OrderState.FILLED


def test_leverage_changes_margin(long_exchange):
    long_exchange.set_leverage(1, X, D(5))
    assert long_exchange.position(1, X).initial_margin == D(50) / 5 + D("0.0275")
    assert code_of(lambda: long_exchange.set_leverage(1, X, D(5))) == 110043
    for leverage in (D(51), D("0.5"), D("NaN")):
        assert code_of(lambda value=leverage: long_exchange.set_leverage(1, X, value)) == 110013
    assert long_exchange.position(1, X).leverage == 5


def test_leverage_that_the_balance_cannot_carry_is_refused():
    exchange = build(balance=D("10.1"))
    house(exchange, SELL, 1000, 1000)
    place(exchange, BUY, 10)
    assert code_of(lambda: exchange.set_leverage(1, X, D(2))) == 110007
    assert exchange.position(1, X).leverage == 10


def test_longs_pay_shorts_when_the_rate_is_positive(exchange):
    place(exchange, BUY, 5, 10)
    place(exchange, SELL, 5, 10, account=2)
    exchange.settle_funding(X, D("0.0001"), now_ms=200)
    assert [exchange.wallet(i).funding for i in (1, 2)] == [D("-0.005"), D("0.005")]
    paid, entry = exchange.executions(1)[-1], exchange.ledger(1)[-1]
    assert (paid.exec_type, paid.fee, paid.fee_rate, paid.lots) == (
        "Funding",
        D("0.005"),
        D("0.0001"),
        50,
    )
    assert (entry.entry_type, entry.funding, entry.fee, entry.change) == (
        "SETTLEMENT",
        D("-0.005"),
        0,
        D("-0.005"),
    )
    assert entry.balance_after == exchange.wallet(1).wallet_balance


def test_flat_account_pays_no_funding(exchange):
    exchange.settle_funding(X, D("0.0001"), now_ms=200)
    assert exchange.executions(1) == []
    with pytest.raises(ValidationError, match="funding rate"):
        exchange.settle_funding(X, D("NaN"), now_ms=200)


def test_short_profits_when_the_mark_falls(exchange):
    house(exchange, BUY, 1000, 50)
    place(exchange, SELL, 5)
    exchange.set_reference(X, index_price=D(9), mark_price=D(9))
    position = exchange.position(1, X)
    assert (position.lots, position.unrealised, position.entry_price) == (-50, 5, 10)
    assert position.break_even_price < 10
    assert exchange.fee_rates(1, X) == (D("0.00055"), D("0.0002"))


@pytest.mark.parametrize("price", [D(0), D(-1), D("NaN")])
def test_reference_price_must_be_positive(exchange, price):
    with pytest.raises(ValidationError, match="reference prices"):
        exchange.set_reference(X, index_price=D(1), mark_price=price)


# House and recorded flow.


def test_house_post_only_does_nothing_when_it_crosses(exchange):
    house(exchange, SELL, 1000, 5)
    assert exchange.house_limit(X, BUY, 1000, 5, now_ms=1, post_only=True) is None
    assert exchange.public_trades(X) == []
    assert exchange.book(X).best_bid() is None


def test_house_trades_print_with_tick_directions(exchange):
    for price in (1000, 1001, 1001, 999, 999):
        house(exchange, SELL, price, 1)
        exchange.house_market(X, BUY, 1, now_ms=60)
    assert [trade.tick_direction for trade in exchange.public_trades(X)] == [
        "ZeroPlusTick",
        "PlusTick",
        "ZeroPlusTick",
        "MinusTick",
        "ZeroMinusTick",
    ]
    assert len({trade.trade_id for trade in exchange.public_trades(X)}) == 5


def test_house_orders_can_be_resized_and_cancelled_in_place(exchange):
    first, second = house(exchange, BUY, 990, 5), house(exchange, BUY, 990, 6)
    assert exchange.house_resize(X, first, 9)
    assert owners(exchange, BUY) == [(0, 9), (0, 6)]
    assert exchange.house_lots(X, first) == 9
    assert exchange.house_cancel(X, second)
    assert not exchange.house_cancel(X, second)
    assert exchange.house_lots(X, second) == 0


def test_house_cannot_touch_an_account_order(exchange):
    place(exchange, BUY, 1, 9)
    book_id = exchange.book(X).first(BUY).order_id
    assert not exchange.house_cancel(X, book_id)
    assert not exchange.house_resize(X, book_id, 1)
    assert exchange.house_lots(X, book_id) == 0


def test_recorded_trade_fills_better_prices_first_then_the_queue(exchange):
    queued = house(exchange, BUY, 990, 10)
    at_level = place(exchange, BUY, 1, "9.90")
    better = place(exchange, BUY, 1, "9.95", account=2)
    exchange.recorded_trade(X, SELL, 990, 25, now_ms=150)
    assert (better.state, exchange.executions(2)[0].price) == (OrderState.FILLED, D("9.95"))
    assert exchange.house_lots(X, queued) == 0
    assert (at_level.cum_lots, at_level.leaves_lots) == (5, 5)
    (trade,) = exchange.public_trades(X)
    assert (trade.price_ticks, trade.lots, trade.taker_side) == (990, 25, SELL)
    assert [exchange.position(account, X).lots for account in (1, 2)] == [5, 10]


def test_trade_through_model_ignores_the_queue(exchange):
    order = place(exchange, SELL, 1, "10.10")
    exchange.recorded_trade(X, BUY, 1010, 50, now_ms=150, at_level=False)
    assert order.cum_lots == 0
    exchange.recorded_trade(X, BUY, 1011, 50, now_ms=151, at_level=False)
    assert order.state is OrderState.FILLED
    assert exchange.executions(1)[0].price == D("10.10")


# Construction.


def test_accounts_and_symbols_must_be_unique():
    with pytest.raises(ConfigurationError, match="unique"):
        Exchange([ABC, ABC], [], seed=1)
    zero = AccountSpec(account_id=0, uid=1, api_key="k", api_secret="s")
    with pytest.raises(ConfigurationError, match="1 or more"):
        Exchange([ABC], [zero], seed=1)


def test_order_ids_repeat_with_the_seed():
    first, second = (place(build(), BUY, 1, 9).order_id for _ in range(2))
    assert first == second
    assert len(first) == 36


def test_default_instruments_have_start_prices_on_their_grid():
    assert set(INSTRUMENTS) == set(START_PRICES)
    for symbol, instrument in INSTRUMENTS.items():
        assert instrument.symbol == symbol
        assert instrument.price_to_ticks(START_PRICES[symbol]) > 0
        assert instrument.qty_to_lots(instrument.max_market_qty) > 0
