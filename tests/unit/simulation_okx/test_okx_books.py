"""Book streams against an independent, slow applier and the matching book itself."""

import zlib
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server.book_feed import BookTopic
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.okx_server.book_feed import (
    KEEP_ALIVE_MS,
    BookFeed,
    Level,
    checksum,
    levels_of,
)
from trading_system.simulation.okx_server.contracts import SwapContract

BTC = SwapContract(INSTRUMENTS["BTCUSDT"], number=1)
VALUES = {"BTC-USDT-SWAP": "0.01", "ETH-USDT-SWAP": "0.1", "SOL-USDT-SWAP": "1"}


class SlowBook:
    """Applies frames as the documentation says, with decimals and plain dictionaries."""

    def __init__(self):
        self.sides = {}
        self.texts = {}
        self.last = None

    def apply(self, frame):
        assert frame["arg"]["channel"] == "books"
        for row in frame["data"]:
            if frame["action"] == "snapshot":
                assert row["prevSeqId"] == -1
                self.sides, self.texts = {"asks": {}, "bids": {}}, {}
            else:
                assert row["prevSeqId"] == self.last
                assert row["seqId"] >= row["prevSeqId"]
            self.last = row["seqId"]
            for side in ("asks", "bids"):
                for price, size, obsolete, orders in row[side]:
                    assert obsolete == "0"
                    if Decimal(size) == 0:
                        assert (size, orders) == ("0", "0")
                        del self.sides[side][Decimal(price)]
                    else:
                        assert int(orders) > 0
                        self.sides[side][Decimal(price)] = Decimal(size)
                        self.texts[Decimal(price)] = (price, size)

    def sorted(self, side, depth=None):
        rows = sorted(self.sides[side].items(), reverse=side == "bids")
        return rows[:depth]

    def crc(self):
        parts = []
        for number in range(25):
            for side in ("bids", "asks"):
                rows = self.sorted(side)
                if number < len(rows):
                    parts += self.texts[rows[number][0]]
        value = zlib.crc32(":".join(parts).encode())
        return value - 2**32 if value >= 2**31 else value


def matching(rig, symbol, side, value, depth=400):
    instrument = rig.venue.exchange.instruments[symbol]
    top = rig.venue.exchange.book(symbol).top(Side.SELL if side == "asks" else Side.BUY, depth)
    return [
        (instrument.ticks_to_price(ticks), instrument.lots_to_qty(lots) / Decimal(value))
        for ticks, lots in top
    ]


@pytest.mark.parametrize("inst", VALUES)
def test_books_stream_equals_the_matching_book_after_every_push(trio, inst):
    client, channel = trio.open()
    trio.follow(channel, "books", inst)
    slow, symbol = SlowBook(), inst.replace("-USDT-SWAP", "USDT")
    ack, snapshot = client.take()
    assert (ack["event"], snapshot["action"]) == ("subscribe", "snapshot")
    slow.apply(snapshot)
    updates = 0
    for _ in range(600):
        trio.step()
        for frame in client.take():
            assert (frame["action"], frame["data"][0]["checksum"]) == ("update", 0)
            assert frame["data"][0]["ts"] == str(trio.now_ms)
            slow.apply(frame)
            updates += 1
            for side in ("asks", "bids"):
                assert slow.sorted(side) == matching(trio, symbol, side, VALUES[inst])
    assert 50 <= updates <= 61


def test_books_shows_what_the_bybit_topic_shows_at_the_same_instant(rig):
    client, channel = rig.open()
    rig.follow(channel, "books")
    slow = SlowBook()
    slow.apply(client.take()[1])
    topic = BookTopic(
        rig.venue.exchange.book("BTCUSDT"),
        GridText(rig.venue.exchange.instruments["BTCUSDT"]),
        depth=200,
    )
    compared = 0
    for _ in range(200):
        rig.step()
        for frame in client.take():
            slow.apply(frame)
            topic.refresh(rig.now_ms)
            row = topic.rest_row(200, rig.now_ms)
            assert row["seq"] >= slow.last
            for bybit, okx in (("a", "asks"), ("b", "bids")):
                wanted = [(Decimal(p), Decimal(q) * 100) for p, q in row[bybit]]
                assert slow.sorted(okx, 200) == wanted
            compared += 1
    assert compared > 10


def test_order_counts_are_those_of_the_queue():
    book = MatchingBook()
    for number, (price, lots) in enumerate(((10, 5), (10, 7), (9, 1), (8, 2)), start=1):
        book.add(number, 0, side=Side.BUY, price_ticks=price, lots=lots)
    assert levels_of(book, Side.BUY, 2) == [Level(10, 12, 2), Level(9, 1, 1)]
    assert levels_of(book, Side.BUY, 9) == [Level(10, 12, 2), Level(9, 1, 1), Level(8, 2, 1)]
    assert levels_of(book, Side.SELL, 3) == []


