"""The signal trader: one trip per symbol, parents worked by the executor, everything counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.config.sections import StrategySettings
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.lifecycle import Spawn
from trading_system.strategies.decisions import (
    Decision,
    DecisionLog,
    Hindrance,
    Situation,
    verdict,
)
from trading_system.strategies.signals import (
    Costs,
    ExitReason,
    Target,
    Trip,
    begin_trip,
    entry_target,
    exit_reason,
    exit_target,
    parent_towards,
    protective_price,
)

_LOG = structlog.get_logger(__name__)
_KEEP_RESULTS = 1_000
_NS_PER_S = 1_000_000_000
_MAX_PAUSE_S = 30.0
_MAX_EXIT_PAUSE_S = 2.0
_MAX_DOUBLINGS = 10


class Desk(Protocol):
    """What works the trader's decisions; everything passes the risk gate there."""

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent to its end; None without a quote to start from."""
        ...

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        """Let a stop for the whole position rest at the venue; a failure is tried again later."""
        ...

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this system opened, signed."""
        ...


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
    desk : Desk
        Works the parents and rests the stops.
    portfolio : Portfolio
        Source of the true position.
    instruments, costs : Mapping
        Per symbol.
    rules : StrategySettings
        When to trade.
    clock : Clock
        Monotonic stamps.
    spawn : Callable
        Starts a supervised background task from a name and a coroutine.
    """

    def __init__(
        self,
        *,
        desk: Desk,
        portfolio: Portfolio,
        instruments: Mapping[str, Instrument],
        costs: Mapping[str, Costs],
        rules: StrategySettings,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._desk = desk
        self._portfolio = portfolio
        self._instruments = instruments
        self._costs = costs
        self._rules = rules
        self._clock = clock
        self._spawn = spawn
        self._trips: dict[str, Trip] = {}
        self._mids: dict[str, float] = {}
        self._busy: set[str] = set()
        self._decision_interval_ns = round(rules.decision_interval_s * _NS_PER_S)
        self._paused_until_ns: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self.counts = TraderCounts()
        self.results: deque[ParentResult] = deque(maxlen=_KEEP_RESULTS)
        self.decisions = DecisionLog()
        self.is_accepting = True
        self.paused_because: str | None = None

    @property
    def busy_symbols(self) -> frozenset[str]:
        """Symbols with a parent order at work."""
        return frozenset(self._busy)

    @property
    def is_active(self) -> bool:
        """Whether new trades may begin."""
        return self.is_accepting and self.paused_because is None

    @property
    def trips(self) -> Mapping[str, Trip]:
        """Open trades by symbol."""
        return dict(self._trips)

    def stop_accepting(self) -> None:
        """Start no new parents from now on; those at work go on to their end."""
        self.is_accepting = False

    def pause(self, reason: str) -> None:
        """Begin no new trade until :meth:`resume`; open ones are still watched and closed."""
        self.paused_because = self.paused_because or reason

    def resume(self) -> None:
        """Begin trades again."""
        self.paused_because = None

    def consider(
        self, features: MarketFeatures, consensus: Consensus | None, *, may_enter: bool = True
    ) -> None:
        """Decide on one symbol at one instant; sends nothing itself.

        Without ``may_enter``, or while paused, an open trade is still watched and closed, but
        none is begun.
        """
        symbol = features.symbol
        self._mids[symbol] = features.mid
        self.counts.signals += consensus is not None
        if self._hindrance(symbol, features.ts_ns) is not None:
            return
        own = self._own_part(symbol)
        target = self._target(features, consensus, own)
        parent = parent_towards(target, own, rules=self._rules) if target is not None else None
        if parent is None or not (
            parent.reduce_only or (may_enter and self.paused_because is None)
        ):
            return
        self._paused_until_ns[symbol] = features.ts_ns + self._decision_interval_ns
        self._begin(parent, features, consensus)

    def verdict(
        self, features: MarketFeatures, consensus: Consensus | None, *, withheld: str | None = None
    ) -> str:
        """Return in one sentence what :meth:`consider` would make of this and why; changes nothing.

        Parameters
        ----------
        withheld : str or None
            Why no trade may begin, beside a pause; None if one may.
        """
        symbol, trip = features.symbol, self._trips.get(features.symbol)
        own, paused = self._own_part(symbol), self.paused_because
        if own and trip is None:  # it would be taken up now
            trip = begin_trip(_side_of(own), mid=features.mid, now_ns=features.ts_ns)
        left_ns = self._paused_until_ns.get(symbol, 0) - features.ts_ns
        return verdict(
            features,
            consensus,
            Situation(
                hindrance=self._hindrance(symbol, features.ts_ns),
                wait_s=max(0.0, left_ns / _NS_PER_S),
                own=own,
                position=self._portfolio.position(symbol).quantity,
                trip=trip,
                withheld=withheld if paused is None else f"it is paused: {paused}",
            ),
            rules=self._rules,
            costs=self._costs[symbol],
            instrument=self._instruments[symbol],
        )

    def request_exit(self, symbol: str) -> bool:
        """Begin to close the own position of ``symbol``; return whether there was one to close."""
        target = exit_target(symbol, ExitReason.REQUESTED)
        parent = parent_towards(target, self._own_part(symbol), rules=self._rules)
        if parent is None or symbol in self._busy:
            return False
        self._begin(parent, None, None)
        return True

    def _hindrance(self, symbol: str, now_ns: int) -> Hindrance | None:
        """Return why ``symbol`` is not decided on now."""
        if not self.is_accepting:
            return Hindrance.NOT_ACCEPTING
        if symbol in self._busy:
            return Hindrance.BUSY
        is_waiting = now_ns < self._paused_until_ns.get(symbol, 0)
        return Hindrance.WAITING if is_waiting else None

    def _begin(
        self, parent: ParentOrder, features: MarketFeatures | None, consensus: Consensus | None
    ) -> None:
        self._busy.add(parent.symbol)
        self.counts.parents += 1
        decision = Decision(
            utc_ns=self._clock.utc_ns(),
            parent=parent,
            features=features,
            consensus=consensus,
            costs=self._costs[parent.symbol],
        )
        self.decisions.add(decision)
        self._spawn(f"parent-{parent.symbol}-{self.counts.parents}", self._work(decision))

    def _target(
        self, features: MarketFeatures, consensus: Consensus | None, own: Decimal
    ) -> Target | None:
        symbol = features.symbol
        if own:
            trip = self._trips.get(symbol) or self._late_trip(symbol, own, features)
            reason = exit_reason(trip, features, consensus, rules=self._rules)
            return exit_target(symbol, reason) if reason else None
        self._trips.pop(symbol, None)
        if self._portfolio.position(symbol).quantity or consensus is None:
            return None  # a position that this system did not open is left alone
        return entry_target(
            features,
            consensus,
            rules=self._rules,
            costs=self._costs[symbol],
            instrument=self._instruments[symbol],
        )

    def _own_part(self, symbol: str) -> Decimal:
        """Return what this system opened of the position; the rest is somebody else's."""
        position = self._portfolio.position(symbol).quantity
        own = self._desk.own_quantity(symbol)
        if own * position <= 0:
            return Decimal(0)
        return min(own, position, key=abs)

    def _late_trip(self, symbol: str, own: Decimal, features: MarketFeatures) -> Trip:
        """Watch over a position of an earlier run, or whose fill came after its parent's end."""
        _LOG.warning("position taken up", symbol=symbol, quantity=str(own))
        trip = begin_trip(_side_of(own), mid=features.mid, now_ns=features.ts_ns)
        self._trips[symbol] = trip
        return trip

    async def _work(self, decision: Decision) -> None:
        parent = decision.parent
        try:
            decision.result = result = await self._desk.execute(parent)
            decision.has_ended = True
            if result is not None:
                self._note(parent, result)
                await self._protect(parent.symbol)
        finally:
            self._busy.discard(parent.symbol)

    def _note(self, parent: ParentOrder, result: ParentResult) -> None:
        self.counts.signal_orders += len(result.children)
        if result.children:
            self.counts.parents_ended += 1
            self.counts.parents_succeeded += result.is_success
            self.results.append(result)
        self._after(parent, result)
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

    def _after(self, parent: ParentOrder, result: ParentResult) -> None:
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
        self._trips[symbol] = begin_trip(
            parent.side, mid=float(result.arrival_mid), now_ns=self._clock.monotonic_ns()
        )

    async def _protect(self, symbol: str) -> None:
        """Rest a stop at the venue for what is open now; the venue drops it with the position."""
        own = self._own_part(symbol)
        if own:
            await self._desk.protect(symbol, self.stop_price(symbol, _side_of(own)))

    def stop_price(self, symbol: str, side: Side) -> Decimal:
        """Return where the venue's stop for an open position of ``side`` belongs."""
        trip = self._trips.get(symbol)
        mid = trip.entry_mid if trip is not None else self._mids[symbol]
        return protective_price(side, mid, rules=self._rules, instrument=self._instruments[symbol])

    def unprotected(self, venue_stops: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
        """Return the stop that each own position without one at the venue should get."""
        wanted: dict[str, Decimal] = {}
        for symbol in self._mids:
            own = self._own_part(symbol)
            if own and symbol not in self._busy and venue_stops.get(symbol) is None:
                wanted[symbol] = self.stop_price(symbol, _side_of(own))
        return wanted

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
        return slippage_of(self.results)

    def fees_bps(self) -> float | None:
        """Fees over traded value of the newest parents, basis points, None without a fill."""
        value = sum((r.filled_value for r in self.results), Decimal(0))
        fees = sum((r.fees for r in self.results), Decimal(0))
        return round(float(fees / value) * 10_000, 3) if value else None


def _side_of(quantity: Decimal) -> Side:
    return Side.BUY if quantity > 0 else Side.SELL


def slippage_of(results: Collection[ParentResult]) -> float | None:
    """Return the value-weighted signed slippage of some parents, bps, None without a fill."""
    value = sum((r.filled_value for r in results), Decimal(0))
    if not value:
        return None
    cost = sum(
        float(r.filled_value) * r.slippage_bps for r in results if r.slippage_bps is not None
    )
    return round(cost / float(value), 3)
