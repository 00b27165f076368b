"""What a session knows of one symbol's market: books, flow, agents, and the newest of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading_system.domain.events import TickerState, TradeTick
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.live.trust import TOP_SILENT_NS, BookTrust
from trading_system.market.book import OrderBook
from trading_system.market.book_view import BookWalk
from trading_system.market.contiguity import Contiguity
from trading_system.market.features import FlowTracker

DEPTH = 50
"""Levels of the book that decisions are made on."""
CONTEXT_DEPTH = 200
"""Levels of the book beside it, for the cost of large orders and for pictures."""
_KEEP_TRADES = 30


class Panel(Protocol):
    """The signal agents of one symbol."""

    def decide(self, features: MarketFeatures) -> Consensus | None:
        """Let every agent see one instant and return what they make of it together."""
        ...

    def reset(self) -> None:
        """Drop what a gap in the market data made uncertain."""
        ...


@dataclass(frozen=True, slots=True)
class BestPrices:
    """Best bid and ask, quote currency; None where the side is empty or the book not valid."""

    bid: Decimal | None
    ask: Decimal | None


_NO_PRICES = BestPrices(None, None)


class SymbolState:
    """Books, flow and agents of one symbol; ``newest_trades`` are public trades, oldest first.

    Parameters
    ----------
    instrument : Instrument
        Symbol and grid.
    panel : Panel
        The signal agents.
    has_context : bool
        Whether a deeper book is kept beside the decision book.
    """

    def __init__(self, instrument: Instrument, panel: Panel, *, has_context: bool = False) -> None:
        self.instrument = instrument
        self.book = OrderBook(instrument, depth=DEPTH, contiguity=Contiguity())
        self.top = OrderBook(instrument, depth=1)
        self.context = OrderBook(instrument, depth=CONTEXT_DEPTH) if has_context else None
        self.books = {str(book.depth): book for book in self._kept()}
        self.trust = BookTrust(self.book, self.top, self.context)
        self.flow = FlowTracker(instrument.symbol)
        self.panel = panel
        self.features: MarketFeatures | None = None
        self.consensus: Consensus | None = None
        self.ticker: TickerState | None = None
        self.trades = 0
        self.newest_trades: deque[TradeTick] = deque(maxlen=_KEEP_TRADES)

    def reset(self) -> None:
        """Forget what a lost stream made uncertain; what the agents have learned stays."""
        self.reset_book()
        for book in self.books.values():
            book.reset()
        self.trust.on_lost()
        self.ticker = None

    def reset_book(self) -> None:
        """Forget the decision book and what was derived from its order."""
        self.book.reset()
        self.trust.forget()
        self.reset_signals()

    def reset_signals(self) -> None:
        """Forget what was derived from the order of the decision book's messages."""
        self.flow.reset()
        self.panel.reset()
        self.features = None
        self.consensus = None

    def best_prices(self) -> BestPrices:
        """Return the best prices of the decision book."""
        bid, ask = self.book.best_bid_ticks, self.book.best_ask_ticks
        if not self.book.is_ready or bid is None or ask is None:
            return _NO_PRICES
        to_price = self.instrument.ticks_to_price
        return BestPrices(to_price(bid), to_price(ask))

    def last_message_ns(self) -> int | None:
        """Return when the decision book was last known to be right.

        Level 1 vouches for a quiet decision book, but only while both show the same best prices.
        Where level 1 itself fell silent nothing vouches for the book since then.
        """
        book, top = self.book, self.top
        if book.received_ns is None or top.received_ns is None:
            return book.received_ns
        if book.received_ns - top.received_ns > TOP_SILENT_NS:
            return top.received_ns
        best = (book.best_bid_ticks, book.best_ask_ticks)
        is_vouched = (top.best_bid_ticks, top.best_ask_ticks) == best
        return max(book.received_ns, top.received_ns) if is_vouched else book.received_ns

    def walk(self, side: Side, quantity: float) -> BookWalk | None:
        """Return what an immediate order would get; the deeper book answers for a large one."""
        walk = self.book.walk(side, quantity)
        context = self.context
        if walk is None or not walk.unfilled_qty or context is None or not context.is_ready:
            return walk
        return context.walk(side, quantity) or walk

    def deepest(self, levels: int) -> OrderBook:
        """Return the decision book, or the deeper one where it is trusted and more is wanted."""
        context = self.context
        if levels <= DEPTH or context is None or not context.is_ready:
            return self.book
        return context

    def _kept(self) -> Iterable[OrderBook]:
        return (
            (self.book, self.top) if self.context is None else (self.book, self.top, self.context)
        )
