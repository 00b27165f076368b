"""Public frames: what is understood, and what is refused."""

import json
from decimal import Decimal

import pytest

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.orders import Side
from trading_system.market.decode import (
    MAX_FRAME_BYTES,
    decode_book,
    decode_ticker,
    decode_trades,
    peek_topic,
)

BOOK = (
    b'{"topic":"orderbook.50.ABCUSDT","type":"delta","ts":1700000000105,"data":{"s":"ABCUSDT",'
    b'"b":[["10.01","0"],["10.00","7.5"]],"a":[["10.03","2.0"]],"u":4412,"seq":990012},'
    b'"cts":1700000000103}'
)
TRADE = {
    "topic": "publicTrade.ABCUSDT",
    "type": "snapshot",
    "ts": 1700000000105,
    "data": [
        {
            "T": 1700000000104,
            "s": "ABCUSDT",
            "S": "Sell",
            "v": "0.001",
            "p": "10.50",
            "L": "PlusTick",
            "i": "id-1",
            "BT": False,
            "RPI": True,
            "seq": 5,
        }
    ],
}
TICKER = {
    "topic": "tickers.ABCUSDT",
    "type": "snapshot",
    "cs": 24,
    "ts": 1700000000105,
    "data": {
        "symbol": "ABCUSDT",
        "lastPrice": "10.5",
        "markPrice": "10.51",
        "indexPrice": "10.52",
        "fundingRate": "-0.0001",
        "nextFundingTime": "1700006400000",
        "openInterest": "1200.5",
        "preOpenPrice": "",
    },
}


def encoded(tree, **row):
    tree = json.loads(json.dumps(tree))
    data = tree["data"]
    (data[0] if isinstance(data, list) else data).update(row)
    return json.dumps(tree).encode()


def test_book_message_of_the_reference_is_understood():
    message = decode_book(BOOK)
    assert (message.topic, message.symbol) == ("orderbook.50.ABCUSDT", "ABCUSDT")
    assert (message.is_snapshot, message.update_id, message.sequence) == (False, 4412, 990012)
    assert message.ts_exchange_ns == 1_700_000_000_103_000_000
    assert message.bids == [(10.01, 0.0), (10.0, 7.5)]
    assert message.asks == [(10.03, 2.0)]


def test_key_order_blanks_extra_keys_and_text_frames_make_no_difference():
    tree = json.loads(BOOK)
    tree["data"]["extra"] = [{"deep": None}]
    turned = dict(reversed(tree.items()))
    turned["data"] = dict(reversed(tree["data"].items()))
    assert decode_book(json.dumps(turned, indent=1)) == decode_book(BOOK)


def test_book_without_engine_time_takes_the_push_time():
    assert decode_book(BOOK.replace(b"cts", b"xxx")).ts_exchange_ns == 1_700_000_000_105_000_000


