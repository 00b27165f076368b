"""Mark-out: where the market stands some seconds after each fill, against the fill's price.

Signs: positive is a gain of whoever filled; a maker whose mark-out is below its fees is run over.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from trading_system.domain.orders import Fill

_NS_PER_S: Final = 1_000_000_000
_BPS: Final = 10_000.0
_KEEP: Final = 4_096

HORIZONS_S: Final = (1, 10)
"""Seconds after the fill at which the mid is taken."""


@dataclass(slots=True)
class _Horizon:
    """Fills that wait for their mid, by symbol, and the sum of those that have it."""

    waiting: dict[str, deque[tuple[int, Fill]]] = field(default_factory=dict)
    sum_bps: float = 0.0
    count: int = 0


class MarkOut:
    """Mean of ``sign * (mid later - fill price) / fill price`` over fills, in bps.

    The mid is that of the first book as old as the fill plus the horizon, by the venue's own
    stamps. Every fill counts the same; those still waiting are left out.
    """

    def __init__(self) -> None:
        self._horizons = {seconds: _Horizon() for seconds in HORIZONS_S}

    def on_fill(self, fill: Fill) -> None:
        """Wait for what the market does after ``fill``; at most 4096 fills of a symbol wait."""
        for seconds, horizon in self._horizons.items():
            waiting = horizon.waiting.setdefault(fill.symbol, deque(maxlen=_KEEP))
            waiting.append((fill.ts_exchange_ns + seconds * _NS_PER_S, fill))

    def on_mid(self, symbol: str, ts_exchange_ns: int, mid: Decimal) -> None:
        """Judge the fills of ``symbol`` whose time has come by ``mid``, quote currency."""
        for horizon in self._horizons.values():
            waiting = horizon.waiting.get(symbol)
            while waiting and waiting[0][0] <= ts_exchange_ns:
                _, fill = waiting.popleft()
                move = (mid - fill.price) / fill.price * fill.side.sign
                horizon.sum_bps += float(move) * _BPS
                horizon.count += 1

    def figures(self) -> dict[str, dict[str, float | int | None]]:
        """Return ``mean_bps`` (None before the first) and ``fills`` by horizon, as ``1_s``."""
        return {
            f"{seconds}_s": {
                "mean_bps": round(horizon.sum_bps / horizon.count, 4) if horizon.count else None,
                "fills": horizon.count,
            }
            for seconds, horizon in self._horizons.items()
        }
