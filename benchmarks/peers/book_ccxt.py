"""ccxt's book as its ``watch_order_book`` keeps it: ``handle_deltas``, then ``limit``.

Only the JSON decoder is not its own but the fastest at hand.
"""

from __future__ import annotations

import book_loop
import ccxt.pro
import msgspec
from ccxt.async_support.base.ws.order_book import OrderBook

_decode = msgspec.json.decode
_exchange = ccxt.pro.bybit.__new__(ccxt.pro.bybit)  # no event loop is needed for the book
_books: list[OrderBook] = []


def _levels(rows: list[list[str]]) -> list[list[float]]:
    return [[float(price), float(size)] for price, size in rows]


def begin(snapshot: bytes) -> None:
    data = _decode(snapshot)["data"]
    _books[:] = [OrderBook({"bids": _levels(data["b"]), "asks": _levels(data["a"])})]


def apply(delta: bytes) -> book_loop.Figures:
    data = _decode(delta)["data"]
    book = _books[0]
    bids, asks = book["bids"], book["asks"]
    _exchange.handle_deltas(asks, data["a"])
    _exchange.handle_deltas(bids, data["b"])
    book.limit()
    share = book_loop.imbalance(
        sum(level[1] for level in bids[:10]), sum(level[1] for level in asks[:10])
    )
    return bids[0][0], asks[0][0], share


if __name__ == "__main__":
    book_loop.serve("ccxt", begin, apply)
