from decimal import Decimal

import pytest

from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderType,
    PriceChange,
    PriceSource,
    Side,
    TimeInForce,
    TrailingStop,
    Trigger,
    TriggerDirection,
)
from trading_system.venues.bybit.order_bodies import (
    amend_body,
    order_body,
    stop_body,
    trailing_body,
)


def intent(**changes):
    settings = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": Decimal("0.010"),
        "price": Decimal("50000.0"),
        "link_id": "ts-1",
    }
    return OrderIntent(**settings | changes)


def test_an_order_body_is_spelled_as_the_venue_wants_it():
    body = order_body(
        intent(
            side=Side.SELL,
            price=Decimal("1E+4"),
            time_in_force=TimeInForce.POST_ONLY,
            reduce_only=True,
        )
    )
    assert body == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "orderType": "Limit",
        "qty": "0.010",
        "price": "10000",
        "timeInForce": "PostOnly",
        "orderLinkId": "ts-1",
        "positionIdx": 0,
        "reduceOnly": True,
    }


def test_a_market_order_has_neither_price_nor_time_in_force():
    body = order_body(intent(order_type=OrderType.MARKET, price=None))
    assert body.keys().isdisjoint({"price", "timeInForce", "reduceOnly"})


def test_a_conditional_order_names_its_trigger_with_the_venues_types():
    trigger = Trigger(
        price=Decimal("51000.50"), direction=TriggerDirection.FALL, by=PriceSource.INDEX
    )
    body = order_body(intent(trigger=trigger))
    assert body["triggerPrice"] == "51000.50"
    assert body["triggerDirection"] == 2
    assert isinstance(body["triggerDirection"], int)
    assert body["triggerBy"] == "IndexPrice"
    assert "orderFilter" not in body


def test_exits_at_market_are_for_the_whole_position():
    exits = {
        "take_profit": AttachedExit(price=Decimal("51000.0")),
        "stop_loss": AttachedExit(price=Decimal("49000.0"), by=PriceSource.LAST),
    }
    body = order_body(intent(**exits))
    assert {key: body[key] for key in body.keys() - order_body(intent()).keys()} == {
        "takeProfit": "51000.0",
        "tpTriggerBy": "MarkPrice",
        "stopLoss": "49000.0",
        "slTriggerBy": "LastPrice",
        "tpslMode": "Full",
    }


def test_an_exit_by_a_limit_order_is_partial():
    exit_ = AttachedExit(price=Decimal(51000), limit_price=Decimal(50990))
    body = order_body(intent(take_profit=exit_))
    assert (body["tpslMode"], body["tpOrderType"]) == ("Partial", "Limit")
    assert body["tpLimitPrice"] == "50990"
    assert "stopLoss" not in body


@pytest.mark.parametrize(
    ("side", "reduce_only", "index"),
    [
        (Side.BUY, False, 1),
        (Side.SELL, False, 2),
        (Side.SELL, True, 1),
        (Side.BUY, True, 2),
    ],
)
def test_in_hedge_mode_side_and_purpose_name_the_position(side, reduce_only, index):
    order = intent(side=side, reduce_only=reduce_only)
    assert order_body(order, is_hedged=True)["positionIdx"] == index
    assert order_body(order)["positionIdx"] == 0


def test_an_amendment_moves_a_trigger_only_when_asked_to():
    change = PriceChange(symbol="A", link_id="l", price=Decimal(10))
    assert "triggerPrice" not in amend_body(change)
    moved = PriceChange(symbol="A", link_id="l", price=Decimal(10), trigger_price=Decimal(9))
    assert amend_body(moved)["triggerPrice"] == "9"


def test_stops_name_their_position_and_zero_removes_them():
    assert stop_body("A", None, position_idx=2)["stopLoss"] == "0"
    assert stop_body("A", Decimal(9), position_idx=2)["positionIdx"] == 2
    trail = TrailingStop(distance=Decimal("50.5"), active_price=Decimal(100))
    body = trailing_body("A", trail, position_idx=0)
    assert (body["trailingStop"], body["activePrice"]) == ("50.5", "100")
    assert trailing_body("A", None, position_idx=0)["trailingStop"] == "0"
    assert "activePrice" not in trailing_body(
        "A", TrailingStop(distance=Decimal(1)), position_idx=0
    )
