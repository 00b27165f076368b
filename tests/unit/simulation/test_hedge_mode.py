from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    AccountSpec,
    OrderRequest,
    OrderState,
    PositionMode,
    VenueReject,
)

D = Decimal
X, Y, INVERSE = "ABCUSDT", "XYZUSDT", "ABCUSDC"
BUY, SELL = Side.BUY, Side.SELL
HEDGE, ONE_WAY = PositionMode.HEDGE, PositionMode.ONE_WAY


def instrument(symbol):
    return Instrument(
        symbol=symbol,
        base_coin=symbol[:3],
        quote_coin=symbol[3:],
        tick_size=D("0.01"),
        qty_step=D("0.1"),
        min_price=D("0.01"),
        max_price=D(1000),
        min_qty=D("0.1"),
        max_qty=D(5000),
        max_market_qty=D(1000),
        max_leverage=D(50),
    )


@pytest.fixture
def exchange():
    specs = [
        AccountSpec(account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=D(10_000))
        for i in (1, 2)
    ]
    exchange = Exchange([instrument(name) for name in (X, Y, INVERSE)], specs, seed=3)
    for symbol in (X, Y, INVERSE):
        exchange.set_reference(symbol, index_price=D(10), mark_price=D(10))
        exchange.house_limit(symbol, BUY, 999, 10_000, now_ms=1)
        exchange.house_limit(symbol, SELL, 1001, 10_000, now_ms=1)
    return exchange


@pytest.fixture
def hedged(exchange):
    exchange.switch_mode(1, HEDGE, symbol=X)
    return exchange


def place(exchange, side, quantity, price=None, **changes):
    request = OrderRequest(
        symbol=changes.pop("symbol", X),
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=D(str(quantity)),
        price=None if price is None else D(str(price)),
        **changes,
    )
    return exchange.place(1, request, now_ms=100)


def lots(exchange, symbol=X):
    return [(view.position_idx, view.lots) for view in exchange.positions(1, symbol)]


def code_of(call, *args, **kwargs):
    with pytest.raises(VenueReject) as refused:
        call(*args, **kwargs)
    return refused.value.code


def test_both_sides_are_held_and_closed_apart(hedged):
    place(hedged, BUY, 3, position_idx=1)
    place(hedged, SELL, 2, position_idx=2)
    assert lots(hedged) == [(1, 30), (2, -20)]
    closing = place(hedged, SELL, 1, position_idx=1)
    place(hedged, BUY, 2, position_idx=2)
    assert lots(hedged) == [(1, 20), (2, 0)]
    assert closing.reduce_only
    assert [record.side for record in hedged.closed_pnls(1)] == [SELL, BUY]


@pytest.mark.parametrize("position_idx", [0, 3, -1])
def test_hedged_contract_refuses_other_indices(hedged, position_idx):
    assert code_of(place, hedged, BUY, 1, position_idx=position_idx) == 10001


@pytest.mark.parametrize("position_idx", [1, 2])
def test_one_way_contract_refuses_sides(hedged, position_idx):
    assert code_of(place, hedged, BUY, 1, symbol=Y, position_idx=position_idx) == 10001


@pytest.mark.parametrize(("side", "position_idx"), [(SELL, 1), (BUY, 2)])
def test_closing_a_flat_side_is_refused(hedged, side, position_idx):
    assert code_of(place, hedged, side, 1, position_idx=position_idx) == 110017


@pytest.mark.parametrize(("side", "position_idx"), [(BUY, 1), (SELL, 2)])
def test_opening_with_reduce_only_is_refused(hedged, side, position_idx):
    place(hedged, side, 1, position_idx=position_idx)
    refused = code_of(place, hedged, side, 1, position_idx=position_idx, reduce_only=True)
    assert refused == 110017


def test_closing_order_never_turns_a_side(hedged):
    place(hedged, BUY, 3, position_idx=1)
    first = place(hedged, SELL, 3, 11, position_idx=1)
    second = place(hedged, SELL, 5, position_idx=1)
    assert second.cum_lots == 30
    assert lots(hedged) == [(1, 0), (2, 0)]
    assert (first.state, first.cancel_type) == (OrderState.CANCELLED, "CancelByReduceOnly")


def test_unfillable_order_is_refused_when_own_closing_orders_of_the_other_side_run_out(hedged):
    hedged.house_market(X, BUY, 10_000, now_ms=50)
    hedged.house_market(X, SELL, 10_000, now_ms=51)
    hedged.house_limit(X, BUY, 1000, 10, now_ms=52)
    place(hedged, SELL, 1, position_idx=2)
    hedged.house_limit(X, SELL, 1000, 20, now_ms=53)
    place(hedged, BUY, 2, position_idx=1)
    for _ in range(2):
        place(hedged, BUY, 1, 10, position_idx=2)
    order = place(hedged, SELL, 2, 10, position_idx=1, time_in_force=TimeInForce.FOK)
    assert (order.state, order.cum_lots) == (OrderState.CANCELLED, 0)
    assert lots(hedged) == [(1, 20), (2, -10)]


