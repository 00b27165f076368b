import random

import pytest

from optimizers.microstructure.impact import (
    average_price,
    cost_beyond,
    cost_of_quantity,
    cost_of_value,
    impact_curve,
    optimal_quantity,
    quantity_within,
    value_within,
)
from optimizers.microstructure.levels import BookLevels, read_levels
from optimizers.microstructure.measures import (
    concentration,
    imbalance,
    liquidity_score,
    microprice,
    weighted_imbalance,
)


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> BookLevels:
    return read_levels("X", {"bids": bids, "asks": asks})


def random_book(seed: int, *, count: int = 50) -> BookLevels:
    source = random.Random(seed)
    return book(
        [(1000 - 0.1 * (i + 1), source.uniform(0.1, 3)) for i in range(count)],
        [(1000 + 0.1 * (i + 1), source.uniform(0.1, 3)) for i in range(count)],
    )


ORACLE = book([(99.9, 5.0), (99.8, 10.0)], [(100.1, 2.0), (100.2, 3.0), (100.5, 10.0)])


def walk(levels: list[tuple[float, float]], quantity: float) -> float:
    left, value = quantity, 0.0
    for price, size in levels:
        part = min(left, size)
        value, left = value + part * price, left - part
    return value / quantity


def test_the_walk_is_exact() -> None:
    assert average_price(ORACLE.asks, 6.0) == pytest.approx(100.216667, abs=1e-6)
    assert cost_of_quantity(ORACLE.asks, 100.0, 6.0) == pytest.approx(21.6667, abs=1e-4)
    assert cost_of_quantity(ORACLE.asks, 100.0, 1.0) == pytest.approx(10.0)
    assert cost_of_quantity(ORACLE.asks, 100.0, 15.1) is None
    assert cost_of_value(ORACLE.asks, 100.0, 1e6) is None


@pytest.mark.parametrize("seed", range(5))
def test_costs_equal_a_hand_walk_on_both_sides(seed: int) -> None:
    levels = random_book(seed)
    for side in (levels.asks, levels.bids):
        pairs = list(zip(side.prices, side.sizes, strict=True))
        for quantity in (0.05, 1.0, 7.3, 40.0):
            average = walk(pairs, quantity)
            cost = side.sign * (average - levels.mid) / levels.mid * 1e4
            assert average_price(side, quantity) == pytest.approx(average, rel=1e-12)
            assert cost_of_quantity(side, levels.mid, quantity) == pytest.approx(cost, abs=1e-8)
            assert cost_of_value(side, levels.mid, quantity * average) == pytest.approx(
                cost, abs=1e-6
            )


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_never_falls_and_says_where_it_guesses(seed: int) -> None:
    levels = random_book(seed, count=20)
    curve, guessed_from = impact_curve(levels.asks, levels.mid)
    costs = [cost for _, cost in curve]
    assert costs == sorted(costs)
    assert guessed_from == pytest.approx(levels.asks.values[-1])
    assert impact_curve(random_book(seed, count=900).asks, 1000.0)[1] is None


def test_the_guess_continues_the_curve_by_the_square_root_law() -> None:
    levels = book([(99.0, 100.0)], [(101.0, 50.0), (102.0, 50.0)])
    curve = dict(impact_curve(levels.asks, 100.0)[0])
    total, half = 50 * 101.0 + 50 * 102.0, 100.0
    walked = (total / 100 - 100) / 100 * 1e4 - half
    last, deepest = half + walked, 200.0
    weight = max(walked, half, 2 * (deepest - last))
    expected = last + weight * ((100_000 / total) ** 0.5 - 1)
    assert curve[100_000.0] == pytest.approx(expected)
    assert dict(impact_curve(levels.asks, 100.0, margin=0.1)[0])[100_000.0] > expected


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_the_guess_begins_where_the_book_ends(exponent: float, margin: float) -> None:
    for side in (ORACLE.asks, ORACLE.bids):
        shown = cost_of_quantity(side, 100.0, side.quantities[-1])
        at, after = (
            cost_beyond(side, 100.0, times=times, exponent=exponent, margin=margin)
            for times in (1.0, 1.0 + 1e-6)
        )
        assert at == pytest.approx(shown, abs=1e-9)
        deepest = side.sign * (side.prices[-1] - 100.0) * 100.0
        assert after * (1.0 + 1e-6) - at >= 1e-6 * deepest * (1.0 - 1e-3)


