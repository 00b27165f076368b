"""Order book levels as exchanges send them, checked and turned into numbers once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import gt, lt, mul
from typing import Any

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.orders import Side

_MAX_LEVELS = 1_000


class SideDepth:
    """One side of a book, best level first, with running totals.

    Parameters
    ----------
    prices, sizes : list of float
        Quote currency and base currency, positive and finite; the same length, at least one.
    sign : int
        +1 for asks (consumed by buys), -1 for bids.

    Attributes
    ----------
    quantities, values : list of float
        Running sums of sizes and of price times size.
    """

    __slots__ = ("prices", "quantities", "sign", "sizes", "values")

    def __init__(self, prices: list[float], sizes: list[float], *, sign: int) -> None:
        self.prices = prices
        self.sizes = sizes
        self.sign = sign
        self.quantities = list(accumulate(sizes))
        self.values: list[float] = list(accumulate(map(mul, prices, sizes)))


class BookLevels:
    """Both sides of one two-sided book that is not crossed."""

    __slots__ = ("asks", "bids", "mid", "spread", "symbol")

    def __init__(self, symbol: str, *, bids: SideDepth, asks: SideDepth) -> None:
        self.symbol = symbol
        self.bids = bids
        self.asks = asks
        self.mid = (bids.prices[0] + asks.prices[0]) / 2.0
        self.spread = asks.prices[0] - bids.prices[0]

    def consumed_by(self, side: Side) -> SideDepth:
        """Return the side that an order of ``side`` takes from."""
        return self.asks if side is Side.BUY else self.bids


def read_levels(symbol: str, book: Mapping[str, Any]) -> BookLevels:
    """Return the checked levels of a book.

    Parameters
    ----------
    book : mapping
        ``bids`` and ``asks`` (or the venue's own ``b`` and ``a``): pairs of price and size, best
        first, as text or numbers. Levels of size zero are left out.

    Raises
    ------
    CorruptDataError
        If a side is missing or empty, a number is not finite and positive, the levels are not in
        order, or the book is crossed.
    """
    bids = _side(symbol, "bids", book.get("bids", book.get("b")), sign=-1)
    asks = _side(symbol, "asks", book.get("asks", book.get("a")), sign=1)
    if bids.prices[0] >= asks.prices[0]:
        raise CorruptDataError(
            f"{symbol} book is crossed: bid {bids.prices[0]} is not below ask {asks.prices[0]}"
        )
    return BookLevels(symbol, bids=bids, asks=asks)


def _side(symbol: str, name: str, raw: object, *, sign: int) -> SideDepth:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise CorruptDataError(f"{symbol} book has no {name}")
    if len(raw) > _MAX_LEVELS:
        raw = raw[:_MAX_LEVELS]
    try:
        prices = [float(level[0]) for level in raw]
        sizes = [float(level[1]) for level in raw]
    except (TypeError, ValueError, LookupError) as e:
        raise CorruptDataError(f"{symbol} {name} hold something that is no number") from e
    # NaN passes neither comparison; a sum that is finite holds no infinity.
    if not (min(prices) > 0.0 and min(sizes) >= 0.0 and math.isfinite(sum(prices) + sum(sizes))):
        raise CorruptDataError(f"{symbol} {name} hold a number that is not finite and positive")
    if not all(map(lt if sign > 0 else gt, prices, prices[1:])):
        raise CorruptDataError(f"{symbol} {name} are not in order, best first")
    if 0.0 in sizes:
        prices = _where(prices, sizes)
        sizes = _where(sizes, sizes)
        if not sizes:
            raise CorruptDataError(f"{symbol} book has no {name}")
    return SideDepth(prices, sizes, sign=sign)


def _where(values: Iterable[float], sizes: Iterable[float]) -> list[float]:
    return [value for value, size in zip(values, sizes, strict=True) if size > 0.0]
