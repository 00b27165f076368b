"""The live market: what a public stream said, played into the exchange as it came."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Literal

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.replay.engine_order import EngineOrder
from trading_system.simulation.replay.levels import AccountOrders, RecordedBook
from trading_system.simulation.replay.messages import (
    DepthDiff,
    MarkPrice,
    Message,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.references import ReferencePrices
from trading_system.simulation.statistics import MarketStatistics

_LOGGER = logging.getLogger(__name__)
_MOST_WAITING = 200_000
_NS_PER_MS = 1_000_000

FillModel = Literal["queue", "trade-through"]


class LiveMarket:
    """Follows a source message by message, a moment behind; account orders fill as in replay.

    While the source is silent the books are empty but for account orders: nothing fills, nothing
    is cancelled. The next snapshot shows the book again, in front of the account orders.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        The venue's; every instrument is followed.
    source : str
        Where the stream comes from, for the description.
    depth : int
        Levels of the followed book.
    fill_model : str
        ``queue`` or ``trade-through``.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        *,
        source: str,
        depth: int,
        fill_model: FillModel,
    ) -> None:
        self._source = source
        self._depth = depth
        self._fill_model = fill_model
        self._waiting: deque[tuple[str, Sequence[Message]]] = deque()
        self.account_orders = AccountOrders()
        self._followed = {
            symbol: _Followed(
                exchange,
                statistics,
                symbol,
                account_orders=self.account_orders,
                fill_model=fill_model,
            )
            for symbol in exchange.instruments
        }

    @property
    def stale_symbols(self) -> list[str]:
        """Symbols whose book is unknown now."""
        return [symbol for symbol, followed in self._followed.items() if followed.is_stale]

    def receive(self, symbol: str, messages: Sequence[Message]) -> None:
        """Take messages of a listing key; they are played once they have been held a moment."""
        if len(self._waiting) >= _MOST_WAITING:
            raise ConfigurationError("the venue cannot keep up with its live market")
        self._waiting.append((symbol, messages))

    def lose(self, symbols: Sequence[str]) -> None:
        """Note that these books are unknown from here on, until their next snapshots."""
        self._waiting.extend((symbol, ()) for symbol in symbols)

    def prepare(self, now_ms: int) -> None:
        """Show the first books.

        Raises
        ------
        ConfigurationError
            If a symbol's snapshot has not come yet, or a side of it is empty.
        """
        self.advance(now_ms)
        for followed in self._followed.values():
            followed.play_held(now_ms)
        for symbol, followed in self._followed.items():
            if not followed.has_two_sides(now_ms):
                raise ConfigurationError(f"{self._source} shows no two-sided book of {symbol}")

    def advance(self, now_ms: int) -> None:
        """Play what has been held long enough, in the order of the source's matching engine."""
        waiting = self._waiting
        while waiting:
            symbol, messages = waiting.popleft()
            followed = self._followed[symbol]
            if messages:
                followed.hold(messages)
            else:
                followed.withdraw(now_ms)
        for followed in self._followed.values():
            followed.advance(now_ms)

    @property
    def is_finished(self) -> bool:
        """False: another message can always come."""
        return False

    def description(self) -> dict[str, object]:
        """Return kind, source, symbols, depth and fill model."""
        return {
            "market": "live",
            "source": self._source,
            "symbols": list(self._followed),
            "depth": self._depth,
            "fill_model": self._fill_model,
            "klines": "from the flow played only",
        }


class _Followed:
    # One symbol: its book, its reference prices, and whether they can be trusted.
    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        symbol: str,
        *,
        account_orders: AccountOrders,
        fill_model: FillModel,
    ) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._book = RecordedBook(
            exchange,
            symbol,
            account_orders=account_orders,
            is_trade_through_only=fill_model == "trade-through",
        )
        self._references = ReferencePrices(exchange, statistics, symbol)
        self._order = EngineOrder()
        self.is_stale = True

    def has_two_sides(self, now_ms: int) -> bool:
        if self._exchange.mark_price(self._symbol) == 0:
            self._references.take_mid(now_ms)
        return not self.is_stale and self._exchange.mark_price(self._symbol) > 0

    def hold(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._order.add(message)

    def advance(self, now_ms: int) -> None:
        for message in self._order.due(now_ms * _NS_PER_MS):
            self._play(message, now_ms)

    def play_held(self, now_ms: int) -> None:
        for message in self._order.rest():
            self._play(message, now_ms)

    def withdraw(self, now_ms: int) -> None:
        self.play_held(now_ms)
        if not self.is_stale:
            self.is_stale = True
            self._book.withdraw()
            _LOGGER.warning("%s: the source is lost, its book is withdrawn", self._symbol)

    def _play(self, message: Message, now_ms: int) -> None:
        if isinstance(message, Snapshot):
            self._book.replace(message.bids, message.asks, now_ms=now_ms)
            if self.is_stale:
                self.is_stale = False
                _LOGGER.info("%s: the book follows its source", self._symbol)
        elif isinstance(message, MarkPrice):
            self._references.take(message, now_ms=now_ms)
        elif self.is_stale:
            return
        elif isinstance(message, DepthDiff):
            self._book.apply(message.bids, message.asks, now_ms=now_ms)
        elif isinstance(message, RecordedTrade):
            self._book.trade(message.taker_side, message.price_ticks, message.lots, now_ms=now_ms)
        self._references.follow_book(now_ms)
