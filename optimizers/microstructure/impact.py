"""Exact cost of walking a displayed book, and what is assumed beyond it.

Costs are basis points of the mid, positive for the taker on both sides, half the spread included.
Valid for an order that arrives now and alone: hidden size, other takers and replenishment are not
modelled. Beyond the displayed depth nothing is known; the square-root law (cost growing with the
square root of size; Toth et al. 2011, Donier and Bonart 2015) continues the curve from its last
exact point without a step, and the result says so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import neg

from optimizers.microstructure.levels import SideDepth

CURVE_USD = (100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0)
"""Sizes of the impact curve, quote currency."""

_BPS = 10_000.0


def cost_of_quantity(side: SideDepth, mid: float, quantity: float) -> float | None:
    """Return the cost of taking ``quantity`` (base currency, positive), None beyond the book."""
    average = average_price(side, quantity)
    return None if average is None else side.sign * (average - mid) / mid * _BPS


def average_price(side: SideDepth, quantity: float) -> float | None:
    """Return the size-weighted price of ``quantity`` (base, positive), None beyond the book."""
    quantities = side.quantities
    i = bisect_left(quantities, quantity)
    if i == len(quantities):
        return None
    if i == 0:
        return side.prices[0]
    return (side.values[i - 1] + (quantity - quantities[i - 1]) * side.prices[i]) / quantity


def cost_of_value(side: SideDepth, mid: float, value: float) -> float | None:
    """Return the cost of an order worth ``value`` (quote, positive), None beyond the book."""
    values = side.values
    i = bisect_left(values, value)
    if i == len(values):
        return None
    quantity = value / side.prices[0]
    if i:
        quantity = side.quantities[i - 1] + (value - values[i - 1]) / side.prices[i]
    return side.sign * (value / quantity - mid) / mid * _BPS


def cost_beyond(
    side: SideDepth, mid: float, *, times: float, exponent: float = 0.5, margin: float = 0.0
) -> float:
    """Return the mean cost in bps of a size at or beyond the displayed one.

    The law continues the last exact point of the walk: at ``times`` = 1 the cost is that of
    everything displayed, it does not fall from there on, and the price of the next unit is at least
    that of the deepest level. One level alone shows no slope: half the spread stands in for it.

    Parameters
    ----------
    times : float
        Size over everything displayed, at least 1.
    exponent : float
        Power of the law, positive.
    margin : float
        Share added to what the law adds, not negative.
    """
    half = side.sign * (side.prices[0] - mid) / mid * _BPS
    last = side.sign * (side.values[-1] / side.quantities[-1] - mid) / mid * _BPS
    deepest = side.sign * (side.prices[-1] - mid) / mid * _BPS
    weight = max(last - half, half, (deepest - last) / exponent)
    growth: float = times**exponent - 1.0
    return last + (1.0 + margin) * weight * growth


def impact_curve(
    side: SideDepth, mid: float, *, exponent: float = 0.5, margin: float = 0.0
) -> tuple[list[tuple[float, float]], float | None]:
    """Return the cost at every size of :data:`CURVE_USD` and where guessing begins.

    Parameters
    ----------
    exponent, margin : float
        Of the continuation beyond the book, see :func:`cost_beyond`.

    Returns
    -------
    curve : list of (float, float)
        Size in quote currency and cost in bps, not falling.
    extrapolated_from : float or None
        Displayed value in quote currency if any size is beyond it, else None.
    """
    total = side.values[-1]
    curve = []
    for usd in CURVE_USD:
        cost = cost_of_value(side, mid, usd)
        if cost is None:
            cost = cost_beyond(side, mid, times=usd / total, exponent=exponent, margin=margin)
        curve.append((usd, cost))
    return curve, total if CURVE_USD[-1] > total else None


def optimal_quantity(side: SideDepth, mid: float, *, budget_bps: float) -> float:
    """Return the largest quantity whose average cost stays inside the budget.

    Solved exactly: the average price does not improve with size, so the level on which it meets the
    budget is found by bisection, and the quantity on that level from a linear equation.

    Parameters
    ----------
    budget_bps : float
        Largest average cost against the mid, basis points, half the spread included.

    Returns
    -------
    float
        Base currency; 0 when the best price is beyond the budget already, and everything displayed
        when all of it is inside (never more).
    """
    sign = side.sign
    limit = mid * (1.0 + sign * budget_bps / _BPS)
    averages = range(len(side.prices))
    i = bisect_right(
        averages, sign * limit, key=lambda n: sign * side.values[n] / side.quantities[n]
    )
    if i == len(side.prices):
        return side.quantities[-1]
    if i == 0:
        return 0.0
    slack = sign * (limit * side.quantities[i - 1] - side.values[i - 1])
    extra = slack / (sign * (side.prices[i] - limit))
    return side.quantities[i - 1] + min(max(extra, 0.0), side.sizes[i])


def value_within(side: SideDepth, mid: float, *, bps: float) -> float:
    """Return the value resting within ``bps`` of the mid, quote currency; a lower bound.

    The displayed levels may end before ``bps`` do.
    """
    i = _levels_within(side, mid, bps=bps)
    return side.values[i - 1] if i else 0.0


def quantity_within(side: SideDepth, mid: float, *, bps: float) -> float:
    """Return the size resting within ``bps`` of the mid, base currency; a lower bound.

    What an order with a limit price there could take at once.
    """
    i = _levels_within(side, mid, bps=bps)
    return side.quantities[i - 1] if i else 0.0


def _levels_within(side: SideDepth, mid: float, *, bps: float) -> int:
    limit = mid * (1.0 + side.sign * bps / _BPS)
    if side.sign > 0:
        return bisect_right(side.prices, limit)
    return bisect_right(side.prices, -limit, key=neg)
