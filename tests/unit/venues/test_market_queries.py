"""Recorded replies (documented shapes, invented values) of every public query."""

from decimal import Decimal

import pytest
from bybit_rig import FakeTransport, gateway, listing, ok, refused

from trading_system.domain.errors import (
    CorruptDataError,
    ValidationError,
    VenueRateLimited,
    VenueUnavailable,
)
from trading_system.domain.orders import Side

INSTRUMENT = {
    "symbol": "ABCUSDT",
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "ABC",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
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
TICKER = {
    "symbol": "ABCUSDT",
    "lastPrice": "10.01",
    "indexPrice": "10.00",
    "markPrice": "10.02",
    "price24hPcnt": "-0.0123",
    "highPrice24h": "11",
    "lowPrice24h": "9",
    "openInterest": "1000",
    "openInterestValue": "10020",
    "turnover24h": "50000",
    "volume24h": "5000",
    "fundingRate": "0.0001",
    "nextFundingTime": "1700000000000",
    "basis": "",
    "ask1Price": "10.02",
    "ask1Size": "2",
    "bid1Price": "10.00",
    "bid1Size": "3",
}


def asking(path, *answers):
    transport = FakeTransport().answer(f"/v5/market/{path}", *answers)
    return transport, gateway(transport)


async def test_an_instrument_is_read():
    transport, client = asking("instruments-info", listing(INSTRUMENT))
    rules = await client.instrument("ABCUSDT")
    assert (rules.tick_size, rules.max_leverage) == (Decimal("0.01"), Decimal(50))
    assert transport.sent[0].query == {"category": "linear", "symbol": "ABCUSDT"}
    assert transport.sent[0].priority == 3


async def test_all_perpetuals_are_read_page_by_page():
    dated = INSTRUMENT | {"symbol": "ABC-26", "contractType": "LinearFutures"}
    coin = INSTRUMENT | {"symbol": "ABCPERP", "settleCoin": "USDC"}
    transport, client = asking(
        "instruments-info", listing(INSTRUMENT, dated, cursor="c%3A1"), listing(coin)
    )
    assert [rules.symbol for rules in await client.instruments()] == ["ABCUSDT"]
    assert transport.sent[1].query["cursor"] == "c%3A1"


async def test_a_listing_without_end_is_a_fault_of_the_venue():
    transport, client = asking("instruments-info", listing(cursor="again"))
    with pytest.raises(CorruptDataError, match="pages"):
        await client.instruments()
    assert len(transport.sent) == 40


@pytest.mark.parametrize(
    "result", [{}, {"list": {}}, {"list": [{"symbol": "ABCUSDT"}]}, {"list": []}]
)
async def test_an_unusable_instrument_answer_is_a_typed_error(result):
    with pytest.raises(CorruptDataError):
        await asking("instruments-info", ok(result))[1].instrument("ABCUSDT")


async def test_a_ticker_is_read():
    _, client = asking("tickers", listing(TICKER))
    ticker = await client.ticker("ABCUSDT")
    assert (ticker.bid_price, ticker.ask_quantity) == (Decimal("10.00"), Decimal(2))
    assert (ticker.funding_rate, ticker.next_funding_ms) == (Decimal("0.0001"), 1_700_000_000_000)
    assert ticker.change_24h == Decimal("-0.0123")


async def test_what_a_ticker_does_not_say_is_none():
    _, client = asking("tickers", listing({"symbol": "A", "bid1Price": "", "markPrice": "0"}))
    ticker = (await client.tickers())[0]
    assert (ticker.bid_price, ticker.mark_price, ticker.next_funding_ms) == (None, None, None)


@pytest.mark.parametrize("bad", ["NaN", "1e5", "-", "٣", "Infinity"])
async def test_a_ticker_with_an_impossible_number_is_refused(bad):
    with pytest.raises(CorruptDataError):
        await asking("tickers", listing(TICKER | {"markPrice": bad}))[1].ticker("ABCUSDT")


async def test_a_book_is_read():
    row = {"s": "ABCUSDT", "b": [["10.00", "3"]], "a": [["10.02", "2"]], "ts": 7, "u": 1, "seq": 2}
    transport, client = asking("orderbook", ok(row))
    book = await client.book("ABCUSDT", limit=1)
    assert (book.bids, book.asks, book.time_ms) == ([("10.00", "3")], [("10.02", "2")], 7)
    assert transport.sent[0].query["limit"] == "1"


async def test_a_book_with_an_impossible_number_is_refused():
    row = {"s": "A", "b": [["nan", "3"]], "a": [], "ts": 7, "u": 1}
    with pytest.raises(CorruptDataError):
        await asking("orderbook", ok(row))[1].book("A")


async def test_candles_are_read():
    row = ["1700000000000", "10", "12", "9", "11", "100", "1050"]
    transport, client = asking("kline", listing(row))
    candle = (await client.klines("ABCUSDT", interval="5", limit=3, start_ms=1, end_ms=2))[0]
    assert (candle.start_ms, candle.close, candle.turnover) == (
        1_700_000_000_000,
        Decimal(11),
        Decimal(1050),
    )
    query = transport.sent[0].query
    assert (query["interval"], query["start"], query["end"]) == ("5", "1", "2")


async def test_funding_rates_are_read_and_an_open_window_is_closed():
    row = {"symbol": "A", "fundingRate": "-0.0002", "fundingRateTimestamp": "1700000000000"}
    transport, client = asking("funding/history", listing(row))
    rates = await client.funding_history("A", start_ms=5)
    assert (rates[0].rate, rates[0].time_ms) == (Decimal("-0.0002"), 1_700_000_000_000)
    query = transport.sent[0].query
    assert (query["startTime"], query["endTime"]) == ("5", "1700000000000")


async def test_open_interest_is_read():
    _, client = asking("open-interest", listing({"openInterest": "12.5", "timestamp": "1"}))
    assert (await client.open_interest("A", period="1h"))[0].quantity == Decimal("12.5")


async def test_the_long_short_ratio_is_read():
    row = {"symbol": "A", "buyRatio": "0.6", "sellRatio": "0.4", "timestamp": "1"}
    _, client = asking("account-ratio", listing(row))
    ratio = (await client.account_ratio("A"))[0]
    assert (ratio.long, ratio.short) == (Decimal("0.6"), Decimal("0.4"))


async def test_public_trades_are_read():
    row = {"execId": "e", "symbol": "A", "price": "10", "size": "2", "side": "Sell", "time": "5"}
    _, client = asking("recent-trade", listing(row))
    trade = (await client.recent_trades("A"))[0]
    assert (trade.side, trade.quantity, trade.time_ms) == (Side.SELL, Decimal(2), 5)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.klines("A", interval="7"),
        lambda client: client.klines("A", limit=0),
        lambda client: client.funding_history("A", limit=201),
        lambda client: client.open_interest("A", period="5"),
        lambda client: client.account_ratio("A", limit=501),
        lambda client: client.book("A", limit=1001),
    ],
)
async def test_what_the_venue_would_refuse_is_not_sent(call):
    transport = FakeTransport()
    with pytest.raises(ValidationError):
        await call(gateway(transport))
    assert transport.sent == []


