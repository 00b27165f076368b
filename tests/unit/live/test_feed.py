import json
from collections.abc import Callable

import pytest
from engine_rig import BTC

from trading_system.domain.errors import CorruptDataError, SequenceGapError
from trading_system.domain.orders import Side
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.live.feed import MarketFeed
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import MarketView
from trading_system.runtime.clock import ManualClock

TOPIC = "orderbook.50.BTCUSDT"


class SilentPanel:
    """Agents that only count what they are shown."""

    def __init__(self) -> None:
        self.seen: list[MarketFeatures] = []
        self.resets = 0

    def decide(self, features: MarketFeatures) -> Consensus | None:
        self.seen.append(features)
        return None

    def reset(self) -> None:
        self.resets += 1


class Batch:
    """A feed whose loop is a list of callbacks that the test runs."""

    def __init__(self, *, has_context: bool = False) -> None:
        self.clock = ManualClock()
        self.scheduled: list[Callable[[], None]] = []
        self.decided: list[MarketFeatures] = []
        self.latency = StageLatency()
        self.panel = SilentPanel()
        self.feed = MarketFeed(
            {"BTCUSDT": BTC},
            clock=self.clock,
            latency=self.latency,
            decide=self.note,
            call_soon=self.scheduled.append,
            panel_of=lambda _symbol: self.panel,
            has_context=has_context,
        )

    def prove_steps(self) -> None:
        """Let the decision book see fifty steps of one, up to update 60."""
        self.push(book())
        for u in range(11, 61):
            self.push(book("delta", u=u))
        self.run()
        self.decided.clear()

    def note(self, features: MarketFeatures, consensus: Consensus | None) -> None:
        self.decided.append(features)

    def push(self, frame: bytes) -> None:
        self.feed.on_frame(frame, self.clock.monotonic_ns())

    def run(self) -> None:
        pending, self.scheduled[:] = list(self.scheduled), []
        for callback in pending:
            callback()


def book(
    kind: str = "snapshot",
    *,
    u: int = 10,
    depth: int = 50,
    bid: str = "50000.0",
    size: str = "2",
    ask_size: str = "1",
    gone: str | None = None,
) -> bytes:
    bids = [[bid, size]] if gone is None else [[gone, "0"], [bid, size]]
    data = {"s": "BTCUSDT", "b": bids, "a": [["50000.1", ask_size]], "u": u, "seq": u}
    frame = {
        "topic": f"orderbook.{depth}.BTCUSDT",
        "type": kind,
        "ts": 1_700_000_000_000,
        "data": data,
        "cts": 1_700_000_000_000,
    }
    return json.dumps(frame).encode()


def trade(side: str = "Buy") -> bytes:
    row = {"T": 1, "s": "BTCUSDT", "S": side, "v": "0.5", "p": "50000", "i": "x", "seq": 1}
    frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [row]}
    return json.dumps(frame).encode()


def test_one_batch_of_frames_makes_one_decision() -> None:
    batch = Batch()
    batch.push(book())
    batch.push(book("delta", u=11, size="3"))
    batch.push(trade())
    assert batch.decided == []
    batch.run()
    assert len(batch.decided) == 1
    assert batch.decided[0].mid == pytest.approx(50_000.05)
    assert batch.decided[0].trade_flow == 1.0


def test_order_flow_follows_the_documented_event_sign() -> None:
    batch = Batch()
    batch.push(book())
    batch.push(book("delta", u=11, size="5"))
    batch.run()
    assert batch.decided[0].order_flow == 1.0


def test_a_gap_raises_counts_and_stops_decisions() -> None:
    batch = Batch()
    batch.prove_steps()
    with pytest.raises(SequenceGapError):
        batch.push(book("delta", u=65))
    batch.run()
    assert batch.decided == []
    assert batch.feed.gaps() == 1
    assert batch.feed.market_view("BTCUSDT").mid is None


def test_a_jump_of_an_unproven_stream_makes_the_book_suspect_at_once() -> None:
    batch = Batch()
    batch.push(book())
    batch.push(book("delta", u=15))
    batch.run()
    assert (batch.decided, batch.panel.resets) == ([], 1)
    assert batch.feed.market_view("BTCUSDT") == MarketView(mid=None, age_s=None)
    assert batch.feed.doubts()["suspect_books"] == batch.feed.recent_faults() == 1


def test_a_suspect_book_is_subscribed_anew_though_level_one_agrees() -> None:
    batch = Batch()
    batch.feed.connected()
    batch.push(book())
    batch.push(book("delta", u=15))
    batch.push(book(depth=1, u=99))  # says nothing of the levels below
    batch.push(book("delta", u=16))
    batch.run()
    assert batch.decided == []
    assert batch.feed.market_view("BTCUSDT").mid is None
    assert batch.feed.overdue() == {TOPIC: "its update id jumped"}
    assert batch.feed.overdue() == {}
    batch.feed.reset_topic(TOPIC)
    batch.push(book(u=40))
    assert batch.feed.fresh_books(1.0) == 1
    batch.clock.advance(4.0)
    assert batch.feed.overdue() == {}


