"""Circuit breaker of one agent: takes it out when it keeps failing, tries it again later."""

from __future__ import annotations

from dataclasses import dataclass

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRules:
    """When an agent is taken out and tried again.

    Parameters
    ----------
    failures : int
        Failures in a row that open the circuit.
    pause_s : float
        First pause before a new attempt, seconds; doubles with every relapse until the agent
        has worked well for a while.
    longest_pause_s : float
        Bound of the pause, seconds.
    """

    failures: int = 5
    pause_s: float = 30.0
    longest_pause_s: float = 600.0


class Circuit:
    """Closed while the agent works, open while it is left alone; after the pause one attempt."""

    __slots__ = ("_in_a_row", "_pause_s", "_rules", "_until_ns", "reason", "trips")

    def __init__(self, rules: CircuitRules) -> None:
        self._rules = rules
        self._in_a_row = 0
        self._pause_s = rules.pause_s
        self._until_ns: int | None = None
        self.trips = 0
        self.reason = ""

    @property
    def is_open(self) -> bool:
        """Whether the agent is left alone or on trial."""
        return self._until_ns is not None

    def allows(self, now_ns: int) -> bool:
        """Return whether the agent may be asked at ``now_ns``."""
        return self._until_ns is None or now_ns >= self._until_ns

    def succeeded(self) -> None:
        """Note an answer, an abstention included."""
        self._in_a_row = 0
        if self._until_ns is not None:
            self._until_ns = None
            self.reason = ""

    def failed(self, now_ns: int, reason: str) -> bool:
        """Note a failure; return whether it opened the circuit (again)."""
        self._in_a_row += 1
        if self._until_ns is None and self._in_a_row < self._rules.failures:
            return False
        self.trip(now_ns, reason)
        return True

    def trip(self, now_ns: int, reason: str) -> None:
        """Open the circuit for the present pause; the next one will be twice as long."""
        self._until_ns = now_ns + round(self._pause_s * _NS_PER_S)
        self._pause_s = min(2.0 * self._pause_s, self._rules.longest_pause_s)
        self.trips += 1
        self.reason = reason

    def recovered(self) -> None:
        """Go back to the first pause, as after a long time of good work."""
        self._pause_s = self._rules.pause_s
