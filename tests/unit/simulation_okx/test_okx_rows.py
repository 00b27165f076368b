"""Rows of REST and of the market streams, against the venue's own figures."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.simulation.candles import interval_start
from trading_system.simulation.okx_server.contracts import SwapContract, short, swaps
from trading_system.simulation.okx_server.figures import BARS
from trading_system.simulation.okx_server.trade_log import TradeLog
from trading_system.simulation.records import PublicTrade

BTC = {"instId": "BTC-USDT-SWAP"}
CONTRACT_VALUES = {"BTC-USDT-SWAP": "0.01", "ETH-USDT-SWAP": "0.1", "SOL-USDT-SWAP": "1"}
HOUR = 3_600_000
TEXT_KEYS = """
alias auctionEndTime baseCcy category contTdSwTime ctMult ctType ctVal ctValCcy expTime instFamily
instId instType lever listTime lotSz maxIcebergSz maxLmtAmt maxLmtSz maxMktAmt maxMktSz maxPlatOILmt
maxStopSz maxTriggerSz maxTwapSz minSz openType optType posLmtAmt posLmtPct preMktSwTime quoteCcy
ruleType settleCcy state stk tickSz uly
""".split()  # noqa: SIM905 - a long list of words


def listed(base, tick, step):
    return Instrument(
        symbol=f"{base}USDT",
        base_coin=base,
        quote_coin="USDT",
        tick_size=Decimal(tick),
        qty_step=Decimal(step),
        min_price=Decimal(tick),
        max_price=Decimal(100_000),
        min_qty=Decimal(step),
        max_qty=Decimal(step) * 1000,
        max_market_qty=Decimal(step) * 100,
    )


def test_every_quantity_of_the_venue_is_a_whole_number_of_lots():
    cases = [
        ("BTC", "0.10", "0.001", "0.01", "0.1"),
        ("BTC", "0.01", "0.00001", "0.01", "0.001"),
        ("ETH", "0.01", "0.001", "0.1", "0.01"),
        ("SOL", "0.010", "0.1", "1", "0.1"),
        ("DOGE", "0.00001", "1", "10", "0.1"),
        ("PEPE", "0.0000001", "100", "1000", "0.1"),
    ]
    for base, tick, step, value, lot in cases:
        contract = SwapContract(listed(base, tick, step), number=1)
        assert (contract.inst_id, contract.value) == (f"{base}-USDT-SWAP", Decimal(value))
        assert contract.lot_size == Decimal(lot)
        for lots in (1, 9, 10, 12_345):
            assert Decimal(contract.size(lots)) * contract.value == Decimal(step) * lots


def test_numbers_have_no_trailing_zeros():
    contract = next(iter(swaps([listed("BTC", "0.10", "0.001")]).values()))
    assert [contract.price(t) for t in (954_480, 954_455, 10, 0)] == ["95448", "95445.5", "1", "0"]
    assert [contract.size(n) for n in (10, 1, 25, 1000)] == ["1", "0.1", "2.5", "100"]
    assert contract.near(Decimal("10.04999")) == "10"
    assert short(Decimal("-0.1234567891")) == "-0.12345679"
    whole = SwapContract(listed("X", "5", "10"), number=1)
    assert (whole.price(3), whole.size(3)) == ("15", "0.3")
    large = SwapContract(listed("SOL", "0.01", "10"), number=1)
    assert large.size(3) == "30"


def test_instruments_carry_every_documented_key_with_its_type(still):
    rows = still.data("public/instruments", instType="SWAP")
    assert [row["instId"] for row in rows] == list(CONTRACT_VALUES)
    for row in rows:
        assert all(isinstance(row[key], str) for key in TEXT_KEYS)
        assert isinstance(row["instIdCode"], int)
        assert row["futureSettlement"] is False
        assert row["tradeQuoteCcyList"] == ["USDT"]
        assert (row["ctVal"], row["ctType"]) == (CONTRACT_VALUES[row["instId"]], "linear")
    assert (rows[0]["lotSz"], rows[0]["minSz"], rows[0]["tickSz"]) == ("0.1", "0.1", "0.1")
    assert rows[0]["maxLmtSz"] == "119000"
    for kind in ("SPOT", "FUTURES", "OPTION", "MARGIN"):
        assert still.data("public/instruments", instType=kind, uly="BTC-USD") == []
    assert len(still.data("public/instruments", instType="SWAP", instFamily="ETH-USDT")) == 1
    assert still.data("public/instruments", instType="SWAP", **BTC) == rows[:1]


def test_ticker_agrees_with_the_venue_in_contracts_and_coins(trio):
    for _ in range(100):
        trio.step(50)
    view = trio.venue.statistics.ticker("BTCUSDT")
    (row,) = trio.data("market/ticker", **BTC)
    assert all(isinstance(value, str) for value in row.values())
    assert Decimal(row["last"]) == view.last_price
    assert (Decimal(row["bidPx"]), Decimal(row["askPx"])) == (view.bid_price, view.ask_price)
    assert Decimal(row["bidSz"]) == view.bid_qty * 100
    assert Decimal(row["askSz"]) == view.ask_qty * 100
    assert Decimal(row["volCcy24h"]) == view.volume_24h
    assert Decimal(row["vol24h"]) == view.volume_24h * 100
    assert Decimal(row["low24h"]) <= Decimal(row["last"]) <= Decimal(row["high24h"])
    trades = trio.data("market/trades", **BTC)
    assert row["lastSz"] == trades[0]["sz"]
    assert row["ts"] == str(trio.now_ms)
    tickers = trio.data("market/tickers", instType="SWAP")
    assert [each["instId"] for each in tickers] == list(CONTRACT_VALUES)


def test_day_openings_are_the_first_prices_of_both_days(still):
    (row,) = still.data("market/ticker", **BTC)
    minutes = still.venue.statistics.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=1440)
    for key, shift in (("sodUtc0", 0), ("sodUtc8", 8 * HOUR)):
        begin = interval_start("D", still.now_ms + shift) - shift
        first = next(bar for bar in minutes if bar.start_ms >= begin)
        assert Decimal(row[key]) == first.open


def test_derived_prices_and_funding_agree_with_the_venue(still):
    view = still.venue.statistics.ticker("BTCUSDT")
    (mark,) = still.data("public/mark-price", instType="SWAP", **BTC)
    assert abs(Decimal(mark["markPx"]) - view.mark_price) <= Decimal("0.05")
    assert still.data("public/mark-price", **BTC) == [mark]
    (interest,) = still.data("public/open-interest", instType="SWAP", **BTC)
    assert abs(Decimal(interest["oi"]) - view.open_interest * 100) < Decimal("1e-6")
    assert abs(Decimal(interest["oiCcy"]) - view.open_interest) < Decimal("1e-7")
    (funding,) = still.data("public/funding-rate", **BTC)
    assert funding["fundingTime"] == str(view.next_funding_ms)
    assert int(funding["nextFundingTime"]) - view.next_funding_ms == 8 * HOUR
    assert abs(Decimal(funding["fundingRate"]) - view.funding_rate) < Decimal("1e-8")
    (index,) = still.data("market/index-tickers", instId="BTC-USDT")
    assert Decimal(index["low24h"]) <= Decimal(index["idxPx"]) <= Decimal(index["high24h"])
    assert len(still.data("market/index-tickers", quoteCcy="USDT")) == 3
    (limit,) = still.data("public/price-limit", **BTC)
    contract = still.venue.exchange.parts.contracts["BTCUSDT"]
    assert Decimal(limit["buyLmt"]) == contract.band_ticks(Side.BUY) * Decimal("0.1")
    assert Decimal(limit["sellLmt"]) < view.mark_price < Decimal(limit["buyLmt"])
    assert still.data("public/time") == [{"ts": str(still.now_ms)}]


def test_rest_book_is_the_stream_with_its_sequence(rig):
    client, channel = rig.open()
    rig.follow(channel, "books")
    for _ in range(50):
        rig.step(13)
    (book,) = rig.data("market/books", sz=400, **BTC)
    assert client.take()[-1]["data"][0]["seqId"] == book["seqId"]
    top = rig.venue.exchange.book("BTCUSDT").top(Side.BUY, 400)
    assert [(Decimal(p), Decimal(s)) for p, s, _, _ in book["bids"]] == [
        (ticks * Decimal("0.1"), lots * Decimal("0.1")) for ticks, lots in top
    ]
    assert len(rig.data("market/books", **BTC)[0]["asks"]) == 1


def match(number, price, lots, sequence, side=Side.BUY):
    return PublicTrade(
        trade_id=f"x{number}",
        symbol="BTCUSDT",
        price_ticks=price,
        lots=lots,
        taker_side=side,
        time_ms=5,
        sequence=sequence,
        tick_direction="PlusTick",
    )


def test_trades_are_aggregated_per_taker_order_and_price():
    log = TradeLog()
    assert log.last_lots == 0
    log.add([match(1, 10, 2, 7), match(2, 10, 3, 7), match(3, 11, 1, 7)])
    log.add([match(4, 11, 9, 8)])
    rows = log.newest_first(10)
    assert [(row.trade_id, row.lots, row.count) for row in rows] == [
        (4, 9, 1),
        (3, 1, 1),
        (2, 5, 2),
    ]
    assert log.last_lots == 9
    log.add([match(n, 10, 1, 100 + n) for n in range(600)])
    assert len(log.newest_first(1000)) == 500


def test_pushed_trades_are_those_of_rest_and_sum_to_the_venues_volume(rig):
    client, channel = rig.open()
    business, second = rig.open("/ws/v5/business")
    rig.follow(channel, "trades")
    rig.follow(second, "trades-all")
    before = len(rig.venue.exchange.public_trades("BTCUSDT"))
    for _ in range(300):
        rig.step(20)
    rows = [frame["data"][0] for frame in client.take()[1:]]
    single = [frame["data"][0] for frame in business.take()[1:]]
    matches = rig.venue.exchange.public_trades("BTCUSDT")[before:]
    assert rows
    assert sum(Decimal(row["sz"]) for row in rows) == sum(t.lots for t in matches) / Decimal(10)
    assert sum(int(row["count"]) for row in rows) == len(single) == len(matches)
    assert all("count" not in row for row in single)
    by_rest = {row["tradeId"]: row for row in rig.data("market/trades", limit=500, **BTC)}
    for row in rows:
        assert isinstance(row["seqId"], int)
        wanted = {key: row[key] for key in ("instId", "px", "sz", "side", "ts")}
        assert {key: by_rest[row["tradeId"]][key] for key in wanted} == wanted
    numbers = [int(row["tradeId"]) for row in single]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("bar", sorted(BARS))
def test_candles_of_every_bar_add_up_to_the_minutes(still, bar):
    rows = still.data("market/candles", bar=bar, limit=300, **BTC)
    interval, shift = BARS[bar]
    starts = [int(row[0]) for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert all(len(row) == 9 and all(isinstance(cell, str) for cell in row) for row in rows)
    minutes = still.venue.statistics.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=3000)
    newest = [bar for bar in minutes if bar.start_ms >= starts[0]]
    assert interval_start(interval, still.now_ms + shift) - shift == starts[0]
    assert Decimal(rows[0][6]) == sum(each.volume for each in newest)
    assert Decimal(rows[0][5]) == Decimal(rows[0][6]) * 100
    assert Decimal(rows[0][2]) == max(each.high for each in newest)
    assert Decimal(rows[0][3]) == min(each.low for each in newest)
    assert [row[8] for row in rows] == ["0"] + ["1"] * (len(rows) - 1)


def test_after_and_before_are_exclusive_bounds(still):
    rows = still.data("market/candles", **BTC)
    times = [int(row[0]) for row in rows]
    found = still.data("market/candles", after=times[2], before=times[6], **BTC)
    assert [int(row[0]) for row in found] == times[3:6]
    assert len(still.data("market/history-candles", before=times[9], limit=4, **BTC)) == 4
    hours = still.data("market/candles", bar="6H", before=times[0], **BTC)
    assert hours == []


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("public/instruments", {}, "50014"),
        ("public/instruments", {"instType": "swap"}, "51000"),
        ("public/mark-price", {"instType": "SWAP", "instId": "NO"}, "51001"),
        ("public/funding-rate", {}, "50014"),
        ("market/ticker", {"instId": "BTCUSDT"}, "51001"),
        ("market/ticker", {"instId": "x" * 65}, "51000"),
        ("market/ticker", {f"a{n}": "1" for n in range(60)}, "50014"),
        ("market/index-tickers", {}, "50014"),
        ("market/index-tickers", {"instId": "BTC-USDT-SWAP"}, "51001"),
        ("market/books", BTC | {"sz": "0"}, "51000"),
        ("market/books", BTC | {"sz": "1e2"}, "51000"),
        ("market/books", BTC | {"sz": "٣"}, "51000"),
        ("market/trades", BTC | {"limit": "-1"}, "51000"),
        ("market/candles", BTC | {"bar": "7m"}, "51000"),
        ("market/candles", BTC | {"after": "9" * 17}, "51000"),
    ],
)
def test_bad_queries_get_their_code_and_no_data(still, path, query, code):
    answer = still.get(path, **query)
    assert (answer["code"], answer["data"]) == (code, [])
    assert answer["msg"]


def test_unknown_paths_and_methods_are_refused(still):
    assert still.get("trade/order")["code"] == "404"
    assert still.get("public/time", method="POST")["code"] == "50115"


@pytest.mark.parametrize("name", ["tickers", "mark-price", "funding-rate", "open-interest"])
def test_row_streams_begin_with_the_rest_row(rig, name):
    client, channel = rig.open()
    rig.follow(channel, name)
    path = "market/tickers" if name == "tickers" else f"public/{name}"
    row = client.take()[1]["data"][0]
    assert row == rig.data(path, instType="SWAP", **BTC)[0]
    for _ in range(3):
        rig.step(10, market=False)
    assert client.take() == []


def test_price_streams_follow_the_market(trio):
    client, channel = trio.open()
    for name in ("mark-price", "price-limit", "tickers"):
        trio.follow(channel, name)
    trio.follow(channel, "index-tickers", "BTC-USDT")
    trio.follow(channel, "instruments", "SWAP", key="instType")
    trio.follow(channel, "instruments", "SPOT", key="instType")
    first = client.take()
    assert [len(f["data"]) for f in first if f["arg"].get("instType") and "data" in f] == [3]
    for _ in range(100):
        trio.step(50)
    channels = {frame["arg"]["channel"] for frame in client.take()}
    assert channels == {"mark-price", "price-limit", "tickers", "index-tickers"}


def test_candle_stream_confirms_each_candle_once(rig):
    client, channel = rig.open("/ws/v5/business")
    rig.follow(channel, "candle1m")
    rows = []
    for _ in range(70):
        rig.step(2000)
        rows += [frame["data"][0] for frame in client.take() if "data" in frame]
    confirmed = [row[0] for row in rows if row[8] == "1"]
    assert len(confirmed) == len(set(confirmed)) == 2
    by_rest = {row[0]: row for row in rig.data("market/candles", **BTC)}
    assert all(by_rest[row[0]] == row for row in rows if row[8] == "1")
