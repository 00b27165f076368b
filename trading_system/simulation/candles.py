"""Candles: one-minute base bars of a price series, and every Bybit interval made from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-05 was the first Monday of the epoch
RETAINED_MINUTES = 3_000

INTERVAL_MINUTES = {
    text: int(text) for text in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720")
}
"""Intervals of a fixed number of minutes; ``D``, ``W`` and ``M`` follow the UTC calendar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bar of a kline; prices in quote currency, volume in base, turnover in quote currency."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal
    is_closed: bool


@dataclass(slots=True)
class Bar:
    """A bar under construction; one base bar spans a minute."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)

    def add(self, price: Decimal, qty: Decimal) -> None:
        """Take in one trade, or a sample when ``qty`` is 0."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        if qty:
            self.volume += qty
            self.turnover += price * qty

    def put_before(self, older: Bar) -> None:
        """Extend this bar backwards by the adjacent ``older`` bar."""
        self.start_ms = older.start_ms
        self.open = older.open
        self.high = max(self.high, older.high)
        self.low = min(self.low, older.low)
        self.volume += older.volume
        self.turnover += older.turnover


def interval_start(interval: str, time_ms: int) -> int:
    """Return the UTC start of the ``interval`` that contains ``time_ms``.

    Raises
    ------
    KeyError
        If Bybit has no such interval.
    """
    if interval == "D":
        return time_ms - time_ms % _DAY_MS
    if interval == "W":
        return time_ms - (time_ms - _MONDAY_MS) % (7 * _DAY_MS)
    if interval == "M":
        day = datetime.fromtimestamp(time_ms / 1000, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp() * 1000)
    return time_ms - time_ms % (INTERVAL_MINUTES[interval] * MINUTE_MS)


def interval_end(interval: str, start_ms: int) -> int:
    """Return the exclusive end of the ``interval`` that starts at ``start_ms``."""
    if interval == "D":
        return start_ms + _DAY_MS
    if interval == "W":
        return start_ms + 7 * _DAY_MS
    if interval == "M":
        return interval_start("M", start_ms + 32 * _DAY_MS)
    return start_ms + INTERVAL_MINUTES[interval] * MINUTE_MS


@dataclass(slots=True)
class CandleSeries:
    """Base bars of one price, oldest first, without holes, the newest 3,000 minutes."""

    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=RETAINED_MINUTES))

    def add(self, price: Decimal, qty: Decimal, time_ms: int) -> None:
        """Take in a trade at ``time_ms``; a late one counts into the newest bar."""
        self.roll(time_ms)
        minute = time_ms - time_ms % MINUTE_MS
        if not self.bars:
            self.bars.append(Bar(minute, price, price, price, price))
        newest = self.bars[-1]
        if newest.volume == 0 and qty and newest.open == newest.high == newest.low:
            # A minute nobody traded in yet repeats the last close: its first trade opens it.
            newest.open = newest.high = newest.low = price
        newest.add(price, qty)

    def roll(self, now_ms: int) -> None:
        """Repeat the last close in every minute begun since the newest bar."""
        if not self.bars:
            return
        newest = self.bars[-1]
        missing = (now_ms - newest.start_ms) // MINUTE_MS
        if missing <= 0:
            return
        start_ms, close = newest.start_ms, newest.close
        for step in range(max(1, missing - RETAINED_MINUTES), missing + 1):
            self.bars.append(Bar(start_ms + step * MINUTE_MS, close, close, close, close))

    def candles(
        self,
        interval: str,
        *,
        now_ms: int,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> list[Candle]:
        """Return candles that start within ``[start_ms, end_ms]``, oldest first.

        At most ``limit``: the newest ones, or the oldest when only ``start_ms`` is given.
        """
        forward = start_ms is not None and end_ms is None
        found: list[Candle] = []
        for bar in self._aggregate(interval, oldest_ms=start_ms):
            if end_ms is not None and bar.start_ms > end_ms:
                continue
            found.append(_candle(bar, interval, now_ms=now_ms))
            if not forward and len(found) >= limit:
                break
        found.reverse()
        return found[:limit] if forward else found

    def _aggregate(self, interval: str, *, oldest_ms: int | None) -> Iterator[Bar]:
        # Newest first, so that "the last two" never walks through the whole history.
        current: Bar | None = None
        bucket = 0
        for base in reversed(self.bars):
            if current is not None and base.start_ms >= bucket:
                current.put_before(base)
                continue
            if current is not None:
                current.start_ms = bucket
                yield current
            bucket = interval_start(interval, base.start_ms)
            if oldest_ms is not None and bucket < oldest_ms:
                return
            current = Bar(
                base.start_ms,
                base.open,
                base.high,
                base.low,
                base.close,
                base.volume,
                base.turnover,
            )
        if current is not None:
            current.start_ms = bucket
            yield current


def _candle(bar: Bar, interval: str, *, now_ms: int) -> Candle:
    return Candle(
        start_ms=bar.start_ms,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        turnover=bar.turnover,
        is_closed=now_ms >= interval_end(interval, bar.start_ms),
    )
