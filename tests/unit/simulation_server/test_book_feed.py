"""A client that applies the messages strictly always holds what the book shows."""

import json
import random
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server.book_feed import BookTopic
from trading_system.simulation.bybit_server.texts import GridText

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.10"),
    max_price=Decimal(1_999_999),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    max_market_qty=Decimal(100),
)
TEXTS = GridText(INSTRUMENT)


class FakeBook:
    def __init__(self, rng):
        self.rng = rng
        self.sequence = 0
        self.sides = {Side.BUY: {}, Side.SELL: {}}

    def change(self):
        self.sequence += 1
        side = self.rng.choice([Side.BUY, Side.SELL])
        middle = 1000 if side is Side.BUY else 1001
        price = middle - side.sign * self.rng.randrange(80)
        lots = self.rng.choice([0, 0, self.rng.randrange(1, 5000)])
        if lots:
            self.sides[side][price] = lots
        else:
            self.sides[side].pop(price, None)

    def top(self, side, depth):
        return sorted(self.sides[side].items(), reverse=side is Side.BUY)[:depth]


class StrictClient:
    def __init__(self, message):
        data = json.loads(message)["data"]
        self.sides = {"b": dict(data["b"]), "a": dict(data["a"])}
        self.update = data["u"]

    def apply(self, message):
        frame = json.loads(message)
        assert frame["type"] == "delta"
        assert frame["data"]["u"] == self.update + 1
        self.update += 1
        for name in "ba":
            for price, size in frame["data"][name]:
                if size == "0":
                    del self.sides[name][price]  # KeyError: deleted what nobody holds
                else:
                    assert self.sides[name].get(price) != size
                    self.sides[name][price] = size


def _shown(book, depth):
    return {
        name: {TEXTS.price(t): TEXTS.qty(n) for t, n in book.top(side, depth)}
        for name, side in (("b", Side.BUY), ("a", Side.SELL))
    }


@pytest.mark.parametrize("depth", [50, 200, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_snapshot_and_deltas_reproduce_the_book(depth, seed):
    rng = random.Random(seed)
    book = FakeBook(rng)
    topic = BookTopic(book, TEXTS, depth=depth)
    topic.refresh(0)
    client = StrictClient(topic.snapshot(0)[0])
    for now_ms in range(1, 600):
        for _ in range(rng.choice([0, 1, 1, 5, 40])):
            book.change()
        for message in topic.refresh(now_ms):
            client.apply(message)
        assert client.sides == _shown(book, depth)


def test_level_one_sends_snapshots_and_repeats_the_same_update_when_quiet():
    book = FakeBook(random.Random(1))
    for _ in range(50):
        book.change()
    topic = BookTopic(book, TEXTS, depth=1)
    first = json.loads(topic.refresh(10)[0])
    assert first["type"] == "snapshot"
    assert topic.refresh(3009) == []
    again = json.loads(topic.refresh(3010)[0])
    assert again["data"] == first["data"]


def test_change_outside_the_window_pushes_nothing():
    book = FakeBook(random.Random(1))
    book.sides[Side.BUY] = {1000 - n: 5 for n in range(60)}
    topic = BookTopic(book, TEXTS, depth=50)
    topic.refresh(0)
    book.sides[Side.BUY][945] = 7
    book.sequence += 1
    assert topic.refresh(20) == []


def test_texts_keep_the_decimals_of_the_grid():
    assert [TEXTS.price(t) for t in (0, 1, 10, 650_001)] == ["0.0", "0.1", "1.0", "65000.1"]
    assert [TEXTS.qty(n) for n in (1, 1000, 1234)] == ["0.001", "1.000", "1.234"]
    assert [TEXTS.amount(n) for n in (0, 5)] == ["0", "0.005"]


def test_rest_row_shows_the_state_of_the_stream():
    book = FakeBook(random.Random(3))
    for _ in range(100):
        book.change()
    topic = BookTopic(book, TEXTS, depth=1000)
    topic.refresh(5)
    snapshot = json.loads(topic.snapshot(6)[0])["data"]
    row = topic.rest_row(3, 7)
    assert row["u"] == snapshot["u"]
    assert row["b"] == snapshot["b"][:3]
