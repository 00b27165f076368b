"""The signal trader: one trip per symbol, parents worked by the executor, everything counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.ports import Clock
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.execution.executor import Executor
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.risk.portfolio import Portfolio
from trading_system.strategies.signals import (
    Costs,
    SignalRules,
    Trip,
    entry,
    exit_order,
    exit_reason,
)

_LOG = structlog.get_logger(__name__)
_KEEP_RESULTS = 1_000
_NS_PER_S = 1_000_000_000
_MAX_PAUSE_S = 30.0
_MAX_EXIT_PAUSE_S = 2.0
_MAX_DOUBLINGS = 10

Spawn = Callable[[str, Coroutine[Any, Any, None]], None]


@dataclass(slots=True)
class TraderCounts:
    """What the trader has done since the start."""

    signals: int = 0
    parents: int = 0
    parents_ended: int = 0
    parents_succeeded: int = 0
    signal_orders: int = 0
    exits: int = 0


class SignalTrader:
    """Decides synchronously, executes in the background, at most one parent per symbol.

    Parameters
    ----------
    executor : Executor
        Works the parents.
    portfolio : Portfolio
        Source of the true position.
    instruments, costs : Mapping
        Per symbol.
    rules : SignalRules
        When to trade.
    clock : Clock
        Monotonic stamps.
    spawn : Callable
        Starts a supervised background task from a name and a coroutine.
    """

    def __init__(
        self,
        *,
        executor: Executor,
        portfolio: Portfolio,
        instruments: Mapping[str, Instrument],
        costs: Mapping[str, Costs],
        rules: SignalRules,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._executor = executor
        self._portfolio = portfolio
        self._instruments = instruments
        self._costs = costs
        self._rules = rules
        self._clock = clock
        self._spawn = spawn
        self._trips: dict[str, Trip] = {}
        self._busy: set[str] = set()
        self._decision_interval_ns = round(rules.decision_interval_s * _NS_PER_S)
        self._paused_until_ns: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self.counts = TraderCounts()
        self.results: deque[ParentResult] = deque(maxlen=_KEEP_RESULTS)
        self.is_accepting = True

    @property
    def busy_symbols(self) -> frozenset[str]:
        """Symbols with a parent order at work."""
        return frozenset(self._busy)

    def stop_accepting(self) -> None:
        """Start no new parents from now on; those at work go on to their end."""
        self.is_accepting = False

    def consider(
        self, features: MarketFeatures, opinion: Opinion | None, *, may_enter: bool = True
    ) -> None:
        """Decide on one symbol at one instant; sends nothing itself.

        Without ``may_enter`` an open trade is still watched and closed, but none is begun.
        """
        symbol = features.symbol
        self.counts.signals += opinion is not None
        if not self.is_accepting or symbol in self._busy:
            return
        if features.ts_ns < self._paused_until_ns.get(symbol, 0):
            return
        parent = self._next_parent(features, opinion)
        if parent is not None and (may_enter or parent.reduce_only):
            self._busy.add(symbol)
            self._paused_until_ns[symbol] = features.ts_ns + self._decision_interval_ns
            self.counts.parents += 1
            self._spawn(f"parent-{symbol}-{self.counts.parents}", self._work(parent, features))

    def _next_parent(self, features: MarketFeatures, opinion: Opinion | None) -> ParentOrder | None:
        symbol = features.symbol
        position = self._portfolio.position(symbol).quantity
        own = self._own_part(symbol, position)
        if own:
            trip = self._trips.get(symbol) or self._late_trip(symbol, own, features)
            reason = exit_reason(trip, features, opinion, rules=self._rules)
            return exit_order(symbol, own, reason, rules=self._rules) if reason else None
        self._trips.pop(symbol, None)
        if position or opinion is None:
            return None  # a position that this run did not open is left alone
        return entry(
            features,
            opinion,
            rules=self._rules,
            costs=self._costs[symbol],
            instrument=self._instruments[symbol],
        )

    def _own_part(self, symbol: str, position: Decimal) -> Decimal:
        """Return what this run opened of ``position``; the rest is somebody else's."""
        own = self._executor.own_quantity(symbol)
        if own * position <= 0:
            return Decimal(0)
        return min(own, position, key=abs)

    def _late_trip(self, symbol: str, own: Decimal, features: MarketFeatures) -> Trip:
        """Watch over a position whose fill came after its parent had ended."""
        _LOG.warning("late fill", symbol=symbol, quantity=str(own))
        trip = Trip(
            side=Side.BUY if own > 0 else Side.SELL,
            entered_ns=features.ts_ns,
            entry_mid=features.mid,
            renewed_ns=features.ts_ns,
        )
        self._trips[symbol] = trip
        return trip

    async def _work(self, parent: ParentOrder, features: MarketFeatures) -> None:
        try:
            result = await self._executor.execute(parent)
        finally:
            self._busy.discard(parent.symbol)
        if result is None:
            return
        self.counts.signal_orders += len(result.children)
        if result.children:
            self.counts.parents_ended += 1
            self.counts.parents_succeeded += result.is_success
            self.results.append(result)
        self._after(parent, result, features)
        _LOG.info(
            "parent ended",
            symbol=parent.symbol,
            side=parent.side.name,
            purpose=parent.purpose,
            quantity=str(parent.quantity),
            filled=str(result.filled_quantity),
            slippage_bps=result.slippage_bps,
            success=result.is_success,
            reason=result.reason,
        )

    def _after(self, parent: ParentOrder, result: ParentResult, features: MarketFeatures) -> None:
        symbol = parent.symbol
        if result.filled_quantity == 0:
            self._pause(symbol, most_s=_MAX_EXIT_PAUSE_S if parent.reduce_only else _MAX_PAUSE_S)
            return
        self._failures.pop(symbol, None)
        if parent.reduce_only:
            self.counts.exits += 1
            if not self._portfolio.position(symbol).quantity:
                self._trips.pop(symbol, None)
            return
        now_ns = self._clock.monotonic_ns()
        self._trips[symbol] = Trip(
            side=parent.side, entered_ns=now_ns, entry_mid=features.mid, renewed_ns=now_ns
        )

    def _pause(self, symbol: str, *, most_s: float) -> None:
        """Back off after a parent without any fill, so that a refusal cannot become a storm."""
        failures = self._failures.get(symbol, 0)
        self._failures[symbol] = failures + 1
        pause_s = min(most_s, 0.5 * 2.0 ** min(failures, _MAX_DOUBLINGS))
        self._paused_until_ns[symbol] = self._clock.monotonic_ns() + round(pause_s * _NS_PER_S)

    def success_rate_pct(self) -> float | None:
        """Parents completed inside their limits over parents ended; None without any."""
        if not self.counts.parents_ended:
            return None
        return round(100.0 * self.counts.parents_succeeded / self.counts.parents_ended, 2)

    def slippage_bps(self) -> float | None:
        """Value-weighted signed slippage of the newest parents, None without a fill."""
        value = sum((r.filled_value for r in self.results), Decimal(0))
        if not value:
            return None
        cost = sum(
            float(r.filled_value) * r.slippage_bps
            for r in self.results
            if r.slippage_bps is not None
        )
        return round(cost / float(value), 3)

    def fees_bps(self) -> float | None:
        """Fees over traded value of the newest parents, basis points, None without a fill."""
        value = sum((r.filled_value for r in self.results), Decimal(0))
        fees = sum((r.fees for r in self.results), Decimal(0))
        return round(float(fees / value) * 10_000, 3) if value else None
