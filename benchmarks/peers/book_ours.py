"""Our book: delta bytes to best prices and imbalance, with every check on."""

from __future__ import annotations

from decimal import Decimal

import book_loop

from trading_system.domain.instruments import Instrument
from trading_system.market.book import OrderBook

_BTC = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.1"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    max_market_qty=Decimal(100),
    min_notional=Decimal(5),
)
_books: list[OrderBook] = []


def begin(snapshot: bytes) -> None:
    depth = int(snapshot.split(b".", 2)[1])
    _books[:] = [OrderBook(_BTC, depth=depth)]
    _books[0].apply_frame(snapshot, 0)


def apply(delta: bytes) -> book_loop.Figures:
    book = _books[0]
    book.apply_frame(delta, 0)
    bid, ask, share = book.best_bid_ticks, book.best_ask_ticks, book.imbalance(10)
    assert bid is not None
    assert ask is not None
    assert share is not None
    return bid / 10, ask / 10, share


if __name__ == "__main__":
    book_loop.serve(None, begin, apply)
