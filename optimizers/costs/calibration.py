"""Almgren-Chriss parameters of the present book and volatility; refused when they make no sense.

Temporary impact: a child of n raises the mean price by vwap(n) - best, and (vwap(n) - best) / n is
eta / tau, valid only if the book refills within one step (`REFILL_S`). The slope belongs to the
child's size: 0 inside the best level, and other books are not linear either.

Permanent impact needs a regression over many minutes. Without one gamma / 2 is taken as
`PERMANENT_SHARE` of the slope of the whole displayed side, whatever the order: an assumption, kept
small because an unmeasured one must be. In one step it costs nothing (eta_tilde has it and takes it
back): it moves the price for what trades later.

Half the spread and the taker's fee make epsilon; the fee is charged on the impact as well.
"""

from __future__ import annotations

import numpy as np

from optimizers.costs.almgren_chriss import ExecutionParameters
from optimizers.costs.square_root import continued_cost
from optimizers.microstructure.impact import average_price
from optimizers.microstructure.levels import BookLevels, SideDepth
from trading_system.domain.orders import Side

REFILL_S = 5.0
"""Assumed time in which the book refills: the length of a step, seconds."""
PERMANENT_SHARE = 0.1
"""Assumed half of gamma over the slope of the displayed side: what stays of a step's concession."""

_BPS = 10_000.0


def book_slope(side: SideDepth) -> float:
    """Return how fast the mean price worsens with size, quote currency per base currency squared.

    Least squares through the origin over the running totals of the displayed levels; 0 for one
    level, which shows no slope.
    """
    quantities = np.array(side.quantities)
    concession = side.sign * (np.array(side.values) / quantities - side.prices[0])
    scaled = quantities / quantities[-1]
    slope = float(scaled @ concession) / float(scaled @ scaled) / side.quantities[-1]
    return max(slope, 0.0)


def concession(side: SideDepth, mid: float, quantity: float) -> float:
    """Return how much worse than the best price the mean of ``quantity`` is, quote currency.

    Not negative and not falling in ``quantity`` (base currency, positive); beyond the displayed
    book the square-root law continues it.
    """
    price = average_price(side, quantity)
    if price is None:
        best = side.sign * (side.prices[0] - mid)
        return max(continued_cost(side, mid, quantity) / _BPS * mid - best, 0.0)
    return max(side.sign * (price - side.prices[0]), 0.0)


def fit_parameters(
    levels: BookLevels,
    side: Side,
    *,
    child: float,
    steps: int,
    volatility: float,
    taker_rate: float,
    risk_aversion: float,
    gamma: float | None = None,
) -> ExecutionParameters:
    """Return the parameters of working an order of ``side`` in this book, in steps of `REFILL_S`.

    Parameters
    ----------
    child : float
        Size that temporary impact is measured at, base currency, positive.
    volatility : float
        Relative, over one second, a fraction.
    taker_rate : float
        Fraction of traded value.
    gamma : float or None
        Measured permanent impact, quote currency per base currency squared; None assumes one.

    Raises
    ------
    ImpactFitError
        If the child has no temporary impact, or less than the permanent one, or a number is out
        of range.
    """
    depth = levels.consumed_by(side)
    # A rebate cannot make trading free: the model has no negative epsilon.
    rate = max(taker_rate, 0.0)
    charged = 1.0 + depth.sign * rate
    slope = concession(depth, levels.mid, child) / child
    return ExecutionParameters(
        sigma=volatility * levels.mid,
        gamma=2.0 * PERMANENT_SHARE * book_slope(depth) if gamma is None else gamma,
        eta=charged * slope * REFILL_S,
        epsilon=charged * levels.spread / 2.0 + rate * levels.mid,
        horizon=steps * REFILL_S,
        steps=steps,
        risk_aversion=risk_aversion,
    )
