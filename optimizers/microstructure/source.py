"""Order books from whatever client a user brings."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import CorruptDataError
from trading_system.domain.ports import VenueClient


class BookSource:
    """Reads checked order books from a client.

    Parameters
    ----------
    client : VenueClient
        The gated client, or any object with ``get_order_book_data(symbol, limit)``: a coroutine
        function is awaited, a plain one runs in a thread so that it cannot stall the event loop.
    """

    def __init__(self, client: VenueClient) -> None:
        self._client = client
        # A stand-in of a user may have nothing to make ready.
        self._ensure_ready = getattr(client, "ensure_ready", None)

    async def ready(self) -> None:
        """Let the client connect on first use."""
        if self._ensure_ready is not None:
            await self._ensure_ready()

    async def levels(self, symbol: str, count: int) -> BookLevels:
        """Return ``count`` levels per side of the newest book.

        Raises
        ------
        CorruptDataError
            If the book is one-sided, crossed or not made of numbers.
        """
        read: Any = self._client.get_order_book_data
        if inspect.iscoroutinefunction(read):
            book = await read(symbol, count)
        else:
            book = await asyncio.to_thread(read, symbol, count)
            if inspect.isawaitable(book):
                book = await book
        if not isinstance(book, Mapping):
            raise CorruptDataError(f"{symbol} book is no mapping")
        return read_levels(symbol, book)
