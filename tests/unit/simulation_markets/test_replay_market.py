import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.conditions import StopChange, StopKind, TriggerBy
from trading_system.simulation.records import OrderRequest, OrderState
from trading_system.simulation.venue import SimulatedVenue, build_replay_venue, default_accounts

NS = 1_723_161_255_000_000_000
MS = 1_000_000
START = 1_700_000_000_000

Levels = list[tuple[str, str]]


class Script:
    """Writes a small USD-M recording, one message per call."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last_id = 100
        self._put(
            0, {"e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 50, "pu": 0, "b": [], "a": []}
        )
        bids = [["100.0", "1.000"], ["99.9", "2.000"], ["99.8", "9.000"]]
        asks = [["100.1", "1.000"], ["100.2", "2.000"], ["100.3", "9.000"]]
        body = {"lastUpdateId": 100, "bids": bids, "asks": asks}
        self.lines.append(f"{NS} {json.dumps(body, separators=(',', ':'))}")
        self.depth(0)

    def _put(self, at_ms: int, data: dict[str, object]) -> None:
        body = json.dumps({"stream": "s", "data": data}, separators=(",", ":"))
        self.lines.append(f"{NS + at_ms * MS} {body}")

    def depth(self, at_ms: int, *, b: Levels | None = None, a: Levels | None = None) -> None:
        data = {"e": "depthUpdate", "s": "BTCUSDT", "U": self.last_id, "u": self.last_id + 1}
        self._put(at_ms, {**data, "pu": self.last_id, "b": b or [], "a": a or []})
        self.last_id += 1

    def trade(self, at_ms: int, price: str, quantity: str, *, sold: bool) -> None:
        data = {"e": "trade", "s": "BTCUSDT", "p": price, "q": quantity, "X": "MARKET"}
        self._put(at_ms, {**data, "m": sold})

    def mark(self, at_ms: int, price: str, index: str, rate: str) -> None:
        self._put(
            at_ms, {"e": "markPriceUpdate", "s": "BTCUSDT", "p": price, "i": index, "r": rate}
        )

    def venue(
        self,
        folder: Path,
        *,
        speed: float = 1.0,
        fill_model: Literal["queue", "trade-through"] = "queue",
    ) -> SimulatedVenue:
        path = folder / "recording.gz"
        path.write_bytes(gzip.compress("\n".join(self.lines).encode()))
        venue = build_replay_venue(
            recordings=[path],
            accounts=default_accounts(seed=1),
            seed=1,
            speed=speed,
            fill_model=fill_model,
        )
        venue.prepare(START)
        return venue


def rest(venue: SimulatedVenue, side: Side, price: str, quantity: str = "0.1") -> str:
    request = OrderRequest(
        symbol="BTCUSDT",
        side=side,
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(price),
        time_in_force=TimeInForce.POST_ONLY,
    )
    return venue.exchange.place(1, request, now_ms=START).order_id


def filled(venue: SimulatedVenue, order_id: str) -> int:
    order = venue.exchange.find_order(1, order_id=order_id)
    assert order is not None
    return order.cum_lots


def bids(venue: SimulatedVenue) -> list[tuple[int, int]]:
    return venue.exchange.book("BTCUSDT").top(Side.BUY, 10)


def test_the_first_book_is_the_snapshot(tmp_path: Path) -> None:
    venue = Script().venue(tmp_path)
    assert bids(venue) == [(1000, 1000), (999, 2000), (998, 9000)]
    assert venue.exchange.mark_price("BTCUSDT") == Decimal("100.05")


def test_messages_play_when_they_are_due_at_the_speed_given(tmp_path: Path) -> None:
    script = Script()
    script.depth(1_000, b=[("100.0", "7.000")])
    venue = script.venue(tmp_path, speed=2.0)
    venue.advance(START + 499)
    assert bids(venue)[0] == (1000, 1000)
    venue.advance(START + 500)
    assert bids(venue)[0] == (1000, 7000)
    assert venue.market.is_finished


def test_an_order_fills_only_after_those_before_it(tmp_path: Path) -> None:
    script = Script()
    script.trade(10, "100.0", "0.900", sold=True)
    script.trade(20, "100.0", "0.150", sold=True)
    venue = script.venue(tmp_path)
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 10)
    assert filled(venue, order_id) == 0
    venue.advance(START + 20)
    assert filled(venue, order_id) == 50


def test_what_joins_later_stands_behind(tmp_path: Path) -> None:
    script = Script()
    script.depth(10, b=[("100.0", "5.000")])
    script.trade(20, "100.0", "1.100", sold=True)
    venue = script.venue(tmp_path)
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 20)
    assert filled(venue, order_id) == 100


def test_cancellations_ahead_and_behind_are_proportional(tmp_path: Path) -> None:
    script = Script()
    script.depth(10, b=[("100.0", "4.000")])  # 1 ahead, 3 behind
    script.depth(20, b=[("100.0", "2.000")])  # 0.5 ahead, 1.5 behind
    script.trade(30, "100.0", "0.500", sold=True)
    script.trade(40, "100.0", "0.001", sold=True)
    venue = script.venue(tmp_path)
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 30)
    assert filled(venue, order_id) == 0
    venue.advance(START + 40)
    assert filled(venue, order_id) == 1


def test_the_level_shows_the_recording_plus_the_own_order(tmp_path: Path) -> None:
    script = Script()
    script.trade(10, "100.0", "0.400", sold=True)
    script.depth(20, b=[("100.0", "0.600")])
    script.depth(30, b=[("100.0", "0.800")])
    venue = script.venue(tmp_path)
    rest(venue, Side.BUY, "100.0")
    for at_ms, shown in ((20, 700), (30, 900)):
        venue.advance(START + at_ms)
        assert bids(venue)[0] == (1000, shown)


def test_a_trade_that_came_after_its_book_update_does_not_thin_the_book(tmp_path: Path) -> None:
    script = Script()
    script.depth(10, b=[("100.0", "0.600")])
    script.trade(11, "100.0", "0.400", sold=True)
    script.depth(20)
    venue = script.venue(tmp_path)
    venue.advance(START + 20)
    assert bids(venue)[0] == (1000, 600)


def test_pessimistic_orders_fill_only_when_traded_through(tmp_path: Path) -> None:
    script = Script()
    script.trade(10, "100.0", "9.000", sold=True)
    script.depth(20, b=[("100.0", "0.000")])
    script.trade(30, "99.9", "1.000", sold=True)
    venue = script.venue(tmp_path, fill_model="trade-through")
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 20)
    assert filled(venue, order_id) == 0
    venue.advance(START + 30)
    assert filled(venue, order_id) == 100


@pytest.mark.parametrize(("fill_model", "lots"), [("queue", 100), ("trade-through", 0)])
def test_a_quote_through_the_own_price_fills_by_queue_only(
    tmp_path: Path, fill_model: Literal["queue", "trade-through"], lots: int
) -> None:
    script = Script()
    script.depth(10, b=[("100.0", "0"), ("99.9", "0")], a=[("99.9", "2.000"), ("100.1", "0")])
    script.depth(20)
    venue = script.venue(tmp_path, fill_model=fill_model)
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 20)
    book = venue.exchange.book("BTCUSDT")
    assert filled(venue, order_id) == lots
    best_bid, best_ask = book.best_bid(), book.best_ask()
    assert best_bid is not None
    assert best_ask is not None
    assert best_bid < best_ask


def test_a_quote_that_was_in_the_way_appears_after_the_cancel(tmp_path: Path) -> None:
    script = Script()
    script.depth(10, b=[("100.0", "0"), ("99.9", "0")], a=[("99.9", "2.000")])
    script.depth(20)
    venue = script.venue(tmp_path, fill_model="trade-through")
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 10)
    venue.exchange.cancel(1, "BTCUSDT", order_id=order_id, now_ms=START + 11)
    venue.advance(START + 20)
    assert venue.exchange.book("BTCUSDT").top(Side.SELL, 1) == [(999, 2000)]


def test_what_an_account_took_stays_taken_until_the_level_is_told_again(tmp_path: Path) -> None:
    script = Script()
    script.depth(10, b=[("99.8", "8.000")])
    script.depth(20, b=[("100.0", "0.900")])
    venue = script.venue(tmp_path)
    request = OrderRequest(
        symbol="BTCUSDT", side=Side.SELL, order_type=OrderType.MARKET, quantity=Decimal(1)
    )
    venue.exchange.place(1, request, now_ms=START)
    venue.advance(START + 10)
    assert bids(venue)[0] == (999, 2000)
    venue.advance(START + 20)
    assert bids(venue)[0] == (1000, 900)


def test_the_mark_price_stream_is_used_where_there_is_one(tmp_path: Path) -> None:
    script = Script()
    script.mark(10, "100.07000000", "100.02000000", "0.00012")
    script.depth(900, b=[("100.0", "3.000")])
    venue = script.venue(tmp_path)
    venue.advance(START + 1_000)
    assert venue.exchange.mark_price("BTCUSDT") == Decimal("100.07")
    assert venue.exchange.index_price("BTCUSDT") == Decimal("100.02")
    assert venue.statistics.funding("BTCUSDT")[0] == Decimal("0.00012")


def test_klines_and_trades_hold_only_what_was_played(tmp_path: Path) -> None:
    script = Script()
    script.trade(10, "100.1", "0.250", sold=False)
    venue = script.venue(tmp_path)
    assert venue.statistics.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=9) == []
    venue.advance(START + 10)
    (candle,) = venue.statistics.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=9)
    assert (candle.close, candle.volume) == (Decimal("100.1"), Decimal("0.25"))
    assert venue.statistics.ticker("BTCUSDT").open_interest == 0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan"), 1e6])
def test_impossible_speeds_are_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ConfigurationError, match="speed"):
        Script().venue(tmp_path, speed=speed)


def test_the_description_says_what_is_played(tmp_path: Path) -> None:
    told = Script().venue(tmp_path).market.description()
    assert json.loads(json.dumps(told)) == told
    assert told["recordings"] == ["recording.gz"]
    assert told["fill_model"] == "queue"


def test_a_level_that_grows_many_times_stays_bounded_and_exact(tmp_path: Path) -> None:
    script = Script()
    for number in range(1, 31):
        script.depth(10 * number, b=[("100.0", f"{1 + number}.000")])
    script.trade(400, "100.0", "1.000", sold=True)
    script.trade(500, "100.0", "0.100", sold=True)
    venue = script.venue(tmp_path)
    order_id = rest(venue, Side.BUY, "100.0")
    venue.advance(START + 300)
    assert bids(venue)[0] == (1000, 31_100)
    venue.advance(START + 400)
    assert filled(venue, order_id) == 0
    venue.advance(START + 500)
    assert filled(venue, order_id) == 100


def test_the_call_pattern_changes_nothing(tmp_path: Path) -> None:
    script = Script()
    for number in range(1, 40):
        script.trade(13 * number, "100.0", "0.050", sold=True)
        script.depth(13 * number + 5, b=[("100.0", f"{number % 7 + 1}.000")])
    ends = []
    for step_ms in (1, 600):
        venue = script.venue(tmp_path)
        order_id = rest(venue, Side.BUY, "100.0")
        for at_ms in range(step_ms, 601, step_ms):
            venue.advance(START + at_ms)
        trades = list(venue.exchange.public_trades("BTCUSDT"))
        ends.append((bids(venue), trades, filled(venue, order_id)))
    assert ends[0] == ends[1]
    assert ends[0][2] > 0


def guarded_long(venue: SimulatedVenue, stop: str, by: TriggerBy) -> None:
    request = OrderRequest(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.1"),
    )
    venue.exchange.place(1, request, now_ms=START)
    change = StopChange(kind=StopKind.STOP_LOSS, price=Decimal(stop), by=by)
    venue.exchange.set_stops(1, "BTCUSDT", [change], now_ms=START)


@pytest.mark.parametrize("by", [TriggerBy.LAST, TriggerBy.MARK])
def test_a_stop_fires_on_the_recorded_price_it_watches(tmp_path: Path, by: TriggerBy) -> None:
    script = Script()
    script.trade(100, "99.9", "0.500", sold=True)
    script.mark(200, "99.6", "99.6", "0.0001")
    script.depth(300, b=[("99.9", "3.000")])
    venue = script.venue(tmp_path)
    guarded_long(venue, "99.9" if by is TriggerBy.LAST else "99.7", by)
    venue.advance(START + 150)
    assert venue.exchange.position(1, "BTCUSDT").lots == (0 if by is TriggerBy.LAST else 100)
    venue.advance(START + 250)
    assert venue.exchange.position(1, "BTCUSDT").lots == 0
    assert venue.exchange.closed_orders(1)[-1].state is OrderState.FILLED
    venue.advance(START + 400)
    assert bids(venue)[1] == (999, 3000)
