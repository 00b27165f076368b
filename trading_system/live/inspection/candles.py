"""Candles of the venue, read at most every two seconds per symbol and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    ValidationError,
    VenueError,
)
from trading_system.domain.orders import Fill
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.market import check_traded
from trading_system.live.inspection.texts import figure, milliseconds, side_name
from trading_system.live.session import TradingSession
from trading_system.runtime.cache import TtlCache
from trading_system.runtime.deadline import within
from trading_system.venues.bybit.market_queries import INTERVALS

_KEEP = 64
_FRESH_S = 2.0
_PATIENCE_S = 5.0
_FEW, _MANY = 200, 1000
_FIGURES = ("open", "high", "low", "close", "volume")
_Failure = VenueError | CorruptDataError | DeadlineExceeded


@dataclass(frozen=True, slots=True)
class _Reading:
    rows: list[dict[str, Any]]
    failure: _Failure | None = None


class Candles:
    """Reads candles through the session's client, once for all who ask within two seconds.

    A failure is remembered for as long, so that nobody can wear out the request queue.

    Parameters
    ----------
    desk : TradingDesk
        Its session reads.
    """

    def __init__(self, desk: TradingDesk) -> None:
        self._desk = desk
        self._cache: TtlCache[tuple[str, str, int], _Reading] = TtlCache(
            _KEEP, ttl_s=_FRESH_S, clock=desk.clock
        )

    async def read(self, symbol: str, *, interval: str, limit: int) -> dict[str, Any]:
        """Return up to ``limit`` candles, oldest first, and the own fills inside them.

        Raises
        ------
        ValidationError
            If the symbol is not traded here, or the interval is none of the venue's.
        VenueError
            If the venue did not answer.
        DeadlineExceeded
            If it did not answer in time.
        """
        check_traded(self._desk, symbol)
        if interval not in INTERVALS:
            raise ValidationError(f"interval must be one of {', '.join(INTERVALS)}")
        session = self._desk.session
        answer: dict[str, Any] = {"symbol": symbol, "interval": interval}
        if session is None or not self._desk.is_live or limit < 1:
            return {**answer, "candles": [], "fills": []}
        count = _FEW if limit <= _FEW else _MANY
        reading = await self._cache.get_or_compute(
            (symbol, interval, count), lambda: _read(session, symbol, interval, count)
        )
        if reading.failure is not None:
            raise reading.failure
        rows = reading.rows[-limit:]
        return {**answer, "candles": rows, "fills": _fills(session, symbol, rows)}


async def _read(session: TradingSession, symbol: str, interval: str, count: int) -> _Reading:
    try:
        async with within(_PATIENCE_S, "reading candles"):
            rows = await session.client.reads.get_kline_data(symbol, interval, count)
    except (VenueError, CorruptDataError, DeadlineExceeded) as e:
        return _Reading([], e)
    return _Reading([_candle(row) for row in rows])


def _candle(row: dict[str, Any]) -> dict[str, Any]:
    figures = {name: figure(row[name], digits=12) for name in _FIGURES}
    return {"start_ms": int(row["timestamp"]), **figures}


def _fills(
    session: TradingSession, symbol: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if not rows:
        return []
    newest = session.engine.ledger.newest_fills
    inside = (f for f in newest if f.symbol == symbol)
    return [_fill(f) for f in inside if milliseconds(f.ts_exchange_ns) >= rows[0]["start_ms"]]


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "time_ms": milliseconds(fill.ts_exchange_ns),
        "price": float(fill.price),
        "side": side_name(fill.side),
        "quantity": float(fill.quantity),
    }
