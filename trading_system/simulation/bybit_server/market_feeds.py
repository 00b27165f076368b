"""Trade, ticker and candle streams of one symbol."""

from __future__ import annotations

from collections.abc import Callable

from trading_system.domain.instruments import Category
from trading_system.simulation.bybit_server.envelope import Row, encode
from trading_system.simulation.bybit_server.market_rows import (
    stream_spot_ticker,
    stream_ticker,
    stream_trade_row,
)
from trading_system.simulation.bybit_server.texts import GridText, rounded
from trading_system.simulation.candles import RETAINED_MINUTES
from trading_system.simulation.records import PublicTrade
from trading_system.simulation.statistics import Candle, MarketStatistics

MAX_TRADES_PER_MESSAGE = 1024
_MAX_PENDING = 16 * MAX_TRADES_PER_MESSAGE


class TradeTopic:
    """``publicTrade.SYMBOL``: trades since the last push, in batches of at most 1024."""

    interval_ms = 10

    def __init__(self, texts: GridText) -> None:
        self.text = f"publicTrade.{texts.instrument.symbol}"
        self._texts = texts
        self._pending: list[PublicTrade] = []

    def add(self, trades: list[PublicTrade]) -> None:
        """Queue trades for the next push; the oldest go when nobody fetches them."""
        self._pending += trades
        del self._pending[:-_MAX_PENDING]

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the queued trades as messages."""
        if not self._pending:
            return []
        pending, self._pending = self._pending, []
        return [
            self._message(pending[first : first + MAX_TRADES_PER_MESSAGE], now_ms)
            for first in range(0, len(pending), MAX_TRADES_PER_MESSAGE)
        ]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return nothing: a new subscriber sees trades from now on."""
        del now_ms
        return []

    def _message(self, trades: list[PublicTrade], now_ms: int) -> bytes:
        rows = [stream_trade_row(trade, self._texts) for trade in trades]
        return encode({"topic": self.text, "type": "snapshot", "ts": now_ms, "data": rows})


class TickerTopic:
    """``tickers.SYMBOL``: a snapshot per subscriber, then the changed keys; for spot snapshots."""

    def __init__(
        self, statistics: MarketStatistics, texts: GridText, sequence: Callable[[], int]
    ) -> None:
        self._key = texts.instrument.key
        self._symbol = texts.instrument.symbol
        self._is_spot = texts.instrument.category is Category.SPOT
        self.interval_ms = 50 if self._is_spot else 100
        self.text = f"tickers.{self._symbol}"
        self._statistics = statistics
        self._texts = texts
        self._sequence = sequence
        self._last: dict[str, str] = {}

    def refresh(self, now_ms: int) -> list[bytes]:
        """Take over the ticker and return a delta if anything changed."""
        make = stream_spot_ticker if self._is_spot else stream_ticker
        data = make(self._statistics.ticker(self._key), self._texts)
        last, self._last = self._last, data
        changed: dict[str, str] = {
            name: value for name, value in data.items() if last.get(name) != value
        }
        if not changed:
            return []
        if self._is_spot:
            return self.snapshot(now_ms)
        return [self._message("delta", {"symbol": self._symbol, **changed}, now_ms)]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the whole ticker."""
        return [self._message("snapshot", self._last, now_ms)]

    def _message(self, kind: str, data: dict[str, str], now_ms: int) -> bytes:
        return encode(
            {
                "topic": self.text,
                "type": kind,
                "data": data,
                "cs": self._sequence(),
                "ts": now_ms,
            }
        )


class KlineTopic:
    """``kline.INTERVAL.SYMBOL``: the open candle each second, closed ones confirmed once."""

    interval_ms = 1000

    def __init__(self, statistics: MarketStatistics, texts: GridText, *, interval: str) -> None:
        self._key = texts.instrument.key
        self.text = f"kline.{interval}.{texts.instrument.symbol}"
        self._statistics = statistics
        self._texts = texts
        self._interval = interval
        self._candle: Candle | None = None

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the candles that closed since the last push, then the open one."""
        held = self._candle
        candles = self._statistics.klines(
            self._key,
            self._interval,
            start_ms=None if held is None else held.start_ms,
            end_ms=None,
            limit=1 if held is None else RETAINED_MINUTES,
        )
        if not candles:
            return []
        last, self._candle = self._candle, candles[-1]
        if last is None:
            return [self._message(candles[-1], now_ms, is_closed=False)]
        closed = [each for each in candles[:-1] if each.start_ms >= last.start_ms]
        messages = [self._message(each, now_ms, is_closed=True) for each in closed]
        if closed or candles[-1] != last:
            messages.append(self._message(candles[-1], now_ms, is_closed=False))
        return messages

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the open candle."""
        if self._candle is None:
            return []
        return [self._message(self._candle, now_ms, is_closed=False)]

    def _message(self, candle: Candle, now_ms: int, *, is_closed: bool) -> bytes:
        near = self._texts.near
        row: Row = {
            "start": candle.start_ms,
            "end": interval_end_ms(candle.start_ms, self._interval),
            "interval": self._interval,
            "open": near(candle.open),
            "close": near(candle.close),
            "high": near(candle.high),
            "low": near(candle.low),
            "volume": rounded(candle.volume),
            "turnover": rounded(candle.turnover),
            "confirm": is_closed,
            "timestamp": now_ms,
        }
        return encode({"topic": self.text, "data": [row], "ts": now_ms, "type": "snapshot"})


def interval_end_ms(start_ms: int, interval: str) -> int:
    """Return the last millisecond of a candle; months run from the first to the last day."""
    minute_ms, day_ms = 60_000, 86_400_000
    if interval == "M":
        days = start_ms // day_ms
        return (days + _days_of_month(days)) * day_ms - 1
    lengths = {"D": day_ms, "W": 7 * day_ms}
    return start_ms + (lengths[interval] if interval in lengths else int(interval) * minute_ms) - 1


# Days of the month that begins ``days`` after the epoch (civil calendar, Howard Hinnant).
def _days_of_month(days: int) -> int:
    shifted = days + 719_468
    era_day = shifted % 146_097
    year = (era_day - era_day // 1460 + era_day // 36_524 - era_day // 146_096) // 365
    month = (5 * (era_day - (365 * year + year // 4 - year // 100)) + 2) // 153
    number = month + 3 if month < 10 else month - 9
    if number != 2:
        return 30 if number in {4, 6, 9, 11} else 31
    # The era's year begins in March: February belongs to the calendar year after it.
    calendar = year + 1
    return 29 if calendar % 4 == 0 and (calendar % 100 != 0 or calendar % 400 == 0) else 28
