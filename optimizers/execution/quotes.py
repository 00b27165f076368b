"""Books and prices, fresh or from a cache."""

from __future__ import annotations

from optimizers.execution.operations import OperationTimer
from optimizers.execution.prices import Price, PriceCache
from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.source import BookSource
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import TtlCache

_BOOK_LEVELS = 50
_MAX_SYMBOLS = 256


class QuoteDesk:
    """Reads books through a source and keeps what they say for a short time.

    Parameters
    ----------
    source : BookSource
        Where books come from.
    performance : PerformanceSettings
        Whether and how long prices and books are kept.
    timer : OperationTimer
        Measures and counts the reads as ``get_order_book``.
    clock : Clock
        Monotonic and display time.
    """

    def __init__(
        self,
        source: BookSource,
        *,
        performance: PerformanceSettings,
        timer: OperationTimer,
        clock: Clock,
    ) -> None:
        self._source = source
        self._is_caching = performance.enable_caching
        self._timer = timer
        price_ttl_s = performance.price_cache_ttl_s
        self.prices = PriceCache(_MAX_SYMBOLS, ttl_s=price_ttl_s, clock=clock)
        # Lets many who miss the same price wait for one read.
        self._reads: TtlCache[str, Price] = TtlCache(_MAX_SYMBOLS, ttl_s=price_ttl_s, clock=clock)
        self.books: TtlCache[str, BookLevels] = TtlCache(
            _MAX_SYMBOLS, ttl_s=performance.order_book_cache_ttl_s, clock=clock
        )

    def price(self, symbol: str) -> Price | None:
        """Return ``symbol``, ``bid``, ``ask``, ``mid`` and ``ts``, None when not fresh enough."""
        return self.prices.get(symbol) if self._is_caching else None

    def note_price(self, symbol: str, bid: float, ask: float, *, ts: float | None) -> bool:
        """Keep prices that a stream brought; see :meth:`PriceCache.note`."""
        return self._is_caching and self.prices.note(symbol, bid, ask, ts=ts)

    async def price_or_read(self, symbol: str) -> Price:
        """Return the prices of ``symbol`` from the cache, or read the book for them."""
        price = self.price(symbol)
        if price is not None:
            return price
        await self._source.ready()
        if not self._is_caching:
            return await self._read_price(symbol)
        found = await self._reads.get_or_compute(symbol, lambda: self._read_price(symbol))
        return found.copy()

    async def book(self, symbol: str) -> BookLevels:
        """Return a book that may come from the cache."""
        await self._source.ready()
        if not self._is_caching:
            return await self.fresh_book(symbol)
        return await self.books.get_or_compute(symbol, lambda: self.fresh_book(symbol))

    async def fresh_book(self, symbol: str) -> BookLevels:
        """Return the newest book; its prices go to the price cache."""
        levels, _ = await self._read(symbol)
        return levels

    def clear(self) -> None:
        """Empty the caches."""
        self.prices.clear()
        self._reads.clear()
        self.books.clear()

    async def _read_price(self, symbol: str) -> Price:
        _, price = await self._read(symbol)
        return price

    async def _read(self, symbol: str) -> tuple[BookLevels, Price]:
        with self._timer.time_operation("get_order_book"):
            levels = await self._source.levels(symbol, _BOOK_LEVELS)
        price = self.prices.describe(symbol, levels.bids.prices[0], levels.asks.prices[0])
        if self._is_caching:
            self.prices.put(price.copy())
        return levels, price
