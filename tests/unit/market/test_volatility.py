"""Realised volatility: one sample a second, nothing before ten, nothing across an outage."""

import math
import random
from itertools import pairwise

import pytest

from trading_system.domain.errors import ValidationError
from trading_system.market.volatility import RealisedVolatility

S = 1_000_000_000


def test_it_is_the_root_mean_square_of_one_second_returns() -> None:
    volatility = RealisedVolatility(60)
    mids = [100.0 + (i % 2) for i in range(12)]
    for second, mid in enumerate(mids):
        volatility.observe(mid, second * S)
    returns = [b / a - 1 for a, b in pairwise(mids)]
    # The mid of the running second is not closed yet.
    expected = math.sqrt(sum(r * r for r in [0.0, *returns[:-1]]) / 11)
    assert volatility.per_second(11 * S) == pytest.approx(expected, rel=1e-12)
    assert volatility.samples == 11


def test_it_finds_the_volatility_of_a_random_walk() -> None:
    rng, mid, volatility = random.Random(3), 100.0, RealisedVolatility(2000)
    for tick in range(20_000):
        mid *= 1 + rng.gauss(0, 1e-4 / math.sqrt(10))
        volatility.observe(mid, tick * S // 10)
    assert volatility.per_second(2000 * S) == pytest.approx(1e-4, rel=0.06)


def test_a_second_that_was_not_seen_from_its_start_is_no_return() -> None:
    volatility = RealisedVolatility(60)
    volatility.observe(100.0, S // 2)
    volatility.observe(101.0, S * 3 // 4)
    assert volatility.per_second(10 * S) is None
    assert volatility.samples == 9
    assert volatility.per_second(11 * S) == 0.0


def test_before_ten_returns_nothing_is_said() -> None:
    volatility = RealisedVolatility(60)
    volatility.observe(100.0, 0)
    assert volatility.per_second(9 * S) is None
    assert volatility.per_second(10 * S) == 0.0


def test_quiet_seconds_are_returns_of_zero() -> None:
    volatility = RealisedVolatility(100)
    volatility.observe(100.0, 0)
    volatility.observe(101.0, S // 2)
    assert volatility.per_second(100 * S) == pytest.approx(0.01 / 10)


def test_an_outage_is_no_return() -> None:
    volatility = RealisedVolatility(60)
    for second in range(15):
        volatility.observe(100.0 + second % 2, second * S)
    volatility.interrupt()
    assert volatility.per_second(16 * S) is None
    volatility.observe(200.0, 20 * S)
    assert volatility.per_second(30 * S) == 0.0


def test_only_the_window_counts_and_memory_is_bounded() -> None:
    volatility = RealisedVolatility(10)
    volatility.observe(100.0, 0)
    volatility.observe(200.0, S // 2)
    assert volatility.per_second(10**6 * S) == 0.0
    assert volatility.samples == 10


@pytest.mark.parametrize("window_s", [9.0, 0.0, -1.0, float("nan"), float("inf")])
def test_a_window_below_ten_returns_is_refused(window_s: float) -> None:
    with pytest.raises(ValidationError):
        RealisedVolatility(window_s)
