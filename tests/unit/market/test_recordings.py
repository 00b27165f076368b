"""Every Bybit recording replays without a gap or a crossed book."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market.book import OrderBook
from trading_system.market.decode import (
    decode_ticker,
    decode_trades,
    peek_topic,
)

FOLDER = os.environ.get("TRADING_TEST_DATA")
RECORDINGS = sorted(Path(FOLDER, "raw_ws").glob("bybit_v5_*.jsonl.zst")) if FOLDER else []
pytestmark = [
    pytest.mark.no_cover,  # heavy, on code that its unit tests cover
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER, reason="TRADING_TEST_DATA names no folder of recordings"),
]


def lines(path):
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def instrument(row, category):
    price, lot = row["priceFilter"], row["lotSizeFilter"]
    is_linear = category == "linear"
    return Instrument(
        symbol=row["symbol"],
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        tick_size=Decimal(price["tickSize"]),
        qty_step=Decimal(lot["qtyStep"] if is_linear else lot["basePrecision"]),
        min_price=Decimal(price["tickSize"]),
        max_price=Decimal(price.get("maxPrice", "10000000")),
        min_qty=Decimal(lot["minOrderQty"]),
        max_qty=Decimal(lot["maxOrderQty"] if is_linear else lot["maxLimitOrderQty"]),
        max_market_qty=Decimal(lot["maxMktOrderQty" if is_linear else "maxMarketOrderQty"]),
    )


class Replay:
    """Feeds one recording to books and decoders, per connection."""

    def __init__(self, path):
        self.rows = {}
        self.category = {}
        self.books = {}
        self.tickers = {}
        self.counts = {}
        for number, line in enumerate(lines(path)):
            getattr(self, f"on_{line['t']}", lambda *_: None)(line, number)

    def on_http(self, line, _):
        result = json.loads(line["data"]).get("result", {})
        category = result.get("category")
        if "instruments-info" in line["url"]:
            for row in result["list"]:
                self.rows[category, row["symbol"]] = row

    def on_connect(self, line, _):
        self.category[line["conn"]] = line["addr"].rsplit("/", 1)[-1]

    def on_recv(self, line, number):
        frame = line["data"].encode()
        category, topic = self.category[line["conn"]], peek_topic(frame)
        kind = topic.split(".")[0]
        self.counts[category, kind] = self.counts.get((category, kind), 0) + 1
        if kind == "orderbook":
            self.book(category, topic).apply_frame(frame, number)
        elif kind == "publicTrade":
            assert decode_trades(frame, number)
        elif kind == "tickers":
            known = self.tickers.get((category, topic))
            self.tickers[category, topic] = decode_ticker(frame, number, previous=known)
        elif not kind:
            assert json.loads(frame)["success"]

    def book(self, category, topic):
        if (category, topic) not in self.books:
            _, depth, symbol = topic.split(".")
            row = self.rows[category, symbol]
            book = OrderBook(instrument(row, category), depth=int(depth))
            self.books[category, topic] = book
        return self.books[category, topic]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_recording_replays_without_gap_or_crossed_book(path):
    replay = Replay(path)
    assert {category for category, _ in replay.books} == {"linear", "spot"}
    for book in replay.books.values():
        assert (book.gaps, book.crossed, book.rejected, book.ignored) == (0, 0, 0, 0)
        assert book.is_ready
        assert book.messages >= 300
        assert len(book.levels(Side.BUY, 999)) == len(book.levels(Side.SELL, 999)) == book.depth
        assert -1 <= book.imbalance(10) <= 1
        assert book.best_bid_ticks / book.best_ask_ticks > 0.999
    assert sum(replay.counts[c, "publicTrade"] for c in ("linear", "spot")) > 30
    assert all(ticker.last_price > 0 for ticker in replay.tickers.values())


def test_recordings_are_there():
    assert RECORDINGS
