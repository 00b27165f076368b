import json

import pytest
from okx_server import book_row, data, snapshot, update

from trading_system.domain.errors import CorruptDataError, SequenceGapError, ValidationError
from trading_system.domain.orders import Side
from trading_system.venues.okx.book import DEPTHS, OkxBook

NAME = "ABC-USDT-SWAP"
VECTOR = -1163817780
BIDS = (("100.5", "3"), ("100.4", "1.25"), ("100", "7"))
ASKS = (("100.6", "2"), ("101", "0.5"))


def full(**options):
    book = OkxBook(NAME)
    book.apply_frame(snapshot(10, **options), 1)
    return book


def counters(book):
    return (book.messages, book.gaps, book.crossed, book.rejected, book.ignored)


def test_a_new_book_knows_nothing():
    book = OkxBook(NAME)
    assert not book.is_ready
    assert (book.best_bid, book.best_ask, book.get_mid_price(), book.get_spread()) == (None,) * 4
    assert (book.seq_id, book.ts_exchange_ns, book.received_ns, book.version) == (None,) * 3 + (0,)
    assert book.get_depth() == {"bids": [], "asks": []}


def test_a_snapshot_fills_the_book_best_first():
    book = full(bids=(("9", "1"), ("9.5", "2"), ("8", "3")), asks=(("11", "4"), ("10", "5")))
    assert book.is_ready
    assert book.levels(Side.BUY, 2) == [(9.5, 2.0), (9.0, 1.0)]
    assert book.levels(Side.SELL, 9) == [(10.0, 5.0), (11.0, 4.0)]
    assert book.levels(Side.SELL, 0) == book.levels(Side.BUY, -1) == []
    assert (book.best_bid, book.best_ask) == ((9.5, 2.0), (10.0, 5.0))
    assert (book.get_mid_price(), book.get_spread()) == (9.75, 0.5)
    assert book.get_depth(1) == {"bids": [(9.5, 2.0)], "asks": [(10.0, 5.0)]}
    assert (book.seq_id, book.received_ns, book.version) == (10, 1, 1)
    assert book.ts_exchange_ns == 1_700_000_000_105_000_000


def test_an_update_sets_adds_and_deletes_levels():
    book = full(bids=(("9", "1"), ("8", "2")), asks=(("10", "5"),))
    changed = update(10, 13, bids=(("9", "0"), ("8.0", "4"), ("7", "1")), asks=(("12", "0"),))
    assert book.apply_frame(changed, 2)
    assert book.levels(Side.BUY, 9) == [(8.0, 4.0), (7.0, 1.0)]
    assert book.texts(Side.BUY, 1) == [("8.0", "4")]  # one level, the newest spelling
    assert book.best_ask == (10.0, 5.0)
    assert (book.seq_id, book.received_ns, book.version) == (13, 2, 2)


def test_several_elements_of_a_frame_are_applied_in_order():
    book = full()
    rows = [
        book_row((("9", "1"),), prevSeqId=10, seqId=11),
        book_row((("9", "0"),), prevSeqId=11, seqId=12),
    ]
    assert book.apply_frame(data(rows, action="update"), 2)
    assert (book.seq_id, len(book.levels(Side.BUY, 9))) == (12, 1)


def test_a_snapshot_may_be_told_by_its_previous_sequence_alone():
    book = OkxBook(NAME)
    assert book.apply_frame(data(book_row(BIDS, ASKS, prevSeqId=-1, seqId=5)), 1)
    assert book.is_ready


def test_an_update_before_the_snapshot_is_passed_over():
    book = OkxBook(NAME)
    assert not book.apply_frame(update(1, 2), 1)
    assert counters(book) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize("previous", [9, 11, -2, 0])
def test_a_gap_empties_the_book_until_the_next_snapshot(previous):
    book = full()
    with pytest.raises(SequenceGapError, match=f"prevSeqId {previous} came after seqId 10"):
        book.apply_frame(update(previous, 20), 2)
    assert (book.is_ready, book.best_bid, book.gaps, book.version) == (False, None, 1, 2)
    assert not book.apply_frame(update(20, 21), 3)
    assert book.apply_frame(snapshot(30), 4)


