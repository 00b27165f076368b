from decimal import Decimal

import msgspec
import pytest
from bybit_rows import EXECUTION, FLAT, ORDER, POSITION, WALLET

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.orders import OrderStatus
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.drift import SchemaDrift


def order(drift=None, **changes):
    return wire.order_report(
        msgspec.convert(ORDER | changes, wire.OrderRow), drift or SchemaDrift()
    )


def position(drift=None, **changes):
    row = msgspec.convert(POSITION | changes, wire.PositionRow)
    return wire.position_report(row, drift or SchemaDrift())


def fill(drift=None, **changes):
    return wire.fill(
        msgspec.convert(EXECUTION | changes, wire.ExecutionRow), drift or SchemaDrift()
    )


def wallet(drift=None, **changes):
    row = msgspec.convert(WALLET | changes, wire.WalletRow)
    return wire.wallet_report(row, drift or SchemaDrift(), ts_exchange_ns=7)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Created", OrderStatus.NEW),
        ("New", OrderStatus.NEW),
        ("Untriggered", OrderStatus.UNTRIGGERED),
        ("Triggered", OrderStatus.TRIGGERED),
        ("PartiallyFilled", OrderStatus.PARTIALLY_FILLED),
        ("Filled", OrderStatus.FILLED),
        ("Cancelled", OrderStatus.CANCELLED),
        ("PartiallyFilledCanceled", OrderStatus.CANCELLED),
        ("Deactivated", OrderStatus.DEACTIVATED),
        ("Rejected", OrderStatus.REJECTED),
    ],
)
def test_every_documented_status_is_mapped(text, status):
    assert order(orderStatus=text).status is status


def test_a_status_of_tomorrow_counts_as_open_and_is_counted():
    drift = SchemaDrift()
    assert order(drift, orderStatus="Asleep").status is OrderStatus.NEW
    assert drift.counts["order.orderStatus: Asleep"] == 1


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
        {"side": "buy"},
        {"qty": "NaN"},
        {"qty": "1e5"},
        {"qty": ""},
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


@pytest.mark.parametrize(
    ("changes", "mark"),
    [({"markPrice": "10.25"}, Decimal("10.25")), ({"markPrice": ""}, None), (FLAT, None)],
)
def test_a_position_carries_the_mark_that_values_it(changes, mark):
    assert position(**changes).mark_price == mark


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"avgPrice": "inf"}, "order.avgPrice: not a number"),
        ({"price": 9.9}, "order.price: not a text"),
        ({"rejectReason": None}, "order.rejectReason: missing"),
        ({"positionIdx": 7}, "order.positionIdx: unknown"),
        ({"positionIdx": True}, "order.positionIdx: unknown"),
        ({"triggerPrice": "soon"}, "order.triggerPrice: not a number"),
    ],
)
def test_an_optional_value_that_cannot_be_read_is_counted_and_left_out(changes, what):
    drift = SchemaDrift()
    known = {"triggerPrice": "", "positionIdx": 0}
    assert order(drift, **known).order_id == "o-1"
    assert drift.total == 0
    assert order(drift, **known | changes).quantity == 5
    assert dict(drift.counts) == {what: 1}


def test_the_index_of_a_position_and_of_an_order_is_told():
    assert position(positionIdx=2).position_idx == 2
    assert order(positionIdx=1).position_idx == 1
    assert order(triggerPrice="9.5").trigger_price == Decimal("9.5")


@pytest.mark.parametrize(
    ("closed", "is_closing"), [("", None), ("0", False), ("0.000", False), ("2", True)]
)
def test_whether_a_fill_closes_is_told_where_the_venue_says_so(closed, is_closing):
    assert fill(closedSize=closed).is_closing is is_closing


def test_a_fill_without_its_makers_flag_counts_as_a_takers():
    drift = SchemaDrift()
    assert fill(drift, isMaker=None).is_maker is False
    assert fill(drift, isMaker="true").is_maker is False
    assert drift.total == 2


def test_a_wallet_needs_its_equity_only():
    drift = SchemaDrift()
    report = wallet(drift, totalWalletBalance=None, totalAvailableBalance="n/a")
    assert report.equity == report.wallet_balance == Decimal("10000.5")
    assert (report.available_balance, drift.total) == (Decimal(0), 2)
    assert wallet().available_balance == 9_000
    with pytest.raises(CorruptDataError, match="equity"):
        wallet(totalEquity="")
