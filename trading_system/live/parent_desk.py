"""Where a strategy's decisions become parent orders: worked, measured and protected."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.protection import Protection
from trading_system.live.restraint import Restraint


class ParentDesk:
    """The :class:`~trading_system.strategies.trader.Desk` of one session.

    Parameters
    ----------
    engine : ExecutionEngine
        Knows which part of a position this system opened.
    performance : PerformanceOptimizer
        Works a parent and measures what it cost.
    restraint : Restraint
        Counts entries.
    protection : Protection
        Rests stops.

    Attributes
    ----------
    answers : dict
        What the optimizer said of the newest parent of each symbol.
    """

    def __init__(
        self,
        engine: ExecutionEngine,
        *,
        performance: PerformanceOptimizer,
        restraint: Restraint,
        protection: Protection,
    ) -> None:
        self._engine = engine
        self._performance = performance
        self._restraint = restraint
        self._protection = protection
        self.answers: dict[str, dict[str, Any]] = {}

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent to its end; None without a quote to start from."""
        if not parent.reduce_only:
            self._restraint.note_entry(parent.symbol)
        result, answer = await self._performance.execute_parent(parent)
        self.answers[parent.symbol] = answer
        return result

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        """Let a stop for the whole position rest at the venue; a failure is tried again later."""
        await self._protection.protect(symbol, stop_price)

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this system opened, signed."""
        return self._engine.own_quantity(symbol)
