"""Public REST queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from trading_system.domain.instruments import Category, Instrument, category_of, plain
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.market_rows import (
    linear_instrument_row,
    recent_trade_row,
    rest_spot_ticker,
    rest_ticker,
    risk_limit_row,
    spot_instrument_row,
)
from trading_system.simulation.bybit_server.paging import page
from trading_system.simulation.bybit_server.parameters import LISTED, Fields, bad
from trading_system.simulation.bybit_server.risk_feeds import limit_texts
from trading_system.simulation.bybit_server.texts import GridText, rounded
from trading_system.simulation.statistics import Candle
from trading_system.simulation.venue import SimulatedVenue

INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
PERIODS = {name: name for name in ("5min", "15min", "30min", "1h", "4h", "1d")}
_STATUSES = {name: name for name in ("PreLaunch", "Trading", "Delivering", "Closed")}
_INTERVAL_CHOICE = {name: name for name in INTERVALS}
_RATIO = Decimal("0.0001")


class RestBook(Protocol):
    """Gives the order book that ``market/orderbook`` shows."""

    def rest_book(self, symbol: str, *, limit: int, now_ms: int) -> Row:
        """Return ``s b a ts u seq cts`` with at most ``limit`` levels a side."""
        ...


class MarketQueries:
    """Answers of ``/v5/market``; every method takes the query and the venue's time."""

    def __init__(self, venue: SimulatedVenue, *, books: RestBook) -> None:
        self._venue = venue
        self._exchange = venue.exchange
        self._books = books
        self._texts = {
            symbol: GridText(instrument)
            for symbol, instrument in self._exchange.instruments.items()
        }

    def server_time(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/time``."""
        del fields
        return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}

    def instruments_info(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/instruments-info``: linear paged, spot whole, others empty."""
        del now_ms
        category = fields.category()
        status = fields.choice("status", _STATUSES, default="Trading")
        chosen = self._chosen(fields, category) if status == "Trading" else []
        if category == "spot":
            rows = [spot_instrument_row(each, number=number) for number, each in chosen]
            return {"category": category, "list": rows, "nextPageCursor": ""}
        if category != "linear":
            return {"category": category, "list": [], "nextPageCursor": ""}
        limit = fields.limit(default=500, highest=1000)
        items, cursor = page(chosen, fields, limit=limit, key=lambda item: (0, item[1].symbol))
        rows = [linear_instrument_row(each, number=number) for number, each in items]
        return {"category": category, "list": rows, "nextPageCursor": cursor}

    def orderbook(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/orderbook``."""
        key = self._listed(fields)
        limit = fields.limit(default=1 if _is_spot(key) else 25, highest=1000)
        return self._books.rest_book(key, limit=limit, now_ms=now_ms)

    def tickers(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/tickers``."""
        del now_ms
        category = fields.category()
        keys = [each.key for _, each in self._chosen(fields, category)]
        statistics = self._venue.statistics
        make = rest_spot_ticker if category == "spot" else rest_ticker
        rows = [make(statistics.ticker(key), self._texts[key]) for key in keys]
        return {"category": category, "list": rows}

    def recent_trade(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/recent-trade``, newest first."""
        del now_ms
        key = self._listed(fields)
        highest, default = (60, 60) if _is_spot(key) else (1000, 500)
        limit = fields.limit(default=default, highest=highest)
        trades = list(self._exchange.public_trades(key))[-limit:]
        rows = [recent_trade_row(trade, self._texts[key]) for trade in reversed(trades)]
        return {"category": category_of(key).value, "list": rows}

    def kline(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/kline``, newest first."""
        del now_ms
        key = self._listed(fields, default="linear")
        candles = self._candles(key, fields, self._venue.statistics.klines)
        texts = self._texts[key]
        rows = [
            [*_prices(candle, texts), rounded(candle.volume), rounded(candle.turnover)]
            for candle in candles
        ]
        symbol = texts.instrument.symbol
        return {"category": category_of(key).value, "symbol": symbol, "list": rows}

    def mark_kline(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/mark-price-kline``, newest first."""
        del now_ms
        return self._price_kline(fields, self._venue.statistics.mark_klines)

    def index_kline(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/index-price-kline``, newest first."""
        del now_ms
        return self._price_kline(fields, self._venue.statistics.index_klines)

    def premium_kline(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/premium-index-price-kline``: mark over index minus one, newest first.

        High and low combine the extremes of both prices at the candle's ends, because the two
        series are sampled separately.
        """
        del now_ms
        statistics = self._venue.statistics
        symbol = self._linear_symbol(fields, default="linear")
        marks = self._candles(symbol, fields, statistics.mark_klines)
        indexes = self._candles(symbol, fields, statistics.index_klines)
        by_start = {candle.start_ms: candle for candle in indexes}
        rows = [
            _premium_row(mark, by_start[mark.start_ms])
            for mark in marks
            if mark.start_ms in by_start
        ]
        return {"category": "linear", "symbol": symbol, "list": rows}

    def funding_history(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/funding/history``, newest first."""
        symbol = self._linear_symbol(fields)
        start, end = fields.integer("startTime"), fields.integer("endTime")
        if start is not None and end is None:
            raise bad("params error: endTime is required with startTime")
        limit = fields.limit(default=200, highest=200)
        history = self._venue.statistics.funding_history(symbol, 1000)
        rows: list[Row] = [
            {
                "symbol": symbol,
                "fundingRate": rounded(rate),
                "fundingRateTimestamp": str(time_ms),
            }
            for time_ms, rate in _between(history, start, end or now_ms)
        ]
        return {"category": "linear", "list": rows[:limit]}

    def open_interest(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/open-interest``, newest first."""
        symbol = self._linear_symbol(fields)
        period = fields.choice("intervalTime", PERIODS)
        history = self._venue.statistics.open_interest_history(symbol, period, 1000)
        items, cursor = self._period_page(fields, history, highest=200, now_ms=now_ms)
        rows = [
            {
                "openInterest": plain(value),
                "singleOpenInterest": plain(value),
                "timestamp": str(time_ms),
            }
            for time_ms, value in items
        ]
        return {"category": "linear", "symbol": symbol, "list": rows, "nextPageCursor": cursor}

    def account_ratio(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/account-ratio``, newest first."""
        symbol = self._linear_symbol(fields)
        period = fields.choice("period", PERIODS)
        history = self._venue.statistics.account_ratio_history(symbol, period, 1000)
        items, cursor = self._period_page(fields, history, highest=500, now_ms=now_ms)
        rows = []
        for time_ms, value in items:
            buy = value.quantize(_RATIO)
            rows.append(
                {
                    "symbol": symbol,
                    "buyRatio": plain(buy),
                    "sellRatio": plain(1 - buy),
                    "timestamp": str(time_ms),
                }
            )
        return {"list": rows, "nextPageCursor": cursor}

    def risk_limit(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/risk-limit``: one tier per symbol."""
        del now_ms
        category = fields.category()
        chosen = self._chosen(fields, category) if category == "linear" else []
        items, cursor = page(chosen, fields, limit=15, key=lambda item: (0, item[1].symbol))
        rows = [risk_limit_row(each, number=number) for number, each in items]
        return {"category": category, "list": rows, "nextPageCursor": cursor}

    def price_limit(self, fields: Fields, now_ms: int) -> Row:
        """Return ``market/price-limit``: what the matching engine keeps orders in."""
        key = self._listed(fields, default="linear")
        texts = self._texts[key]
        limits = limit_texts(self._exchange.price_limits(key), texts)
        return {"symbol": texts.instrument.symbol, **limits, "ts": str(now_ms)}

    # Numbered instruments of a category that ``symbol`` and ``baseCoin`` select; an unknown symbol
    # is refused. Nothing is listed in inverse and option.
    def _chosen(self, fields: Fields, category: str) -> list[tuple[int, Instrument]]:
        symbol, base = fields.text("symbol"), fields.text("baseCoin")
        if category not in LISTED:
            return []
        if symbol:
            self._listed(fields)
        return [
            (number, instrument)
            for number, instrument in enumerate(self._exchange.instruments.values(), start=1)
            if instrument.category is LISTED[category]
            and (not symbol or instrument.symbol == symbol)
            and (not base or instrument.base_coin == base)
        ]

    # Where Bybit lets the category be absent, linear is meant.
    def _listed(self, fields: Fields, *, default: str | None = None) -> str:
        key = fields.listing(default=default)
        if key not in self._exchange.instruments:
            category = fields.category(default=default)
            raise bad(f"Not supported symbols: {category} {fields.text('symbol')}")
        return key

    # For figures that only contracts have.
    def _linear_symbol(self, fields: Fields, *, default: str | None = None) -> str:
        key = self._listed(fields, default=default)
        if _is_spot(key):
            raise bad(f"Not supported symbols: spot {fields.text('symbol')}")
        return key

    def _candles(
        self, key: str, fields: Fields, source: Callable[..., Sequence[Candle]]
    ) -> list[Candle]:
        interval = fields.choice("interval", _INTERVAL_CHOICE)
        candles = source(
            key,
            interval,
            start_ms=fields.integer("start"),
            end_ms=fields.integer("end"),
            limit=fields.limit(default=200, highest=1000),
        )
        return list(reversed(candles))

    def _price_kline(self, fields: Fields, source: Callable[..., Sequence[Candle]]) -> Row:
        symbol = self._linear_symbol(fields, default="linear")
        candles = self._candles(symbol, fields, source)
        rows = [_prices(candle, self._texts[symbol]) for candle in candles]
        return {"category": "linear", "symbol": symbol, "list": rows}

    def _period_page(
        self,
        fields: Fields,
        history: Sequence[tuple[int, Decimal]],
        *,
        highest: int,
        now_ms: int,
    ) -> tuple[list[tuple[int, Decimal]], str]:
        start, end = fields.integer("startTime"), fields.integer("endTime")
        rows = _between(history, start, now_ms if end is None else end)
        limit = fields.limit(default=50, highest=highest)
        return page(rows, fields, limit=limit, key=lambda item: (item[0], str(item[0])))


def _is_spot(key: str) -> bool:
    return category_of(key) is Category.SPOT


def _prices(candle: Candle, texts: GridText) -> list[str]:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [str(candle.start_ms), *(texts.near(price) for price in prices)]


def _premium_row(mark: Candle, index: Candle) -> list[str]:
    first, last = mark.open / index.open - 1, mark.close / index.close - 1
    values = (first, max(first, last), min(first, last), last)
    return [str(mark.start_ms), *(format(value, ".6f") for value in values)]


def _between(
    history: Sequence[tuple[int, Decimal]], start_ms: int | None, end_ms: int
) -> list[tuple[int, Decimal]]:
    return [item for item in history if (start_ms or 0) <= item[0] <= end_ms]
