"""Public queries of the linear category, as typed values."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from trading_system.domain.errors import (
    CorruptDataError,
    ValidationError,
    VenueAuthError,
    VenueRateLimited,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.ports import Clock
from trading_system.venues.bybit import market_rows, wire
from trading_system.venues.bybit.clock_offset import TIME_PATH
from trading_system.venues.bybit.market_rows import (
    AccountRatio,
    BookLevels,
    Candle,
    FundingRate,
    OpenInterest,
    RecentTrade,
    Ticker,
)
from trading_system.venues.bybit.refusals import STALE_STAMP_CODE
from trading_system.venues.bybit.rest import BybitRest

T = TypeVar("T")

INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
"""Candle lengths: minutes, day, week, month."""
PERIODS = ("5min", "15min", "30min", "1h", "4h", "1d")
"""Steps of open interest and long/short ratio."""

_NS_PER_MS = 1_000_000
_CLOCK_SAMPLES = 3
_MAX_PAGES = 40
_INSTRUMENTS_PAGE = 1000
_REPEATS = 3
_MAX_QUOTA_WAIT_S = 2.0
_QUOTA_MARGIN_S = 0.05


class MarketQueries:
    """Public queries over one :class:`BybitRest`.

    Parameters
    ----------
    rest : BybitRest
        Sends the requests.
    clock : Clock
        For stamps and the clock offset.
    timeout_s : float
        Deadline of each query, seconds.
    """

    def __init__(self, rest: BybitRest, *, clock: Clock, timeout_s: float = 5.0) -> None:
        self._rest = rest
        self._clock = clock
        self._timeout_s = timeout_s

    @property
    def rest(self) -> BybitRest:
        """The host's requests, for signatures and figures."""
        return self._rest

    async def _get(
        self, path: str, parameters: Mapping[str, str | int], *, signed: bool = False
    ) -> msgspec.Raw:
        """Read; a query changes nothing, so it may be repeated after a full quota or a stale stamp.

        Raises
        ------
        VenueError
            Any other failure, and these two when they last.
        """
        for _ in range(_REPEATS):
            try:
                return await self._rest.get(
                    path, parameters, timeout_s=self._timeout_s, signed=signed
                )
            except VenueRateLimited as e:
                if e.retry_after_s is None or e.retry_after_s > _MAX_QUOTA_WAIT_S:
                    raise
                await asyncio.sleep(e.retry_after_s + _QUOTA_MARGIN_S)
            except VenueAuthError as e:
                if e.code != STALE_STAMP_CODE:
                    raise
                await self.synchronise_clock()
        return await self._rest.get(path, parameters, timeout_s=self._timeout_s, signed=signed)

    async def _pages(
        self,
        path: str,
        parameters: Mapping[str, str | int],
        *,
        decoder: msgspec.json.Decoder[wire.Page[T]],
        what: str,
        signed: bool = False,
    ) -> list[T]:
        """Read every page; more than 40 are a fault of the venue."""
        rows: list[T] = []
        asked = dict(parameters)
        for _ in range(_MAX_PAGES):
            page = wire.decode(await self._get(path, asked, signed=signed), decoder, what=what)
            rows += page.rows
            if not page.cursor:
                return rows
            asked["cursor"] = page.cursor
        raise CorruptDataError(f"{what}: more than {_MAX_PAGES} pages")

    async def synchronise_clock(self) -> float:
        """Take three samples of the venue's clock; return how far it is ahead, ms.

        Those of earlier calls count too, as far as they can still be true; see
        :mod:`trading_system.venues.bybit.clock_offset`.
        """
        for _ in range(_CLOCK_SAMPLES):
            await self._get(TIME_PATH, {})
        return self._rest.offset_ns / _NS_PER_MS

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one linear symbol."""
        raw = await self._get(
            "/v5/market/instruments-info", {"category": "linear", "symbol": symbol}
        )
        return wire.instrument(_first(raw, market_rows.INSTRUMENTS, f"instrument {symbol}"))

    async def instruments(self) -> list[Instrument]:
        """Return the trading rules of every USDT perpetual that trades now."""
        rows = await self._pages(
            "/v5/market/instruments-info",
            {"category": "linear", "limit": _INSTRUMENTS_PAGE},
            decoder=market_rows.INSTRUMENTS,
            what="instruments",
        )
        wanted = ("LinearPerpetual", "USDT")
        return [
            wire.instrument(row)
            for row in rows
            if (row.get("contractType"), row.get("settleCoin")) == wanted
        ]

    async def ticker(self, symbol: str) -> Ticker:
        """Return the newest figures of one symbol."""
        raw = await self._get("/v5/market/tickers", {"category": "linear", "symbol": symbol})
        return market_rows.ticker(_first(raw, market_rows.TICKERS, f"ticker {symbol}"))

    async def tickers(self) -> list[Ticker]:
        """Return the newest figures of every linear symbol."""
        raw = await self._get("/v5/market/tickers", {"category": "linear"})
        return [
            market_rows.ticker(row)
            for row in wire.decode(raw, market_rows.TICKERS, what="tickers").rows
        ]

    async def book(self, symbol: str, *, limit: int = 50) -> BookLevels:
        """Return the order book with at most ``limit`` (1 to 1000) levels a side."""
        raw = await self._get(
            "/v5/market/orderbook",
            {"category": "linear", "symbol": symbol, "limit": _checked_limit(limit, 1000)},
        )
        book = wire.decode(raw, market_rows.BOOK, what=f"order book {symbol}")
        for price, size in [*book.b, *book.a]:
            wire.decimal_or_none(price, f"order book {symbol}")
            wire.decimal_or_none(size, f"order book {symbol}")
        return BookLevels(
            symbol=book.s, bids=book.b, asks=book.a, time_ms=book.ts, update_id=book.u
        )

    async def klines(
        self,
        symbol: str,
        *,
        interval: str = "1",
        limit: int = 200,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[Candle]:
        """Return at most ``limit`` (1 to 1000) candles, newest first."""
        if interval not in INTERVALS:
            raise ValidationError(f"interval must be one of {', '.join(INTERVALS)}")
        parameters = _window(symbol, _checked_limit(limit, 1000), start_ms, end_ms)
        parameters = {
            {"startTime": "start", "endTime": "end"}.get(name, name): value
            for name, value in parameters.items()
        }
        raw = await self._get("/v5/market/kline", {**parameters, "interval": interval})
        what = f"candles {symbol}"
        return [
            Candle(
                start_ms=wire.milliseconds(row[0], what),
                open=wire.needed(row[1], what),
                high=wire.needed(row[2], what),
                low=wire.needed(row[3], what),
                close=wire.needed(row[4], what),
                volume=wire.needed(row[5], what),
                turnover=wire.needed(row[6], what),
            )
            for row in wire.decode(raw, market_rows.CANDLES, what=what).rows
        ]

    async def funding_history(
        self,
        symbol: str,
        *,
        limit: int = 200,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[FundingRate]:
        """Return at most ``limit`` (1 to 200) settled funding rates, newest first."""
        if start_ms is not None and end_ms is None:
            end_ms = (self._clock.utc_ns() + self._rest.offset_ns) // _NS_PER_MS
        raw = await self._get(
            "/v5/market/funding/history",
            _window(symbol, _checked_limit(limit, 200), start_ms, end_ms),
        )
        what = f"funding history {symbol}"
        return [
            FundingRate(
                time_ms=wire.milliseconds(row.funding_rate_timestamp, what),
                rate=wire.needed(row.funding_rate, what),
            )
            for row in wire.decode(raw, market_rows.FUNDING, what=what).rows
        ]

    async def open_interest(
        self, symbol: str, *, period: str = "5min", limit: int = 50
    ) -> list[OpenInterest]:
        """Return at most ``limit`` (1 to 200) samples of open interest, newest first."""
        parameters = _window(symbol, _checked_limit(limit, 200), None, None)
        raw = await self._get(
            "/v5/market/open-interest", {**parameters, "intervalTime": _checked_period(period)}
        )
        what = f"open interest {symbol}"
        return [
            OpenInterest(
                time_ms=wire.milliseconds(row.timestamp, what),
                quantity=wire.needed(row.open_interest, what),
            )
            for row in wire.decode(raw, market_rows.INTEREST, what=what).rows
        ]

    async def account_ratio(
        self, symbol: str, *, period: str = "5min", limit: int = 50
    ) -> list[AccountRatio]:
        """Return at most ``limit`` (1 to 500) samples of the long/short ratio, newest first."""
        parameters = _window(symbol, _checked_limit(limit, 500), None, None)
        raw = await self._get(
            "/v5/market/account-ratio", {**parameters, "period": _checked_period(period)}
        )
        what = f"account ratio {symbol}"
        return [
            AccountRatio(
                time_ms=wire.milliseconds(row.timestamp, what),
                long=wire.needed(row.buy_ratio, what),
                short=wire.needed(row.sell_ratio, what),
            )
            for row in wire.decode(raw, market_rows.RATIOS, what=what).rows
        ]

    async def recent_trades(self, symbol: str, *, limit: int = 500) -> list[RecentTrade]:
        """Return at most ``limit`` (1 to 1000) public trades, newest first."""
        raw = await self._get(
            "/v5/market/recent-trade", _window(symbol, _checked_limit(limit, 1000), None, None)
        )
        what = f"trades {symbol}"
        return [
            RecentTrade(
                trade_id=row.exec_id,
                side=wire.side(row.side, what),
                price=wire.needed(row.price, what),
                quantity=wire.needed(row.size, what),
                time_ms=wire.milliseconds(row.time, what),
            )
            for row in wire.decode(raw, market_rows.TRADES, what=what).rows
        ]


def _first(raw: msgspec.Raw, decoder: msgspec.json.Decoder[wire.Page[T]], what: str) -> T:
    rows = wire.decode(raw, decoder, what=what).rows
    if not rows:
        raise CorruptDataError(f"{what}: the venue lists none")
    return rows[0]


def _checked_limit(limit: int, highest: int) -> int:
    if not 1 <= limit <= highest:
        raise ValidationError(f"limit must be 1 to {highest}, was {limit}")
    return limit


def _checked_period(period: str) -> str:
    if period not in PERIODS:
        raise ValidationError(f"period must be one of {', '.join(PERIODS)}")
    return period


def _window(
    symbol: str, limit: int, start_ms: int | None, end_ms: int | None
) -> dict[str, str | int]:
    parameters: dict[str, str | int] = {"category": "linear", "symbol": symbol, "limit": limit}
    if start_ms is not None:
        parameters["startTime"] = start_ms
    if end_ms is not None:
        parameters["endTime"] = end_ms
    return parameters
