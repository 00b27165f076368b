"""Tickers, one second old at most, one request for all who ask at the same time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from optimizers.latency.courier import failure
from trading_system.domain.errors import TradingSystemError, ValidationError
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import CacheStatistics, TtlCache

_SYMBOL = re.compile(r"[A-Z0-9]{2,20}(-[A-Z0-9]{1,12})?")
_TTL_S = 1.0
_CAPACITY = 256


class _NoTickerError(TradingSystemError):
    # Keeps a failed look-up out of the cache. Consequence: the caller gets ``result``.

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("no ticker")
        self.result = result


class Tickers:
    """A cache in front of ``/v5/market/tickers`` of linear contracts.

    Parameters
    ----------
    read : Callable[[dict[str, Any]], Awaitable[Any]]
        Sends the query with these parameters and returns the decoded answer, or a dict with
        ``error``.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, read: Callable[[dict[str, Any]], Awaitable[Any]], *, clock: Clock) -> None:
        self._read = read
        self._cache: TtlCache[str, dict[str, Any]] = TtlCache(_CAPACITY, ttl_s=_TTL_S, clock=clock)

    @property
    def statistics(self) -> CacheStatistics:
        """What the cache has done so far."""
        return self._cache.statistics

    async def get(self, symbol: str) -> dict[str, Any]:
        """Return the ticker as the venue writes it, or the shape of a failure.

        Raises
        ------
        ValidationError
            If ``symbol`` is no symbol.
        """
        if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
            raise ValidationError(f"a symbol is letters and digits in capitals, was {symbol!r}")
        try:
            ticker = await self._cache.get_or_compute(symbol, partial(self._fetch, symbol))
        except _NoTickerError as e:
            return dict(e.result)
        return dict(ticker)

    async def _fetch(self, symbol: str) -> dict[str, Any]:
        answer = await self._read({"category": "linear", "symbol": symbol})
        if isinstance(answer, dict) and "error" in answer:
            raise _NoTickerError(answer)
        match answer:
            case {"retCode": 0, "result": {"list": [dict() as ticker, *_]}}:
                return ticker
            case {"retCode": int() as code, "retMsg": str() as text} if code:
                error = failure(f"{code} {text}", outcome="rejected", status=200)
            case _:
                error = failure("an answer without a ticker", outcome="unknown", status=200)
        raise _NoTickerError(error)
