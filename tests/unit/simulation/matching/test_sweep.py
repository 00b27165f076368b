import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.matching.sweep import is_fillable, sweep, walk_cost
from trading_system.simulation.records import SelfMatch


class Tape:
    """Hooks that write down what they are told; every maker may trade completely."""

    def __init__(self):
        self.fills = []
        self.met = []
        self.cancelled = []

    def filled(self, maker, lots):
        self.fills.append((maker.order_id, maker.price_ticks, lots))

    def met_own(self, maker):
        self.met.append(maker.order_id)

    def prevented(self, maker):
        self.cancelled.append(maker.order_id)

    def usable(self, maker):
        return maker.lots


@pytest.fixture
def book():
    book = MatchingBook()
    book.add(1, 0, side=Side.SELL, price_ticks=101, lots=2)
    book.add(2, 7, side=Side.SELL, price_ticks=100, lots=3)
    book.add(3, 0, side=Side.SELL, price_ticks=100, lots=4)
    return book


@pytest.fixture
def tape():
    return Tape()


def test_best_price_then_oldest_order_trades_first(book, tape):
    assert sweep(book, Side.BUY, limit_ticks=101, lots=8, hooks=tape) == (0, False)
    assert tape.fills == [(2, 100, 3), (3, 100, 4), (1, 101, 1)]
    assert book.top(Side.SELL, 5) == [(101, 1)]


def test_sweep_stops_at_its_limit(book, tape):
    assert sweep(book, Side.BUY, limit_ticks=100, lots=9, hooks=tape) == (2, False)
    assert book.best_ask() == 101


def test_one_sweep_is_one_step_of_the_sequence(book, tape):
    before = book.sequence
    sweep(book, Side.BUY, limit_ticks=101, lots=8, hooks=tape)
    assert book.sequence == before + 1


@pytest.mark.parametrize(
    ("rule", "left", "blocked", "cancelled", "resting"),
    [
        (SelfMatch.NONE, 0, False, [], 2),
        (SelfMatch.CANCEL_MAKER, 1, False, [2], 0),
        (SelfMatch.CANCEL_TAKER, 7, True, [], 9),
        (SelfMatch.CANCEL_BOTH, 7, True, [2], 6),
    ],
)
def test_self_match_rules(book, tape, rule, left, blocked, cancelled, resting):
    result = sweep(book, Side.BUY, limit_ticks=101, lots=7, hooks=tape, owner=7, self_match=rule)
    assert result == (left, blocked)
    assert tape.cancelled == cancelled
    assert sum(lots for _, lots in book.levels(Side.SELL)) == resting


def test_fillable_means_completely_within_the_limit(book, tape):
    assert is_fillable(book, Side.BUY, limit_ticks=101, lots=9, room=tape)
    assert not is_fillable(book, Side.BUY, limit_ticks=101, lots=10, room=tape)
    assert not is_fillable(book, Side.BUY, limit_ticks=100, lots=8, room=tape)
    assert not is_fillable(book, Side.BUY, limit_ticks=99, lots=1, room=tape)


@pytest.mark.parametrize(
    ("rule", "lots", "fillable"),
    [
        (SelfMatch.CANCEL_MAKER, 6, True),
        (SelfMatch.CANCEL_MAKER, 7, False),
        (SelfMatch.CANCEL_TAKER, 1, False),
        (SelfMatch.CANCEL_BOTH, 1, False),
        (SelfMatch.NONE, 9, True),
    ],
)
def test_own_orders_do_not_make_an_order_fillable(book, tape, rule, lots, fillable):
    result = is_fillable(
        book, Side.BUY, limit_ticks=101, lots=lots, room=tape, owner=7, self_match=rule
    )
    assert result is fillable


def test_cost_walks_the_book_and_prices_the_rest_at_the_limit(book):
    assert walk_cost(book, Side.BUY, limit_ticks=101, lots=8) == 7 * 100 + 101
    assert walk_cost(book, Side.BUY, limit_ticks=100, lots=8) == 8 * 100
    assert walk_cost(book, Side.BUY, limit_ticks=105, lots=10) == 7 * 100 + 2 * 101 + 105
    assert walk_cost(book, Side.SELL, limit_ticks=90, lots=2) == 180
