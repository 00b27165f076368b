"""Wilder's average true range, one bar at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optimizers.volatility.bars import Bar
from trading_system.domain.errors import CorruptDataError, ValidationError


class WilderAtr:
    """Average true range.

    The true range of a bar is ``max(H, C₋₁) - min(L, C₋₁)``, which is Wilder's maximum of three.
    The first value is the mean of the first ``period`` true ranges, and the first bar, which has no
    close before it, gives none: so the value is there from bar number ``period`` (counted from 0)
    on. Each later one is ``(ATR (period - 1) + TR) / period``.

    Parameters
    ----------
    period : int
        Bars, at least 1.

    References
    ----------
    Wilder, New Concepts in Technical Trading Systems, 1978; the seed is TA-Lib's.
    """

    def __init__(self, period: int = 14) -> None:
        if period < 1:
            raise ValidationError(f"the period must be at least 1, was {period}")
        self.period = period
        self._close = math.nan
        self._seed_sum = 0.0
        self._count = -1
        self._value = 0.0

    @property
    def value(self) -> float | None:
        """Newest value, quote currency; None before ``period`` true ranges."""
        return self._value if self._count >= self.period else None

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take the next closed bar, quote currency, and return the new value.

        Raises
        ------
        CorruptDataError
            If the prices are not finite and positive with ``low <= close <= high``; nothing
            changed.
        """
        if not 0.0 < low <= close <= high < math.inf:
            raise CorruptDataError(f"inconsistent bar: high {high}, low {low}, close {close}")
        before, self._close = self._close, close
        self._count = count = self._count + 1
        if count == 0:
            return None
        true_range = max(high, before) - min(low, before)
        period = self.period
        if count > period:
            self._value = (self._value * (period - 1) + true_range) / period
            return self._value
        self._seed_sum += true_range
        if count < period:
            return None
        self._value = self._seed_sum / period
        return self._value

    def extend(self, bars: Sequence[Bar]) -> float | None:
        """Take several closed bars, oldest first, and return the new value; faster than one by one.

        The bars were checked when they were made.
        """
        start = 0
        while start < len(bars) and self._count < self.period:
            bar = bars[start]
            self.update(bar.high, bar.low, bar.close)
            start += 1
        value, before = self._value, self._close
        kept, share = (self.period - 1) / self.period, 1.0 / self.period
        for bar in bars[start:]:
            high, low = bar.high, bar.low
            if high < before:  # noqa: PLR1730 - a call of max would take half of the loop's time
                high = before
            if low > before:  # noqa: PLR1730 - and so would min
                low = before
            value = kept * value + share * (high - low)
            before = bar.close
        self._count += len(bars) - start
        self._value, self._close = value, before
        return self.value
