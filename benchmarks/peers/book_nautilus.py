"""nautilus_trader's full path: its schema, its deltas, its book, top ten of its levels."""

from __future__ import annotations

import book_loop
from nautilus_trader.adapters.bybit.schemas.ws import decoder_ws_orderbook
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

_ID = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
_DECODER = decoder_ws_orderbook()
_books: list[OrderBook] = []


def _apply(raw: bytes, *, snapshot: bool) -> None:
    message = _DECODER.decode(raw)
    stamp = message.ts * 1_000_000
    _books[0].apply_deltas(message.data.parse_to_deltas(_ID, 1, 3, stamp, stamp, snapshot=snapshot))


def begin(snapshot: bytes) -> None:
    _books[:] = [OrderBook(_ID, BookType.L2_MBP)]
    _apply(snapshot, snapshot=True)


def apply(delta: bytes) -> book_loop.Figures:
    _apply(delta, snapshot=False)
    book = _books[0]
    bids, asks = book.bids(), book.asks()
    share = book_loop.imbalance(
        sum(level.size() for level in bids[:10]), sum(level.size() for level in asks[:10])
    )
    return float(book.best_bid_price()), float(book.best_ask_price()), share


if __name__ == "__main__":
    book_loop.serve("nautilus_trader", begin, apply)
