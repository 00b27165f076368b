"""Bybit's frames become books in base currency; level 1 vouches, a gap empties."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from trading_system.cost_simulator.bybit import BybitBookFeed
from trading_system.cost_simulator.feeds import Listeners, Tick
from trading_system.domain.errors import CorruptDataError, SequenceGapError
from trading_system.domain.instruments import Instrument
from trading_system.runtime.clock import ManualClock

S = 1_000_000_000
RULES = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.1"),
    max_price=Decimal(1_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(100),
    max_market_qty=Decimal(100),
)


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ticks: list[Tick] = []
        self.lost: list[str] = []
        self.feed = BybitBookFeed(
            "ws://127.0.0.1:1/v5/public/linear",
            {"BTCUSDT": RULES},
            clock=self.clock,
            jitter=random.Random(1),
        )

    def listen(self) -> None:
        self.feed.listen(Listeners(on_tick=self.ticks.append, on_lost=self.lost.append))

    def send(self, depth: int, bids: Any, asks: Any, *, u: int, kind: str = "snapshot") -> None:
        data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": u}
        frame = {"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": 5, "data": data}
        frame["cts"] = 4
        self.feed.on_frame(json.dumps(frame).encode(), self.clock.monotonic_ns())


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.listen()
    rig.send(200, [["99.9", "2"]], [["100.1", "3"]], u=7)
    return rig


def test_prices_and_sizes_are_those_of_the_exchange(rig: Rig) -> None:
    view = rig.feed.view("BTCUSDT")
    assert view is not None
    assert (list(view.bids), list(view.asks)) == ([(99.9, 2.0)], [(100.1, 3.0)])
    assert (view.sequence, view.ts_exchange_ns) == (7, 4_000_000)
    assert rig.ticks[0].mid == 100.0
    assert (rig.feed.exchange, rig.feed.products) == ("bybit", {"BTCUSDT": "perpetual"})


def test_a_delta_is_another_version_and_the_same_book_is_not_built_twice(rig: Rig) -> None:
    before, again = rig.feed.view("BTCUSDT"), rig.feed.view("BTCUSDT")
    rig.send(200, [["99.9", "1"]], [], u=8, kind="delta")
    after = rig.feed.view("BTCUSDT")
    assert before is not None
    assert again is not None
    assert after is not None
    assert before.bids is again.bids
    assert (after.version - before.version, list(after.bids)) == (1, [(99.9, 1.0)])


def test_level_1_vouches_for_a_quiet_book_while_both_agree(rig: Rig) -> None:
    rig.clock.advance(3)
    rig.send(1, [["99.9", "2"]], [["100.1", "3"]], u=9)
    view = rig.feed.view("BTCUSDT")
    assert view is not None
    assert (view.received_ns, view.confirmed_ns) == (0, 3 * S)
    rig.clock.advance(3)
    rig.send(1, [["99.8", "2"]], [["100.1", "3"]], u=10)
    view = rig.feed.view("BTCUSDT")
    assert view is not None
    assert view.confirmed_ns == 0
    assert len(rig.ticks) == 1


def test_a_gap_empties_the_book_and_tells_the_listener(rig: Rig) -> None:
    with pytest.raises(SequenceGapError):
        rig.send(200, [["99.9", "1"]], [], u=20, kind="delta")
    assert rig.feed.view("BTCUSDT") is None
    assert rig.lost == ["BTCUSDT"]
    assert rig.feed.figures()["gaps"] == 1


def test_a_one_sided_book_is_no_book(rig: Rig) -> None:
    rig.send(200, [], [["100.1", "0"]], u=8, kind="delta")
    assert rig.feed.view("BTCUSDT") is None
    assert len(rig.ticks) == 1


def test_a_foreign_topic_is_refused(rig: Rig) -> None:
    with pytest.raises(CorruptDataError, match="not subscribed"):
        rig.feed.on_frame(b'{"topic":"orderbook.50.ETHUSDT","type":"snapshot","data":{}}', 0)


def test_without_a_listener_books_are_kept_all_the_same() -> None:
    rig = Rig()
    rig.send(200, [["99.9", "2"]], [["100.1", "3"]], u=7)
    assert rig.feed.view("BTCUSDT") is not None
    with pytest.raises(SequenceGapError):
        rig.send(200, [], [], u=70, kind="delta")
    assert rig.feed.view("BTCUSDT") is None
