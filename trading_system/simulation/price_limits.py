"""The price limits of orders: Bybit's formula of May 2026.

With mark ``m``, index ``i`` and ratios ``X < Y``, a contract's highest buy price is
``min(m (1 + Y), max(i, m (1 + X) + max(0, premium)))`` and its lowest sell price is
``max(m (1 - Y), min(i, m (1 - X) + min(0, premium)))``, where the premium is the mean of mid minus
mark, sampled each second over 30 s. A spot pair's highest buy price is
``min(max(i, i (1 + X) + premium), i (1 + Y))`` and the lowest sell price its mirror image, with
the premium of mid over index, sampled each second over two minutes.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import NamedTuple

LIMIT_RATIO_X = Decimal("0.05")
LIMIT_RATIO_Y = Decimal("0.1")
"""Ratios of every listing (``priceLimitRatioX`` and ``Y``)."""

LINEAR_WINDOW_S = 30
SPOT_WINDOW_S = 120

_ZERO = Decimal(0)
_MS_PER_S = 1000


class PriceLimits(NamedTuple):
    """Highest buy and lowest sell price, quote currency, not on the tick grid."""

    highest_buy: Decimal
    lowest_sell: Decimal


def linear_limits(*, mark: Decimal, index: Decimal, premium: Decimal) -> PriceLimits:
    """Return the limits of a contract; prices positive, quote currency."""
    above, below = 1 + LIMIT_RATIO_X, 1 - LIMIT_RATIO_X
    return PriceLimits(
        min(mark * (1 + LIMIT_RATIO_Y), max(index, mark * above + max(_ZERO, premium))),
        max(mark * (1 - LIMIT_RATIO_Y), min(index, mark * below + min(_ZERO, premium))),
    )


def spot_limits(*, index: Decimal, premium: Decimal) -> PriceLimits:
    """Return the limits of a spot pair; the index positive, quote currency."""
    return PriceLimits(
        min(max(index, index * (1 + LIMIT_RATIO_X) + premium), index * (1 + LIMIT_RATIO_Y)),
        max(min(index, index * (1 - LIMIT_RATIO_X) + premium), index * (1 - LIMIT_RATIO_Y)),
    )


class MeanPremium:
    """Mean of a price difference, one sample per second over a window.

    Parameters
    ----------
    window_s : int
        Samples kept at most.
    """

    __slots__ = ("_last_s", "_samples", "_sum")

    def __init__(self, window_s: int) -> None:
        self._samples: deque[tuple[int, Decimal]] = deque(maxlen=window_s)
        self._sum = _ZERO
        self._last_s = -1

    def add(self, premium: Decimal, *, now_ms: int) -> None:
        """Take a sample unless this second has one already; older ones fall out."""
        second = now_ms // _MS_PER_S
        if second <= self._last_s:
            return
        self._last_s = second
        samples = self._samples
        if len(samples) == samples.maxlen:
            self._sum -= samples.popleft()[1]
        samples.append((second, premium))
        self._sum += premium
        assert samples.maxlen is not None
        while samples[0][0] <= second - samples.maxlen:
            self._sum -= samples.popleft()[1]

    @property
    def mean(self) -> Decimal:
        """Mean of the samples, 0 before the first."""
        return self._sum / len(self._samples) if self._samples else _ZERO