def test_an_update_without_a_sequence_is_a_gap():
    book = full()
    with pytest.raises(SequenceGapError, match="prevSeqId None"):
        book.apply_frame(data(book_row(BIDS), action="update"), 2)


def test_an_update_that_nothing_verifies_is_refused():
    book = OkxBook(NAME)
    book.apply_frame(data(book_row(BIDS, ASKS), action="snapshot"), 1)
    with pytest.raises(SequenceGapError, match="neither prevSeqId nor checksum"):
        book.apply_frame(data(book_row(BIDS), action="update"), 2)


def test_a_keep_alive_changes_nothing_but_the_age():
    book = full()
    assert not book.apply_frame(update(10, 10), 9)
    assert (book.keep_alives, book.version, book.received_ns, book.seq_id) == (1, 1, 9, 10)


def test_a_keep_alive_of_old_recordings_is_held_to_its_checksum():
    book = OkxBook(NAME)
    book.apply_frame(data(book_row(BIDS, ASKS, checksum=VECTOR), action="snapshot"), 1)
    assert not book.apply_frame(data(book_row(checksum=VECTOR), action="update"), 2)
    with pytest.raises(SequenceGapError, match="checksum"):
        book.apply_frame(data(book_row(checksum=VECTOR + 1), action="update"), 3)


def test_a_keep_alive_with_an_impossible_time_is_refused():
    book = full()
    row = book_row(prevSeqId=10, seqId=10, ts="")
    with pytest.raises(CorruptDataError, match="milliseconds"):
        book.apply_frame(data(row, action="update"), 2)
    assert (book.is_ready, book.received_ns) == (True, 1)


def test_a_maintenance_reset_goes_on_from_the_lower_sequence():
    book = full()
    assert book.apply_frame(update(10, 3, bids=(("9", "1"),)), 2)
    assert book.apply_frame(update(3, 4, bids=(("9", "2"),)), 3)
    assert (book.gaps, book.seq_id) == (0, 4)


def test_the_checksum_is_that_of_the_original_text():
    book = full(bids=BIDS, asks=ASKS)
    assert book.checksum() == VECTOR
    other = full(bids=(("100.50", "3"), *BIDS[1:]), asks=ASKS)
    assert other.checksum() != VECTOR


def test_the_checksum_covers_25_levels_and_goes_on_with_the_longer_side():
    bids = tuple((f"{100 - n}", "1") for n in range(30))
    book = full(bids=bids, asks=(("101", "1"),))
    same = full(bids=bids[:25], asks=(("101", "1"),))
    assert book.checksum() == same.checksum() != full(bids=bids[:24], asks=ASKS).checksum()


def test_a_checksum_is_checked_when_there_is_one():
    book = OkxBook(NAME)
    book.apply_frame(data(book_row(BIDS, ASKS, checksum=VECTOR), action="snapshot"), 1)
    assert (book.is_ready, book.checksums, book.checksum_failures) == (True, 1, 0)
    with pytest.raises(SequenceGapError, match="the checksum is -1297638031, not 5"):
        book.apply_frame(data(book_row((("99", "1"),), checksum=5), action="update"), 2)
    assert (book.is_ready, book.checksums, book.checksum_failures, book.gaps) == (False, 2, 1, 1)


def test_a_crossed_update_is_a_gap_and_a_crossed_snapshot_is_corrupt():
    book = full()
    with pytest.raises(SequenceGapError, match=r"bid 10\.02 at or above ask 10\.02"):
        book.apply_frame(update(10, 11, bids=(("10.02", "1"),)), 2)
    assert not book.is_ready
    with pytest.raises(CorruptDataError, match="at or above"):
        book.apply_frame(snapshot(12, bids=(("11", "1"),)), 3)
    assert (counters(book), book.best_bid) == ((3, 0, 2, 0, 0), None)


