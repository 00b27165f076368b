"""Imbalance, micro-price, concentration and the liquidity score of one book."""

from __future__ import annotations

from itertools import accumulate, repeat
from operator import mul

from optimizers.microstructure.impact import value_within
from optimizers.microstructure.levels import BookLevels, SideDepth

SCORE_BAND_BPS = 10.0
"""Distance from the mid within which size counts for the liquidity score, basis points."""

_BPS = 10_000.0
_SPREAD_SCALE_BPS = 10.0
_DEPTH_WEIGHT = 0.7
_DECAY = 0.5
_WEIGHTS = tuple(accumulate(repeat(_DECAY, 49), mul, initial=1.0))


def imbalance(levels: BookLevels, count: int) -> float:
    """Return (bids - asks) / (bids + asks) of the best ``count`` levels, in [-1, 1]."""
    bids = levels.bids.quantities[min(count, len(levels.bids.sizes)) - 1]
    asks = levels.asks.quantities[min(count, len(levels.asks.sizes)) - 1]
    return (bids - asks) / (bids + asks)


def weighted_imbalance(levels: BookLevels) -> float:
    """Return the imbalance in which each level counts half as much as the one before."""
    bids: float = sum(map(mul, levels.bids.sizes, _WEIGHTS))
    asks: float = sum(map(mul, levels.asks.sizes, _WEIGHTS))
    return (bids - asks) / (bids + asks)


def microprice(levels: BookLevels) -> float:
    """Return the size-weighted mid of the best levels, within [bid, ask]."""
    bid, ask = levels.bids.sizes[0], levels.asks.sizes[0]
    return levels.bids.prices[0] + levels.spread * (bid / (bid + ask))


def concentration(side: SideDepth, count: int) -> float:
    """Return how much of the best ``count`` levels' size sits on few of them, in [0, 1].

    The Herfindahl index of the sizes, scaled: 0 when they are equal, 1 for a single level.
    """
    sizes = side.sizes[:count]
    n = len(sizes)
    if n == 1:
        return 1.0
    total = side.quantities[n - 1]
    squares: float = sum(map(mul, sizes, sizes))
    index = squares / (total * total)
    return min(1.0, max(0.0, (index * n - 1.0) / (n - 1.0)))


def liquidity_score(levels: BookLevels, *, threshold: float) -> float:
    """Return how liquid the book is now, 0 (not at all) to 1.

    ``0.7 * D / (D + threshold) + 0.3 * S / (S + spread)`` with D the value within 10 bps of the
    mid, both sides, and S = 10 bps. It rises with every size added within 10 bps, falls with the
    spread, and depends on this book alone.

    Parameters
    ----------
    threshold : float
        Value at which the depth part is one half, quote currency, positive.
    """
    mid = levels.mid
    depth = value_within(levels.bids, mid, bps=SCORE_BAND_BPS) + value_within(
        levels.asks, mid, bps=SCORE_BAND_BPS
    )
    spread_bps = levels.spread / mid * _BPS
    spread_part = _SPREAD_SCALE_BPS / (_SPREAD_SCALE_BPS + spread_bps)
    return _DEPTH_WEIGHT * depth / (depth + threshold) + (1.0 - _DEPTH_WEIGHT) * spread_part
