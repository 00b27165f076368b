"""Spacing between calls of one kind."""

from __future__ import annotations

from collections import OrderedDict

from trading_system.domain.ports import Clock
from trading_system.runtime.limiter import SlidingWindow

_MAX_OPERATIONS = 256


class CallSpacing:
    """At most one call per operation in any ``interval_s`` seconds.

    Parameters
    ----------
    interval_s : float
        Seconds, positive.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, interval_s: float, *, clock: Clock) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._windows: OrderedDict[str, SlidingWindow] = OrderedDict()
        self.granted = 0
        self.refused = 0

    def try_acquire(self, operation: str) -> bool:
        """Take the turn of ``operation`` if it has come; return whether it had."""
        is_granted = self._window(operation).try_acquire()
        self.granted += is_granted
        self.refused += not is_granted
        return is_granted

    async def acquire(self, operation: str, *, deadline_s: float) -> None:
        """Wait for the turn of ``operation``.

        Raises
        ------
        DeadlineExceeded
            If it cannot come within ``deadline_s``.
        """
        await self._window(operation).acquire(deadline_s=deadline_s)
        self.granted += 1

    def _window(self, operation: str) -> SlidingWindow:
        window = self._windows.get(operation)
        if window is None:
            if len(self._windows) >= _MAX_OPERATIONS:
                self._windows.popitem(last=False)
            window = SlidingWindow(1, window_s=self._interval_s, clock=self._clock)
            self._windows[operation] = window
        return window
