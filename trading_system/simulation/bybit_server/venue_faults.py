"""Faults of the whole venue: its clock, its histories, its restarts."""

from __future__ import annotations

from trading_system.domain.ports import Clock
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import Moment

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class VenueFaults:
    """What the schedule says about the venue now.

    Parameters
    ----------
    history_lag_ms : int
        How long closed orders are missing in histories without a fault.
    """

    def __init__(self, engine: FaultEngine, *, clock: Clock, history_lag_ms: int) -> None:
        self._engine = engine
        self._clock = clock
        self._usual_lag_ms = history_lag_ms
        self._back_ns = 0

    @property
    def told_ms(self) -> int:
        """The UTC time that clients are told and their stamps are checked against."""
        rule = self._engine.lasting(Fault.CLOCK_SKEW)
        skew_ms = 0 if rule is None or rule.skew_ms is None else rule.skew_ms
        return self._clock.utc_ns() // _NS_PER_MS + skew_ms

    @property
    def history_lag_ms(self) -> int:
        """How long closed orders are missing in histories."""
        rule = self._engine.lasting(Fault.HISTORY_LAG)
        if rule is None or rule.delay_ms is None:
            return self._usual_lag_ms
        return round(rule.delay_ms)

    @property
    def is_restarting(self) -> bool:
        """Whether the service is away after a restart began."""
        return self._back_ns > 0 and self._clock.monotonic_ns() < self._back_ns

    def begins_restart(self) -> bool:
        """Return whether a restart is due; it then has begun."""
        rule = self._engine.meet(Moment.VENUE)
        if rule is None:
            return False
        pause_s = rule.duration_s or 0.0
        self._back_ns = self._clock.monotonic_ns() + round(pause_s * _NS_PER_S)
        return True
