"""Rules of the order book: snapshots, sequence, crossing, measures."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from trading_system.domain.errors import CorruptDataError, SequenceGapError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market.book import OrderBook
from trading_system.market.contiguity import Contiguity
from trading_system.market.decode import BookMessage

INSTRUMENT = Instrument(
    symbol="ABCUSDT",
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.5"),
    min_price=Decimal("0.1"),
    max_price=Decimal(1_000_000),
    min_qty=Decimal("0.5"),
    max_qty=Decimal(1_000),
    max_market_qty=Decimal(1_000),
)
SNAPSHOT = BookMessage.of(
    topic="orderbook.50.ABCUSDT",
    symbol="ABCUSDT",
    is_snapshot=True,
    update_id=100,
    sequence=1_000,
    ts_exchange_ns=5_000,
    bids=[(99.9, 5.0), (99.8, 10.0)],
    asks=[(100.1, 3.0), (100.2, 6.0)],
)


def snapshot(*, bids=SNAPSHOT.bids, asks=SNAPSHOT.asks, topic=SNAPSHOT.topic):
    return BookMessage.of(
        bids=bids,
        asks=asks,
        topic=topic,
        symbol="ABCUSDT",
        is_snapshot=True,
        update_id=100,
        sequence=1_000,
        ts_exchange_ns=5_000,
    )


def delta(update_id, *, bids=(), asks=(), **changes):
    sides = BookMessage.of(
        bids=bids,
        asks=asks,
        topic="orderbook.50.ABCUSDT",
        symbol="ABCUSDT",
        is_snapshot=False,
        update_id=update_id,
        sequence=900 + update_id,
        ts_exchange_ns=5_000,
    )
    return msgspec.structs.replace(sides, **changes)


@pytest.fixture
def book():
    book = OrderBook(INSTRUMENT, depth=50)
    assert book.apply(SNAPSHOT, 10)
    return book


def state(book):
    return (
        book.is_ready, book.update_id, book.sequence, book.ts_exchange_ns, book.received_ns,
        book.levels(Side.BUY, 50), book.levels(Side.SELL, 50), book.best_bid_ticks,
        book.best_ask_ticks,
    )  # fmt: skip


def assert_emptied(book):
    assert not book.is_ready
    assert book.levels(Side.BUY, 50) == book.levels(Side.SELL, 50) == []
    assert book.best_bid_ticks is book.best_ask_lots is book.mid is book.spread is None
    assert book.microprice() is book.imbalance(1) is book.walk(Side.BUY, 1.0) is None


def test_new_book_is_not_ready_and_knows_nothing():
    book = OrderBook(INSTRUMENT, depth=50)
    assert_emptied(book)
    assert book.update_id is book.sequence is book.age_ns(5) is book.received_ns is None


def test_snapshot_makes_the_book_ready(book):
    assert (book.is_ready, book.update_id, book.sequence) == (True, 100, 1_000)
    assert (book.ts_exchange_ns, book.received_ns, book.age_ns(25)) == (5_000, 10, 15)
    assert (book.best_bid_ticks, book.best_bid_lots) == (999, 10)
    assert (book.best_ask_ticks, book.best_ask_lots) == (1001, 6)


def test_measures_carry_units_of_the_instrument(book):
    assert (book.mid, book.spread) == (100.0, 0.2)
    assert book.imbalance(1) == book.imbalance(2) == book.imbalance(99) == 0.25
    assert book.microprice() == pytest.approx(100.025, abs=1e-9)
    assert (book.depth_lots(Side.BUY, 2), book.depth_lots(Side.SELL, 1)) == (30, 6)
    assert book.levels(Side.SELL, 1) == [(1001, 6)]
    assert book.levels(Side.SELL, -1) == []


def test_delta_inserts_overwrites_and_deletes(book):
    change = delta(101, bids=[(99.9, 0.0), (99.7, 1.0)], asks=[(100.1, 4.0), (100.0, 0.5)])
    assert book.apply(change, 11)
    assert book.levels(Side.BUY, 9) == [(998, 20), (997, 2)]
    assert book.levels(Side.SELL, 9) == [(1000, 1), (1001, 8), (1002, 12)]
    assert (book.update_id, book.received_ns) == (101, 11)


def test_deleting_an_unknown_level_changes_nothing_else(book):
    assert book.apply(delta(101, bids=[(90.0, 0.0)]), 11)
    assert book.levels(Side.BUY, 9) == [(999, 10), (998, 20)]


def test_snapshot_replaces_everything(book):
    fresh = delta(500, bids=[(50.0, 1.0)], is_snapshot=True, sequence=2_000)
    assert book.apply(fresh, 11)
    assert book.levels(Side.BUY, 9) == [(500, 2)]
    assert book.levels(Side.SELL, 9) == []
    assert book.best_ask_ticks is book.mid is book.spread is book.microprice() is None


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_first_update_id_replaces_whatever_the_type_and_the_sequence(book, is_snapshot):
    restart = delta(1, bids=[(50.0, 1.0)], is_snapshot=is_snapshot, sequence=3)
    assert book.apply(restart, 11)
    assert (book.is_ready, book.update_id, book.sequence) == (True, 1, 3)
    assert book.levels(Side.BUY, 9) == [(500, 2)]


@pytest.mark.parametrize("update_id", [102, 100, 99, 2**62])
def test_jump_of_the_update_id_empties_the_book_until_a_snapshot(book, update_id):
    with pytest.raises(SequenceGapError):
        book.apply(delta(update_id, sequence=5_000), 11)
    assert_emptied(book)
    assert (book.gaps, book.rejected) == (1, 0)
    assert book.apply(delta(update_id + 1), 12) is False
    assert (book.gaps, book.ignored) == (1, 1)
    assert book.apply(SNAPSHOT, 13)
    assert book.is_ready


@pytest.mark.parametrize("is_snapshot", [True, False])
def test_sequence_going_backwards_is_a_gap(book, is_snapshot):
    with pytest.raises(SequenceGapError, match="sequence 999"):
        book.apply(delta(101, sequence=999, is_snapshot=is_snapshot), 11)
    assert_emptied(book)


def test_sequence_may_repeat(book):
    assert book.apply(delta(101, sequence=1_000), 11)


def test_delta_before_the_first_snapshot_is_passed_over():
    book = OrderBook(INSTRUMENT, depth=50)
    assert book.apply(delta(7), 1) is False
    assert (book.ignored, book.messages, book.is_ready) == (1, 1, False)


@pytest.mark.parametrize("price", [100.1, 100.2, 120.0])
def test_crossing_or_locking_message_is_refused_and_empties_the_book(book, price):
    with pytest.raises(CorruptDataError, match="at or above"):
        book.apply(delta(101, bids=[(price, 1.0)]), 11)
    assert_emptied(book)
    assert (book.crossed, book.rejected, book.gaps) == (1, 0, 0)
    assert book.apply(SNAPSHOT, 12)


def test_crossing_is_judged_after_the_whole_message(book):
    assert book.apply(delta(101, bids=[(100.1, 1.0)], asks=[(100.1, 0.0)]), 11)
    assert (book.best_bid_ticks, book.best_ask_ticks) == (1001, 1002)


@pytest.mark.parametrize(
    "message",
    [
        delta(101, bids=[(99.95, 1.0)]),
        delta(101, bids=[(99.9, 0.7)]),
        delta(101, asks=[(100.3, -1.0)]),
        delta(101, asks=[(float("nan"), 1.0)]),
        delta(101, bids=[(99.7, 1.0), (99.7, 2.0)]),
        delta(101, bids=[(99.0 - i / 10, 1.0) for i in range(101)]),
        delta(101, bids=[(99.0,)]),
        delta(101, bids=[("x", 1.0)]),
        delta(101, topic="orderbook.200.ABCUSDT"),
        delta(101, symbol="OTHER"),
        delta(101, bids=[(99.9, 0.0)], is_snapshot=True, sequence=9_999),
        delta(1, bids=[(99.95, 1.0)]),
    ],
)
def test_impossible_message_changes_nothing(book, message):
    before = state(book)
    with pytest.raises(CorruptDataError):
        book.apply(message, 11)
    assert state(book) == before
    assert (book.rejected, book.gaps, book.crossed) == (1, 0, 0)
    assert book.apply(delta(101, bids=[(99.9, 7.0)]), 12)


def test_malformed_frame_is_counted_and_changes_nothing(book):
    before = state(book)
    with pytest.raises(CorruptDataError):
        book.apply_frame(b'{"topic":"orderbook.50.ABCUSDT"', 11)
    assert state(book) == before
    assert (book.messages, book.rejected) == (2, 1)


def test_the_newest_delta_once_more_is_passed_over(book):
    assert book.apply(delta(101, bids=[(99.9, 7.0)]), 11)
    assert not book.apply(delta(101, bids=[(99.9, 7.0)]), 12)
    assert (book.ignored, book.gaps, book.is_ready, book.received_ns) == (1, 0, True, 11)
    with pytest.raises(SequenceGapError, match="101 came after 101"):
        book.apply(delta(101, sequence=2_000), 13)


def test_level_one_takes_snapshots_whose_update_id_repeats_or_jumps():
    book = OrderBook(INSTRUMENT, depth=1)
    first = snapshot(topic="orderbook.1.ABCUSDT", bids=[(99.9, 5.0)], asks=[(100.1, 3.0)])
    for update_id, received_ns in ((100, 1), (100, 2), (250, 3)):
        assert book.apply(msgspec.structs.replace(first, update_id=update_id), received_ns)
    assert (book.update_id, book.age_ns(10)) == (250, 7)
    with pytest.raises(CorruptDataError, match="snapshots only"):
        book.apply(msgspec.structs.replace(first, update_id=251, is_snapshot=False), 4)
    assert book.is_ready
    book.reset()
    with pytest.raises(CorruptDataError, match="snapshots only"):
        book.apply(msgspec.structs.replace(first, update_id=251, is_snapshot=False), 4)


def test_reset_empties_the_book_and_any_snapshot_revives_it(book):
    book.reset()
    assert_emptied(book)
    assert book.update_id == 100
    assert book.apply(msgspec.structs.replace(SNAPSHOT, update_id=7, sequence=7), 11)


def test_book_is_cut_to_its_depth_after_each_message():
    book = OrderBook(INSTRUMENT, depth=50)
    assert book.apply(
        snapshot(bids=[(99.0 - i / 10, 1.0) for i in range(60)], asks=[]),
        1,
    )
    assert len(book.levels(Side.BUY, 99)) == 50
    assert book.apply(delta(101, bids=[(99.5, 1.0)]), 2)
    assert (book.best_bid_ticks, book.levels(Side.BUY, 99)[-1]) == (995, (942, 2))


@pytest.mark.parametrize("depth", [0, 2, 51, 10_000, -1])
def test_unknown_depth_is_refused(depth):
    with pytest.raises(ValidationError):
        OrderBook(INSTRUMENT, depth=depth)


def test_walk_reports_price_cost_and_what_is_not_displayed():
    book = OrderBook(replace(INSTRUMENT, qty_step=Decimal(1)), depth=50)
    asks = [(100.1, 2.0), (100.2, 3.0), (100.5, 10.0)]
    book.apply(snapshot(bids=[(99.9, 2.0)], asks=asks), 1)
    walk = book.walk(Side.BUY, 6.0)
    assert (walk.filled_qty, walk.unfilled_qty, walk.worst_price) == (6.0, 0.0, 100.5)
    assert walk.average_price == pytest.approx(100.216667, abs=5e-7)
    assert walk.cost_bps == pytest.approx(21.6667, abs=5e-5)
    sale = book.walk(Side.SELL, 5.5)
    assert (sale.filled_qty, sale.unfilled_qty, sale.average_price) == (2.0, 3.5, 99.9)
    assert sale.cost_bps == pytest.approx(10.0)


def test_walk_of_a_one_sided_book_has_no_mid_to_compare_with(book):
    book.apply(delta(500, asks=[(100.1, 1.0)], is_snapshot=True, sequence=2_000), 1)
    assert book.walk(Side.BUY, 1.0).cost_bps is None
    assert book.walk(Side.SELL, 1.0) is None


@pytest.mark.parametrize("qty", [0.0, -1.0, float("nan"), float("inf")])
def test_walk_of_an_impossible_quantity_is_refused(book, qty):
    with pytest.raises(ValidationError):
        book.walk(Side.BUY, qty)


def test_relative_measures_do_not_depend_on_the_price_unit(book):
    scaled = OrderBook(replace(INSTRUMENT, tick_size=Decimal("0.7")), depth=50)
    levels = {
        side: [(price * 7, size) for price, size in getattr(SNAPSHOT, side)]
        for side in ("bids", "asks")
    }
    scaled.apply(snapshot(**levels), 1)
    assert scaled.spread / scaled.mid == pytest.approx(book.spread / book.mid, rel=1e-12)
    assert scaled.imbalance(2) == book.imbalance(2)


def learning():
    contiguity = Contiguity(proof_steps=3, legal_jumps=2, strict_again_steps=10)
    book = OrderBook(INSTRUMENT, depth=50, contiguity=contiguity)
    assert book.apply(SNAPSHOT, 10)
    return book


def level_one(sequence, *, bid=(99.9, 5.0), ask=(100.1, 3.0)):
    top = OrderBook(INSTRUMENT, depth=1)
    topic = "orderbook.1.ABCUSDT"
    top.apply(delta(7, topic=topic, is_snapshot=True, sequence=sequence, bids=[bid], asks=[ask]), 1)
    return top


def test_a_jump_in_a_stream_that_always_stepped_by_one_is_a_gap():
    book = learning()
    for update_id in (101, 102, 103):
        assert book.apply(delta(update_id), 11)
    with pytest.raises(SequenceGapError):
        book.apply(delta(105), 11)
    assert_emptied(book)


def test_steps_before_a_snapshot_count_as_proof():
    book = learning()
    assert book.apply(delta(101), 11)
    assert book.apply(delta(102), 11)
    assert book.apply(msgspec.structs.replace(SNAPSHOT, update_id=300, sequence=2_000), 11)
    assert book.apply(delta(301, sequence=2_001), 11)
    with pytest.raises(SequenceGapError):
        book.apply(delta(303, sequence=2_003), 11)


def test_a_jump_in_an_unproven_stream_makes_the_book_suspect_whatever_level_one_shows():
    book = learning()
    assert book.apply(delta(105), 11)
    assert (book.is_suspect, book.is_ready, book.suspicions, book.gaps) == (True, False, 1, 0)
    assert book.walk(Side.BUY, 1.0) is None
    assert book.apply(delta(106), 12)
    assert not book.learn_from(level_one(1_005))
    assert book.agrees_with(level_one(1_005)) is None
    assert not book.learn_from(level_one(1_006, bid=(99.9, 5.5)))
    assert not book.learn_from(level_one(1_006, ask=(100.2, 3.0)))
    assert book.learn_from(level_one(1_006))
    assert not book.learn_from(level_one(1_006)), "one jump is one lesson"
    assert (book.is_suspect, book.is_ready, book.confirmed_jumps) == (True, False, 1)


def test_a_suspect_book_is_cleared_by_a_snapshot():
    book = learning()
    assert book.apply(delta(105), 11)
    assert book.apply(msgspec.structs.replace(SNAPSHOT, update_id=9, sequence=2_000), 12)
    assert (book.is_ready, book.is_suspect) == (True, False)


@pytest.mark.parametrize("update_id", [100, 99])
def test_an_update_id_that_repeats_or_falls_is_a_gap_whatever_was_learned(update_id):
    book = learning()
    with pytest.raises(SequenceGapError):
        book.apply(delta(update_id, sequence=5_000), 11)


def jumping():
    """Return a book whose stream jumped twice while level 1 found it right, at update 110."""
    book = learning()
    for update_id in (105, 110):
        assert book.apply(delta(update_id), 11)
        assert book.learn_from(level_one(900 + update_id))
        assert book.apply(
            msgspec.structs.replace(SNAPSHOT, update_id=update_id, sequence=900 + update_id), 11
        )
    return book


def test_a_long_run_of_ones_makes_a_jump_a_loss_again():
    book = jumping()
    for update_id in range(111, 121):
        assert book.apply(delta(update_id), 11)
    with pytest.raises(SequenceGapError):
        book.apply(delta(621), 11)


def test_jumps_with_a_proof_of_ones_between_never_become_legal():
    contiguity = Contiguity(proof_steps=3, legal_jumps=2)
    for _ in range(5):
        contiguity.jumped()
        contiguity.confirmed()
        contiguity.stepped(3)
        assert (contiguity.is_strict, contiguity.is_loose) == (True, False)


def test_a_stream_whose_jumps_were_confirmed_is_not_punished_until_it_is_refuted():
    book = jumping()
    for update_id in (115, 116, 117, 118, 119, 125):
        assert book.apply(delta(update_id), 11)
        assert book.is_ready
    assert isinstance(book.distrust("level 1 shows other prices"), SequenceGapError)
    assert_emptied(book)
    assert book.apply(msgspec.structs.replace(SNAPSHOT, update_id=200, sequence=2_000), 12)
    assert book.apply(delta(205, sequence=2_005), 13)
    assert book.is_suspect


def test_a_book_without_a_message_agrees_with_nothing():
    book = OrderBook(INSTRUMENT, depth=50)
    assert book.agrees_with(level_one(5)) is None
    assert isinstance(book.distrust("test"), SequenceGapError)
    learned = learning()
    assert learned.agrees_with(OrderBook(INSTRUMENT, depth=1)) is None
