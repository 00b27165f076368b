from decimal import Decimal

import pytest

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.bybit_server.order_parameters import (
    create_request,
    order_change,
    order_reference,
)
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.conditions import (
    Amendment,
    GuardChange,
    GuardRequest,
    StopScope,
    TriggerBy,
    TriggerRequest,
)
from trading_system.simulation.records import SelfMatch, VenueReject

LIMIT = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "50000"}


def test_limit_order_is_read_with_its_defaults():
    request = create_request(Fields(LIMIT))
    assert (request.side, request.order_type) == (Side.BUY, OrderType.LIMIT)
    assert (request.quantity, request.price) == (Decimal("0.001"), Decimal(50000))
    assert (request.time_in_force, request.self_match) == (TimeInForce.GTC, SelfMatch.NONE)


def test_market_order_is_immediate_and_has_no_price():
    request = create_request(Fields({**LIMIT, "orderType": "Market", "timeInForce": "GTC"}))
    assert (request.price, request.time_in_force) == (None, TimeInForce.IOC)


def test_options_are_read():
    options = {"reduceOnly": True, "smpType": "CancelBoth", "positionIdx": "0", "orderLinkId": "x"}
    request = create_request(Fields({**LIMIT, **options, "timeInForce": "PostOnly"}))
    assert request.reduce_only
    assert (request.self_match, request.link_id) == (SelfMatch.CANCEL_BOTH, "x")
    assert request.time_in_force is TimeInForce.POST_ONLY


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": None},
        {"side": "buy"},
        {"orderType": "Stop"},
        {"qty": ""},
        {"qty": "1e400"},
        {"price": None},
        {"price": []},
        {"timeInForce": "RPI"},
        {"reduceOnly": "maybe"},
        {"positionIdx": "one"},
        {"triggerPrice": "-"},
        {"triggerPrice": "60000", "triggerDirection": "up"},
        {"takeProfit": "60000", "tpTriggerBy": "Moon"},
        {"stopLoss": -1},
        {"bboSideType": "Best"},
        {"slippageToleranceType": "Percent"},
        {"trailingStop": "100"},
        {"activePrice": "51000"},
        {"orderFilter": "StopOrder"},
        {"orderFilter": "tpslOrder"},
    ],
)
def test_bad_or_unsupported_order_is_refused(change):
    with pytest.raises(VenueReject) as caught:
        create_request(Fields({**LIMIT, **change}))
    assert caught.value.code == 10001


def test_cleared_stops_are_no_request():
    assert create_request(Fields({**LIMIT, "takeProfit": "0", "stopLoss": "", "triggerPrice": 0}))


def test_condition_and_guards_are_read():
    fields = {
        **LIMIT,
        "triggerPrice": "60000",
        "triggerDirection": 1,
        "triggerBy": "IndexPrice",
        "takeProfit": "70000",
        "tpslMode": "Partial",
        "tpOrderType": "Limit",
        "tpLimitPrice": "69000",
    }
    request = create_request(Fields(fields))
    assert request.trigger == TriggerRequest(price=Decimal(60000), by=TriggerBy.INDEX, on_rise=True)
    assert request.take_profit == GuardRequest(price=Decimal(70000), limit_price=Decimal(69000))
    assert (request.scope, request.stop_loss) == (StopScope.PARTIAL, None)


def test_amend_tells_removing_from_leaving():
    ids = {"symbol": "S", "orderId": "o"}
    amendment = order_change(Fields({**ids, "takeProfit": "0", "triggerPrice": "5"})).amendment
    assert amendment == Amendment(
        take_profit=GuardChange(price=Decimal(0)), trigger_price=Decimal(5)
    )


def test_amend_names_only_what_changes_about_a_take_profit():
    ids = {"symbol": "S", "orderId": "o"}
    limit = order_change(Fields({**ids, "tpLimitPrice": "7"})).amendment
    assert limit == Amendment(take_profit=GuardChange(limit_price=Decimal(7)))
    by = order_change(Fields({**ids, "slTriggerBy": "MarkPrice"})).amendment
    assert by == Amendment(stop_loss=GuardChange(by=TriggerBy.MARK))


def test_order_id_wins_over_link_id():
    reference = order_reference(Fields({"symbol": "S", "orderId": "o", "orderLinkId": "l"}))
    assert (reference.order_id, reference.link_id) == ("o", "")
    with pytest.raises(VenueReject):
        order_reference(Fields({"symbol": "S"}))


def test_amend_needs_a_change():
    ids = {"symbol": "S", "orderId": "o"}
    assert order_change(Fields({**ids, "qty": "2"})).amendment.quantity == Decimal(2)
    with pytest.raises(VenueReject):
        order_change(Fields(ids))
