import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.matching.book import MatchingBook


@pytest.fixture
def book():
    book = MatchingBook()
    book.add(1, 0, side=Side.BUY, price_ticks=99, lots=5)
    book.add(2, 7, side=Side.BUY, price_ticks=100, lots=3)
    book.add(3, 0, side=Side.BUY, price_ticks=100, lots=4)
    book.add(4, 0, side=Side.SELL, price_ticks=102, lots=6)
    book.add(5, 0, side=Side.SELL, price_ticks=105, lots=1)
    return book


def ids(book, side):
    return [order.order_id for order in book.priority(side)]


def test_empty_book_has_no_prices():
    book = MatchingBook()
    assert book.best_bid() is None
    assert book.best_ask() is None
    assert book.first(Side.BUY) is None
    assert book.top(Side.SELL, 5) == []
    assert not book.crosses(Side.BUY, 10**9)
    assert not book.crosses(Side.SELL, 1)


def test_levels_are_listed_best_first_with_their_total(book):
    assert (book.best_bid(), book.best_ask()) == (100, 102)
    assert book.top(Side.BUY, 10) == [(100, 7), (99, 5)]
    assert book.top(Side.BUY, 1) == [(100, 7)]
    assert book.top(Side.SELL, 2) == list(book.levels(Side.SELL)) == [(102, 6), (105, 1)]
    assert book.top(Side.SELL, 0) == []
    assert (book.depth_levels(Side.BUY), len(book)) == (2, 5)


def test_price_goes_before_time(book):
    assert ids(book, Side.BUY) == [2, 3, 1]
    assert book.first(Side.BUY).order_id == 2
    assert book.first_at(Side.BUY, 99).order_id == 1
    assert book.first_at(Side.BUY, 98) is None


@pytest.mark.parametrize(
    ("side", "price_ticks", "crosses"),
    [
        (Side.BUY, 101, False),
        (Side.BUY, 102, True),
        (Side.SELL, 101, False),
        (Side.SELL, 100, True),
    ],
)
def test_touching_the_other_side_crosses(book, side, price_ticks, crosses):
    assert book.crosses(side, price_ticks) is crosses


def test_removed_order_leaves_queue_and_level(book):
    assert book.remove(3).lots == 0
    assert ids(book, Side.BUY) == [2, 1]
    assert book.remove(2) is not None
    assert book.best_bid() == 99
    assert book.remove(2) is None
    assert book.get(2) is None


def test_order_in_the_middle_of_a_queue_can_leave(book):
    book.add(6, 0, side=Side.BUY, price_ticks=100, lots=1)
    book.remove(3)
    assert ids(book, Side.BUY) == [2, 6, 1]
    assert book.top(Side.BUY, 1) == [(100, 4)]


def test_level_between_others_disappears_with_its_last_order(book):
    book.add(6, 0, side=Side.SELL, price_ticks=110, lots=1)
    book.remove(5)
    assert book.top(Side.SELL, 9) == [(102, 6), (110, 1)]


@pytest.mark.parametrize("lots", [1, 50])
def test_resized_order_keeps_its_place(book, lots):
    assert book.resize(2, lots)
    assert ids(book, Side.BUY) == [2, 3, 1]
    assert book.top(Side.BUY, 1) == [(100, lots + 4)]


def test_resizing_to_nothing_removes(book):
    assert book.resize(4, 0)
    assert book.best_ask() == 105
    assert not book.resize(4, 3)


def test_sequence_grows_with_changes_only(book):
    before = book.sequence
    book.resize(2, 3)
    book.remove(99)
    assert book.sequence == before
    book.resize(2, 2)
    book.remove(3)
    book.add(9, 0, side=Side.BUY, price_ticks=90, lots=1)
    assert book.sequence == before + 3


def test_taking_part_of_an_order_keeps_the_rest_in_front(book):
    order = book.first(Side.BUY)
    book.take(order, 2)
    assert (book.first(Side.BUY), order.lots, book.top(Side.BUY, 1)) == (order, 1, [(100, 5)])
    book.take(order, 1)
    assert book.first(Side.BUY).order_id == 3


def test_stamps_follow_arrival(book):
    book.remove(2)
    again = book.add(2, 7, side=Side.BUY, price_ticks=100, lots=3)
    assert again.stamp > book.get(3).stamp
    assert ids(book, Side.BUY) == [3, 2, 1]
