"""Numbers as the wire spells them."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.instruments import Instrument, plain
from trading_system.domain.orders import OrderType, Side, TimeInForce

SIDES = {Side.BUY: "Buy", Side.SELL: "Sell"}
ORDER_TYPES = {OrderType.MARKET: "Market", OrderType.LIMIT: "Limit"}
TIMES_IN_FORCE = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}

_AVERAGE = Decimal("1e-8")


class GridText:
    """Prices and quantities of one instrument as text, always with the grid's decimals.

    Integer arithmetic only: the same ticks always give the same bytes, in snapshots and deltas.
    """

    __slots__ = ("_price", "_qty", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._price = _unit(instrument.tick_size, instrument.price_decimals)
        self._qty = _unit(instrument.qty_step, instrument.qty_decimals)

    def price(self, ticks: int) -> str:
        """Return the price of ``ticks`` (not negative)."""
        return _scaled(ticks, self._price)

    def qty(self, lots: int) -> str:
        """Return the quantity of ``lots`` (not negative)."""
        return _scaled(lots, self._qty)

    def amount(self, lots: int) -> str:
        """Return a quantity with "0" for nothing, as order and position rows spell it."""
        return _scaled(lots, self._qty) if lots else "0"

    def near(self, price: Decimal) -> str:
        """Return any price rounded to the grid's decimals."""
        return format(price, f".{self.instrument.price_decimals}f")

    def size(self, quantity: Decimal) -> str:
        """Return any quantity with the grid's decimals, as books and tickers spell it."""
        return format(quantity, f".{self.instrument.qty_decimals}f")


def average_text(value: Decimal, quantity: Decimal) -> str:
    """Return ``value / quantity`` with at most eight decimals."""
    return plain((value / quantity).quantize(_AVERAGE))


def rounded(value: Decimal) -> str:
    """Return ``value`` in plain notation with at most eight decimals."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        value = value.quantize(_AVERAGE)
    return plain(value)


def _unit(step: Decimal, decimals: int) -> tuple[int, int, int]:
    scale = 10**decimals
    return int(step * scale), scale, decimals


def _scaled(count: int, unit: tuple[int, int, int]) -> str:
    step, scale, decimals = unit
    units = count * step
    if not decimals:
        return str(units)
    return f"{units // scale}.{units % scale:0{decimals}d}"