def test_quiet_book_is_kept_alive_after_a_minute_with_an_unchanged_sequence(rig):
    client, channel = rig.open()
    rig.follow(channel, "books")
    last = client.take()[1]["data"][0]["seqId"]
    for _ in range(2 * KEEP_ALIVE_MS // 100 + 10):
        rig.step(100, market=False)
    rows = [frame["data"][0] for frame in client.take()]
    assert [(row["asks"], row["bids"]) for row in rows] == [([], [])] * 2
    assert {(row["prevSeqId"], row["seqId"]) for row in rows} == {(last, last)}
    feed = BookFeed(rig.venue.exchange.book("BTCUSDT"), BTC)
    feed.refresh(10 * KEEP_ALIVE_MS)
    assert feed.refresh(5) == []  # a clock set back is no quiet minute
    assert feed.refresh(5 + KEEP_ALIVE_MS) != []


def test_change_outside_the_window_does_not_move_the_stream():
    book = MatchingBook()
    for number in range(1, 402):
        book.add(number, 0, side=Side.BUY, price_ticks=1000 - number, lots=1)
    feed = BookFeed(book, BTC)
    feed.refresh(0)
    book.remove(401)
    assert feed.refresh(100) == []
    book.remove(1)
    assert b'["99.9","0","0","0"]' in feed.refresh(200)[0]


def test_real_checksums_follow_the_documented_algorithm(make_rig):
    rig = make_rig(has_checksums=True)
    client, channel = rig.open()
    rig.follow(channel, "books")
    slow, seen = SlowBook(), 0
    for _ in range(100):
        for frame in client.take():
            if "event" not in frame:
                slow.apply(frame)
                assert frame["data"][0]["checksum"] == slow.crc()
                seen += 1
        rig.step()
    assert seen > 5


def test_checksum_of_the_reference_vector():
    fine = replace(INSTRUMENTS["ETHUSDT"], tick_size=Decimal("0.1"), qty_step=Decimal("0.001"))
    bids = [Level(1005, 300, 1), Level(1004, 125, 1), Level(1000, 700, 1)]
    asks = [Level(1006, 200, 1), Level(1010, 50, 1)]
    assert checksum(SwapContract(fine, number=1), bids, asks) == -1163817780


@pytest.mark.parametrize(("name", "depth", "pause"), [("books5", 5, 100), ("bbo-tbt", 1, 10)])
def test_small_books_are_sent_whole_and_only_when_they_changed(rig, name, depth, pause):
    client, channel = rig.open()
    rig.follow(channel, name)
    client.take()
    last, times = None, []
    for _ in range(300):
        rig.step()
        for frame in client.take():
            row = frame["data"][0]
            assert "action" not in frame
            assert not {"prevSeqId", "checksum"} & set(row)
            assert ("instId" in row) == (name == "books5")
            for side in ("asks", "bids"):
                found = [(Decimal(price), Decimal(size)) for price, size, _, _ in row[side]]
                assert found == matching(rig, "BTCUSDT", side, "0.01", depth)
            assert (row["asks"], row["bids"]) != last
            last = (row["asks"], row["bids"])
            times.append(int(row["ts"]))
    assert len(times) > 5
    assert min(b - a for a, b in pairwise(times)) >= pause


def test_relay_pushes_at_once_and_always_the_full_book(trio):
    client, channel = trio.open("/ws/l2-orderbook/okx/ETH-USDT-SWAP")
    channel.receive('{"op":"subscribe"}')
    frames = []
    for _ in range(100):
        found = client.take()
        for frame in found:
            for side in ("asks", "bids"):
                pairs = [(Decimal(price), Decimal(size)) for price, size in frame[side]]
                assert pairs == matching(trio, "ETHUSDT", side, "0.1")
        frames += found
        trio.step()
    assert len(frames) > 5
    assert list(frames[0]) == ["timestamp", "exchange", "symbol", "asks", "bids"]
    assert frames[0]["timestamp"] == "2023-11-14T22:13:20Z"
    assert (frames[0]["exchange"], frames[0]["symbol"]) == ("OKX", "ETH-USDT-SWAP")
    channel.close()
    channel.close()
    client.take()
    trio.step(1000)
    assert client.take() == []


def test_a_second_subscriber_joins_the_same_sequence(rig):
    first, one = rig.open()
    rig.follow(one, "books")
    a, b = SlowBook(), SlowBook()
    a.apply(first.take()[1])
    for _ in range(7):
        rig.step(35)
    second, two = rig.open()
    rig.follow(two, "books")
    for frame in first.take():
        a.apply(frame)
    b.apply(second.take()[1])
    assert (a.sides, a.last) == (b.sides, b.last)
    for _ in range(20):
        rig.step(35)
    for book, client in ((a, first), (b, second)):
        for frame in client.take():
            book.apply(frame)
    assert (a.sides, a.last) == (b.sides, b.last)
