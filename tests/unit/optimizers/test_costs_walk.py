import math
import random

import numpy as np
import pytest

from optimizers.costs.square_root import continued_cost, metaorder_cost
from optimizers.costs.walk import taker_cost, walk
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

BOOK = read_levels(
    "X", {"bids": [(99.9, 5), (99.8, 10)], "asks": [(100.1, 2), (100.2, 3), (100.5, 10)]}
)


def one_level(size: float = 1.0) -> BookLevels:
    return read_levels("X", {"bids": [(99.0, size)], "asks": [(101.0, size)]})


def test_the_walk_gives_the_published_figures() -> None:
    found = walk(BOOK, Side.BUY, quantity=6.0)
    assert found.average_price == pytest.approx((200.2 + 300.6 + 100.5) / 6.0, abs=1e-12)
    assert found.slippage_bps == pytest.approx(21.666666666667, abs=1e-9)
    assert (found.filled, found.unfilled) == (6.0, 0.0)


def test_what_the_book_does_not_hold_stays_unfilled() -> None:
    found = walk(BOOK, Side.SELL, quantity=20.0)
    assert (found.filled, found.unfilled) == (15.0, 5.0)
    assert found.average_price == pytest.approx((99.9 * 5 + 99.8 * 10) / 15, abs=1e-12)


@pytest.mark.parametrize(
    ("side", "limit", "filled"),
    [
        (Side.BUY, 100.2, 5.0),
        (Side.BUY, 100.15, 2.0),
        (Side.BUY, 100.0, 0.0),
        (Side.SELL, 99.8, 6.0),
        (Side.SELL, 99.85, 5.0),
        (Side.SELL, 100.0, 0.0),
    ],
)
def test_a_limit_price_ends_the_walk(side, limit, filled) -> None:
    found = walk(BOOK, side, quantity=6.0, limit_price=limit)
    assert (found.filled, found.unfilled) == (filled, 6.0 - filled)
    assert (found.average_price is None) is (found.slippage_bps is None) is (filled == 0.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_hostile_numbers_are_refused(bad) -> None:
    with pytest.raises(ValidationError):
        walk(BOOK, Side.BUY, quantity=bad)
    with pytest.raises(ValidationError):
        walk(BOOK, Side.BUY, quantity=1.0, limit_price=bad)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("levels", [BOOK, one_level()])
def test_the_square_root_law_joins_the_walk_without_a_step(levels, side) -> None:
    shown = levels.consumed_by(side).quantities[-1]
    inside, at = (taker_cost(levels, side, quantity=shown * part) for part in (1 - 1e-9, 1.0))
    beyond = taker_cost(levels, side, quantity=shown * (1 + 1e-9))
    assert inside.total_bps == pytest.approx(at.total_bps, abs=1e-6)
    assert beyond.total_bps == pytest.approx(at.total_bps, abs=1e-6)
    assert (at.is_extrapolated, beyond.is_extrapolated) == (False, True)
    assert taker_cost(levels, side, quantity=shown * 4).beyond_bps > 0.0


def test_beyond_the_book_the_next_unit_is_not_cheaper_than_the_deepest_level() -> None:
    side, step = BOOK.asks, 1e-4
    shown = side.quantities[-1]
    costs = [continued_cost(side, BOOK.mid, shown + i * step) for i in range(2)]
    marginal = (costs[1] * (shown + step) - costs[0] * shown) / step
    assert marginal >= (100.5 - 100.0) / 100.0 * 10_000.0 - 1e-3


@pytest.mark.parametrize("quantity", [1e9, 1e308])
def test_an_order_that_no_book_of_this_size_can_price_is_refused(quantity) -> None:
    with pytest.raises(ValidationError, match="displays"):
        taker_cost(BOOK, Side.SELL, quantity=quantity)


def test_the_law_gives_the_published_figure_and_its_exponent() -> None:
    peak = metaorder_cost(0.01, volatility=0.03, volume=1.0)
    assert peak.peak_bps == pytest.approx(30.0, abs=1e-9)
    assert peak.mean_bps == pytest.approx(20.0, abs=1e-9)
    double = metaorder_cost(0.02, volatility=0.03, volume=1.0)
    assert math.log2(double.peak_bps / peak.peak_bps) == pytest.approx(0.5, abs=1e-12)


def test_the_law_is_recovered_from_noisy_orders() -> None:
    source = np.random.default_rng(7)
    shares = 10.0 ** source.uniform(-5, -1, 20_000)
    peaks = [metaorder_cost(q, volatility=0.03, volume=1.0).peak_bps for q in shares]
    noisy = np.log(np.array(peaks) / 300.0) + source.normal(0, 0.3, len(peaks))
    exponent, constant = np.polyfit(np.log(shares), noisy, 1)
    assert exponent == pytest.approx(0.5, abs=0.005)
    assert math.exp(constant) == pytest.approx(1.0, abs=0.03)


def test_an_order_outside_the_evidence_is_flagged() -> None:
    assert not metaorder_cost(10.0, volatility=0.03, volume=100.0).is_extrapolated
    assert metaorder_cost(11.0, volatility=0.03, volume=100.0).is_extrapolated


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["quantity", "volatility", "volume", "y"])
def test_the_law_refuses_hostile_numbers(name, bad) -> None:
    good = {"quantity": 1.0, "volatility": 0.03, "volume": 100.0, "y": 1.0, name: bad}
    with pytest.raises(ValidationError):
        metaorder_cost(good.pop("quantity"), **good)


def test_beyond_the_book_the_steepest_of_three_slopes_goes_on() -> None:
    # Mean 18.18 bps, best 10, deepest 100: the candidates are 8.18, 10 and 163.6.
    side = read_levels("X", {"bids": [(99.9, 1)], "asks": [(100.1, 10), (101, 1)]}).asks
    last = (1001.0 + 101.0) / 11.0 * 100.0 - 10_000.0
    assert continued_cost(side, 100.0, 44.0) == pytest.approx(last + 2 * (100.0 - last), rel=1e-9)
    even = read_levels("X", {"bids": [(99.9, 1)], "asks": [(100.1, 10)]}).asks
    assert continued_cost(even, 100.0, 40.0) == pytest.approx(10.0 + 10.0, rel=1e-9)


def test_the_split_sums_to_the_whole_and_half_the_spread_is_in_it() -> None:
    source = random.Random(3)
    for _ in range(50):
        cost = taker_cost(BOOK, source.choice(list(Side)), quantity=source.uniform(0.1, 60))
        assert cost.total_bps == cost.shown_bps + cost.beyond_bps
        assert cost.shown_bps >= cost.half_spread_bps == pytest.approx(10.0)
