"""Recorded replies (documented shapes, invented values) of every signed query."""

from decimal import Decimal

import pytest
from bybit_rig import FakeTransport, gateway, listing, ok, refused
from bybit_rows import EXECUTION, FLAT, ORDER, POSITION, STOP, WALLET

from trading_system.domain.errors import CorruptDataError, VenueAuthError
from trading_system.domain.orders import Funding
from trading_system.venues.bybit.account_queries import PositionMode

KEY = {
    "userID": 7,
    "readOnly": 0,
    "permissions": {
        "ContractTrade": ["Order", "Position"],
        "Wallet": ["AccountTransfer", "Withdraw"],
        "Options": [],
        "NFT": None,
    },
    "ips": ["10.0.0.1"],
    "expiredAt": "2026-10-01T00:00:00Z",
}


def asking(path, *answers):
    transport = FakeTransport().answer(f"/v5/{path}", *answers)
    return transport, gateway(transport)


async def test_queries_of_the_account_are_signed():
    transport, client = asking("position/list", listing(POSITION))
    await client.positions()
    assert "X-BAPI-SIGN" in transport.sent[0].headers


async def test_fee_rates_are_read():
    row = {"symbol": "ABCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}
    _, client = asking("account/fee-rate", listing(row))
    rates = await client.fee_rates("ABCUSDT")
    assert (rates.taker, rates.maker) == (Decimal("0.00055"), Decimal("0.0002"))


async def test_the_wallet_is_read():
    _, client = asking("account/wallet-balance", listing(WALLET))
    assert (await client.wallet()).equity == Decimal("10000.5")


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("account/fee-rate", lambda client: client.fee_rates("ABCUSDT")),
        ("account/wallet-balance", lambda client: client.wallet()),
        ("position/list", lambda client: client.position("ABCUSDT")),
    ],
)
async def test_an_empty_listing_of_what_must_exist_is_a_typed_error(path, call):
    with pytest.raises(CorruptDataError):
        await call(asking(path, listing())[1])


async def test_positions_are_read_page_by_page_with_their_stops():
    transport, client = asking(
        "position/list", listing(POSITION, cursor="next"), listing(POSITION | {"side": "Buy"})
    )
    short, long = await client.positions()
    assert (short.quantity, long.quantity) == (Decimal(-3), Decimal(3))
    assert short.stop_price == Decimal("10.50")
    assert [sent.query.get("cursor") for sent in transport.sent] == [None, "next"]


async def test_a_flat_position_is_read():
    _, client = asking("position/list", listing(FLAT))
    assert (await client.position("ABCUSDT")).quantity == 0
    assert await client.position_mode("ABCUSDT") is PositionMode.ONE_WAY


async def test_hedge_mode_has_a_row_for_each_side():
    _, client = asking(
        "position/list", listing(FLAT | {"positionIdx": 1}, FLAT | {"positionIdx": 2})
    )
    assert await client.position_mode("ABCUSDT") is PositionMode.HEDGE


async def test_open_orders_are_read_with_stops_marked():
    _, client = asking("order/realtime", listing(ORDER, cursor="n"), listing(STOP))
    order, stop = await client.open_orders()
    assert (order.is_protective, stop.is_protective) == (False, True)
    assert (order.link_id, stop.link_id) == ("lk-1", "")


async def test_an_order_is_found_among_the_open_and_then_among_the_closed():
    transport = FakeTransport().answer("/v5/order/realtime", listing())
    transport.answer("/v5/order/history", listing(ORDER | {"orderStatus": "Filled"}))
    report = await gateway(transport).find_order("lk-1")
    assert report.link_id == "lk-1"
    assert [sent.path for sent in transport.sent] == ["/v5/order/realtime", "/v5/order/history"]


async def test_one_unknown_status_hides_no_order_of_a_listing():
    odd = ORDER | {"orderId": "o-2", "orderStatus": "Exploded"}
    client = gateway(FakeTransport().answer("/v5/order/realtime", listing(odd, ORDER)))
    assert [report.order_id for report in await client.open_orders()] == ["o-2", "o-1"]
    found = await client.find_order("lk-1")
    assert found is not None
    assert not found.status.is_final