async def test_the_clock_offset_is_that_of_the_venue():
    transport = FakeTransport().answer(
        "/v5/market/time", ok({"timeSecond": "1700000002", "timeNano": "1700000002000000000"})
    )
    client = gateway(transport)
    assert await client.synchronise_clock() == 2000.0
    assert client.rest.offset_ns == 2_000_000_000


@pytest.mark.parametrize("text", ["soon", "", "-1", "9" * 21])
async def test_a_server_time_that_is_no_number_is_a_typed_error(text):
    transport = FakeTransport().answer("/v5/market/time", ok({"timeNano": text}))
    with pytest.raises(CorruptDataError):
        await gateway(transport).synchronise_clock()


@pytest.mark.parametrize(
    ("refusals", "reset_ms", "is_answered"), [(1, 1, True), (9, 1, False), (1, 5_000, False)]
)
async def test_a_query_waits_out_a_full_quota_within_reason(refusals, reset_ms, is_answered):
    transport, client = asking("tickers", *[refused(10006)] * refusals, listing())
    transport.headers = {"X-Bapi-Limit-Reset-Timestamp": str(1_700_000_000_000 + reset_ms)}
    if is_answered:
        assert await client.tickers() == []
    else:
        with pytest.raises(VenueRateLimited):
            await client.tickers()


async def test_a_query_that_fails_otherwise_is_not_repeated():
    transport, client = asking("tickers", (502, "<html>"))
    with pytest.raises(VenueUnavailable):
        await client.tickers()
    assert len(transport.sent) == 1
