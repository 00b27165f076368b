from decimal import Decimal

import pytest
from bybit_rig import FakeTransport, gateway, listing, ok, refused
from bybit_rows import FLAT, POSITION

from trading_system.domain.errors import CorruptDataError, VenueRejected, VenueUnavailable
from trading_system.domain.orders import OrderIntent, OrderType, Side, TrailingStop
from trading_system.venues.bybit.account_queries import PositionMode

POSITIONS, STOP = "/v5/position/list", "/v5/position/trading-stop"
DCP, DCP_SET = "/v5/account/query-dcp-info", "/v5/order/disconnected-cancel-all"
CREATE = "/v5/order/create"
CREATED = ok({"orderId": "o-1", "orderLinkId": "lk-1"})
HEDGED = listing({**FLAT, "positionIdx": 1}, {**FLAT, "positionIdx": 2})


def order(side, *, reduce_only=False):
    return OrderIntent(
        symbol="ABCUSDT",
        side=side,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        reduce_only=reduce_only,
        link_id="lk-1",
    )


async def test_hedge_mode_is_detected_and_orders_name_their_side():
    transport = FakeTransport().answer(POSITIONS, HEDGED).answer(CREATE, CREATED)
    client = gateway(transport)
    assert await client.detect_position_modes(["ABCUSDT"]) == {"ABCUSDT": PositionMode.HEDGE}
    for side, reduce_only in ((Side.BUY, False), (Side.SELL, False), (Side.SELL, True)):
        await client.submit(order(side, reduce_only=reduce_only), timeout_s=1)
    sent = [sent.body["positionIdx"] for sent in transport.sent if sent.path == CREATE]
    assert sent == [1, 2, 1]
    assert {sent.path for sent in transport.sent} == {POSITIONS, CREATE}, "nothing was switched"


async def test_one_way_mode_is_detected_and_orders_name_no_side():
    transport = FakeTransport().answer(POSITIONS, listing(FLAT)).answer(CREATE, CREATED)
    client = gateway(transport)
    assert await client.detect_position_modes(["ABCUSDT"]) == {"ABCUSDT": PositionMode.ONE_WAY}
    await client.submit(order(Side.SELL), timeout_s=1)
    assert transport.sent[-1].body["positionIdx"] == 0


async def test_a_trailing_stop_rests_for_the_named_position():
    transport = FakeTransport().answer(STOP, ok({}))
    stop = TrailingStop(distance=Decimal(5))
    await gateway(transport).trail("ABCUSDT", stop, position_idx=2, timeout_s=1)
    body = transport.sent[0].body
    assert (body["trailingStop"], body["positionIdx"]) == ("5", 2)


@pytest.mark.parametrize("code", [34040])
async def test_a_trailing_stop_that_is_there_already_is_success(code):
    transport = FakeTransport().answer(STOP, refused(code, "not modified"))
    await gateway(transport).trail("A", TrailingStop(distance=Decimal(5)), timeout_s=1)


async def test_a_stop_is_removed_from_the_side_that_is_flat():
    rows = listing({**POSITION, "positionIdx": 1}, {**FLAT, "positionIdx": 2})
    transport = FakeTransport().answer(STOP, refused(10001)).answer(POSITIONS, rows)
    client = gateway(transport)
    await client.trail("ABCUSDT", None, position_idx=2, timeout_s=1)
    with pytest.raises(VenueRejected):
        await client.protect("ABCUSDT", None, position_idx=1, timeout_s=1)


def told(*rows):
    return ok({"dcpInfos": list(rows)})


@pytest.mark.parametrize(
    ("answer", "window_s"),
    [
        (told(), None),
        (ok({}), None),
        (refused(10017), None),
        (told({"product": "SPOT", "dcpStatus": "ON", "timeWindow": "10"}), None),
        (told({"product": "DERIVATIVES", "dcpStatus": "OFF", "timeWindow": "10"}), None),
        (told({"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "10"}), 10),
        (told({"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": 40}), 40),
    ],
)
async def test_cancel_on_disconnect_is_found_where_the_account_has_it(answer, window_s):
    found = await gateway(FakeTransport().answer(DCP, answer)).cancel_on_disconnect()
    assert (found.window_s, found.is_armed) == (window_s, window_s is not None)


async def test_a_window_that_is_no_number_is_corrupt():
    answer = told({"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "soon"})
    with pytest.raises(CorruptDataError):
        await gateway(FakeTransport().answer(DCP, answer)).cancel_on_disconnect()


async def test_a_venue_that_is_silent_about_it_is_no_account_without():
    transport = FakeTransport().answer(DCP, refused(10016))
    with pytest.raises(VenueUnavailable):
        await gateway(transport).cancel_on_disconnect()


async def test_the_window_is_set_for_derivatives():
    transport = FakeTransport().answer(DCP_SET, ok({}))
    await gateway(transport).set_disconnect_window(40, timeout_s=1)
    assert transport.sent[0].body == {"product": "DERIVATIVES", "timeWindow": 40}
