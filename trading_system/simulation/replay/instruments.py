"""Grids of recorded Binance symbols."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from trading_system.domain.instruments import Instrument, parse_decimal

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD")
_LARGEST = Decimal(10_000_000)

_KNOWN: dict[tuple[str, bool], tuple[str, str]] = {
    ("BTCUSDT", True): ("0.1", "0.001"),
    ("ETHUSDT", True): ("0.01", "0.001"),
    ("BTCUSDT", False): ("0.01", "0.00001"),
    ("ETHUSDT", False): ("0.01", "0.0001"),
}
"""Tick and lot by symbol and whether it is a USD-M future, as Binance had them in 2023 and 2024."""


def recorded_instrument(
    symbol: str, *, is_futures: bool, levels: Iterable[tuple[str, str]]
) -> Instrument:
    """Return the instrument of a recording.

    BTCUSDT and ETHUSDT have their real grids; for other symbols the grid is the finest step seen
    in the recording's own snapshot.

    Parameters
    ----------
    levels : iterable of (str, str)
        Price and quantity texts of the snapshot, at least one.
    """
    known = _KNOWN.get((symbol, is_futures))
    tick, lot = (Decimal(known[0]), Decimal(known[1])) if known else _finest(levels)
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote)), "USDT")
    return Instrument(
        symbol=symbol,
        base_coin=symbol.removesuffix(quote) or symbol,
        quote_coin=quote,
        tick_size=tick,
        qty_step=lot,
        min_price=tick,
        max_price=_LARGEST,
        min_qty=lot,
        max_qty=lot * 10_000_000,
        max_market_qty=lot * 2_000_000,
        min_notional=Decimal(5),
    )


def _finest(levels: Iterable[tuple[str, str]]) -> tuple[Decimal, Decimal]:
    price_places = quantity_places = 0
    for price, quantity in levels:
        price_places = max(price_places, _places(price))
        quantity_places = max(quantity_places, _places(quantity))
    return Decimal(1).scaleb(-price_places), Decimal(1).scaleb(-quantity_places)


def _places(text: str) -> int:
    exponent = parse_decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
