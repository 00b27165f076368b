"""Grids of recorded symbols: known ones, seen ones, and contracts turned into base currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import Instrument, parse_decimal
from trading_system.simulation.replay.messages import Grid

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD")
_LARGEST = Decimal(10_000_000)
_FOUR_DIGITS = Context(prec=4)

_KNOWN: dict[tuple[str, bool], tuple[str, str]] = {
    ("BTCUSDT", True): ("0.1", "0.001"),
    ("ETHUSDT", True): ("0.01", "0.001"),
    ("BTCUSDT", False): ("0.01", "0.00001"),
    ("ETHUSDT", False): ("0.01", "0.0001"),
}
"""Tick and lot by symbol and whether it is a USD-M future, as Binance had them in 2023 and 2024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """How a recorded symbol is listed: its contract, and the grid of the recording's texts.

    ``unit`` says in words what one recorded unit of quantity became.
    """

    instrument: Instrument
    grid: Grid
    unit: str


def listing(
    symbol: str, *, base: str, quote: str, tick: Decimal, lot: Decimal, base_per_unit: Decimal
) -> Listing:
    """List a symbol as a linear contract.

    Parameters
    ----------
    tick : Decimal
        Price step, quote currency.
    lot : Decimal
        Quantity step of the recording, in its own unit.
    base_per_unit : Decimal
        Base currency per recorded unit: 1, or the size of a contract.
    """
    step = (lot * base_per_unit).normalize()
    instrument = Instrument(
        symbol=symbol,
        base_coin=base,
        quote_coin=quote,
        tick_size=tick,
        qty_step=step,
        min_price=tick,
        max_price=_LARGEST,
        min_qty=step,
        max_qty=step * 10_000_000,
        max_market_qty=step * 2_000_000,
        min_notional=Decimal(5),
    )
    unit = "base currency" if base_per_unit == 1 else f"contracts of {base_per_unit:f} {base}"
    return Listing(instrument=instrument, grid=Grid(tick, lot), unit=unit)


def recorded_listing(
    symbol: str, *, is_futures: bool, levels: Iterable[tuple[str, str]]
) -> Listing:
    """Return the listing of a Binance spot or USD-M recording.

    BTCUSDT and ETHUSDT have their real grids; for other symbols the grid is the finest step seen
    in the recording's own snapshot.

    Parameters
    ----------
    levels : iterable of (str, str)
        Price and quantity texts of the snapshot, at least one.
    """
    known = _KNOWN.get((symbol, is_futures))
    tick, lot = (Decimal(known[0]), Decimal(known[1])) if known else finest(levels)
    base, quote = split_pair(symbol)
    return listing(symbol, base=base, quote=quote, tick=tick, lot=lot, base_per_unit=Decimal(1))


def inverse_listing(
    symbol: str, *, base: str, face: Decimal, levels: list[tuple[str, str]], mid: Decimal
) -> Listing:
    """Return the linear listing of an inverse contract.

    One lot is one contract, so books and trades stay whole and exact. Its size in base currency
    is ``face / mid`` to four digits, fixed for the whole recording: exact at the first mid, off
    by the price's move since. Profit is a linear contract's, in USDT for USD; the convexity of an
    inverse contract, and its margin in coin, are not there.

    Parameters
    ----------
    face : Decimal
        Value of one contract, USD.
    mid : Decimal
        First mid price of the recording, USD.
    """
    tick, lot = finest(levels)
    size = _FOUR_DIGITS.divide(face, mid)
    return listing(symbol, base=base, quote="USDT", tick=tick, lot=lot, base_per_unit=size)


def split_pair(symbol: str) -> tuple[str, str]:
    """Return base and quote coin of a pair written together; the quote is USDT if in doubt."""
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote)), "USDT")
    return symbol.removesuffix(quote) or symbol, quote


def finest(levels: Iterable[tuple[str, str]]) -> tuple[Decimal, Decimal]:
    """Return the finest decimal steps of price and quantity in ``levels``."""
    price_places = quantity_places = 0
    for price, quantity in levels:
        price_places = max(price_places, _places(price))
        quantity_places = max(quantity_places, _places(quantity))
    return Decimal(1).scaleb(-price_places), Decimal(1).scaleb(-quantity_places)


def first_mid(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> Decimal:
    """Return the mid price of a snapshot.

    Raises
    ------
    ValidationError
        If a side is empty or a price is no positive number.
    """
    if not (bids and asks):
        raise ValidationError("the first book has an empty side")
    bid = max(parse_decimal(price) for price, _ in bids)
    ask = min(parse_decimal(price) for price, _ in asks)
    if min(bid, ask) <= 0:
        raise ValidationError("the first book has a price of 0")
    return (bid + ask) / 2


def _places(text: str) -> int:
    exponent = parse_decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
