"""What the newest analyses of one symbol were like; two symbols share nothing."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from itertools import islice

_NS_PER_S = 1_000_000_000
_MINUTE_S = 60.0
_LEAST_SPAN_S = 1.0
_TREND_SAMPLES = 10
_TREND_SHARE = 0.1
_QUANTILE_SAMPLES = 20


class RollingQuantiles:
    """The newest values in order of size.

    Parameters
    ----------
    capacity : int
        Values kept; beyond it the oldest is dropped.
    """

    __slots__ = ("_capacity", "_newest", "_sorted")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._newest)

    def add(self, value: float) -> None:
        """Take one finite value."""
        if len(self._newest) == self._capacity:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]
        self._newest.append(value)
        insort(self._sorted, value)

    def quantile(self, share: float) -> float | None:
        """Return the value at ``share`` (nearest rank), None below twenty values."""
        if len(self._sorted) < _QUANTILE_SAMPLES:
            return None
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]

    def newest(self, count: int) -> list[float]:
        """Return up to ``count`` of the newest values, oldest first."""
        return list(islice(self._newest, max(0, len(self._newest) - count), None))


class RollingVolatility:
    """Realised volatility of the mids of the last minute; each value is added once, O(1)."""

    __slots__ = ("_last_log", "_returns", "_sum")

    def __init__(self, capacity: int = 4096) -> None:
        self._returns: deque[tuple[int, float]] = deque(maxlen=capacity)
        self._sum = 0.0
        self._last_log: float | None = None

    def add(self, mid: float, now_ns: int) -> None:
        """Take the mid at a monotonic time."""
        log_mid = math.log(mid)
        change = 0.0 if self._last_log is None else log_mid - self._last_log
        self._last_log = log_mid
        if len(self._returns) == self._returns.maxlen:
            self._drop()
        self._returns.append((now_ns, change * change))
        self._sum += change * change
        while now_ns - self._returns[0][0] > _MINUTE_S * _NS_PER_S:
            self._drop()

    def percent_per_minute(self) -> float | None:
        """Return the root of the squared moves scaled to a minute, percent of the price.

        None before the mids span a second.
        """
        if not self._returns:
            return None
        span_s = (self._returns[-1][0] - self._returns[0][0]) / _NS_PER_S
        if span_s < _LEAST_SPAN_S:
            return None
        # The move that ended at the oldest mid kept began before the span.
        moves = max(0.0, self._sum - self._returns[0][1])
        return math.sqrt(moves * _MINUTE_S / span_s) * 100.0

    def _drop(self) -> None:
        self._sum -= self._returns.popleft()[1]


class SymbolHistory:
    """Rolling state of one symbol.

    Parameters
    ----------
    books, liquidity, impacts : int
        Samples kept of spreads and imbalances, of depths and scores, and of impact estimates.
    """

    def __init__(self, *, books: int = 100, liquidity: int = 50, impacts: int = 200) -> None:
        self.spreads_pct = RollingQuantiles(books)
        self.imbalances = RollingQuantiles(books)
        self.volumes = RollingQuantiles(liquidity)
        self.depths = RollingQuantiles(liquidity)
        self.scores = RollingQuantiles(liquidity)
        self.impacts_bps = RollingQuantiles(impacts)
        self.volatility = RollingVolatility()
        self.count = 0


def trend(values: list[float], *, rising: str, falling: str) -> str:
    """Return whether the newer half of the values is above or below the older half.

    ``rising``, ``falling``, ``STABLE`` (within 10 percent) or ``INSUFFICIENT_DATA`` (below ten
    values).
    """
    if len(values) < _TREND_SAMPLES:
        return "INSUFFICIENT_DATA"
    half = len(values) // 2
    older = sum(values[:half]) / half
    newer = sum(values[half:]) / (len(values) - half)
    band = abs(older) * _TREND_SHARE
    if newer > older + band:
        return rising
    return falling if newer < older - band else "STABLE"