HOSTILE_BOOKS = {
    "empty": b"",
    "no json": b"pong",
    "array": b"[]",
    "null": b"null",
    "truncated": BOOK[:-3],
    "trailing": BOOK + b"{}",
    "not utf-8 in an unknown key": BOOK[:-1] + b',"\xff":1}',
    "not utf-8": BOOK.replace(b"ABC", b"\xff\xfe\xfd"),
    "deep": b"[" * 200_000,
    "deep unknown key": BOOK[:-1] + b',"x":' + b'{"x":' * 200_000,
    "oversize": BOOK[:-1] + b" " * MAX_FRAME_BYTES + b"}",
    "wrong type": BOOK.replace(b'"delta"', b'"update"'),
    "missing side": BOOK.replace(b'"a":', b'"z":'),
    "null side": BOOK.replace(b'[["10.03","2.0"]]', b"null"),
    "object side": BOOK.replace(b'[["10.03","2.0"]]', b'{"10.03":"2.0"}'),
    "text side": BOOK.replace(b'[["10.03","2.0"]]', b'"10.03"'),
    "unquoted price": BOOK.replace(b'"10.03"', b"10.03"),
    "null size": BOOK.replace(b'"2.0"', b"null"),
    "one element": BOOK.replace(b'["10.03","2.0"]', b'["10.03"]'),
    "three elements": BOOK.replace(b'["10.03","2.0"]', b'["10.03","2.0","1"]'),
    "nested level": BOOK.replace(b'"10.03"', b'["10.03"]'),
    "nan": BOOK.replace(b"10.03", b"nan"),
    "infinity": BOOK.replace(b"10.03", b"inf"),
    "exponent": BOOK.replace(b"10.03", b"1e1"),
    "plus": BOOK.replace(b"10.03", b"+10.03"),
    "negative price": BOOK.replace(b"10.03", b"-10.03"),
    "negative size": BOOK.replace(b"2.0", b"-2.0"),
    "negative zero": BOOK.replace(b'"2.0"', b'"-0"'),
    "blank inside": BOOK.replace(b"10.03", b" 10.03"),
    "empty number": BOOK.replace(b"10.03", b""),
    "two dots": BOOK.replace(b"10.03", b"1.0.3"),
    "leading zero": BOOK.replace(b"10.03", b"010.03"),
    "underscore": BOOK.replace(b"10.03", b"1_0.03"),
    "hexadecimal": BOOK.replace(b"10.03", b"0x10"),
    "arabic digits": BOOK.replace(b"10.03", b"\xd9\xa1\xd9\xa0"),
    "escaped digits": BOOK.replace(b"10.03", b"\\u0031"),
    "too many digits": BOOK.replace(b"10.03", b"1" * 400),
    "text update id": BOOK.replace(b"4412", b'"4412"'),
    "float update id": BOOK.replace(b"4412", b"4412.0"),
    "boolean update id": BOOK.replace(b"4412", b"true"),
    "negative update id": BOOK.replace(b"4412", b"-4412"),
    "update id zero": BOOK.replace(b"4412", b"0"),
    "huge update id": BOOK.replace(b"4412", b"9" * 19),
    "endless update id": BOOK.replace(b"4412", b"9" * 5000),
    "null sequence": BOOK.replace(b"990012", b"null"),
    "huge time": BOOK.replace(b"1700000000103", b"9" * 15),
    "negative time": BOOK.replace(b"1700000000105", b"-1"),
    "text time": BOOK.replace(b"1700000000105", b'"1700000000105"'),
    "leading zeros": BOOK.replace(b"7.5", b"007.5"),
    "empty size": BOOK.replace(b"7.5", b""),
    "three numbers and one": BOOK.replace(
        b'["10.01","0"],["10.00","7.5"]', b'["10.01","0","10.00"],["7.5"]'
    ),
    "too many levels": BOOK.replace(b'["10.03","2.0"]', b",".join([b'["10.03","2.0"]'] * 20_000)),
}


@pytest.mark.parametrize("frame", HOSTILE_BOOKS.values(), ids=HOSTILE_BOOKS.keys())
def test_malformed_book_frame_is_refused(frame):
    with pytest.raises(CorruptDataError) as caught:
        decode_book(frame)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("sides", [b'"b":[],"a":[]', b'"b":[ ],"a":[ ]'])
def test_a_message_may_change_nothing(sides):
    before, _, after = BOOK.partition(b'"b":')
    message = decode_book(before + sides + after[after.index(b',"u"') :])
    assert (message.bids, message.asks) == ([], [])


def test_lone_surrogate_in_a_text_frame_is_refused():
    with pytest.raises(CorruptDataError):
        decode_book(BOOK.decode().replace("ABC", "\ud800"))


@pytest.mark.parametrize(
    ("frame", "topic"),
    [
        (BOOK, "orderbook.50.ABCUSDT"),
        (BOOK.decode(), "orderbook.50.ABCUSDT"),
        (b' {"ts":1,"topic":"tickers.X"}', "tickers.X"),
        (b'{"topic":"a\\u0062"}', "ab"),
        (b'{"success":true,"op":"subscribe"}', ""),
        (b"{}", ""),
    ],
)
def test_topic_is_found_wherever_it_stands(frame, topic):
    assert peek_topic(frame) == topic


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"topic":1}',
        b'{"topic":"',
        b"[" * 100_000,
        b" " * 5_000_000,
        "\ud800",
    ],
)
def test_frame_without_readable_topic_is_refused(frame):
    with pytest.raises(CorruptDataError):
        peek_topic(frame)


