"""Figures of longer periods: candles of OKX's bars, openings of the day, the index of 24 hours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from trading_system.simulation.candles import (
    MINUTE_MS,
    RETAINED_MINUTES,
    Candle,
    interval_end,
    interval_start,
)
from trading_system.simulation.statistics import MarketStatistics

HONG_KONG_MS = 8 * 60 * MINUTE_MS
"""Bars of six hours and more follow Hong Kong's day unless their name ends in ``utc``."""

_DAY_MINUTES = 1_440
_RETAINED_HOURS = RETAINED_MINUTES // 60 + 1
_SHORT = {"1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30"} | {
    "1H": "60",
    "2H": "120",
    "4H": "240",
}
_LONG = {"6H": "360", "12H": "720", "1D": "D", "1W": "W", "1M": "M"}

BARS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {bar: (interval, 0) for bar, interval in _SHORT.items()}
    | {f"{bar}utc": (interval, 0) for bar, interval in _LONG.items()}
    | {bar: (interval, HONG_KONG_MS) for bar, interval in _LONG.items()}
)
"""OKX's bars: the venue's interval, and how far east of UTC its day begins (ms)."""

KlineSource = Callable[..., Sequence[Candle]]


def candles(
    statistics: MarketStatistics,
    symbol: str,
    bar: str,
    *,
    start_ms: int | None,
    end_ms: int,
    limit: int,
) -> list[Candle]:
    """Return the newest ``limit`` candles that start within ``[start_ms, end_ms]``, oldest first.

    Raises
    ------
    KeyError
        If ``bar`` is none of :data:`BARS`.
    """
    interval, shift_ms = BARS[bar]
    if not shift_ms:
        return statistics.klines(symbol, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
    hours = statistics.klines(symbol, "60", start_ms=None, end_ms=end_ms, limit=_RETAINED_HOURS)
    groups: dict[int, list[Candle]] = {}
    for hour in hours:
        begin_ms = interval_start(interval, hour.start_ms + shift_ms) - shift_ms
        groups.setdefault(begin_ms, []).append(hour)
    merged = []
    for begin_ms, members in groups.items():
        until_ms = interval_end(interval, begin_ms + shift_ms) - shift_ms
        merged.append(_merged(begin_ms, members, is_closed=statistics.now_ms >= until_ms))
    return [each for each in merged if start_ms is None or each.start_ms >= start_ms][-limit:]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDay:
    """The index of the last 24 hours and where the day began in UTC and UTC+8, quote currency."""

    open_24h: Decimal
    high_24h: Decimal
    low_24h: Decimal
    opened_utc: Decimal
    opened_utc8: Decimal


class DayFigures:
    """Openings and extremes of the day; computed once a minute per symbol."""

    def __init__(self, statistics: MarketStatistics) -> None:
        self._statistics = statistics
        self._trades: dict[str, tuple[int, IndexDay | None]] = {}
        self._indexes: dict[str, tuple[int, IndexDay | None]] = {}

    def openings(self, symbol: str, *, fallback: Decimal) -> tuple[Decimal, Decimal]:
        """Return the first prices of the UTC and of the UTC+8 day, ``fallback`` if unknown.

        A day older than the retained candles begins with the oldest of them.
        """
        day = self._day(symbol, self._trades, self._statistics.klines)
        return (fallback, fallback) if day is None else (day.opened_utc, day.opened_utc8)

    def index_day(self, symbol: str, *, now_price: Decimal) -> IndexDay:
        """Return the index figures, widened by the present price."""
        day = self._day(symbol, self._indexes, self._statistics.index_klines)
        if day is None:
            return IndexDay(
                open_24h=now_price,
                high_24h=now_price,
                low_24h=now_price,
                opened_utc=now_price,
                opened_utc8=now_price,
            )
        newest = self._statistics.index_klines(symbol, "1", start_ms=None, end_ms=None, limit=1)[-1]
        return IndexDay(
            open_24h=day.open_24h,
            high_24h=max(day.high_24h, newest.high, now_price),
            low_24h=min(day.low_24h, newest.low, now_price),
            opened_utc=day.opened_utc,
            opened_utc8=day.opened_utc8,
        )

    def _day(
        self, symbol: str, kept: dict[str, tuple[int, IndexDay | None]], source: KlineSource
    ) -> IndexDay | None:
        minute = self._statistics.now_ms // MINUTE_MS
        held = kept.get(symbol)
        if held is None or held[0] != minute:
            bars = source(symbol, "1", start_ms=None, end_ms=None, limit=_DAY_MINUTES)
            held = kept[symbol] = (minute, _day_of(bars))
        return held[1]


def _day_of(bars: Sequence[Candle]) -> IndexDay | None:
    if not bars:
        return None
    newest_ms = bars[-1].start_ms
    utc_ms = interval_start("D", newest_ms)
    utc8_ms = interval_start("D", newest_ms + HONG_KONG_MS) - HONG_KONG_MS
    return IndexDay(
        open_24h=bars[0].open,
        high_24h=max(bar.high for bar in bars),
        low_24h=min(bar.low for bar in bars),
        opened_utc=next(bar.open for bar in bars if bar.start_ms >= utc_ms),
        opened_utc8=next(bar.open for bar in bars if bar.start_ms >= utc8_ms),
    )


def _merged(start_ms: int, members: Sequence[Candle], *, is_closed: bool) -> Candle:
    return Candle(
        start_ms=start_ms,
        open=members[0].open,
        high=max(each.high for each in members),
        low=min(each.low for each in members),
        close=members[-1].close,
        volume=sum((each.volume for each in members), Decimal(0)),
        turnover=sum((each.turnover for each in members), Decimal(0)),
        is_closed=is_closed,
    )
