"""The documented reads, from recorded replies of documented shape with invented values."""

import json

import pytest
from bybit_rig import FakeTransport, gateway, listing, ok, refused
from bybit_rows import FLAT, POSITION, WALLET

from trading_system.domain.errors import ValidationError, VenueRejected, VenueUnavailable
from trading_system.venues.bybit.reading import BybitReads

TICKER = {
    "symbol": "ABCUSDT",
    "lastPrice": "10.01",
    "indexPrice": "10.00",
    "markPrice": "10.01",
    "price24hPcnt": "-0.0125",
    "highPrice24h": "11",
    "lowPrice24h": "9",
    "openInterest": "1000",
    "openInterestValue": "10010",
    "turnover24h": "50000",
    "volume24h": "5000",
    "fundingRate": "0.0001",
    "nextFundingTime": "1700000000000",
    "ask1Price": "10.02",
    "ask1Size": "2",
    "bid1Price": "10.00",
    "bid1Size": "3",
}
INSTRUMENT = {
    "symbol": "ABCUSDT",
    "baseCoin": "ABC",
    "quoteCoin": "USDT",
    "leverageFilter": {"maxLeverage": "50.00"},
    "priceFilter": {"minPrice": "0.01", "maxPrice": "199999.98", "tickSize": "0.01"},
    "lotSizeFilter": {
        "maxOrderQty": "5000.0",
        "minOrderQty": "0.1",
        "qtyStep": "0.1",
        "maxMktOrderQty": "1000.0",
        "minNotionalValue": "5",
    },
    "fundingInterval": 480,
}
TRADES = [
    {"execId": "1", "price": "10", "size": "3", "side": "Buy", "time": "2"},
    {"execId": "2", "price": "10", "size": "1", "side": "Sell", "time": "1"},
]


def market(**answers):
    transport = FakeTransport()
    rows = {
        "market/tickers": listing(TICKER),
        "market/account-ratio": listing({"buyRatio": "0.6", "sellRatio": "0.4", "timestamp": "1"}),
        "market/recent-trade": listing(*TRADES),
        "market/open-interest": listing(
            {"openInterest": "110", "timestamp": "2"}, {"openInterest": "100", "timestamp": "1"}
        ),
        "market/instruments-info": listing(INSTRUMENT),
        "account/wallet-balance": listing(WALLET),
        "position/list": listing(POSITION),
        "position/set-leverage": ok({}),
        "market/kline": listing(
            ["2000", "10", "12", "9", "11", "100", "1050"],
            ["1000", "9", "10", "8", "10", "90", "900"],
        ),
        "market/funding/history": listing(
            {"fundingRate": "0.0002", "fundingRateTimestamp": "2"},
            {"fundingRate": "-0.0001", "fundingRateTimestamp": "1"},
        ),
        "market/orderbook": ok(
            {"s": "ABCUSDT", "b": [["10.00", "3"]], "a": [["10.02", "2"]], "ts": 7, "u": 1}
        ),
        "market/time": ok({"timeNano": "1700000000250000000"}),
    }
    for path, answer in (rows | answers).items():
        transport.answer(f"/v5/{path}", answer)
    return transport


def reads(transport=None, **options):
    return BybitReads(gateway(transport or market()), **options)


async def test_the_balance_has_its_documented_keys():
    assert await reads().get_account_balance() == {
        "total_equity": 10000.5,
        "total_wallet_balance": 10000.0,
        "available_balance": 9000.0,
        "timestamp": 1_700_000_000_000,
    }


async def test_market_data_is_the_ticker_with_spread_and_basis():
    data = await reads().get_market_data("abcusdt")
    assert data["symbol"] == "ABCUSDT"
    assert (data["price"], data["bid"], data["ask"], data["mid"]) == (10.01, 10.0, 10.02, 10.01)
    assert data["spread_bps"] == pytest.approx(0.02 / 10.01 * 10_000)
    assert data["basis_bps"] == pytest.approx(10.0)
    assert data["change_24h_pct"] == pytest.approx(-1.25)


async def test_what_the_venue_did_not_give_is_none():
    transport = market(**{"market/tickers": listing({"symbol": "ABCUSDT", "bid1Price": "10"})})
    data = await reads(transport).get_market_data("ABCUSDT")
    assert {name for name, value in data.items() if value is not None} == {"symbol", "bid"}


async def test_funding_and_open_interest_are_read():
    assert await reads().get_funding_rate("ABCUSDT") == {
        "symbol": "ABCUSDT",
        "funding_rate": 0.0001,
        "next_funding_time": 1_700_000_000_000,
    }
    assert await reads().get_open_interest("ABCUSDT") == {
        "symbol": "ABCUSDT",
        "open_interest": 1000.0,
        "open_interest_value": 10010.0,
    }


async def test_histories_are_oldest_first():
    client = reads()
    candles = await client.get_kline_data("ABCUSDT", "5", 2)
    assert [candle["timestamp"] for candle in candles] == [1000, 2000]
    assert candles[1]["close"] == 11.0
    funding = await client.get_funding_rate_history("ABCUSDT")
    assert [row["funding_rate"] for row in funding] == [-0.0001, 0.0002]
    interest = await client.get_open_interest_history("ABCUSDT")
    assert [row["open_interest"] for row in interest] == [100.0, 110.0]


