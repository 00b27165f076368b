"""What a user asks for, checked before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from optimizers.microstructure.advice import checked_urgency
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_ORDER_TYPES = {"Market": False, "Limit": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asked for, checked.

    Parameters
    ----------
    quantity : Decimal
        Base currency, positive, on the instrument's step.
    is_limit : bool
        Whether a limit order was asked for.
    urgency : str
        ``LOW``, ``NORMAL`` or ``HIGH``.
    """

    symbol: str
    side: Side
    quantity: Decimal
    is_limit: bool
    urgency: str
    reduce_only: bool = False


def read_wish(
    symbol: str,
    side: str,
    *,
    quantity: float | str | Decimal,
    order_type: str,
    urgency: str,
    reduce_only: bool,
) -> Wish:
    """Return the wish that the guide's arguments spell.

    Raises
    ------
    ValidationError
        If the side is not ``Buy`` or ``Sell``, the type not ``Market`` or ``Limit``, the urgency
        none of the three, or the quantity not finite and positive.
    """
    if side not in _SIDES:
        raise ValidationError(f"side must be Buy or Sell, was {side!r}")
    if order_type not in _ORDER_TYPES:
        raise ValidationError(f"order_type must be Market or Limit, was {order_type!r}")
    try:
        amount = Decimal(str(quantity))
    except InvalidOperation as e:
        raise ValidationError(f"quantity must be a number, was {quantity!r}") from e
    if not (amount.is_finite() and amount > 0):
        raise ValidationError(f"quantity must be finite and positive, was {quantity}")
    return Wish(
        symbol=symbol,
        side=_SIDES[side],
        quantity=amount,
        is_limit=_ORDER_TYPES[order_type],
        urgency=checked_urgency(urgency),
        reduce_only=reduce_only,
    )
