"""Realised volatility of the mid, sampled once a second."""

from __future__ import annotations

import math
from collections import deque

from trading_system.domain.errors import ValidationError

_NS_PER_S = 1_000_000_000
MIN_RETURNS = 10
"""One-second returns without which nothing is said; the standard error is then about 22 %."""


class RealisedVolatility:
    """Root mean square of one-second mid returns over a rolling window.

    The mid in force at each whole second is sampled (previous tick), so a second without a change
    counts as a return of zero. The second in which the measurement begins is left out unless it is
    seen from its start: less than a second of moves is no one-second return. A lost book starts the
    measurement anew: what happened meanwhile is not known, and one return over the whole outage
    would not be a one-second return.

    Parameters
    ----------
    window_s : float
        Seconds of returns that count, at least ten.
    """

    __slots__ = ("_mid", "_returns", "_sampled_mid", "_second")

    def __init__(self, window_s: float) -> None:
        if not (math.isfinite(window_s) and window_s >= MIN_RETURNS):
            raise ValidationError(f"a volatility window of {window_s} s is below {MIN_RETURNS} s")
        self._returns: deque[float] = deque(maxlen=int(window_s))
        self._second: int | None = None
        self._mid = 0.0
        self._sampled_mid: float | None = None

    @property
    def samples(self) -> int:
        """One-second returns held."""
        return len(self._returns)

    def observe(self, mid: float, now_ns: int) -> None:
        """Take note of ``mid`` (quote currency) at monotonic ``now_ns``."""
        self._close_seconds(now_ns)
        self._mid = mid
        if self._second is None:
            self._second, into_ns = divmod(now_ns, _NS_PER_S)
            self._sampled_mid = None if into_ns else mid

    def interrupt(self) -> None:
        """Forget everything: the book was lost."""
        self._returns.clear()
        self._second = None

    def per_second(self, now_ns: int) -> float | None:
        """Return the standard deviation of the relative mid move over one second, a fraction.

        None before ten returns are known; 0.0 if the mid has not moved in the window.
        """
        self._close_seconds(now_ns)
        if len(self._returns) < MIN_RETURNS:
            return None
        return math.sqrt(math.fsum(r * r for r in self._returns) / len(self._returns))

    # Samples the mid at every whole second that has passed.
    def _close_seconds(self, now_ns: int) -> None:
        second = now_ns // _NS_PER_S
        if self._second is None or second <= self._second:
            return
        passed = second - self._second
        if self._sampled_mid is not None:
            self._returns.append(self._mid / self._sampled_mid - 1.0)
        quiet = min(passed - 1, self._returns.maxlen or 0)
        self._returns.extend(0.0 for _ in range(quiet))
        self._sampled_mid = self._mid
        self._second = second
