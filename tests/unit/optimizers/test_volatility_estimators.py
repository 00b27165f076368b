"""Estimators against golden values and a slow twin."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from optimizers.volatility.atr import WilderAtr
from optimizers.volatility.bars import Bar, read_bar
from optimizers.volatility.estimators import (
    EwmaVariance,
    bipower_variance,
    garman_klass,
    log_return,
    parkinson,
    realised_variance,
    rogers_satchell,
    yang_zhang,
    yang_zhang_weight,
)
from trading_system.domain.errors import CorruptDataError, ValidationError

BAR = Bar(0, 100.0, 103.0, 99.0, 102.0)


def random_bars(count: int, seed: int = 3) -> list[Bar]:
    source, price, bars = random.Random(seed), 100.0, []
    for n in range(count):
        close = price * math.exp(source.gauss(0, 0.01))
        high = max(price, close) * (1 + source.random() * 0.01)
        low = min(price, close) * (1 - source.random() * 0.01)
        bars.append(Bar(60_000 * n, price, high, low, close))
        price = close * math.exp(source.gauss(0, 0.002))
    return bars


def slow_atr(bars: list[Bar], period: int) -> list[float | None]:
    ranges = [
        max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close)) for a, b in pairwise(bars)
    ]
    values: list[float | None] = [None] * min(period, len(bars))
    for n in range(period, len(bars)):
        if n == period:
            values.append(sum(ranges[:period]) / period)
        else:
            before = values[-1]
            assert before is not None
            values.append((before * (period - 1) + ranges[n - 1]) / period)
    return values


def test_range_estimators_give_the_golden_values():
    assert parkinson(BAR) == pytest.approx(5.658552e-4, abs=1e-9)
    assert garman_klass(BAR) == pytest.approx(6.329590e-4, abs=1e-9)
    assert rogers_satchell(BAR) == pytest.approx(5.884132e-4, abs=1e-9)


def test_yang_zhang_weight_gives_the_golden_value():
    assert yang_zhang_weight(20) == pytest.approx(0.139043, abs=2e-6)


def test_yang_zhang_recovers_the_variance_of_a_random_walk():
    bars = []
    source, price = random.Random(5), 100.0
    for n in range(2_000):
        steps = [source.gauss(0, 0.001) for _ in range(60)]
        path = [price]
        for move in steps:
            path.append(path[-1] * math.exp(move))
        bars.append(Bar(n, price, max(path), min(path), path[-1]))
        price = path[-1]
    truth = 60 * 0.001**2
    assert yang_zhang(bars) / truth == pytest.approx(0.8, abs=0.1)  # few ticks read low


def test_yang_zhang_is_its_closed_form_gaps_included():
    e = math.exp
    bars = [
        Bar(0, 1.0, 1.0, 1.0, 1.0),
        Bar(1, e(0.01), e(0.04), e(0.0), e(0.03)),
        Bar(2, e(0.06), e(0.08), e(0.01), e(0.02)),
    ]
    # Gaps 0.01 and 0.03, moves 0.02 and -0.04; k = 0.34 / (1.34 + 3).
    gaps, moves = 2 * 0.01**2, 2 * 0.03**2
    ranges = ((0.03 * 0.01 + 0.01 * 0.03) + (0.02 * 0.06 + 0.05 * 0.01)) / 2
    k = 0.34 / 4.34
    assert yang_zhang(bars) == pytest.approx(gaps + k * moves + (1 - k) * ranges, rel=1e-9)


def test_prices_of_any_size_have_a_variance():
    wild = Bar(0, 1e-300, 1e300, 1e-305, 1e290)
    for estimator in (parkinson, garman_klass, rogers_satchell):
        assert math.isfinite(estimator(wild))
    assert math.isfinite(yang_zhang([wild, BAR, wild]))
    assert math.isfinite(log_return(wild, Bar(0, 1e-300, 1e300, 1e-305, 1e-302)))


def test_yang_zhang_needs_three_bars():
    with pytest.raises(ValidationError, match="three"):
        yang_zhang(random_bars(2))


@pytest.mark.parametrize("period", [1, 2, 14, 40])
def test_incremental_range_equals_its_slow_twin(period):
    bars = random_bars(120)
    atr = WilderAtr(period)
    values = [atr.update(bar.high, bar.low, bar.close) for bar in bars]
    assert values[:period] == [None] * period
    assert values[period:] == pytest.approx(slow_atr(bars, period)[period:], rel=1e-12)
    assert atr.value == values[-1]


@pytest.mark.parametrize("cuts", [(0, 120), (0, 5, 14, 15, 40, 40, 120), (0, 1, 2, 60, 120)])
def test_bars_taken_together_give_the_same_range(cuts):
    bars = random_bars(120)
    atr = WilderAtr(14)
    assert atr.extend([]) is None
    for first, last in pairwise(cuts):
        value = atr.extend(bars[first:last])
        expected = slow_atr(bars[:last], 14)[-1] if last else None
        assert value == (None if expected is None else pytest.approx(expected, rel=1e-12))
    assert atr.update(200.0, 100.0, 150.0) == pytest.approx(
        slow_atr([*bars, Bar(0, 150.0, 200.0, 100.0, 150.0)], 14)[-1], rel=1e-12
    )


def test_bad_bar_changes_nothing():
    atr = WilderAtr(2)
    for bar in random_bars(5):
        atr.update(bar.high, bar.low, bar.close)
    before = atr.value
    for high, low, close in [(1.0, 2.0, 1.5), (2.0, 1.0, 3.0), (math.nan, 1.0, 1.0)]:
        with pytest.raises(CorruptDataError):
            atr.update(high, low, close)
    assert atr.value == before


def test_period_must_be_positive():
    with pytest.raises(ValidationError, match="period"):
        WilderAtr(0)


def test_variance_with_a_jump_splits_into_its_parts():
    returns = [0.01, -0.02, 0.03]
    assert realised_variance(returns) == pytest.approx(0.0014)
    assert bipower_variance(returns) == pytest.approx(math.pi / 2 * 1.5 * (0.0002 + 0.0006))
    with pytest.raises(ValidationError, match="two"):
        bipower_variance([0.01])


def test_return_is_logarithmic():
    assert log_return(BAR, Bar(1, 102.0, 105.0, 101.0, 104.0)) == pytest.approx(math.log(104 / 102))


def test_weighted_variance_of_a_constant_return_is_its_square():
    ewma = EwmaVariance()
    assert [ewma.update(0.02) for _ in range(5)] == pytest.approx([0.0004] * 5)
    half_life = EwmaVariance(0.94)
    half_life.update(1.0)
    for _ in range(11):
        half_life.update(0.0)
    assert half_life.value == pytest.approx(0.94**11)
    with pytest.raises(CorruptDataError):
        half_life.update(math.nan)
    with pytest.raises(ValidationError, match="decay"):
        EwmaVariance(1.0)


@pytest.mark.parametrize(
    "prices",
    [
        (100.0, 99.0, 98.0, 98.5),
        (100.0, 101.0, 100.5, 101.0),
        (100.0, 103.0, 99.0, 104.0),
        (100.0, 103.0, 99.0, 98.0),
        (0.0, 1.0, 0.0, 1.0),
        (100.0, math.inf, 99.0, 100.0),
        (math.nan, 103.0, 99.0, 100.0),
    ],
)
def test_inconsistent_bars_are_refused(prices):
    with pytest.raises(CorruptDataError):
        Bar(0, *prices)


def test_flat_bar_is_valid_and_has_no_variance():
    flat = Bar(0, 5.0, 5.0, 5.0, 5.0)
    assert parkinson(flat) == garman_klass(flat) == rogers_satchell(flat) == 0.0


def test_candles_are_read_or_refused():
    candle = {"timestamp": 7, "open": "1", "high": 2, "low": 1.0, "close": 1.5, "volume": 3}
    assert read_bar(candle) == Bar(7, 1.0, 2.0, 1.0, 1.5)
    for flaw in ({"open": "x"}, {"open": None}, {"timestamp": math.inf}, {"high": 0.5}):
        with pytest.raises(CorruptDataError):
            read_bar(candle | flaw)
    with pytest.raises(CorruptDataError, match="no candle"):
        read_bar({})
