"""What a venue tells about its market beside the book: klines, tickers, funding, open interest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side
from trading_system.simulation.candles import (
    INTERVAL_MINUTES,
    MINUTE_MS,
    Bar,
    Candle,
    CandleSeries,
)
from trading_system.simulation.exchange import Exchange

__all__ = ["Candle", "MarketStatistics", "TickerView"]

_PERIOD_MS = {
    "5min": 5 * MINUTE_MS,
    "15min": 15 * MINUTE_MS,
    "30min": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}
_SAMPLE_MS = _PERIOD_MS["5min"]
_RETAINED_SAMPLES = 2_000
_DAY_MINUTES = 1_440
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickerView:
    """State of one symbol; 24 h figures cover the retained candles only.

    Quantities are in base currency, turnover in quote currency, the funding rate a fraction.
    """

    symbol: str
    last_price: Decimal
    mark_price: Decimal
    index_price: Decimal
    prev_price_24h: Decimal
    high_24h: Decimal
    low_24h: Decimal
    prev_price_1h: Decimal
    volume_24h: Decimal
    turnover_24h: Decimal
    open_interest: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    bid_price: Decimal | None
    bid_qty: Decimal
    ask_price: Decimal | None
    ask_qty: Decimal
    tick_direction: str


@dataclass(slots=True)
class _Sampled:
    # A figure and its value at the start of each five minutes, oldest first.
    value: Decimal
    samples: deque[tuple[int, Decimal]] = field(
        default_factory=lambda: deque(maxlen=_RETAINED_SAMPLES)
    )

    def put(self, value: Decimal, time_ms: int) -> None:
        self.value = value
        start_ms = time_ms - time_ms % _SAMPLE_MS
        if not self.samples or start_ms > self.samples[-1][0]:
            self.samples.append((start_ms, value))

    def history(self, period: str, limit: int) -> list[tuple[int, Decimal]]:
        if period not in _PERIOD_MS:
            raise ValidationError(f"no such period: {period[:20]!r}")
        step = _PERIOD_MS[period]
        fitting = (sample for sample in reversed(self.samples) if sample[0] % step == 0)
        return list(islice(fitting, max(0, limit)))


@dataclass(slots=True)
class _DayFigures:
    # Of the closed bars of the last 24 h; the newest bar is added by the reader.
    newest_start_ms: int
    first: Bar
    hour_ago: Bar
    high: Decimal
    low: Decimal
    volume: Decimal
    turnover: Decimal


@dataclass(slots=True)
class _SymbolStatistics:
    trades: CandleSeries = field(default_factory=CandleSeries)
    marks: CandleSeries = field(default_factory=CandleSeries)
    indexes: CandleSeries = field(default_factory=CandleSeries)
    open_interest: _Sampled = field(default_factory=lambda: _Sampled(_ZERO))
    long_ratio: _Sampled = field(default_factory=lambda: _Sampled(Decimal("0.5")))
    funding_rate: Decimal = _ZERO
    next_funding_ms: int = 0
    settlements: deque[tuple[int, Decimal]] = field(default_factory=lambda: deque(maxlen=1_000))
    day: _DayFigures | None = None


class MarketStatistics:
    """Keeps the history of every symbol of one exchange; everything is bounded.

    Time comes with the data: :meth:`add_trade`, :meth:`add_reference` and :meth:`roll` move it
    forward and nothing moves it back.

    Parameters
    ----------
    exchange : Exchange
        Source of books, last trades, mark and index prices.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._symbols = {symbol: _SymbolStatistics() for symbol in exchange.instruments}
        self._now_ms = 0

    @property
    def now_ms(self) -> int:
        """Newest time seen, UTC milliseconds."""
        return self._now_ms

    def roll(self, now_ms: int) -> None:
        """Let time pass without trades: minutes that began repeat the last close."""
        self._now_ms = max(self._now_ms, now_ms)
        for kept in self._symbols.values():
            for series in (kept.trades, kept.marks, kept.indexes):
                series.roll(now_ms)

    def add_trade(self, symbol: str, price: Decimal, qty: Decimal, time_ms: int) -> None:
        """Count one public trade (live or pre-roll) into the candles."""
        self._now_ms = max(self._now_ms, time_ms)
        self._symbols[symbol].trades.add(price, qty, time_ms)

    def add_reference(self, symbol: str, *, mark: Decimal, index: Decimal, time_ms: int) -> None:
        """Count one sample of the mark and index price into their candles."""
        self._now_ms = max(self._now_ms, time_ms)
        kept = self._symbols[symbol]
        kept.marks.add(mark, _ZERO, time_ms)
        kept.indexes.add(index, _ZERO, time_ms)

    def klines(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        """Return trade candles that start within ``[start_ms, end_ms]``, OLDEST first.

        At most ``limit``: the newest, or from ``start_ms`` on when there is no ``end_ms``.
        A minute without trades repeats the last close with volume 0.

        Raises
        ------
        ValidationError
            If ``interval`` is none of Bybit's.
        """
        series = self._symbols[symbol].trades
        return self._candles(series, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)

    def mark_klines(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        """Return candles of the sampled mark price; rules as :meth:`klines`, volume 0."""
        series = self._symbols[symbol].marks
        return self._candles(series, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)

    def index_klines(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        """Return candles of the sampled index price; rules as :meth:`klines`, volume 0."""
        series = self._symbols[symbol].indexes
        return self._candles(series, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)

    def _candles(
        self,
        series: CandleSeries,
        interval: str,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> list[Candle]:
        if interval not in INTERVAL_MINUTES and interval not in {"D", "W", "M"}:
            raise ValidationError(f"no such interval: {interval[:20]!r}")
        if limit <= 0:
            return []
        return series.candles(
            interval, now_ms=self._now_ms, start_ms=start_ms, end_ms=end_ms, limit=limit
        )

    def ticker(self, symbol: str) -> TickerView:
        """Return the present state of ``symbol``."""
        kept = self._symbols[symbol]
        mark = self._exchange.mark_price(symbol)
        last = self._last_price(symbol, fallback=mark)
        day = self._day_figures(kept)
        newest = kept.trades.bars[-1] if kept.trades.bars else Bar(0, last, last, last, last)
        bid_price, bid_qty = self._touch(symbol, Side.BUY)
        ask_price, ask_qty = self._touch(symbol, Side.SELL)
        return TickerView(
            symbol=symbol,
            last_price=last,
            mark_price=mark,
            index_price=self._exchange.index_price(symbol),
            prev_price_24h=day.first.open if day else newest.open,
            high_24h=max(day.high, newest.high) if day else newest.high,
            low_24h=min(day.low, newest.low) if day else newest.low,
            prev_price_1h=day.hour_ago.open if day else newest.open,
            volume_24h=newest.volume + (day.volume if day else _ZERO),
            turnover_24h=newest.turnover + (day.turnover if day else _ZERO),
            open_interest=kept.open_interest.value,
            funding_rate=kept.funding_rate,
            next_funding_ms=kept.next_funding_ms,
            bid_price=bid_price,
            bid_qty=bid_qty,
            ask_price=ask_price,
            ask_qty=ask_qty,
            tick_direction=self._tick_direction(symbol),
        )

    def _last_price(self, symbol: str, *, fallback: Decimal) -> Decimal:
        last = self._exchange.last_price(symbol)
        if last is not None:
            return last
        bars = self._symbols[symbol].trades.bars
        return bars[-1].close if bars else fallback

    def _touch(self, symbol: str, side: Side) -> tuple[Decimal | None, Decimal]:
        levels = self._exchange.book(symbol).top(side, 1)
        if not levels:
            return None, _ZERO
        instrument = self._exchange.instruments[symbol]
        ticks, lots = levels[0]
        return instrument.ticks_to_price(ticks), instrument.lots_to_qty(lots)

    def _tick_direction(self, symbol: str) -> str:
        trades = self._exchange.public_trades(symbol)
        return trades[-1].tick_direction if trades else "ZeroPlusTick"

    @staticmethod
    def _day_figures(kept: _SymbolStatistics) -> _DayFigures | None:
        bars = kept.trades.bars
        if len(bars) < 2:
            return None
        newest_start_ms = bars[-1].start_ms
        if kept.day is None or kept.day.newest_start_ms != newest_start_ms:
            closed = list(islice(reversed(bars), 1, _DAY_MINUTES))
            kept.day = _DayFigures(
                newest_start_ms=newest_start_ms,
                first=closed[-1],
                hour_ago=closed[min(59, len(closed) - 1)],
                high=max(bar.high for bar in closed),
                low=min(bar.low for bar in closed),
                volume=sum((bar.volume for bar in closed), _ZERO),
                turnover=sum((bar.turnover for bar in closed), _ZERO),
            )
        return kept.day

    def set_open_interest(self, symbol: str, value: Decimal, time_ms: int | None = None) -> None:
        """Set the open interest, base currency, at ``time_ms`` (default: the newest time seen)."""
        self._symbols[symbol].open_interest.put(value, self._time(time_ms))

    def open_interest_history(
        self, symbol: str, period: str, limit: int
    ) -> list[tuple[int, Decimal]]:
        """Return ``(start_ms, open interest)`` of each ``period`` (5min .. 1d), newest first."""
        return self._symbols[symbol].open_interest.history(period, limit)

    def set_long_ratio(self, symbol: str, value: Decimal, time_ms: int | None = None) -> None:
        """Set the share of accounts that are long, 0 to 1.

        Raises
        ------
        ValidationError
            If ``value`` is no share.
        """
        if not 0 <= value <= 1:
            raise ValidationError(f"{symbol} long ratio {value} is not within 0..1")
        self._symbols[symbol].long_ratio.put(value, self._time(time_ms))

    def account_ratio_history(
        self, symbol: str, period: str, limit: int
    ) -> list[tuple[int, Decimal]]:
        """Return ``(start_ms, long share)`` of each ``period`` (5min .. 1d), newest first."""
        return self._symbols[symbol].long_ratio.history(period, limit)

    def set_funding(self, symbol: str, rate: Decimal, next_ms: int) -> None:
        """Set the predicted funding rate (fraction) and the time of the next settlement."""
        kept = self._symbols[symbol]
        kept.funding_rate = rate
        kept.next_funding_ms = next_ms

    def funding(self, symbol: str) -> tuple[Decimal, int]:
        """Return the predicted funding rate and the time of its settlement (0 if none)."""
        kept = self._symbols[symbol]
        return kept.funding_rate, kept.next_funding_ms

    def add_settlement(self, symbol: str, rate: Decimal, time_ms: int) -> None:
        """Note that funding was settled at ``rate``."""
        self._symbols[symbol].settlements.append((time_ms, rate))

    def funding_history(self, symbol: str, limit: int) -> list[tuple[int, Decimal]]:
        """Return settled ``(time_ms, rate)``, newest first."""
        return list(islice(reversed(self._symbols[symbol].settlements), max(0, limit)))

    def _time(self, time_ms: int | None) -> int:
        return self._now_ms if time_ms is None else time_ms
