"""The replay market: recordings side by side, at their own pace times a speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import parse_decimal
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.replay.levels import AccountOrders, RecordedBook
from trading_system.simulation.replay.messages import (
    DepthDiff,
    MarkPrice,
    Message,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.recording import RecordingChain
from trading_system.simulation.statistics import MarketStatistics

_REFERENCE_MS = 200
_TOGETHER_NS = 60 * 10**9
_MOST_SPEED = 1_000.0

FillModel = Literal["queue", "trade-through"]


class ReplayMarket:
    """Plays recordings into the exchange.

    Nothing is invented: without a mark price stream in the file, mark and index are the book's
    mid; klines hold only what was played (there is no pre-roll); open interest stays 0, the long
    ratio is unset and funding stays 0 unless the mark price stream tells it.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        The venue's; the exchange's instruments are the chains'.
    chains : Sequence of RecordingChain
        One per symbol. Recordings that began within a minute of each other keep their common
        clock and start together at the latest of their snapshots; others start each at its own.
    speed : float
        Recorded seconds per second of venue time, above 0 and at most 1,000.
    fill_model : str
        ``queue`` or ``trade-through``.

    Raises
    ------
    ConfigurationError
        If ``speed`` is out of range; while playing, if a recording is damaged.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        chains: Sequence[RecordingChain],
        *,
        speed: float,
        fill_model: FillModel,
    ) -> None:
        if not (math.isfinite(speed) and 0.0 < speed <= _MOST_SPEED):
            raise ConfigurationError(f"speed must be above 0 and at most 1000, was {speed}")
        self._chains = tuple(chains)
        self._speed = speed
        self._fill_model = fill_model
        self._start_ms = 0
        self.account_orders = AccountOrders()
        self._players = [
            _Player(
                exchange,
                statistics,
                chain,
                book=RecordedBook(
                    exchange,
                    chain.symbol,
                    account_orders=self.account_orders,
                    is_trade_through_only=fill_model == "trade-through",
                ),
            )
            for chain in self._chains
        ]

    def prepare(self, now_ms: int) -> None:
        """Show each recording's book at the common start."""
        self._start_ms = now_ms
        stamps = [player.open(now_ms) for player in self._players]
        latest = max(stamps)
        together = latest - min(stamps) <= _TOGETHER_NS
        for player, own in zip(self._players, stamps, strict=True):
            player.skip_to(latest if together else own)

    def advance(self, now_ms: int) -> None:
        """Play every message due by ``now_ms``, across symbols in recorded order."""
        due_ns = int((now_ms - self._start_ms) * 1_000_000 * self._speed)
        while True:
            player = min(self._players, key=_Player.next_offset_ns)
            offset_ns = player.next_offset_ns()
            if offset_ns > due_ns or offset_ns == math.inf:
                return
            player.play(self._start_ms + int(offset_ns / (1_000_000 * self._speed)))

    @property
    def is_finished(self) -> bool:
        """Whether every recording has been played to its end."""
        return all(player.next_offset_ns() == math.inf for player in self._players)

    def description(self) -> dict[str, object]:
        """Return kind, symbols, files, speed, fill model and length."""
        return {
            "market": "replay",
            "symbols": [chain.symbol for chain in self._chains],
            "recordings": [file.path.name for chain in self._chains for file in chain.files],
            "speed": self._speed,
            "fill_model": self._fill_model,
            "duration_s": round(max(player.duration_s for player in self._players), 3),
            "klines": "from the flow played only",
        }


class _Player:
    # One recording: its next message, its book and its reference prices.
    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        chain: RecordingChain,
        *,
        book: RecordedBook,
    ) -> None:
        self._exchange = exchange
        self._statistics = statistics
        self._chain = chain
        self._symbol = chain.symbol
        self._book = book
        self._messages: Iterator[Message] = chain.messages()
        self._next: Message | None = None
        self._origin_ns = 0
        self._has_mark_stream = False
        self._reference_ms = -_REFERENCE_MS
        self._start_ms = 0

    @property
    def duration_s(self) -> float:
        start_ns = self._origin_ns or self._chain.files[0].first_stamp_ns
        return (self._chain.last_stamp_ns - start_ns) / 1e9

    def open(self, now_ms: int) -> int:
        """Show the snapshot; return its stamp."""
        self._start_ms = now_ms
        first = next(self._messages)
        assert isinstance(first, Snapshot), "a chain starts with its snapshot"
        self._book.apply(first.bids, first.asks, now_ms=now_ms)
        self._advance_cursor()
        return first.stamp_ns

    def skip_to(self, origin_ns: int) -> None:
        """Bring the book to ``origin_ns`` without printing the trades before it."""
        self._origin_ns = origin_ns
        while self._next is not None and self._next.stamp_ns <= origin_ns:
            if isinstance(self._next, DepthDiff):
                self._book.apply(self._next.bids, self._next.asks, now_ms=self._start_ms)
            self._advance_cursor()
        self._publish_mid(self._start_ms)

    def next_offset_ns(self) -> float:
        """Return recorded nanoseconds from the start to the next message, inf at the end."""
        return math.inf if self._next is None else self._next.stamp_ns - self._origin_ns

    def play(self, now_ms: int) -> None:
        """Play the next message at venue time ``now_ms``."""
        message = self._next
        assert message is not None, "the recording is over"
        self._advance_cursor()
        if isinstance(message, DepthDiff):
            self._book.apply(message.bids, message.asks, now_ms=now_ms)
            if now_ms - self._reference_ms >= _REFERENCE_MS and not self._has_mark_stream:
                self._publish_mid(now_ms)
        elif isinstance(message, RecordedTrade):
            self._book.trade(message.taker_side, message.price_ticks, message.lots, now_ms=now_ms)
        elif isinstance(message, MarkPrice):
            self._publish_mark(message, now_ms)

    def _advance_cursor(self) -> None:
        self._next = next(self._messages, None)

    def _publish_mid(self, now_ms: int) -> None:
        book = self._exchange.book(self._symbol)
        bid, ask = book.best_bid(), book.best_ask()
        if bid is None or ask is None:
            return
        instrument = self._exchange.instruments[self._symbol]
        mid = instrument.ticks_to_price(bid + ask) / 2
        self._publish(mid, mid, now_ms)

    def _publish_mark(self, message: MarkPrice, now_ms: int) -> None:
        self._has_mark_stream = True
        places = self._exchange.instruments[self._symbol].price_decimals + 2
        mark = round(Decimal(message.mark), places)
        # Delivery contracts have no index; the mark stands in.
        index = round(Decimal(message.index), places) if message.index > 0 else mark
        self._publish(mark, index, now_ms)
        _, next_ms = self._statistics.funding(self._symbol)
        self._statistics.set_funding(self._symbol, parse_decimal(message.rate), next_ms)

    def _publish(self, mark: Decimal, index: Decimal, now_ms: int) -> None:
        self._reference_ms = now_ms
        self._exchange.set_reference(
            self._symbol, index_price=index, mark_price=mark, now_ms=now_ms
        )
        self._statistics.add_reference(self._symbol, mark=mark, index=index, time_ms=now_ms)
