"""The market's pace: never further from the clock than it can compute without holding up others."""

from __future__ import annotations

import logging

from trading_system.domain.ports import Clock
from trading_system.simulation.venue import SimulatedVenue

MAX_LAG_MS = 3_000
"""Market time behind the clock from which on orders are better refused than matched."""

_STRIDE_MS = 50
_TURN_NS = 25_000_000
_LOGGER = logging.getLogger(__name__)


class MarketPace:
    """Moves a venue's market to the clock in turns of bounded computing time.

    Normally one turn is enough. After a pause of the whole process (a suspended machine) the
    market has minutes or hours to make up; between turns the server goes on answering. What the
    market does in that time does not depend on the turns.

    Parameters
    ----------
    venue : SimulatedVenue
        A venue after ``prepare``.
    clock : Clock
        Measures the computing time.
    """

    def __init__(self, venue: SimulatedVenue, *, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock
        self._is_behind = False

    def advance(self, now_ms: int) -> int:
        """Take one turn towards ``now_ms``; return the venue's time after it, UTC ms."""
        venue = self._venue
        until_ns = self._clock.monotonic_ns() + _TURN_NS
        while venue.now_ms < now_ms:
            venue.advance(min(now_ms, venue.now_ms + _STRIDE_MS))
            if self._clock.monotonic_ns() >= until_ns:
                break
        self._note(now_ms - venue.now_ms)
        return venue.now_ms

    def _note(self, lag_ms: int) -> None:
        is_behind = lag_ms > MAX_LAG_MS
        if is_behind and not self._is_behind:
            _LOGGER.warning(
                "the market is %d s behind the clock and catches up; orders are refused meanwhile",
                lag_ms // 1000,
            )
        self._is_behind = is_behind
