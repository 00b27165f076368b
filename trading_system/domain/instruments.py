"""Instruments: grids, limits and the only place where decimals and integers are converted.

Prices travel as :class:`decimal.Decimal` on the wire and in orders, as integer *ticks* in books
and in the matching core; quantities likewise as Decimal and integer *lots*.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from enum import Enum

from trading_system.domain.errors import OffGridError, ValidationError

_MAX_TEXT = 40


def parse_decimal(text: str) -> Decimal:
    """Return the finite decimal that ``text`` spells in plain notation.

    Parameters
    ----------
    text : str
        ASCII digits with at most one dot and a leading minus, at most 40 characters. Exponents,
        underscores, signs other than minus, blanks and non-ASCII digits are refused.

    Raises
    ------
    ValidationError
        If the text spells no such number.
    """
    body = text.removeprefix("-")
    digits = body.replace(".", "", 1)
    if not (len(text) <= _MAX_TEXT and digits.isascii() and digits.isdigit()):
        raise ValidationError(f"not a plain decimal number: {text[:_MAX_TEXT]!r}")
    return Decimal(text)


def decimal_places(step: Decimal) -> int:
    """Return the number of decimals needed to write multiples of ``step``."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def plain(value: Decimal) -> str:
    """Return ``value`` in plain notation without an exponent or trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


SPOT_SUFFIX = ".SPOT"
"""End of every key of a spot pair; no venue symbol holds a dot."""


class Category(Enum):
    """What kind of thing is traded, as Bybit spells it."""

    LINEAR = "linear"
    SPOT = "spot"

    def key(self, symbol: str) -> str:
        """Return the key under which ``symbol`` of this category is listed."""
        return f"{symbol}{SPOT_SUFFIX}" if self is Category.SPOT else symbol


def category_of(key: str) -> Category:
    """Return the category of what is listed under ``key``."""
    return Category.SPOT if key.endswith(SPOT_SUFFIX) else Category.LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable contract or currency pair.

    Parameters
    ----------
    symbol, base_coin, quote_coin : str
        Names as the venue spells them, upper case.
    tick_size, qty_step : Decimal
        Grid of prices (quote currency) and quantities (base currency), positive.
    min_price, max_price : Decimal
        Range of order prices, quote currency.
    min_qty, max_qty, max_market_qty : Decimal
        Range of order quantities, base currency.
    min_notional : Decimal
        Smallest order value, quote currency; 0 where the venue has none.
    max_leverage : Decimal
        Largest leverage the venue allows.
    funding_interval_minutes : int
        Minutes between funding settlements of a perpetual.
    category : Category
        Perpetual contract (the default) or spot pair.
    """

    symbol: str
    base_coin: str
    quote_coin: str
    tick_size: Decimal
    qty_step: Decimal
    min_price: Decimal
    max_price: Decimal
    min_qty: Decimal
    max_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal = Decimal(0)
    max_leverage: Decimal = Decimal(100)
    funding_interval_minutes: int = 480
    category: Category = Category.LINEAR

    def __post_init__(self) -> None:
        for name in ("tick_size", "qty_step", "min_qty", "max_qty", "max_market_qty", "max_price"):
            value = getattr(self, name)
            if not (value.is_finite() and value > 0):
                raise ValidationError(f"{self.symbol} {name} must be positive, was {value}")
        if not (self.min_price.is_finite() and 0 <= self.min_price <= self.max_price):
            raise ValidationError(f"{self.symbol} min_price {self.min_price} is out of range")
        if not (self.min_notional.is_finite() and self.min_notional >= 0):
            raise ValidationError(f"{self.symbol} min_notional {self.min_notional} is negative")

    @property
    def key(self) -> str:
        """Name that is unique over categories: ``BTCUSDT``, and ``BTCUSDT.SPOT`` for spot."""
        return self.category.key(self.symbol)

    @property
    def price_decimals(self) -> int:
        """Decimals of a price text."""
        return decimal_places(self.tick_size)

    @property
    def qty_decimals(self) -> int:
        """Decimals of a quantity text."""
        return decimal_places(self.qty_step)

    def price_to_ticks(self, price: Decimal) -> int:
        """Return ``price`` as a whole number of ticks.

        Raises
        ------
        OffGridError
            If the price is not finite or not a multiple of the tick size.
        """
        return _units(price, self.tick_size, f"{self.symbol} price")

    def ticks_to_price(self, ticks: int) -> Decimal:
        """Return the exact price of ``ticks``."""
        return self.tick_size * ticks

    def qty_to_lots(self, qty: Decimal) -> int:
        """Return ``qty`` as a whole number of lots.

        Raises
        ------
        OffGridError
            If the quantity is not finite or not a multiple of the quantity step.
        """
        return _units(qty, self.qty_step, f"{self.symbol} quantity")

    def lots_to_qty(self, lots: int) -> Decimal:
        """Return the exact quantity of ``lots``."""
        return self.qty_step * lots

    def floor_lots(self, qty: Decimal) -> int:
        """Return the largest number of lots that is not above ``qty`` (finite, >= 0)."""
        return int((qty / self.qty_step).to_integral_value(ROUND_FLOOR))

    def floor_ticks(self, price: Decimal) -> int:
        """Return the largest number of ticks that is not above ``price`` (finite)."""
        return int((price / self.tick_size).to_integral_value(ROUND_FLOOR))

    def ceil_ticks(self, price: Decimal) -> int:
        """Return the smallest number of ticks that is not below ``price`` (finite)."""
        return int((price / self.tick_size).to_integral_value(ROUND_CEILING))

    def price_text(self, ticks: int) -> str:
        """Return the price of ``ticks`` with exactly the grid's decimals."""
        return format(self.tick_size * ticks, f".{self.price_decimals}f")


def _units(value: Decimal, step: Decimal, what: str) -> int:
    if not value.is_finite():
        raise OffGridError(f"{what} must be finite, was {value}")
    try:
        quotient, remainder = divmod(value, step)
    except InvalidOperation as e:
        raise OffGridError(f"{what} {value} has too many digits for the step {step}") from e
    if remainder:
        raise OffGridError(f"{what} {value} is not a multiple of {step}")
    return int(quotient)
