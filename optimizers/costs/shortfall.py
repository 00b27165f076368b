"""Implementation shortfall: what an order really cost against deciding and being done at once.

References
----------
Perold, The implementation shortfall: paper versus reality, 1988.
"""

from __future__ import annotations

from dataclasses import dataclass

from optimizers.costs.quantity import finite, positive
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

_BPS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Parts of the shortfall in quote currency, positive = cost; they sum to ``total``.

    Parameters
    ----------
    delay : float
        Market move between decision and arrival, on what was filled.
    trading : float
        Fills against the arrival price.
    opportunity : float
        Market move from decision to close, on what was not filled.
    fees : float
        As charged; negative for a rebate.
    total_bps : float
        Of the whole order's value at the decision price.
    """

    delay: float
    trading: float
    opportunity: float
    fees: float
    total: float
    total_bps: float


def shortfall(
    side: Side,
    *,
    quantity: float,
    filled: float,
    decision_price: float,
    arrival_price: float,
    fill_price: float,
    close_price: float,
    fees: float = 0.0,
) -> Shortfall:
    """Return the shortfall of one order.

    Parameters
    ----------
    quantity, filled : float
        Base currency; what was wanted, and the part that was filled.
    decision_price, arrival_price, fill_price, close_price : float
        Quote currency: mid at the decision, mid when the order arrived, average of the fills,
        price at which the rest is valued.
    fees : float
        Quote currency, negative for a rebate.

    Raises
    ------
    ValidationError
        If a number is not finite, a price or the quantity not positive, or more is filled than
        was wanted.
    """
    wanted = positive(quantity, "quantity")
    done = finite(filled, "filled quantity")
    decided = positive(decision_price, "decision_price")
    arrived = positive(arrival_price, "arrival_price")
    paid = positive(fill_price, "fill_price")
    closed = positive(close_price, "close_price")
    if not 0.0 <= done <= wanted:
        raise ValidationError(f"filled must be between 0 and {wanted:g}, was {done:g}")
    sign = 1.0 if side is Side.BUY else -1.0
    delay = sign * done * (arrived - decided)
    trading = sign * done * (paid - arrived)
    opportunity = sign * (wanted - done) * (closed - decided)
    charged = finite(fees, "fees")
    total = finite(delay + trading + opportunity + charged, "shortfall")
    return Shortfall(
        delay=delay,
        trading=trading,
        opportunity=opportunity,
        fees=charged,
        total=total,
        total_bps=finite(total / (wanted * decided) * _BPS, "shortfall in bps"),
    )
