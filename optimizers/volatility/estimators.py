"""Variance from candles.

All variances are of logarithmic returns over one bar. The range estimators read low when a bar has
few ticks (about 0.8 of the truth at 50 price changes a bar); Parkinson's reads high when the price
drifts within the bar, Rogers and Satchell's does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from optimizers.volatility.bars import Bar
from trading_system.domain.errors import CorruptDataError, ValidationError

_LN2 = math.log(2.0)


def parkinson(bar: Bar) -> float:
    """Return ``(ln H/L)² / (4 ln 2)`` (Parkinson 1980)."""
    spread = math.log(bar.high) - math.log(bar.low)
    return spread * spread / (4.0 * _LN2)


def garman_klass(bar: Bar) -> float:
    """Return ``½ (ln H/L)² - (2 ln 2 - 1) (ln C/O)²`` (Garman and Klass 1980)."""
    spread = math.log(bar.high) - math.log(bar.low)
    move = math.log(bar.close) - math.log(bar.open)
    return 0.5 * spread * spread - (2.0 * _LN2 - 1.0) * move * move


def rogers_satchell(bar: Bar) -> float:
    """Return ``h (h - c) + l (l - c)``, logarithms relative to the open, free of drift (1991)."""
    start = math.log(bar.open)
    high, low, close = (math.log(price) - start for price in (bar.high, bar.low, bar.close))
    return high * (high - close) + low * (low - close)


def yang_zhang(bars: Sequence[Bar]) -> float:
    """Return the variance over one bar of Yang and Zhang (2000), gaps between bars included.

    Raises
    ------
    ValidationError
        If there are fewer than three bars, the first of which only gives a close.
    """
    count = len(bars) - 1
    if count < 2:
        raise ValidationError(f"Yang-Zhang needs three bars, got {len(bars)}")
    gaps = [math.log(b.open) - math.log(a.close) for a, b in pairwise(bars)]
    moves = [math.log(bar.close) - math.log(bar.open) for bar in bars[1:]]
    weight = yang_zhang_weight(count)
    ranges = sum(rogers_satchell(bar) for bar in bars[1:]) / count
    return _sample_variance(gaps) + weight * _sample_variance(moves) + (1.0 - weight) * ranges


def yang_zhang_weight(count: int) -> float:
    """Return the weight ``k`` that Yang and Zhang give the open-to-close part, ``count >= 2``."""
    return 0.34 / (1.34 + (count + 1) / (count - 1))


def realised_variance(returns: Sequence[float]) -> float:
    """Return ``Σ r²``; noise of the quotes makes it too high below one-minute returns."""
    return math.fsum(r * r for r in returns)


def bipower_variance(returns: Sequence[float]) -> float:
    """Return the variance without jumps (Barndorff-Nielsen and Shephard 2004).

    Raises
    ------
    ValidationError
        If there are fewer than two returns.
    """
    count = len(returns)
    if count < 2:
        raise ValidationError(f"bipower variation needs two returns, got {count}")
    pairs = math.fsum(abs(a * b) for a, b in pairwise(returns))
    return math.pi / 2.0 * count / (count - 1) * pairs


def log_return(before: Bar, bar: Bar) -> float:
    """Return the logarithmic return from close to close."""
    return math.log(bar.close) - math.log(before.close)


class EwmaVariance:
    """Variance ``v <- decay v + (1 - decay) r²``; the first return is the seed.

    Parameters
    ----------
    decay : float
        Weight of the past, in (0, 1); at 0.94 the half-life is 11.2 bars.
    """

    def __init__(self, decay: float = 0.94) -> None:
        if not 0.0 < decay < 1.0:
            raise ValidationError(f"the decay must lie between 0 and 1, was {decay}")
        self._decay = decay
        self.value: float | None = None

    def update(self, log_return: float) -> float:
        """Take one return and return the new variance.

        Raises
        ------
        CorruptDataError
            If the return is not finite; nothing changed.
        """
        if not math.isfinite(log_return):
            raise CorruptDataError(f"a return must be finite, was {log_return}")
        square = log_return * log_return
        before = square if self.value is None else self.value
        self.value = self._decay * before + (1.0 - self._decay) * square
        return self.value


def _sample_variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / (len(values) - 1)
