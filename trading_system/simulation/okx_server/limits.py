"""Quotas in sliding windows: connections per address, requests per connection."""

from __future__ import annotations

from collections import deque

REQUESTS_PER_HOUR = 480
"""Subscribe, unsubscribe and login requests of one connection."""

CONNECTIONS_PER_SECOND = 3
"""New WebSocket connections of one address."""

_MAX_ADDRESSES = 1_000


class Window:
    """Admits at most ``limit`` events within any ``length_s`` seconds."""

    def __init__(self, *, limit: int, length_s: float) -> None:
        self._limit = limit
        self._length_s = length_s
        self._times: deque[float] = deque(maxlen=limit)

    def take(self, now_s: float) -> bool:
        """Count one event and return whether there was room; a refused one does not count."""
        times = self._times
        if len(times) == self._limit and now_s - times[0] < self._length_s:
            return False
        times.append(now_s)
        return True


class ConnectionRate:
    """New connections of each address; remembers the 1,000 addresses seen last."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def take(self, address: str, now_s: float) -> bool:
        """Count one connection and return whether it is admitted."""
        window = self._windows.pop(address, None)
        if window is None:
            window = Window(limit=CONNECTIONS_PER_SECOND, length_s=1.0)
            while len(self._windows) >= _MAX_ADDRESSES:
                del self._windows[next(iter(self._windows))]
        self._windows[address] = window
        return window.take(now_s)
