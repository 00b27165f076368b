"""Order sizes as users say them, turned into base currency."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import ValidationError

UNITS = ("base", "quote", "usd")
"""Units of an amount; ``usd`` is taken at par with a quote currency of :data:`DOLLARS`."""
DOLLARS = frozenset(
    {
        "USD",
        "USDT",
        "USDC",
        "USDG",
        "USDE",
        "USDS",
        "USD1",
        "DAI",
        "FDUSD",
        "PYUSD",
        "RLUSD",
        "TUSD",
    }
)
"""The dollar and its stablecoins."""


def base_quantity(
    amount: float | str | Decimal, unit: str, *, mid: float, quote_currency: str | None = None
) -> float:
    """Return ``amount`` in base currency.

    Parameters
    ----------
    amount : float, str or Decimal
        Finite and positive.
    unit : str
        One of :data:`UNITS`, in any case.
    mid : float
        Quote currency per unit of base currency, finite and positive.
    quote_currency : str or None
        Its name; None takes it for a dollar.

    Raises
    ------
    ValidationError
        If the amount or the mid is no finite positive number, or the unit is unknown, or it is
        ``usd`` and the quote currency is no dollar.
    """
    value = positive(amount, "quantity")
    price = positive(mid, "mid price")
    kind = unit.strip().lower() if isinstance(unit, str) else ""
    if kind not in UNITS:
        raise ValidationError(f"unknown quantity unit {unit!r}: use one of {', '.join(UNITS)}")
    if kind == "usd" and quote_currency is not None and quote_currency.upper() not in DOLLARS:
        raise ValidationError(
            f"unit usd cannot be used where prices are in {quote_currency}, which is no dollar: "
            "use unit quote or base"
        )
    return value if kind == "base" else positive(value / price, "quantity in base currency")


def positive(value: object, what: str) -> float:
    """Return ``value`` as a float if it is a finite positive number, or text that spells one.

    Raises
    ------
    ValidationError
        If it is not.
    """
    if type(value) is float and 0.0 < value < math.inf:
        return value
    number = finite(value, what)
    if number <= 0.0:
        raise ValidationError(f"{what} must be positive, was {value!r}")
    return number


def finite(value: object, what: str) -> float:
    """Return ``value`` as a float if it is a finite number, or text that spells one.

    Raises
    ------
    ValidationError
        If it is not.
    """
    if isinstance(value, str) and not (value.isascii() and "_" not in value):
        raise ValidationError(f"{what} must be a number in plain digits, was {value!r}")
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValidationError(f"{what} must be a number, was {value!r}")
    try:
        number = float(Decimal(value)) if isinstance(value, str) else float(value)
    except (InvalidOperation, ValueError, OverflowError) as e:
        raise ValidationError(f"{what} must be a finite number, was {value!r}") from e
    if not math.isfinite(number):
        raise ValidationError(f"{what} must be a finite number, was {value!r}")
    return number
