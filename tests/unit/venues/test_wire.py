from decimal import Decimal

import msgspec
import pytest
from bybit_rows import FLAT, ORDER, POSITION

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.orders import OrderIntent, OrderStatus, OrderType, Side, TimeInForce
from trading_system.venues.bybit import wire


def order(**changes):
    return wire.order_report(msgspec.convert(ORDER | changes, wire.OrderRow))


def position(**changes):
    return wire.position_report(msgspec.convert(POSITION | changes, wire.PositionRow))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Created", OrderStatus.NEW),
        ("New", OrderStatus.NEW),
        ("Untriggered", OrderStatus.NEW),
        ("Triggered", OrderStatus.NEW),
        ("PartiallyFilled", OrderStatus.PARTIALLY_FILLED),
        ("Filled", OrderStatus.FILLED),
        ("Cancelled", OrderStatus.CANCELLED),
        ("PartiallyFilledCanceled", OrderStatus.CANCELLED),
        ("Deactivated", OrderStatus.CANCELLED),
        ("Rejected", OrderStatus.REJECTED),
    ],
)
def test_every_documented_status_is_mapped(text, status):
    assert order(orderStatus=text).status is status


@pytest.mark.parametrize(
    ("changes", "is_protective"),
    [
        ({}, False),
        ({"stopOrderType": "UNKNOWN"}, False),
        ({"stopOrderType": "Stop", "orderStatus": "Untriggered"}, False),
        ({"stopOrderType": "StopLoss", "orderStatus": "Untriggered"}, True),
        ({"stopOrderType": "TrailingStop", "orderStatus": "Untriggered"}, True),
        ({"stopOrderType": "StopLoss", "orderStatus": "Deactivated"}, True),
        (
            {
                "stopOrderType": "StopLoss",
                "orderStatus": "Cancelled",
                "cancelType": "CancelByTpSlTsClear",
            },
            True,
        ),
        ({"stopOrderType": "StopLoss", "orderStatus": "Triggered"}, False),
        ({"stopOrderType": "StopLoss", "orderStatus": "Filled"}, False),
    ],
)
def test_a_position_stop_is_protective_until_it_is_triggered(changes, is_protective):
    assert order(**changes).is_protective is is_protective


def test_a_protective_row_without_link_id_price_or_quantity_is_readable():
    report = order(
        orderLinkId="", qty="0", price="0", stopOrderType="StopLoss", orderStatus="Untriggered"
    )
    assert (report.link_id, report.quantity, report.price) == ("", Decimal(0), None)


@pytest.mark.parametrize("unset", ["", "0", "0.00"])
def test_unset_prices_are_none_in_all_spellings(unset):
    report = order(price=unset, avgPrice=unset)
    assert (report.price, report.average_price) == (None, None)
    assert position(stopLoss=unset).stop_price is None


@pytest.mark.parametrize(
    "changes",
    [
        {"orderStatus": "Asleep"},
        {"side": "buy"},
        {"qty": "NaN"},
        {"qty": "1e5"},
        {"qty": ""},
        {"avgPrice": "inf"},
        {"updatedTime": "soon"},
        {"updatedTime": "9" * 16},
    ],
)
def test_impossible_order_rows_are_refused(changes):
    with pytest.raises(CorruptDataError):
        order(**changes)


def test_a_position_carries_its_sign_and_its_stop():
    report = position()
    assert (report.quantity, report.stop_price) == (Decimal(-3), Decimal("10.50"))
    assert report.ts_exchange_ns == 1_700_000_000_010_000_000
    flat = position(**FLAT | {"stopLoss": "10.5"})
    assert (flat.quantity, flat.entry_price, flat.stop_price) == (Decimal(0), None, None)
    with pytest.raises(CorruptDataError):
        position(side="")


def test_an_order_body_is_spelled_as_the_venue_wants_it():
    body = wire.order_body(
        OrderIntent(
            symbol="BTCUSDT",
            side=Side.SELL,
            order_type=OrderType.LIMIT,
            quantity=Decimal("0.010"),
            price=Decimal("1E+4"),
            time_in_force=TimeInForce.POST_ONLY,
            reduce_only=True,
            link_id="ts-1",
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
    body = wire.order_body(
        OrderIntent(
            symbol="BTCUSDT",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=Decimal(1),
            link_id="ts-1",
        )
    )
    assert body.keys().isdisjoint({"price", "timeInForce", "reduceOnly"})
