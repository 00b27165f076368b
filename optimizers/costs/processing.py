"""Order book messages in batches, and a book's features, as guide 3 asks for them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from optimizers.costs.quantity import positive
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import CorruptDataError, ValidationError

Array = npt.NDArray[np.float64]
Handler = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]


class ProcessedBook(TypedDict):
    """One book as float64 arrays, best level first, and plain figures.

    ``spreads`` and ``volumes`` pair the levels of both sides up to the shorter one: quote and base
    currency. ``spread_bps`` is against the mid; ``imbalance`` is in [-1, 1].
    """

    symbol: str
    asks: Array
    bids: Array
    spreads: Array
    volumes: Array
    mid: float
    spread: float
    spread_bps: float
    imbalance: float


class BookFeatures(TypedDict):
    """Plain figures of one book and one order.

    ``spread`` relative to the mid, ``imbalance`` in [-1, 1] over all levels, ``depth`` displayed
    on both sides (base currency), ``quantity_ratio`` the order over that depth.
    """

    spread: float
    imbalance: float
    depth: float
    quantity_ratio: float


class BookProcessor:
    """Checks books, turns them into arrays and hands messages on in batches.

    Messages wait in a bounded buffer that keeps the newest per symbol: an older one that has not
    been processed yet is replaced and counted, because only the present book prices a trade. Only
    whole books may be conflated; increments must be applied before they come here.

    Parameters
    ----------
    batch_size : int
        Messages that start a batch, 1 to ``capacity``.
    capacity : int
        Most symbols that wait; the oldest message goes first when it is full.
    handler : callable or None
        Takes each batch; by default the books are processed and kept in :attr:`books`.

    Attributes
    ----------
    buffer : dict
        Waiting message by symbol.
    books : dict
        Newest processed book by symbol, at most ``capacity``.
    conflated, dropped, processed, refused : int
        Messages replaced by a newer one, lost to a full buffer, handled, and not understood.
    """

    def __init__(
        self, *, batch_size: int = 1, capacity: int = 256, handler: Handler | None = None
    ) -> None:
        if not 1 <= batch_size <= capacity:
            raise ValidationError(f"batch_size must be 1 to {capacity}, was {batch_size}")
        self.batch_size = batch_size
        self.buffer: dict[str, Mapping[str, Any]] = {}
        self.books: dict[str, ProcessedBook] = {}
        self.conflated = 0
        self.dropped = 0
        self.processed = 0
        self.refused = 0
        self._capacity = capacity
        self._handler = handler

    def process_orderbook(self, data: Mapping[str, Any]) -> ProcessedBook:
        """Return one book as arrays.

        Parameters
        ----------
        data : Mapping
            ``asks`` and ``bids``, pairs of price and size (text or numbers, further entries of a
            level are ignored), best first.

        Raises
        ------
        CorruptDataError
            If it is no two-sided book that is in order and not crossed.
        """
        levels = _levels(data)
        asks = np.array([levels.asks.prices, levels.asks.sizes]).T
        bids = np.array([levels.bids.prices, levels.bids.sizes]).T
        shared = min(len(asks), len(bids))
        return {
            "symbol": levels.symbol,
            "asks": asks,
            "bids": bids,
            "spreads": asks[:shared, 0] - bids[:shared, 0],
            "volumes": asks[:shared, 1] + bids[:shared, 1],
            "mid": levels.mid,
            "spread": levels.spread,
            "spread_bps": levels.spread / levels.mid * 10_000.0,
            "imbalance": _imbalance(levels),
        }

    def calculate_features(self, data: Mapping[str, Any]) -> BookFeatures:
        """Return the features of one book and one order.

        Parameters
        ----------
        data : Mapping
            ``asks``, ``bids`` and ``quantity`` (base currency, positive). The spread is measured,
            not taken from the caller.

        Raises
        ------
        CorruptDataError
            If it is no two-sided book that is in order and not crossed.
        ValidationError
            If the quantity is missing or not finite and positive.
        """
        levels = _levels(data)
        quantity = positive(data.get("quantity"), "quantity")
        depth = levels.bids.quantities[-1] + levels.asks.quantities[-1]
        ratio = quantity / depth
        if not math.isfinite(ratio):
            raise ValidationError(f"quantity {quantity:g} is too large for this book")
        return {
            "spread": levels.spread / levels.mid,
            "imbalance": _imbalance(levels),
            "depth": depth,
            "quantity_ratio": ratio,
        }

    async def process_message(self, message: Mapping[str, Any]) -> None:
        """Take one message that holds a whole book, and process a batch once it is full.

        Raises
        ------
        CorruptDataError
            If the message is no mapping or names no symbol; it is not kept.
        """
        symbol = _symbol(message)
        if symbol is None:
            self.refused += 1
            raise CorruptDataError("a book message must be a mapping that names its symbol")
        if symbol in self.buffer:
            self.conflated += 1
        elif len(self.buffer) >= self._capacity:
            del self.buffer[next(iter(self.buffer))]
            self.dropped += 1
        self.buffer[symbol] = message
        await self.process_messages()

    async def process_messages(self) -> None:
        """Process whole batches, oldest message first; fewer than a batch stay in the buffer."""
        while len(self.buffer) >= self.batch_size:
            chosen = list(self.buffer)[: self.batch_size]
            await self.process_batch([self.buffer.pop(symbol) for symbol in chosen])

    async def flush(self) -> None:
        """Process what waits, even if it fills no batch."""
        waiting = list(self.buffer.values())
        self.buffer.clear()
        if waiting:
            await self.process_batch(waiting)

    async def process_batch(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Process messages now; one that is not understood is counted and hinders no other."""
        if self._handler is not None:
            await self._handler(batch)
            self.processed += len(batch)
            return
        for message in batch:
            try:
                book = self.process_orderbook(message)
            except CorruptDataError:
                # An older book of the symbol must not stand for the one that was not understood.
                self.books.pop(_symbol(message) or "", None)
                self.refused += 1
                continue
            self._keep(book)

    def _keep(self, book: ProcessedBook) -> None:
        if self.books.pop(book["symbol"], None) is None and len(self.books) >= self._capacity:
            del self.books[next(iter(self.books))]
        self.books[book["symbol"]] = book
        self.processed += 1


def _levels(data: Mapping[str, Any]) -> BookLevels:
    if not isinstance(data, Mapping):
        raise CorruptDataError("a book must be a mapping with asks and bids")
    return read_levels(_symbol(data) or "book", data)


def _symbol(data: object) -> str | None:
    if not isinstance(data, Mapping):
        return None
    symbol = data.get("symbol", data.get("s"))
    return symbol if isinstance(symbol, str) and symbol else None


def _imbalance(levels: BookLevels) -> float:
    bids, asks = levels.bids.quantities[-1], levels.asks.quantities[-1]
    return (bids - asks) / (bids + asks)
