"""Recent growth of counters that only ever rise."""

from __future__ import annotations

from collections import deque

from trading_system.domain.ports import Clock

_NS_PER_S = 1_000_000_000


class RecentGrowth:
    """How much a counter grew of late.

    A total that falls (the thing counted was made anew) counts from zero again.

    Parameters
    ----------
    window_s : float
        How far back it looks, seconds.
    clock : Clock
        Its monotonic time.
    buckets : int
        Resolution: the window is cut into so many slices, and no more are kept.
    """

    def __init__(self, window_s: float, *, clock: Clock, buckets: int = 30) -> None:
        assert window_s > 0
        assert buckets >= 1
        self._slice_ns = max(1, round(window_s * _NS_PER_S / buckets))
        self._buckets = buckets
        self._clock = clock
        self._grown: deque[tuple[int, int]] = deque(maxlen=buckets + 1)
        self._last_total = 0

    def update(self, total: int) -> int:
        """Note the counter's present ``total`` and return its growth within the window."""
        growth = total - self._last_total if total >= self._last_total else total
        self._last_total = total
        now = self._clock.monotonic_ns() // self._slice_ns
        if growth:
            if self._grown and self._grown[-1][0] == now:
                growth += self._grown.pop()[1]
            self._grown.append((now, growth))
        while self._grown and self._grown[0][0] <= now - self._buckets:
            self._grown.popleft()
        return sum(grown for _, grown in self._grown)