def test_stops_guard_one_side(hedged):
    place(hedged, BUY, 3, position_idx=1)
    place(hedged, SELL, 2, position_idx=2)
    change = [StopChange(kind=StopKind.STOP_LOSS, price=D("9.7"))]
    hedged.set_stops(1, X, change, now_ms=101, position_idx=1)
    assert [view.stop_loss for view in hedged.positions(1, X)] == [D("9.7"), None]
    assert code_of(hedged.set_stops, 1, X, change, now_ms=102, position_idx=0) == 10001
    place(hedged, SELL, 3, position_idx=1)
    assert hedged.stop_orders(1) == []
    assert lots(hedged) == [(1, 0), (2, -20)]


def test_both_sides_need_margin_and_share_the_leverage(hedged):
    place(hedged, BUY, 3, position_idx=1)
    place(hedged, SELL, 2, position_idx=2)
    hedged.set_leverage(1, X, D(5))
    views = hedged.positions(1, X)
    assert [view.leverage for view in views] == [5, 5]
    margin = sum(view.initial_margin for view in views)
    assert hedged.wallet(1).position_margin == margin == D(50) / 5 + D(50) * D("0.00055")


def test_funding_is_settled_side_by_side(hedged):
    place(hedged, BUY, 3, position_idx=1)
    place(hedged, SELL, 3, position_idx=2)
    hedged.settle_funding(X, D("0.001"), now_ms=200)
    paid = [each for each in hedged.executions(1) if each.exec_type == "Funding"]
    assert [(each.position_idx, each.fee) for each in paid] == [(1, D("0.03")), (2, D("-0.03"))]
    assert hedged.wallet(1).funding == 0


def test_active_order_limit_counts_both_sides(hedged):
    for number in range(500):
        side = (BUY, SELL)[number % 2]
        price = {BUY: "9.5", SELL: "10.5"}[side]
        place(
            hedged,
            side,
            "0.1",
            price,
            position_idx=number % 2 + 1,
            time_in_force=TimeInForce.POST_ONLY,
        )
    assert code_of(place, hedged, BUY, "0.1", "9.5", position_idx=1) == 110020


def test_house_trades_reach_orders_of_both_sides(hedged):
    place(hedged, BUY, 1, "10", position_idx=1)
    place(hedged, BUY, 1, symbol=Y)
    hedged.recorded_trade(X, SELL, 990, 100, now_ms=300)
    assert lots(hedged) == [(1, 10), (2, 0)]


# Switching.


def test_switch_to_the_same_mode_is_refused(hedged):
    assert code_of(hedged.switch_mode, 1, HEDGE, symbol=X) == 110025
    assert code_of(hedged.switch_mode, 1, ONE_WAY, symbol=Y) == 110025
    assert code_of(hedged.switch_mode, 1, ONE_WAY, symbol="NOPE") == 10001


def test_switch_is_refused_with_a_position_or_an_order(hedged):
    order = place(hedged, BUY, 1, "9.5", position_idx=1)
    assert code_of(hedged.switch_mode, 1, ONE_WAY, symbol=X) == 110028
    hedged.cancel(1, X, order_id=order.order_id, now_ms=101)
    place(hedged, BUY, 1, position_idx=1)
    assert code_of(hedged.switch_mode, 1, ONE_WAY, symbol=X) == 110024
    place(hedged, SELL, 1, position_idx=1)
    hedged.switch_mode(1, ONE_WAY, symbol=X)
    assert lots(hedged) == [(0, 0)]


def test_only_usdt_contracts_can_be_hedged(exchange):
    assert code_of(exchange.switch_mode, 1, HEDGE, symbol=INVERSE) == 110029
    assert code_of(exchange.switch_mode, 1, HEDGE, coin="USDC") == 110029


def test_coin_switches_what_is_idle_and_leaves_the_rest(exchange):
    place(exchange, BUY, 1, symbol=Y)
    exchange.switch_mode(1, HEDGE, coin="USDT")
    assert lots(exchange) == [(1, 0), (2, 0)]
    assert lots(exchange, Y) == [(0, 10)]
    assert code_of(exchange.switch_mode, 1, HEDGE, coin="USDT") == 110024
    place(exchange, SELL, 1, symbol=Y)
    exchange.switch_mode(1, HEDGE, coin="USDT")
    assert code_of(exchange.switch_mode, 1, HEDGE, coin="USDT") == 110025
    assert exchange.positions(2, X)[0].position_idx == 0


def test_symbol_wins_over_coin(exchange):
    exchange.switch_mode(1, HEDGE, coin="USDT")
    exchange.switch_mode(1, ONE_WAY, symbol=Y)
    assert [index for index, _ in lots(exchange, Y)] == [0]
    assert [index for index, _ in lots(exchange, X)] == [1, 2]