def test_a_book_that_differs_from_level_one_for_long_is_emptied_and_renewed() -> None:
    batch = Batch()
    batch.feed.connected()
    batch.push(book())
    for _ in range(4):
        batch.push(book(depth=1, u=99, bid="49990.0"))
        batch.clock.advance(0.5)
    assert batch.feed.best_prices("BTCUSDT").bid is None
    assert (batch.feed.doubts()["refuted_books"], batch.feed.gaps()) == (1, 1)
    assert batch.feed.overdue() == {TOPIC: "level 1 showed other prices"}


def test_a_book_that_lags_a_moment_behind_level_one_again_and_again_is_right() -> None:
    batch = Batch()
    batch.push(book())
    for u in range(11, 211):  # two seconds of a market that moves every 10 ms
        tick = 50_000 - (u - 10) * 0.1
        batch.push(book(depth=1, u=u, bid=f"{tick:.1f}"))
        batch.clock.advance(0.001)
        batch.push(book("delta", u=u, gone=f"{tick + 0.1:.1f}", bid=f"{tick:.1f}"))
        batch.clock.advance(0.009)
    assert batch.feed.doubts()["refuted_books"] == 0
    assert batch.feed.fresh_books(1.0) == 1


def test_a_moment_of_difference_from_level_one_is_no_refutation() -> None:
    batch = Batch()
    batch.push(book())
    for _ in range(4):
        batch.push(book(depth=1, u=99, bid="49990.0"))
        batch.clock.advance(1.0)
        batch.push(book(depth=1, u=99))
    assert batch.feed.doubts()["refuted_books"] == 0


def test_topics_that_owe_a_message_are_named_once_in_five_seconds() -> None:
    batch = Batch(has_context=True)
    batch.clock.advance(60.0)
    assert batch.feed.overdue() == {}
    batch.feed.connected()
    batch.push(book())
    batch.push(book(depth=1, u=9))
    batch.clock.advance(5.0)
    assert batch.feed.overdue() == {
        "orderbook.1.BTCUSDT": "level 1 fell silent",
        "orderbook.200.BTCUSDT": "no snapshot came",
    }
    assert batch.feed.doubts()["silent_topics"] == 1
    batch.clock.advance(1.0)
    assert batch.feed.overdue() == {}
    assert batch.feed.is_mute()
    batch.push(book("delta", u=11))
    assert not batch.feed.is_mute()


def test_a_stream_that_is_down_owes_nothing() -> None:
    batch = Batch()
    batch.feed.connected()
    batch.clock.advance(9.0)
    assert batch.feed.is_mute()
    batch.feed.reset()
    assert not batch.feed.is_mute()
    assert batch.feed.overdue() == {}


def test_a_book_is_stale_when_the_rhythm_of_level_one_breaks() -> None:
    batch = Batch()
    batch.push(book())
    for _ in range(1_100):
        batch.push(book(depth=1, u=99))
        batch.clock.advance(0.02)
    assert batch.feed.fresh_books(3.5) == 1
    batch.clock.advance(1.6)
    view = batch.feed.market_view("BTCUSDT")
    assert view.mid is not None
    assert view.age_s is None
    assert batch.feed.fresh_books(3.5) == 0


def test_where_level_one_fell_silent_it_is_its_age_that_counts() -> None:
    batch = Batch()
    batch.push(book())
    batch.push(book(depth=1, u=9))
    batch.clock.advance(3.6)
    batch.push(book("delta", u=11))
    assert batch.feed.market_view("BTCUSDT").age_s == pytest.approx(3.6)


def test_the_deeper_book_answers_for_what_the_decision_book_cannot_fill() -> None:
    batch = Batch(has_context=True)
    state = batch.feed.symbols["BTCUSDT"]
    assert "orderbook.200.BTCUSDT" in batch.feed.topics()
    assert state.walk(Side.BUY, 1.0) is None
    batch.push(book())
    shallow = state.walk(Side.BUY, 5.0)
    assert shallow is not None
    assert (shallow.unfilled_qty, state.deepest(200).depth) == (4.0, 50)
    batch.push(book(depth=200, ask_size="5"))
    deep = state.walk(Side.BUY, 5.0)
    assert deep is not None
    assert (deep.unfilled_qty, state.deepest(200).depth, state.deepest(50).depth) == (0.0, 200, 50)
    batch.run()
    assert len(batch.decided) == 1
    batch.feed.reset_topic("orderbook.200.BTCUSDT")
    assert state.deepest(200).depth == 50


