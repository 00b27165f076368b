"""Books and prices, fresh or from a cache."""

from __future__ import annotations

from typing import Any

from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.source import BookSource
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import TtlCache

_BOOK_LEVELS = 50
_MAX_SYMBOLS = 256
_NS_PER_S = 1_000_000_000


class QuoteDesk:
    """Reads books through a source and keeps what they say for a short time.

    Parameters
    ----------
    source : BookSource
        Where books come from.
    price_ttl_s, book_ttl_s : float
        Life of a cached price and of a cached book, seconds.
    is_caching : bool
        False keeps nothing.
    clock : Clock
        Monotonic and display time.
    """

    def __init__(
        self,
        source: BookSource,
        *,
        price_ttl_s: float,
        book_ttl_s: float,
        is_caching: bool,
        clock: Clock,
    ) -> None:
        self._source = source
        self._is_caching = is_caching
        self._clock = clock
        self.prices: TtlCache[str, dict[str, Any]] = TtlCache(
            _MAX_SYMBOLS, ttl_s=price_ttl_s, clock=clock
        )
        self.books: TtlCache[str, BookLevels] = TtlCache(
            _MAX_SYMBOLS, ttl_s=book_ttl_s, clock=clock
        )

    def price(self, symbol: str) -> dict[str, Any] | None:
        """Return ``symbol``, ``bid``, ``ask``, ``mid`` and ``ts``, None when not fresh enough."""
        return self.prices.get(symbol) if self._is_caching else None

    async def book(self, symbol: str) -> BookLevels:
        """Return a book that may come from the cache."""
        await self._source.ready()
        if not self._is_caching:
            return await self.fresh_book(symbol)
        return await self.books.get_or_compute(symbol, lambda: self.fresh_book(symbol))

    async def fresh_book(self, symbol: str) -> BookLevels:
        """Return the newest book; its prices go to the price cache."""
        levels = await self._source.levels(symbol, _BOOK_LEVELS)
        if self._is_caching:
            price = {
                "symbol": symbol,
                "bid": levels.bids.prices[0],
                "ask": levels.asks.prices[0],
                "mid": levels.mid,
                "ts": self._clock.utc_ns() / _NS_PER_S,
            }
            self.prices.put(symbol, price)
        return levels

    def clear(self) -> None:
        """Empty both caches."""
        self.prices.clear()
        self.books.clear()