def test_thin_and_deep_books_and_buys_and_sells_differ() -> None:
    levels = book([(99.9, 1.0), (99.0, 2000.0)], [(100.1, 1.0), (105.0, 2000.0)])
    deep = book([(99.9, 2000.0)], [(100.1, 2000.0)])
    buy, sell = (impact_curve(side, 100.0)[0] for side in (levels.asks, levels.bids))
    assert buy[-1][1] > sell[-1][1] > impact_curve(deep.asks, 100.0)[0][-1][1]


@pytest.mark.parametrize("seed", range(8))
def test_the_optimal_quantity_is_what_bisection_finds(seed: int) -> None:
    levels = random_book(seed)
    for side in (levels.asks, levels.bids):
        for budget in (1.5, 4.0, 12.0):
            low, high = 0.0, side.quantities[-1]
            for _ in range(80):
                middle = (low + high) / 2
                cost = cost_of_quantity(side, levels.mid, middle)
                low, high = (middle, high) if cost is not None and cost <= budget else (low, middle)
            found = optimal_quantity(side, levels.mid, budget_bps=budget)
            assert found == pytest.approx(low, rel=1e-6)


def test_the_optimal_quantity_ends_at_nothing_and_at_everything_shown() -> None:
    assert optimal_quantity(ORACLE.asks, 100.0, budget_bps=9.9) == 0.0
    assert optimal_quantity(ORACLE.asks, 100.0, budget_bps=900.0) == 15.0


def test_value_within_a_band_counts_whole_levels() -> None:
    assert value_within(ORACLE.asks, 100.0, bps=20.0) == pytest.approx(200.2 + 300.6)
    assert value_within(ORACLE.bids, 100.0, bps=10.0) == pytest.approx(499.5)
    assert value_within(ORACLE.asks, 100.0, bps=5.0) == 0.0
    assert quantity_within(ORACLE.asks, 100.0, bps=20.0) == 5.0
    assert quantity_within(ORACLE.bids, 100.0, bps=5.0) == 0.0


def test_imbalance_and_microprice_of_a_hand_made_book() -> None:
    levels = book([(99.9, 5.0), (99.8, 10.0)], [(100.1, 3.0), (100.2, 6.0)])
    assert imbalance(levels, 1) == imbalance(levels, 20) == 0.25
    assert weighted_imbalance(levels) == 0.25
    assert microprice(levels) == pytest.approx(100.025)


def test_the_near_level_counts_more_in_the_weighted_imbalance() -> None:
    near = book([(99.9, 9.0), (99.8, 1.0)], [(100.1, 1.0), (100.2, 9.0)])
    assert imbalance(near, 2) == 0.0
    assert weighted_imbalance(near) > 0.0


def test_concentration_is_zero_when_even_and_one_for_one_level() -> None:
    even = book([(99.9, 1.0), (99.8, 1.0)], [(100.1, 5.0)])
    assert concentration(even.bids, 20) == 0.0
    assert concentration(even.asks, 20) == 1.0
    assert 0.0 < concentration(ORACLE.asks, 3) < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_more_size_raises_the_liquidity_score_and_a_wider_spread_lowers_it(seed: int) -> None:
    levels = random_book(seed)
    doubled = book(
        [(p, 2 * s) for p, s in zip(levels.bids.prices, levels.bids.sizes, strict=True)],
        [(p, 2 * s) for p, s in zip(levels.asks.prices, levels.asks.sizes, strict=True)],
    )
    wider = book(
        [(p - 0.1, s) for p, s in zip(levels.bids.prices, levels.bids.sizes, strict=True)],
        list(zip(levels.asks.prices, levels.asks.sizes, strict=True)),
    )
    scores = [liquidity_score(b, threshold=10_000.0) for b in (wider, levels, doubled)]
    assert 0.0 < scores[0] < scores[1] < scores[2] < 1.0