@pytest.mark.parametrize(
    "frame",
    [
        b"not json",
        b'{"topic":"orderbook.50.DOGEUSDT","type":"snapshot"}',
        b'{"topic":"liquidation.BTCUSDT"}',
        b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{}]}',
    ],
)
def test_a_frame_that_cannot_be_trusted_is_refused_and_counted(frame: bytes) -> None:
    batch = Batch()
    with pytest.raises(CorruptDataError):
        batch.push(frame)
    assert batch.feed.rejected_frames == 1


def test_the_age_of_the_market_is_that_of_its_newest_book_message() -> None:
    batch = Batch()
    batch.push(book())
    batch.clock.advance(3.0)
    assert batch.feed.market_view("BTCUSDT").age_s == pytest.approx(3.0)
    batch.push(book(depth=1, u=99))
    view = batch.feed.market_view("BTCUSDT")
    assert view.age_s == pytest.approx(0.0)
    assert batch.feed.fresh_books(1.0) == 1
    batch.clock.advance(3.6)
    assert batch.feed.fresh_books(3.5) == 0


def test_a_reset_forgets_the_book_until_the_next_snapshot() -> None:
    batch = Batch()
    batch.push(book())
    batch.feed.reset()
    assert batch.feed.best_prices("BTCUSDT").bid is None
    batch.push(book("delta", u=11))
    assert batch.feed.best_prices("BTCUSDT").bid is None
    batch.push(book(u=40))
    assert batch.feed.best_prices("BTCUSDT").bid is not None


def test_an_unknown_symbol_has_no_market() -> None:
    assert Batch().feed.market_view("DOGEUSDT").mid is None


def test_frames_are_counted_over_full_seconds() -> None:
    batch = Batch()
    assert batch.feed.frames_per_second() is None
    for _ in range(3):
        for _ in range(4):
            batch.push(trade())
        batch.clock.advance(1.0)
    assert batch.feed.frames_per_second() == 4.0


def test_stages_are_measured() -> None:
    batch = Batch()
    batch.push(book())
    batch.run()
    assert batch.latency.percentiles("book").samples == 1
    assert batch.latency.percentiles("receive").samples == 1
    assert batch.latency.percentiles("signal").samples == 1


def test_a_silent_stream_has_no_old_rate() -> None:
    batch = Batch()
    for _ in range(2):
        batch.push(trade())
        batch.clock.advance(1.0)
    assert batch.feed.frames_per_second() == 1.0
    batch.clock.advance(2.0)
    assert batch.feed.frames_per_second() == 0.5
    batch.clock.advance(60.0)
    assert batch.feed.frames_per_second() == 0.0


def test_the_receive_stage_is_measured_on_the_venues_clock() -> None:
    batch = Batch()
    batch.feed.offset_ns = 7_000_000_000
    behind_ns = batch.clock.utc_ns() - 7_000_000_000
    batch.clock.set_utc_ns(behind_ns)
    batch.push(book())
    assert batch.latency.percentiles("receive").p50_us == 0.0


def test_level_one_vouches_only_for_a_book_that_shows_the_same_prices() -> None:
    batch = Batch()
    batch.push(book())
    batch.clock.advance(3.0)
    batch.push(book(depth=1, u=99, bid="49990.0"))
    assert batch.feed.market_view("BTCUSDT").age_s == pytest.approx(3.0)


def test_a_decision_that_fails_stops_the_stream_instead_of_being_logged() -> None:
    batch = Batch()

    def fail(_features: MarketFeatures, _consensus: Consensus | None) -> None:
        raise ZeroDivisionError

    feed = MarketFeed(
        {"BTCUSDT": BTC},
        clock=batch.clock,
        latency=batch.latency,
        decide=fail,
        panel_of=lambda _symbol: batch.panel,
        call_soon=batch.scheduled.append,
    )
    feed.on_frame(book(), 0)
    batch.run()
    with pytest.raises(ZeroDivisionError):
        feed.on_frame(trade(), 0)


@pytest.mark.parametrize(
    ("topic", "decides", "is_fresh"),
    [
        ("orderbook.50.BTCUSDT", False, 0),
        ("orderbook.1.BTCUSDT", True, 1),
        ("tickers.BTCUSDT", True, 1),
        ("orderbook.50.FOOUSDT", True, 1),
    ],
)
def test_only_the_book_that_lost_its_place_is_forgotten(
    topic: str, decides: bool, is_fresh: int
) -> None:
    batch = Batch()
    batch.push(book())
    batch.push(book(depth=1, u=99))
    batch.feed.reset_topic(topic)
    assert batch.feed.fresh_books(1.0) == is_fresh
    assert (batch.panel.resets == 0) is decides
    batch.run()
    assert (len(batch.decided) == 1) is decides
