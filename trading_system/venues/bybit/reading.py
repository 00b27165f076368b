"""The reading half of the client that users hold: plain dicts by the documented names.

Numbers are Python floats, prices and sizes of the order book stay texts as the venue spells
them, and a figure the venue did not give is None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

from trading_system.domain.errors import (
    CorruptDataError,
    ValidationError,
    VenueError,
)
from trading_system.domain.instruments import parse_decimal, plain
from trading_system.domain.orders import PositionReport
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.market_rows import Candle, Ticker

LiveBook = Callable[[str, int], dict[str, Any] | None]
"""Gives ``symbol, bids, asks, ts`` of the live book with at most so many levels, or None."""
Liquidations = Callable[[str], Sequence[dict[str, Any]]]
"""Gives the liquidations seen so far, newest first: ``time, side, price, size``."""

_BPS = Decimal(10_000)
_NO_LIQUIDATIONS = (
    "the venue has no request for liquidations, only a stream, and none is followed here"
)


class BybitReads:
    """Reads of account and market over a gateway.

    Parameters
    ----------
    gateway : BybitGateway
        Sends the queries; nothing here sends an order.
    book : LiveBook or None
        The live book, preferred to a REST request.
    liquidations : Liquidations or None
        Liquidations seen on the stream.
    timeout_s : float
        Deadline of a setting, seconds.
    """

    def __init__(
        self,
        gateway: BybitGateway,
        *,
        book: LiveBook | None = None,
        liquidations: Liquidations | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self._gateway = gateway
        self._book = book
        self._liquidations = liquidations
        self._timeout_s = timeout_s

    async def test_connection(self) -> dict[str, Any]:
        """Ask for the server's time; return whether it answered and how far the clocks differ."""
        try:
            offset_ms = await self._gateway.synchronise_clock()
        except (VenueError, CorruptDataError) as e:
            return {"connected": False, "clock_offset_ms": None, "error": str(e)}
        return {"connected": True, "clock_offset_ms": round(offset_ms, 3), "error": None}

    async def get_account_balance(self) -> dict[str, Any]:
        """Return the unified account's totals, USD."""
        wallet = await self._gateway.wallet()
        return {
            "total_equity": float(wallet.equity),
            "total_wallet_balance": float(wallet.wallet_balance),
            "available_balance": float(wallet.available_balance),
            "timestamp": wallet.ts_exchange_ns // 1_000_000,
        }

    async def get_market_data(self, symbol: str) -> dict[str, Any]:
        """Return the ticker of one perpetual."""
        return _ticker(await self._gateway.ticker(_name(symbol)))

    async def get_funding_rate(self, symbol: str) -> dict[str, Any]:
        """Return the coming funding rate (a fraction) and its time, epoch milliseconds."""
        ticker = await self._gateway.ticker(_name(symbol))
        return {
            "symbol": ticker.symbol,
            "funding_rate": _float(ticker.funding_rate),
            "next_funding_time": ticker.next_funding_ms,
        }

    async def get_open_interest(self, symbol: str) -> dict[str, Any]:
        """Return the open interest, base currency, and its value, USDT."""
        ticker = await self._gateway.ticker(_name(symbol))
        return {
            "symbol": ticker.symbol,
            "open_interest": _float(ticker.open_interest),
            "open_interest_value": _float(ticker.open_interest_value),
        }

    async def get_kline_data(
        self,
        symbol: str,
        interval: str = "1",
        limit: int = 200,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        candles = await self._gateway.klines(
            _name(symbol), interval=interval, limit=limit, start_ms=start_ms, end_ms=end_ms
        )
        return [_candle(candle) for candle in reversed(candles)]

    async def get_funding_rate_history(self, symbol: str, limit: int = 200) -> list[dict[str, Any]]:
        """Return settled funding rates, oldest first."""
        rates = await self._gateway.funding_history(_name(symbol), limit=limit)
        return [{"timestamp": r.time_ms, "funding_rate": float(r.rate)} for r in reversed(rates)]

    async def get_open_interest_history(
        self, symbol: str, period: str = "5min", limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return samples of the open interest, base currency, oldest first."""
        samples = await self._gateway.open_interest(_name(symbol), period=period, limit=limit)
        return [
            {"timestamp": s.time_ms, "open_interest": float(s.quantity)} for s in reversed(samples)
        ]

    async def get_instrument_info(self, symbol: str) -> dict[str, Any]:
        """Return the trading rules of one perpetual; grids and limits as texts."""
        rules = await self._gateway.instrument(_name(symbol))
        return {
            "symbol": rules.symbol,
            "base_coin": rules.base_coin,
            "quote_coin": rules.quote_coin,
            "tick_size": plain(rules.tick_size),
            "qty_step": plain(rules.qty_step),
            "min_price": plain(rules.min_price),
            "max_price": plain(rules.max_price),
            "min_order_qty": plain(rules.min_qty),
            "max_order_qty": plain(rules.max_qty),
            "max_market_order_qty": plain(rules.max_market_qty),
            "min_notional": plain(rules.min_notional),
            "max_leverage": plain(rules.max_leverage),
            "funding_interval_minutes": rules.funding_interval_minutes,
        }

    async def get_position_info(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Return open positions, or the one of ``symbol`` even when it is flat."""
        if symbol is None:
            return [_position(report) for report in await self._gateway.positions()]
        return [_position(await self._gateway.position(_name(symbol)))]

    async def set_leverage(self, symbol: str, leverage: float | str) -> dict[str, Any]:
        """Set the leverage of one perpetual; an unchanged one is no error.

        Raises
        ------
        ValidationError
            If ``leverage`` is no number of at least 1.
        VenueRejected
            If the venue does not allow it.
        """
        value = parse_decimal(str(leverage))
        if value < 1:
            raise ValidationError(f"leverage must be at least 1, was {leverage}")
        await self._gateway.set_leverage(_name(symbol), value, timeout_s=self._timeout_s)
        return {"symbol": _name(symbol), "leverage": float(value)}

    async def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        """Return ``symbol``, ``bids`` and ``asks`` as [price, size] text pairs, best first, ``ts``.

        From the live book where there is one, else by REST.
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ValidationError(f"limit must be a number of levels of at least 1, was {limit!r}")
        live = self._book(_name(symbol), limit) if self._book is not None else None
        if live is not None:
            return live
        book = await self._gateway.book(_name(symbol), limit=limit)
        return {
            "symbol": book.symbol,
            "bids": [list(level) for level in book.bids],
            "asks": [list(level) for level in book.asks],
            "ts": book.time_ms,
        }

    async def get_liquidation_data(self, symbol: str) -> dict[str, Any]:
        """Return liquidations seen on the stream, newest first; ``note`` says if none is followed.

        The venue offers no request for past liquidations.
        """
        if self._liquidations is None:
            return {"symbol": _name(symbol), "liquidations": [], "note": _NO_LIQUIDATIONS}
        seen = [dict(row) for row in self._liquidations(_name(symbol))]
        return {"symbol": _name(symbol), "liquidations": seen, "note": None}

    async def get_enhanced_market_data(self, symbol: str) -> dict[str, Any]:
        """Return the ticker with spread, basis, long/short ratio, trade flow and changes.

        ``spread_bps`` and ``basis_bps`` are of the mid and of the index price; ``buy_share`` is
        the aggressive buyers' share of the newest trades' volume, 0 to 1;
        ``open_interest_change_pct`` is the change over the newest hour.
        """
        name = _name(symbol)
        try:
            async with asyncio.TaskGroup() as group:
                ticker = group.create_task(self._gateway.ticker(name))
                ratio = group.create_task(_optional(self._long_short(name)))
                flow = group.create_task(_optional(self._buy_share(name)))
                change = group.create_task(_optional(self._interest_change(name)))
        except BaseExceptionGroup as e:  # the ticker is needed; its failure is the failure
            raise e.exceptions[0] from e
        data = _ticker(ticker.result())
        data["long_short_ratio"] = ratio.result()
        data["buy_share"] = flow.result()
        data["open_interest_change_pct"] = change.result()
        return data

    async def _long_short(self, symbol: str) -> float | None:
        samples = await self._gateway.account_ratio(symbol, limit=1)
        return float(samples[0].long / samples[0].short) if samples and samples[0].short else None

    async def _buy_share(self, symbol: str) -> float | None:
        trades = await self._gateway.recent_trades(symbol, limit=200)
        total = sum((trade.quantity for trade in trades), Decimal(0))
        bought = sum((t.quantity for t in trades if t.side.sign > 0), Decimal(0))
        return float(bought / total) if total else None

    async def _interest_change(self, symbol: str) -> float | None:
        samples = await self._gateway.open_interest(symbol, limit=13)  # 12 steps of 5 min
        if len(samples) < 2 or not samples[-1].quantity:
            return None
        return float((samples[0].quantity / samples[-1].quantity - 1) * 100)


async def _optional(reading: Awaitable[float | None]) -> float | None:
    # What is only a help to a decision may be missing; what is needed raises.
    try:
        return await reading
    except (VenueError, CorruptDataError):
        return None


def _name(symbol: object) -> str:
    if not isinstance(symbol, str):
        raise ValidationError(f"a symbol is a text, was {type(symbol).__name__}")
    if not (symbol.isascii() and symbol.isalnum() and len(symbol) <= 32):
        raise ValidationError(f"not a symbol: {symbol[:40]!r}")
    return symbol.upper()


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _ticker(ticker: Ticker) -> dict[str, Any]:
    bid, ask = ticker.bid_price, ticker.ask_price
    mid = (bid + ask) / 2 if bid is not None and ask is not None else None
    spread = (ask - bid) / mid * _BPS if mid and bid is not None and ask is not None else None
    mark, index = ticker.mark_price, ticker.index_price
    basis = (mark - index) / index * _BPS if mark is not None and index is not None else None
    change = ticker.change_24h
    return {
        "symbol": ticker.symbol,
        "price": _float(ticker.last_price),
        "bid": _float(bid),
        "ask": _float(ask),
        "bid_size": _float(ticker.bid_quantity),
        "ask_size": _float(ticker.ask_quantity),
        "mid": _float(mid),
        "spread_bps": _float(spread),
        "mark_price": _float(mark),
        "index_price": _float(index),
        "basis_bps": _float(basis),
        "volume_24h": _float(ticker.volume_24h),
        "turnover_24h": _float(ticker.turnover_24h),
        "high_24h": _float(ticker.high_24h),
        "low_24h": _float(ticker.low_24h),
        "change_24h_pct": _float(change * 100 if change is not None else None),
        "funding_rate": _float(ticker.funding_rate),
        "next_funding_time": ticker.next_funding_ms,
        "open_interest": _float(ticker.open_interest),
        "open_interest_value": _float(ticker.open_interest_value),
    }


def _candle(candle: Candle) -> dict[str, Any]:
    return {
        "timestamp": candle.start_ms,
        "open": float(candle.open),
        "high": float(candle.high),
        "low": float(candle.low),
        "close": float(candle.close),
        "volume": float(candle.volume),
        "turnover": float(candle.turnover),
    }


def _position(report: PositionReport) -> dict[str, Any]:
    side = "Buy" if report.quantity > 0 else "Sell" if report.quantity < 0 else ""
    return {
        "symbol": report.symbol,
        "side": side,
        "size": float(abs(report.quantity)),
        "quantity": float(report.quantity),
        "entry_price": _float(report.entry_price),
        "stop_loss": _float(report.stop_price),
        "updated_time": report.ts_exchange_ns // 1_000_000,
    }