async def test_the_rules_of_an_instrument_are_texts():
    info = await reads().get_instrument_info("ABCUSDT")
    assert (info["tick_size"], info["min_order_qty"], info["max_leverage"]) == ("0.01", "0.1", "50")
    assert info["funding_interval_minutes"] == 480


@pytest.mark.parametrize(
    ("symbol", "row", "side", "size"),
    [
        ("ABCUSDT", POSITION, "Sell", 3.0),
        (None, POSITION | {"side": "Buy"}, "Buy", 3.0),
        ("ABCUSDT", FLAT, "", 0.0),
    ],
)
async def test_positions_have_side_and_size(symbol, row, side, size):
    transport = market(**{"position/list": listing(row)})
    (position,) = await reads(transport).get_position_info(symbol)
    assert (position["side"], position["size"]) == (side, size)
    assert position["stop_loss"] == (10.5 if size else None)


async def test_leverage_is_set():
    transport = market()
    assert await reads(transport).set_leverage("ABCUSDT", 3) == {
        "symbol": "ABCUSDT",
        "leverage": 3.0,
    }
    assert transport.sent[-1].body["buyLeverage"] == "3"


@pytest.mark.parametrize("leverage", [0, -1, "nan", "1e2", 0.5, float("inf")])
async def test_senseless_leverage_is_not_sent(leverage):
    transport = market()
    with pytest.raises(ValidationError):
        await reads(transport).set_leverage("ABCUSDT", leverage)
    assert transport.sent == []


async def test_the_order_book_comes_by_rest_without_a_live_one():
    expected = {"symbol": "ABCUSDT", "bids": [["10.00", "3"]], "asks": [["10.02", "2"]], "ts": 7}
    assert await reads().get_order_book_data("ABCUSDT", 1) == expected
    assert await reads(book=lambda _symbol, _limit: None).get_order_book_data("ABCUSDT") == expected


async def test_the_live_order_book_saves_the_request():
    transport, live = market(), {"symbol": "ABCUSDT", "bids": [], "asks": [], "ts": 1}
    client = reads(transport, book=lambda symbol, limit: live if limit == 5 else None)
    assert await client.get_order_book_data("ABCUSDT", 5) is live
    assert transport.sent == []


async def test_liquidations_come_from_the_stream_or_are_honestly_missing():
    missing = await reads().get_liquidation_data("ABCUSDT")
    assert missing["liquidations"] == []
    assert "stream" in missing["note"]
    row = {"time": 1, "side": "Buy", "price": 1.0, "size": 2.0}
    found = await reads(liquidations=lambda _symbol: [row]).get_liquidation_data("ABCUSDT")
    assert (found["liquidations"], found["note"]) == ([row], None)


async def test_a_connection_is_tested_with_the_venues_clock():
    assert await reads().test_connection() == {
        "connected": True,
        "clock_offset_ms": 250.0,
        "error": None,
    }
    broken = market(**{"market/time": (502, "<html>")})
    result = await reads(broken).test_connection()
    assert (result["connected"], result["clock_offset_ms"]) == (False, None)
    assert "502" in result["error"]


async def test_enhanced_market_data_adds_ratio_flow_and_change():
    data = await reads().get_enhanced_market_data("ABCUSDT")
    assert data["price"] == 10.01
    assert data["long_short_ratio"] == pytest.approx(1.5)
    assert data["buy_share"] == pytest.approx(0.75)
    assert data["open_interest_change_pct"] == pytest.approx(10.0)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"market/account-ratio": refused(10001)}, "long_short_ratio"),
        ({"market/account-ratio": listing()}, "long_short_ratio"),
        ({"market/recent-trade": (502, "")}, "buy_share"),
        ({"market/recent-trade": listing()}, "buy_share"),
        ({"market/open-interest": ok({"list": 5})}, "open_interest_change_pct"),
        ({"market/open-interest": listing()}, "open_interest_change_pct"),
    ],
)
async def test_what_only_helps_may_be_missing(answers, missing):
    data = await reads(market(**answers)).get_enhanced_market_data("ABCUSDT")
    assert data[missing] is None
    assert data["price"] == 10.01


@pytest.mark.parametrize(
    ("answer", "kind"), [(refused(10001), VenueRejected), ((502, ""), VenueUnavailable)]
)
async def test_without_a_ticker_the_failure_is_the_venues(answer, kind):
    with pytest.raises(kind):
        await reads(market(**{"market/tickers": answer})).get_enhanced_market_data("ABCUSDT")


@pytest.mark.parametrize("symbol", ["", "../x", "A B", "ä", "A" * 33])
async def test_a_text_that_is_no_symbol_is_not_sent(symbol):
    transport = market()
    with pytest.raises(ValidationError):
        await reads(transport).get_market_data(symbol)
    assert transport.sent == []
