"""What is assumed beyond the displayed book: the square-root law, joined on without a step.

The mean cost of a quantity grows with the square root of its size (Toth et al. 2011; Donier and
Bonart 2015 for Bitcoin). Here it continues the last exact point of the book walk, so that cost
neither jumps nor falls where the book ends. Nothing beyond the book is known; results are flagged.
"""

from __future__ import annotations

import math

from optimizers.microstructure.levels import SideDepth

_BPS = 10_000.0


def continued_cost(side: SideDepth, mid: float, quantity: float) -> float:
    """Return the mean cost in bps of a quantity at or beyond the displayed one.

    Parameters
    ----------
    quantity : float
        Base currency, at least everything displayed.

    Returns
    -------
    float
        Not below the cost of everything displayed and not falling in ``quantity``. The price of
        the next unit is at least that of the deepest level.
    """
    shown = side.quantities[-1]
    last, weight = _join(side, mid)
    return last + weight * (math.sqrt(quantity / shown) - 1.0)


def metaorder_cost(quantity: float, *, volatility: float, volume: float, y: float = 1.0) -> float:
    """Return the peak impact of the square-root law in bps; the mean cost is two thirds of it.

    Parameters
    ----------
    quantity, volume : float
        Base currency; the order and what trades in one period, positive.
    volatility : float
        Relative standard deviation over the same period, a fraction.
    y : float
        Constant of the law, about one.

    References
    ----------
    Toth et al., Anomalous price impact and the critical nature of liquidity, 2011.
    """
    return _BPS * y * volatility * math.sqrt(quantity / volume)


def _join(side: SideDepth, mid: float) -> tuple[float, float]:
    # One level alone shows no slope: half the spread stands in for it.
    half = side.sign * (side.prices[0] - mid) / mid * _BPS
    last = side.sign * (side.values[-1] / side.quantities[-1] - mid) / mid * _BPS
    deepest = side.sign * (side.prices[-1] - mid) / mid * _BPS
    return last, max(last - half, half, 2.0 * (deepest - last))