def test_trades_carry_the_takers_side_and_both_times():
    (trade,) = decode_trades(encoded(TRADE), 77)
    assert (trade.symbol, trade.side, trade.trade_id) == ("ABCUSDT", Side.SELL, "id-1")
    assert (trade.price, trade.quantity) == (10.5, 0.001)
    assert (trade.ts_exchange_ns, trade.ts_received_ns) == (1_700_000_000_104_000_000, 77)


@pytest.mark.parametrize(
    "row",
    [
        {"p": "0"}, {"p": "-1"}, {"p": "NaN"}, {"p": "1e5"}, {"p": 10.5}, {"p": ""}, {"p": "٣"},
        {"v": "0"}, {"v": "Infinity"}, {"v": None}, {"v": "1" * 41}, {"S": "Hold"}, {"S": 1},
        {"s": "OTHER"}, {"T": "1700000000104"}, {"T": -1}, {"T": 10**30}, {"i": ""}, {"i": 5},
    ],
)  # fmt: skip
def test_impossible_trade_is_refused(row):
    with pytest.raises(CorruptDataError):
        decode_trades(encoded(TRADE, **row), 1)


def test_trades_beyond_the_venues_batch_size_are_refused():
    flood = {**TRADE, "data": TRADE["data"] * 1025}
    with pytest.raises(CorruptDataError):
        decode_trades(encoded(flood), 1)


def test_frame_of_another_topic_is_refused_by_each_decoder():
    for decode in (lambda f: decode_trades(f, 1), lambda f: decode_ticker(f, 1)):
        with pytest.raises(CorruptDataError):
            decode(BOOK)
    with pytest.raises(CorruptDataError):
        decode_trades(encoded({**TRADE, "topic": "tickers.ABCUSDT"}), 1)


def test_ticker_delta_changes_only_what_it_carries():
    state = decode_ticker(encoded(TICKER), 1)
    assert (state.mark_price, state.next_funding_ms) == (Decimal("10.51"), 1_700_006_400_000)
    delta = {**TICKER, "type": "delta", "data": {"symbol": "ABCUSDT"}}
    after = decode_ticker(encoded(delta, markPrice="10.60", openInterest=""), 2, previous=state)
    assert (after.mark_price, after.open_interest) == (Decimal("10.60"), None)
    assert (after.index_price, after.funding_rate) == (state.index_price, Decimal("-0.0001"))
    assert after.next_funding_ms == state.next_funding_ms
    assert after.ts_received_ns == 2


def test_ticker_snapshot_forgets_what_was_known_before():
    state = decode_ticker(encoded(TICKER), 1)
    bare = {**TICKER, "data": {"symbol": "ABCUSDT", "lastPrice": "1"}}
    assert decode_ticker(encoded(bare), 2, previous=state).mark_price is None


def test_ticker_delta_needs_its_own_snapshot_first():
    delta = encoded({**TICKER, "type": "delta"})
    with pytest.raises(CorruptDataError, match="before its snapshot"):
        decode_ticker(delta, 1)
    other = {**TICKER, "topic": "tickers.OTHER", "data": {"symbol": "OTHER"}}
    with pytest.raises(CorruptDataError, match="before its snapshot"):
        decode_ticker(delta, 1, previous=decode_ticker(encoded(other), 1))


@pytest.mark.parametrize(
    "row",
    [
        {"symbol": "OTHER"}, {"lastPrice": "nan"}, {"lastPrice": 1}, {"markPrice": "1E9"},
        {"nextFundingTime": "-1"}, {"nextFundingTime": "1.5"}, {"nextFundingTime": "9" * 20},
        {"nextFundingTime": "٣"}, {"openInterest": []},
    ],
)  # fmt: skip
def test_impossible_ticker_is_refused(row):
    with pytest.raises(CorruptDataError):
        decode_ticker(encoded(TICKER, **row), 1)
