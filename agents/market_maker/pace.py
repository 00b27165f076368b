"""How long cycles take and how often they should come."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from trading_system.domain.errors import ValidationError

_KEEP: Final = 1_000
_NEWEST: Final = 20
_FAST: Final = 0.3
_SLOW: Final = 0.8
_FASTER: Final = 0.8
_SLOWER: Final = 1.2
_LEAST: Final = 0.5
_MOST: Final = 3.0


class Pace:
    """Durations of the newest cycles, and the interval that suits them.

    Parameters
    ----------
    base_s : float
        Interval to start from, seconds; the result stays within half and three times of it.
    """

    def __init__(self, base_s: float) -> None:
        self._base_s = base_s
        self._durations: deque[float] = deque(maxlen=_KEEP)
        self.cycles = 0

    def record(self, seconds: float) -> None:
        """Take the duration of one cycle, seconds."""
        self._durations.append(seconds)
        self.cycles += 1

    def interval(self, interval_s: float, avg_cycle_time_s: float | None = None) -> float:
        """Return the next interval, seconds.

        ==========================  ==================
        mean duration of a cycle    next interval
        ==========================  ==================
        below 30 % of the interval  0.8 x the interval
        30 % to 80 %                unchanged
        above 80 %                  1.2 x the interval
        ==========================  ==================

        So 2 s become 1.6 s or 2.4 s.

        Parameters
        ----------
        interval_s : float
            Present interval, seconds, finite and positive.
        avg_cycle_time_s : float or None
            Mean duration, seconds; None takes that of the newest 20 cycles, and before the first
            one the interval stays.

        Raises
        ------
        ValidationError
            If a number is out of range.
        """
        if not 0.0 < interval_s < math.inf:
            raise ValidationError(f"an interval must be finite and positive, was {interval_s}")
        mean_s = self._newest_mean_s() if avg_cycle_time_s is None else avg_cycle_time_s
        factor = 1.0
        if mean_s is not None:
            if not 0.0 <= mean_s < math.inf:
                raise ValidationError(f"a cycle time must be finite and not negative, was {mean_s}")
            if mean_s < _FAST * interval_s:
                factor = _FASTER
            elif mean_s > _SLOW * interval_s:
                factor = _SLOWER
        return min(max(interval_s * factor, _LEAST * self._base_s), _MOST * self._base_s)

    def summary(self) -> dict[str, Any]:
        """Return ``avg``, ``p95``, ``min``, ``max`` of the newest cycles, seconds, and ``count``.

        ``avg`` is 0.0 before the first cycle, the others None.
        """
        durations = sorted(self._durations)
        if not durations:
            return {"avg": 0.0, "p95": None, "min": None, "max": None, "count": self.cycles}
        return {
            "avg": sum(durations) / len(durations),
            "p95": durations[math.ceil(0.95 * len(durations)) - 1],
            "min": durations[0],
            "max": durations[-1],
            "count": self.cycles,
        }

    def _newest_mean_s(self) -> float | None:
        newest = list(self._durations)[-_NEWEST:]
        return sum(newest) / len(newest) if newest else None
