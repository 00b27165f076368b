"""What a displayed book does to one order: the exact walk, and its continuation when it is larger.

Costs are basis points of the mid, positive when they hurt on both sides, half the spread included.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import neg

from optimizers.costs.quantity import positive
from optimizers.costs.square_root import continued_cost
from optimizers.microstructure.impact import average_price, cost_of_quantity
from optimizers.microstructure.levels import BookLevels, SideDepth
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

LARGEST_COST_BPS = 10_000.0
_BISECTIONS = 60
_ROUNDED_DOWN = 0.995
"""Cost at which a price has doubled or fallen to nothing; no model says anything there."""

_BPS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWalk:
    """What one order takes from the displayed book at once.

    Parameters
    ----------
    filled, unfilled : float
        Base currency; together the order.
    average_price, slippage_bps : float or None
        Size-weighted price and its distance from the mid; None when nothing fills.
    """

    filled: float
    unfilled: float
    average_price: float | None
    slippage_bps: float | None


@dataclass(frozen=True, slots=True)
class TakerCost:
    """Mean cost of taking a quantity, split where the displayed book ends.

    Parameters
    ----------
    shown_bps : float
        What the displayed book charges, half the spread included.
    beyond_bps : float
        What the square-root law adds for the part that nobody displays, not negative.
    half_spread_bps : float
        Part of ``shown_bps`` that the best price alone costs.
    is_extrapolated : bool
        Whether the quantity is larger than everything displayed.
    """

    shown_bps: float
    beyond_bps: float
    half_spread_bps: float
    is_extrapolated: bool

    @property
    def total_bps(self) -> float:
        """Mean cost of the whole quantity."""
        return self.shown_bps + self.beyond_bps


def walk(
    levels: BookLevels, side: Side, *, quantity: float, limit_price: float | None = None
) -> BookWalk:
    """Return what an order takes from the displayed book at once.

    Parameters
    ----------
    quantity : float
        Base currency, finite and positive.
    limit_price : float or None
        Worst acceptable price, quote currency.

    Returns
    -------
    BookWalk
        What no displayed level within the limit holds is ``unfilled``; nothing is invented for it.

    Raises
    ------
    ValidationError
        If a number is not finite and positive.
    """
    depth = levels.consumed_by(side)
    wanted = positive(quantity, "quantity")
    filled = min(wanted, takeable(depth, limit_price))
    if filled <= 0.0:
        return BookWalk(filled=0.0, unfilled=wanted, average_price=None, slippage_bps=None)
    price = average_price(depth, filled)
    assert price is not None, "no more is filled than is displayed"
    cost = depth.sign * (price - levels.mid) / levels.mid * _BPS
    return BookWalk(filled=filled, unfilled=wanted - filled, average_price=price, slippage_bps=cost)


def takeable(depth: SideDepth, limit_price: float | None) -> float:
    """Return the displayed size at ``limit_price`` or better, base currency; 0 if there is none.

    Raises
    ------
    ValidationError
        If the price is given and not finite and positive.
    """
    if limit_price is None:
        return depth.quantities[-1]
    count = levels_within(depth, positive(limit_price, "limit_price"))
    return depth.quantities[count - 1] if count else 0.0


def levels_within(depth: SideDepth, limit_price: float) -> int:
    """Return how many levels are at ``limit_price`` or better."""
    if depth.sign > 0:
        return bisect_right(depth.prices, limit_price)
    return bisect_right(depth.prices, -limit_price, key=neg)


def taker_cost(levels: BookLevels, side: Side, *, quantity: float) -> TakerCost:
    """Return the mean cost of taking ``quantity`` (base currency, checked by the caller) now.

    Raises
    ------
    ValidationError
        If the quantity is so much larger than the book that the price would double or fall to
        nothing.
    """
    depth = levels.consumed_by(side)
    mid = levels.mid
    half = depth.sign * (depth.prices[0] - mid) / mid * _BPS
    exact = cost_of_quantity(depth, mid, quantity)
    if exact is not None:
        # Rounding of running sums may not push a mean below its best price.
        return TakerCost(max(exact, half), 0.0, half, is_extrapolated=False)
    shown = depth.sign * (depth.values[-1] / depth.quantities[-1] - mid) / mid * _BPS
    total = continued_cost(depth, mid, quantity)
    if not total < LARGEST_COST_BPS:
        raise ValidationError(
            f"{quantity:g} of {levels.symbol} cannot be priced: the book displays "
            f"{depth.quantities[-1]:g}, and at most {_largest(depth, mid):g} can be priced from it"
        )
    return TakerCost(shown, max(total - shown, 0.0), half, is_extrapolated=True)


def _largest(depth: SideDepth, mid: float) -> float:
    # To three digits, rounded down; 0 where the displayed book alone is beyond all measure.
    low, high = 0.0, depth.quantities[-1]
    while continued_cost(depth, mid, high) < LARGEST_COST_BPS:
        low, high = high, 2.0 * high
    for _ in range(_BISECTIONS if low > 0.0 else 0):
        middle = (low + high) / 2.0
        if continued_cost(depth, mid, middle) < LARGEST_COST_BPS:
            low = middle
        else:
            high = middle
    return float(f"{low * _ROUNDED_DOWN:.3g}")
