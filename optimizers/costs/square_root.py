"""The square-root law: beyond the displayed book, and from volume and volatility alone.

The mean cost of a quantity grows with the square root of its size (Toth et al. 2011; Donier and
Bonart 2015 for Bitcoin). Beyond the book it continues the last exact point of the walk, so that
cost neither jumps nor falls where the book ends. Nothing beyond the book is known; results are
flagged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from optimizers.costs.quantity import finite, positive
from optimizers.microstructure.impact import cost_beyond
from optimizers.microstructure.levels import SideDepth

EVIDENCE_SHARE = 0.1
"""Largest order, as a share of the volume of the period, that the law was measured on."""

_BPS = 10_000.0


@dataclass(frozen=True, slots=True)
class MetaorderCost:
    """What the law says of one order.

    Parameters
    ----------
    peak_bps : float
        Distance that the price has gone when the order is done.
    is_extrapolated : bool
        Whether the order is larger than `EVIDENCE_SHARE` of the volume, outside the evidence.
    """

    peak_bps: float
    is_extrapolated: bool

    @property
    def mean_bps(self) -> float:
        """Mean cost of an order that is executed evenly: two thirds of the peak."""
        return self.peak_bps * 2.0 / 3.0


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
    return cost_beyond(side, mid, times=quantity / side.quantities[-1])


def metaorder_cost(
    quantity: float, *, volatility: float, volume: float, y: float = 1.0
) -> MetaorderCost:
    """Return what the law says of an order: the peak is y volatility sqrt(quantity / volume).

    Parameters
    ----------
    quantity, volume : float
        Base currency; the order and what trades in one period, positive.
    volatility : float
        Relative standard deviation over the same period, a fraction, positive.
    y : float
        Constant of the law, about one, positive.

    Raises
    ------
    ValidationError
        If a number, or the result, is not finite and positive.

    References
    ----------
    Toth et al., Anomalous price impact and the critical nature of liquidity, 2011.
    """
    share = positive(quantity, "quantity") / positive(volume, "volume")
    level = positive(y, "y") * positive(volatility, "volatility")
    peak = finite(_BPS * level * math.sqrt(share), "impact")
    return MetaorderCost(peak, share > EVIDENCE_SHARE)
