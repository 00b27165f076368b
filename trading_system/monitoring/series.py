"""A figure over time in bounded memory: the longer it runs, the wider the points are apart."""

from __future__ import annotations

import math

_MS_PER_S = 1000


class Series:
    """Points of one figure, evenly thinned.

    When the capacity is reached every second point is dropped and the spacing doubles, so that
    the whole time since the first point is always covered; the newest value is kept beside them
    until its turn comes.

    Parameters
    ----------
    capacity : int
        Points kept at most, the newest included; at least 4.
    spacing_s : float
        Least distance of two points at the beginning, seconds, positive.
    """

    def __init__(self, *, capacity: int = 2000, spacing_s: float = 1.0) -> None:
        if capacity < 4 or not 0.0 < spacing_s < math.inf:
            raise ValueError(f"a series needs 4 points and a spacing, had {capacity}, {spacing_s}")
        self._capacity = capacity
        self._spacing_ms = spacing_s * _MS_PER_S
        self._kept: list[tuple[int, float]] = []
        self._newest: tuple[int, float] | None = None

    @property
    def spacing_s(self) -> float:
        """Least distance of two kept points now, seconds."""
        return self._spacing_ms / _MS_PER_S

    def add(self, utc_ms: int, value: float) -> None:
        """Note ``value`` at ``utc_ms`` (UTC milliseconds).

        A value that is not finite is left out. If the clock was set back, points that now lie in
        the future are dropped: times always rise.
        """
        if not math.isfinite(value):
            return
        while self._kept and self._kept[-1][0] > utc_ms:
            self._kept.pop()
        self._newest = (utc_ms, float(value))
        if not self._kept or utc_ms - self._kept[-1][0] >= self._spacing_ms:
            self._kept.append(self._newest)
            if len(self._kept) >= self._capacity:
                self._kept = self._kept[::2]
                self._spacing_ms *= 2

    def points(self) -> list[tuple[int, float]]:
        """Return UTC milliseconds and value of every kept point and of the newest, rising."""
        if self._newest is None or self._newest[0] == self._kept[-1][0]:
            return [*self._kept[:-1], self._newest] if self._newest else []
        return [*self._kept, self._newest]
