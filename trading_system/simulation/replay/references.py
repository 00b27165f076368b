"""Mark, index, funding and open interest of one symbol, told or taken from its book."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.instruments import parse_decimal
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.replay.messages import MarkPrice
from trading_system.simulation.statistics import MarketStatistics

_REFERENCE_MS = 200


class ReferencePrices:
    """Publishes reference prices: as the source tells them, else the book's mid."""

    def __init__(self, exchange: Exchange, statistics: MarketStatistics, symbol: str) -> None:
        self._exchange = exchange
        self._statistics = statistics
        self._symbol = symbol
        self._has_source = False
        self._published_ms = -_REFERENCE_MS

    def follow_book(self, now_ms: int) -> None:
        """Take the mid as mark and index, five times a second, until the source tells them."""
        if now_ms - self._published_ms >= _REFERENCE_MS and not self._has_source:
            self.take_mid(now_ms)

    def take_mid(self, now_ms: int) -> None:
        """Take the mid as mark and index now; a one-sided book leaves them."""
        book = self._exchange.book(self._symbol)
        bid, ask = book.best_bid(), book.best_ask()
        if bid is not None and ask is not None:
            mid = self._exchange.instruments[self._symbol].ticks_to_price(bid + ask) / 2
            self._publish(mid, mid, now_ms)

    def take(self, message: MarkPrice, *, now_ms: int) -> None:
        """Take what the source tells."""
        self._has_source = True
        places = self._exchange.instruments[self._symbol].price_decimals + 2
        mark = round(Decimal(message.mark), places)
        # Delivery contracts have no index; the mark stands in.
        index = round(Decimal(message.index), places) if message.index > 0 else mark
        self._publish(mark, index, now_ms)
        if message.rate:
            _, next_ms = self._statistics.funding(self._symbol)
            self._statistics.set_funding(self._symbol, parse_decimal(message.rate), next_ms)
        if message.open_interest:
            interest = parse_decimal(message.open_interest)
            self._statistics.set_open_interest(self._symbol, interest, now_ms)

    def _publish(self, mark: Decimal, index: Decimal, now_ms: int) -> None:
        self._published_ms = now_ms
        self._exchange.set_reference(
            self._symbol, index_price=index, mark_price=mark, now_ms=now_ms
        )
        self._statistics.add_reference(self._symbol, mark=mark, index=index, time_ms=now_ms)
