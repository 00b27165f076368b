"""The replay market: recordings side by side, at their own pace times a speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.replay.levels import AccountOrders, RecordedBook
from trading_system.simulation.replay.messages import (
    DepthDiff,
    MarkPrice,
    Message,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.recording import Recording, Recordings
from trading_system.simulation.replay.references import ReferencePrices
from trading_system.simulation.statistics import MarketStatistics

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
        The venue's; the exchange's instruments are the recordings'.
    recordings : Recordings
        One per symbol. Those that began within a minute of each other keep their common
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
        recordings: Recordings,
        *,
        speed: float,
        fill_model: FillModel,
    ) -> None:
        if not (math.isfinite(speed) and 0.0 < speed <= _MOST_SPEED):
            raise ConfigurationError(f"speed must be above 0 and at most 1000, was {speed}")
        self._recordings = recordings.found
        self._left_out = recordings.left_out
        self._speed = speed
        self._fill_model = fill_model
        self._start_ms = 0
        self.account_orders = AccountOrders()
        self._players = [
            _Player(
                exchange,
                statistics,
                recording,
                book=RecordedBook(
                    exchange,
                    recording.symbol,
                    account_orders=self.account_orders,
                    is_trade_through_only=fill_model == "trade-through",
                ),
            )
            for recording in self._recordings
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
            "symbols": [recording.symbol for recording in self._recordings],
            "recordings": _names(self._recordings),
            "units": {recording.symbol: recording.unit for recording in self._recordings},
            "left_out": self._left_out,
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
        recording: Recording,
        *,
        book: RecordedBook,
    ) -> None:
        self._recording = recording
        self._book = book
        self._references = ReferencePrices(exchange, statistics, recording.symbol)
        self._messages: Iterator[Message] = recording.messages()
        self._next: Message | None = None
        self._origin_ns = 0
        self._start_ms = 0

    @property
    def duration_s(self) -> float:
        start_ns = self._origin_ns or self._recording.first_stamp_ns
        return (self._recording.last_stamp_ns - start_ns) / 1e9

    def open(self, now_ms: int) -> int:
        """Show the snapshot; return its stamp."""
        self._start_ms = now_ms
        first = next(self._messages, None)
        if not isinstance(first, Snapshot):
            name, symbol = self._recording.names[0], self._recording.symbol
            raise ConfigurationError(f"recording {name} has no whole book of {symbol}")
        self._book.apply(first.bids, first.asks, now_ms=now_ms)
        self._advance_cursor()
        return first.stamp_ns

    def skip_to(self, origin_ns: int) -> None:
        """Bring the book to ``origin_ns`` without printing the trades before it."""
        self._origin_ns = origin_ns
        while self._next is not None and self._next.stamp_ns <= origin_ns:
            self._show(self._next, self._start_ms)
            self._advance_cursor()
        self._references.take_mid(self._start_ms)

    def next_offset_ns(self) -> float:
        """Return recorded nanoseconds from the start to the next message, inf at the end."""
        return math.inf if self._next is None else self._next.stamp_ns - self._origin_ns

    def play(self, now_ms: int) -> None:
        """Play the next message at venue time ``now_ms``."""
        message = self._next
        assert message is not None, "the recording is over"
        self._advance_cursor()
        if isinstance(message, RecordedTrade):
            self._book.trade(message.taker_side, message.price_ticks, message.lots, now_ms=now_ms)
        elif isinstance(message, MarkPrice):
            self._references.take(message, now_ms=now_ms)
        else:
            self._show(message, now_ms)
            self._references.follow_book(now_ms)

    def _show(self, message: Message, now_ms: int) -> None:
        if isinstance(message, DepthDiff):
            self._book.apply(message.bids, message.asks, now_ms=now_ms)
        elif isinstance(message, Snapshot):
            self._book.replace(message.bids, message.asks, now_ms=now_ms)

    def _advance_cursor(self) -> None:
        self._next = next(self._messages, None)


def _names(recordings: Sequence[Recording]) -> list[str]:
    names = [name for recording in recordings for name in recording.names]
    return list(dict.fromkeys(names))