@pytest.mark.parametrize("channel", sorted(DEPTHS))
def test_the_book_is_bounded_to_the_depth_of_its_channel(channel):
    depth = DEPTHS[channel]
    bids = tuple((str(1000 - n), "1") for n in range(depth + 3))
    asks = tuple((str(1001 + n), "1") for n in range(depth + 3))
    book = OkxBook(NAME, channel=channel)
    book.apply_frame(snapshot(10, bids=bids, asks=asks, channel=channel), 1)
    for side, worst in ((Side.BUY, 1001 - depth), (Side.SELL, 1000 + depth)):
        assert [len(book.levels(side, 999)), book.levels(side, 999)[-1][0]] == [depth, worst]
        assert len(book.texts(side, 999)) == depth


def test_a_level_that_fell_off_the_book_can_come_back():
    book = full(bids=tuple((str(1000 - n), "1") for n in range(400)), asks=(("2000", "1"),))
    book.apply_frame(update(10, 11, bids=(("1001", "1"),)), 2)
    assert book.levels(Side.BUY, 999)[-1] == (602.0, 1.0)
    book.apply_frame(update(11, 12, bids=(("1001", "0"), ("601", "3"))), 3)
    assert book.levels(Side.BUY, 999)[-1] == (601.0, 3.0)


@pytest.mark.parametrize(
    "level",
    [
        ("nan", "1"), ("inf", "1"), ("-1", "1"), ("0", "1"), ("1_0", "1"), ("1e1", "1"),
        (" 9", "1"), ("", "1"), ("٣", "1"), ("9", "-1"), ("9", "nan"), ("9", ""), ("9", "+1"),
        ("9" * 20, "1"), ("9", "9" * 30), ("9" * 400, "1"), ("1.2.3", "1"), ("\ud83d", "1"),
    ],
)  # fmt: skip
def test_a_level_that_is_no_plain_number_is_refused_and_nothing_changes(level):
    book = full()
    with pytest.raises(CorruptDataError):
        book.apply_frame(update(10, 11, bids=(("9.5", "1"),), asks=(level,)), 2)
    assert (book.is_ready, book.rejected, book.version, book.seq_id) == (True, 1, 1, 10)
    assert book.levels(Side.BUY, 9) == [(10.0, 5.0)]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (snapshot(10, bids=(("9", "0"),)), "zero in a snapshot"),
        (snapshot(10, bids=(("9", "1"), ("9.0", "2"))), "same price twice"),
        (update(10, 11, asks=(("11", "1"), ("11", "0"))), "same price twice"),
        (snapshot(10, inst_id="OTHER"), "a frame of books OTHER"),
        (snapshot(10, channel="books5"), "a frame of books5"),
        (data(book_row(ts="soon", prevSeqId=10, seqId=11), action="update"), "milliseconds"),
        (json.dumps([1]), "malformed"),
        ("[" * 9000, "malformed"),
        (b"\xff", "malformed"),
        (b"x" * 5_000_000, "longer than"),
    ],
)
def test_impossible_frames_are_refused_whole(frame, words):
    book = full()
    with pytest.raises(CorruptDataError, match=words):
        book.apply_frame(frame, 2)
    assert (book.is_ready, book.version, book.seq_id) == (True, 1, 10)
    assert (book.messages, book.rejected) == (2, 1)


def test_an_unknown_channel_is_refused():
    with pytest.raises(ValidationError, match="not a book channel"):
        OkxBook(NAME, channel="trades")


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_flood_of_levels_is_refused_before_it_is_applied(side):
    book = full()
    flood = tuple((f"{price + 20}", "1") for price in range(901))
    with pytest.raises(CorruptDataError, match="too many levels for a book of 400"):
        book.apply_frame(update(10, 11, **{side: flood}), 2)
    assert (book.version, book.rejected, book.levels(Side.SELL, 9)) == (1, 1, [(10.02, 7.0)])


def test_all_levels_may_be_replaced_at_once():
    old = tuple((f"{price}", "1") for price in range(1000, 1400))
    new = tuple((f"{price}", "2") for price in range(1400, 1800))
    book = full(asks=old)
    gone = tuple((price, "0") for price, _ in old)
    assert book.apply_frame(update(10, 11, asks=gone + new), 2)
    assert book.levels(Side.SELL, 1) == [(1400.0, 2.0)]
