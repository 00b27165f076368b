"""Candles that were checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from trading_system.domain.errors import CorruptDataError


class CandleSource(Protocol):
    """Whatever gives candles, for example the client."""

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        ...


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One closed candle.

    Parameters
    ----------
    start_ms : int
        Begin, epoch milliseconds.
    open, high, low, close : float
        Quote currency, finite and positive, with ``low <= open, close <= high``.

    Raises
    ------
    CorruptDataError
        If the prices are no such four.
    """

    start_ms: int
    open: float
    high: float
    low: float
    close: float

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if not (0 < low <= self.open <= high < math.inf and low <= self.close <= high):
            raise CorruptDataError(
                f"candle {self.start_ms} is inconsistent: open {self.open}, high {high}, "
                f"low {low}, close {self.close}"
            )


def read_bar(candle: Mapping[str, Any]) -> Bar:
    """Return the bar of one candle with ``timestamp``, ``open``, ``high``, ``low``, ``close``.

    Raises
    ------
    CorruptDataError
        If a field is missing, is no number, or the prices contradict each other.
    """
    try:
        return Bar(
            int(candle["timestamp"]),
            float(candle["open"]),
            float(candle["high"]),
            float(candle["low"]),
            float(candle["close"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        if isinstance(e, CorruptDataError):
            raise
        raise CorruptDataError(f"no candle: {e!r}") from e