async def test_rows_of_other_orders_are_not_mistaken_for_the_one_that_is_looked_up():
    transport = FakeTransport().answer("/v5/order/realtime", listing(STOP, ORDER))
    transport.answer("/v5/order/history", listing(STOP))
    client = gateway(transport)
    assert (await client.find_order("lk-1")).order_id == "o-1"
    assert await client.find_order("lk-2") is None


async def test_executions_are_read_to_the_end():
    rows = [EXECUTION | {"execId": f"e-{number}"} for number in range(130)]
    foreign = [EXECUTION | {"orderLinkId": "other"}, EXECUTION | {"execType": "Funding"}]
    transport, client = asking(
        "execution/list", listing(*rows[:100], cursor="c"), listing(*rows[100:], *foreign)
    )
    fills = await client.executions("lk-1")
    assert len({fill.exec_id for fill in fills}) == len(fills) == 130
    assert transport.sent[1].query["cursor"] == "c"


async def test_executions_since_a_time_are_read_week_by_week_oldest_first():
    week_ms, now_ms = 7 * 86_400_000, 1_700_000_000_000
    venues_own = EXECUTION | {"execId": "e-2", "orderLinkId": "", "execType": "BustTrade"}
    transport, client = asking(
        "execution/list",
        listing(EXECUTION | {"execId": "e-1"}, EXECUTION | {"execId": "e-0"}),
        listing(venues_own, EXECUTION | {"execId": "f", "execType": "Funding"}),
    )
    fills = await client.executions_since(now_ms - week_ms)
    assert [told.exec_id for told in fills] == ["e-0", "e-1", "f", "e-2"]
    assert isinstance(fills[2], Funding)
    windows = [(s.query["startTime"], s.query.get("endTime")) for s in transport.sent]
    assert windows == [(str(now_ms - week_ms), str(now_ms - 1)), (str(now_ms), None)]


async def test_executions_are_asked_for_two_years_at_most():
    transport, client = asking("execution/list", listing())
    assert await client.executions_since(0) == []
    assert len(transport.sent) == 105


async def test_a_stale_stamp_sets_the_clock_and_the_query_is_asked_again():
    transport, client = asking("position/list", refused(10002), listing(POSITION))
    transport.answer("/v5/market/time", ok({"timeNano": "1700000009000000000"}))
    assert len(await client.positions()) == 1
    assert client.rest.offset_ns == 9_000_000_000


async def test_a_refused_key_is_not_asked_again():
    transport, client = asking("position/list", refused(10003))
    with pytest.raises(VenueAuthError):
        await client.positions()
    assert len(transport.sent) == 1


async def test_a_key_that_can_move_money_is_recognised():
    _, client = asking("user/query-api", ok(KEY))
    info = await client.api_key_info()
    assert info.money_rights == ("AccountTransfer", "Withdraw")
    assert (info.user_id, info.is_read_only, info.is_bound_to_addresses) == (7, False, True)
    assert info.permissions.keys() == {"ContractTrade", "Wallet"}
    assert info.expires_at == "2026-10-01T00:00:00Z"


@pytest.mark.parametrize("ips", [None, [], ["*"]])
async def test_a_key_for_any_address_is_recognised(ips):
    _, client = asking("user/query-api", ok(KEY | {"ips": ips, "permissions": {}, "readOnly": 1}))
    info = await client.api_key_info()
    assert (info.is_bound_to_addresses, info.money_rights, info.is_read_only) == (False, (), True)


@pytest.mark.parametrize(("status", "is_unified"), [(1, False), (3, True), (6, True)])
async def test_the_mode_of_the_account_is_read(status, is_unified):
    answer = ok({"unifiedMarginStatus": status, "marginMode": "REGULAR_MARGIN"})
    _, client = asking("account/info", answer)
    info = await client.account_info()
    assert (info.is_unified, info.margin_mode) == (is_unified, "REGULAR_MARGIN")
