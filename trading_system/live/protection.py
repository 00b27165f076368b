"""Stops for whole positions that rest at the venue, where they outlive this process."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import structlog

from trading_system.domain.errors import TradingSystemError
from trading_system.execution.engine import ExecutionEngine

_LOG = structlog.get_logger(__name__)


class Protection:
    """Rests the stops that own positions lack; a failure is tried again with the next round.

    Parameters
    ----------
    engine : ExecutionEngine
        Sends them.
    missing : Callable
        Returns the stop, quote currency, that each own position without one should get.
    timeout_s : float
        Deadline of one request, seconds.
    """

    def __init__(
        self,
        engine: ExecutionEngine,
        *,
        missing: Callable[[], dict[str, Decimal]],
        timeout_s: float,
    ) -> None:
        self._engine = engine
        self._missing = missing
        self._timeout_s = timeout_s

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        """Let a stop for the whole position rest at the venue; a failure is only logged."""
        try:
            await self._engine.protect(symbol, stop_price, timeout_s=self._timeout_s)
        except TradingSystemError as e:
            _LOG.warning("no protective stop yet", symbol=symbol, error=str(e))

    async def protect_missing(self) -> None:
        """Rest every stop that an own position lacks."""
        for symbol, stop in self._missing().items():
            await self.protect(symbol, stop)

    async def protect_now(self, symbol: str) -> None:
        """Rest a stop for what is open in ``symbol``, if it lacks one."""
        stop = self._missing().get(symbol)
        if stop is not None:
            await self.protect(symbol, stop)
