"""Almgren-Chriss parameters of the present book and volatility; refused when they make no sense.

Temporary impact: the slope through the origin of (mean price of n - best price) against n over the
displayed levels is eta / tau, valid only if the book refills within one step (`REFILL_S`).
Permanent impact needs a regression over many minutes; without one it is taken as `PERMANENT_SHARE`
of the temporary slope, an assumption that is kept small because an unmeasured one must be. Half the
spread and the taker's fee make epsilon.
"""

from __future__ import annotations

import math

import numpy as np

from optimizers.costs.almgren_chriss import ExecutionParameters, ImpactFitError
from optimizers.microstructure.levels import BookLevels, SideDepth
from trading_system.domain.orders import Side

REFILL_S = 5.0
"""Assumed time in which the book refills; the shortest step, seconds."""
PERMANENT_SHARE = 0.1
"""Assumed part of a step's price concession that stays."""
LONGEST_STEPS = 100
"""Most steps of a fitted schedule."""


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


def fit_parameters(
    levels: BookLevels,
    side: Side,
    *,
    volatility: float,
    taker_rate: float,
    horizon_s: float,
    risk_aversion: float,
    gamma: float | None = None,
    slope: float | None = None,
) -> ExecutionParameters:
    """Return the parameters of working an order of ``side`` in this book.

    Parameters
    ----------
    volatility : float
        Relative, over one second, a fraction.
    taker_rate : float
        Fraction of traded value.
    horizon_s : float
        Seconds, positive.
    gamma : float or None
        Measured permanent impact, quote currency per base currency squared.
    slope : float or None
        What :func:`book_slope` says of this side, if it is known already.

    Raises
    ------
    ImpactFitError
        If the book shows no slope or a parameter is out of range.
    """
    if not (math.isfinite(horizon_s) and horizon_s > 0.0):
        raise ImpactFitError("there is no time to work the order in: the horizon is not positive")
    if slope is None:
        slope = book_slope(levels.consumed_by(side))
    if not slope > 0.0:
        raise ImpactFitError("the book shows one price only: temporary impact cannot be fitted")
    steps = min(max(int(horizon_s / REFILL_S), 1), LONGEST_STEPS)
    return ExecutionParameters(
        sigma=volatility * levels.mid,
        gamma=2.0 * PERMANENT_SHARE * slope if gamma is None else gamma,
        eta=slope * (horizon_s / steps),
        # A rebate cannot make trading free: the model has no negative epsilon.
        epsilon=levels.spread / 2.0 + max(taker_rate, 0.0) * levels.mid,
        horizon=horizon_s,
        steps=steps,
        risk_aversion=risk_aversion,
    )
