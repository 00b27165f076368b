"""Bybit's linear perpetuals as a book feed: 200 levels, vouched for by level 1."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from trading_system.cost_simulator.feeds import BookView, Level, Listeners, Tick
from trading_system.domain.errors import CorruptDataError, SequenceGapError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.ports import Clock
from trading_system.market.book import OrderBook
from trading_system.market.decode import decode_book, peek_topic
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks

DEPTH = 200
_TOP = 1


class _Market:
    # One instrument: the deep book, level 1 beside it, and a version that never repeats.

    __slots__ = ("_sides", "book", "instrument", "lot", "tick", "top", "version")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = OrderBook(instrument, depth=DEPTH)
        self.top = OrderBook(instrument, depth=_TOP)
        self.tick = instrument.tick_size.as_integer_ratio()
        self.lot = instrument.qty_step.as_integer_ratio()
        self.version = 0
        self._sides: tuple[int, list[Level], list[Level]] = (-1, [], [])

    # Level 1 is sent at least every few seconds and vouches for a quiet deep book, but only while
    # both show the same best prices.
    def confirmed_ns(self, received_ns: int) -> int:
        top = self.top
        is_same = (top.best_bid_ticks, top.best_ask_ticks) == (
            self.book.best_bid_ticks,
            self.book.best_ask_ticks,
        )
        return max(received_ns, top.received_ns) if is_same and top.received_ns else received_ns

    def sides(self) -> tuple[list[Level], list[Level]]:
        version, bids, asks = self._sides
        if version != self.version:
            bids, asks = self._side(Side.BUY), self._side(Side.SELL)
            self._sides = (self.version, bids, asks)
        return bids, asks

    def _side(self, side: Side) -> list[Level]:
        price, price_by = self.tick
        size, size_by = self.lot
        return [
            (ticks * price / price_by, lots * size / size_by)
            for ticks, lots in self.book.levels(side, DEPTH)
        ]


class BybitBookFeed:
    """Books of several linear perpetuals over one connection.

    Parameters
    ----------
    url : str
        Full address of the public linear stream.
    instruments : Mapping[str, Instrument]
        Trading rules by symbol.
    clock : Clock
        Receive stamps and stage times.
    jitter : random.Random
        Source of the back-off's jitter.
    """

    def __init__(
        self,
        url: str,
        instruments: Mapping[str, Instrument],
        *,
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        self._clock = clock
        self._markets = {symbol: _Market(rules) for symbol, rules in instruments.items()}
        self._books: dict[str, tuple[_Market, OrderBook]] = {}
        for market in self._markets.values():
            for book in (market.book, market.top):
                self._books[book.topic] = (market, book)
        self._listeners: Listeners | None = None
        self._stream = BybitStream(
            url,
            list(self._books),
            callbacks=StreamCallbacks(
                on_frame=self.on_frame,
                on_up=lambda: None,
                on_down=self._on_down,
                on_resync=self._on_resync,
            ),
            clock=clock,
            jitter=jitter,
        )

    @property
    def exchange(self) -> str:
        """``bybit``."""
        return "bybit"

    @property
    def products(self) -> dict[str, str]:
        """Every instrument of the linear category is a perpetual."""
        return dict.fromkeys(self._markets, "perpetual")

    def listen(self, listeners: Listeners) -> None:
        """Tell ``listeners`` from now on."""
        self._listeners = listeners

    async def run(self) -> None:
        """Keep the connection alive until cancelled."""
        await self._stream.run()

    def view(self, instrument: str) -> BookView | None:
        """Return the book, None while there is no trusted two-sided one."""
        market = self._markets[instrument]
        book = market.book
        if not book.is_ready or book.received_ns is None or book.mid is None:
            return None
        bids, asks = market.sides()
        return BookView(
            bids=bids,
            asks=asks,
            version=market.version,
            sequence=book.sequence,
            ts_exchange_ns=book.ts_exchange_ns,
            received_ns=book.received_ns,
            confirmed_ns=market.confirmed_ns(book.received_ns),
        )

    def figures(self) -> dict[str, Any]:
        """Return counters of the connection and its books."""
        books = [market.book for market in self._markets.values()]
        return {
            "is_up": self._stream.is_up,
            "frames": self._stream.frames,
            "resyncs": self._stream.resyncs,
            "connects": self._stream.connects,
            "gaps": sum(book.gaps for book in books),
            "crossed": sum(book.crossed for book in books),
            "rejected": sum(book.rejected for book in books),
        }

    def on_frame(self, frame: bytes, received_ns: int) -> None:
        """Decode and apply one frame.

        Raises
        ------
        CorruptDataError
            If the frame is malformed or belongs to no book here; a gap is a ``SequenceGapError``.
        """
        found = self._books.get(peek_topic(frame))
        if found is None:
            raise CorruptDataError("a topic that was not subscribed")
        market, book = found
        message = decode_book(frame)
        decoded_ns = self._clock.monotonic_ns()
        try:
            has_changed = book.apply(message, received_ns)
        except SequenceGapError:
            self._lost(market, book)
            raise
        if has_changed and book is market.book:
            self._tell(market, received_ns, decoded_ns)

    def _tell(self, market: _Market, received_ns: int, decoded_ns: int) -> None:
        market.version += 1
        mid = market.book.mid
        if self._listeners is None or mid is None:
            return
        self._listeners.on_tick(
            Tick(
                instrument=market.instrument.symbol,
                mid=mid,
                received_ns=received_ns,
                decoded_ns=decoded_ns,
                applied_ns=self._clock.monotonic_ns(),
            )
        )

    def _on_down(self, _reason: str) -> None:
        for market, book in self._books.values():
            self._lost(market, book)

    def _on_resync(self, topic: str) -> None:
        self._lost(*self._books[topic])

    def _lost(self, market: _Market, book: OrderBook) -> None:
        book.reset()
        if book is market.book and self._listeners is not None:
            self._listeners.on_lost(market.instrument.symbol)
