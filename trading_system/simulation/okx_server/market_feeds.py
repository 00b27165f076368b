"""Streams of trades, candles, and of rows that are pushed when they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trading_system.simulation.candles import RETAINED_MINUTES, Candle
from trading_system.simulation.okx_server.catalogue import Stream
from trading_system.simulation.okx_server.contracts import SwapContract
from trading_system.simulation.okx_server.figures import candles
from trading_system.simulation.okx_server.rows import (
    Row,
    candle_row,
    encode,
    pushed_trade_row,
)
from trading_system.simulation.okx_server.trade_log import TakerTrade, aggregated
from trading_system.simulation.statistics import MarketStatistics

_MAX_PENDING = 4_096


class RowFeed:
    """A stream of whole rows: one at the start, then after each change.

    Parameters
    ----------
    build : callable
        Returns the rows for a time, UTC ms; their ``ts`` is no change.
    """

    def __init__(
        self, stream: Stream, build: Callable[[int], Sequence[Row]], *, interval_ms: int
    ) -> None:
        self.interval_ms = interval_ms
        self._stream = stream
        self._build = build
        self._rows: Sequence[Row] = ()

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the rows if they changed."""
        rows = self._build(now_ms)
        if [_timeless(row) for row in rows] == [_timeless(row) for row in self._rows]:
            return []
        self._rows = rows
        return self.snapshot(now_ms)

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the rows as last seen."""
        del now_ms
        return [encode({"arg": self._stream.arg, "data": self._rows})] if self._rows else []


class TradeFeed:
    """``trades`` (aggregated) or ``trades-all``: one row per message, from now on."""

    interval_ms = 10

    def __init__(self, stream: Stream, contract: SwapContract) -> None:
        self._stream = stream
        self._contract = contract
        self._is_aggregated = stream.channel == "trades"
        self._pending: list[TakerTrade] = []

    def add(self, matches: Sequence[TakerTrade]) -> None:
        """Queue the matches of one step; the oldest go when nobody fetches them."""
        self._pending += aggregated(matches) if self._is_aggregated else matches
        del self._pending[:-_MAX_PENDING]

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the queued trades."""
        del now_ms
        pending, self._pending = self._pending, []
        return [
            encode(
                {
                    "arg": self._stream.arg,
                    "data": [
                        pushed_trade_row(trade, self._contract, is_aggregated=self._is_aggregated)
                    ],
                }
            )
            for trade in pending
        ]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return nothing: a new subscriber sees trades from now on."""
        del now_ms
        return []


class CandleFeed:
    """``candle{bar}``: the open candle each second when it changed, closed ones confirmed once."""

    interval_ms = 1_000

    def __init__(
        self, stream: Stream, contract: SwapContract, statistics: MarketStatistics
    ) -> None:
        self._stream = stream
        self._bar = stream.channel.removeprefix("candle")
        self._contract = contract
        self._statistics = statistics
        self._newest: Candle | None = None

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the candles that closed since the last push, then the open one."""
        held = self._newest
        found = candles(
            self._statistics,
            self._contract.symbol,
            self._bar,
            start_ms=None if held is None else held.start_ms,
            end_ms=now_ms,
            limit=1 if held is None else RETAINED_MINUTES,
        )
        if not found:
            return []
        self._newest = found[-1]
        return [self._message(each) for each in found if each != held]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the open candle."""
        del now_ms
        return [] if self._newest is None else [self._message(self._newest)]

    def _message(self, candle: Candle) -> bytes:
        return encode({"arg": self._stream.arg, "data": [candle_row(candle, self._contract)]})


def _timeless(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "ts"}
