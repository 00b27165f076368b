"""Puts the level that the health score leads to into force on a session, and takes it back.

- ``THROTTLE``: orders that may open a position get half of the gate's order rate (rounded down, at
  least one per second); orders that only shrink one get all of it. Trades of the signal strategy
  begin at half their pace: after the last one of the same symbol passes twice the time that usually
  lies between two, two decision intervals at least and two minutes at most. New quotes of a market
  maker pass the same gate and thus the same half; moving a quote is no new order.
- ``REDUCE_ONLY``: the same, and the hold ``health`` lets only orders through that shrink a
  position; a market maker pulls its quotes.
- ``HALT``: the hold ``health`` lets no order through. Cancels and protective stops always pass.

Only the hold named ``health`` is ever set or lifted here.
"""

from __future__ import annotations

from typing import Final

import structlog

from trading_system.config.sections import StrategySettings
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.monitoring.behaviour import Level
from trading_system.risk.limits import TradingState

HEALTH: Final = "health"
"""Source of the hold that is in force while the score is too low."""

_LOG = structlog.get_logger(__name__)
_SHARE = 0.5
_SLOWER = 2
_LONGEST_GAP_S = 60.0
_NEWEST_SHARE = 0.25
_NS_PER_S = 1_000_000_000
_STATES = {Level.REDUCE_ONLY: TradingState.REDUCING, Level.HALT: TradingState.HALTED}


class Restraint:
    """What the present level allows.

    Parameters
    ----------
    engine : ExecutionEngine
        Its gate is throttled and held.
    rules : StrategySettings
        Of these the shortest time between two decisions of a symbol.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, engine: ExecutionEngine, *, rules: StrategySettings, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._shortest_ns = round(rules.decision_interval_s * _NS_PER_S)
        self._longest_ns = max(self._shortest_ns, round(_LONGEST_GAP_S * _NS_PER_S))
        self._begun_ns: dict[str, int] = {}
        self._usual_ns: dict[str, int] = {}  # between two trades of a symbol
        self._level = Level.NORMAL

    @property
    def level(self) -> Level:
        """The level in force."""
        return self._level

    def apply(self, level: Level, *, reason: str) -> None:
        """Put ``level`` into force; again the same one changes nothing but the hold's reason."""
        if level is not self._level:
            log = _LOG.warning if level > self._level else _LOG.info
            log("behaviour", before=self._level.label, after=level.label, reason=reason)
        self._level = level
        self._engine.throttle(1.0 if level is Level.NORMAL else _SHARE)
        state = _STATES.get(level)
        if state is None:
            self._engine.holds.clear(HEALTH)
        else:
            self._engine.holds.set(HEALTH, state, reason or f"level {level.label}")

    def note_entry(self, symbol: str) -> None:
        """Note that a trade of ``symbol`` begins now."""
        now_ns, before_ns = self._clock.monotonic_ns(), self._begun_ns.get(symbol)
        self._begun_ns[symbol] = now_ns
        is_known = symbol in self._usual_ns
        if before_ns is None or (is_known and self._level is not Level.NORMAL):
            return
        gap_ns = min(now_ns - before_ns, self._longest_ns)
        usual_ns = self._usual_ns.get(symbol, gap_ns)
        self._usual_ns[symbol] = usual_ns + round(_NEWEST_SHARE * (gap_ns - usual_ns))

    def may_enter(self, symbol: str) -> bool:
        """Return whether a trade of ``symbol`` may begin now, as far as the level goes."""
        if self._level is Level.NORMAL or symbol not in self._begun_ns:
            return True
        usual_ns = max(self._shortest_ns, self._usual_ns.get(symbol, 0))
        return self._clock.monotonic_ns() - self._begun_ns[symbol] >= _SLOWER * usual_ns
