"""What the inspection reads of the watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from trading_system.monitoring.status import WatchFigures


class AlertRows(Protocol):
    """Every alert that fires or has cleared."""

    def rows(self) -> dict[str, Any]:
        """Return ``alerts``, the worst first."""
        ...

    def acknowledge(self, alert_id: str, *, note: str) -> dict[str, Any]:
        """Note that somebody looks after an alert; ValidationError if none such fires."""
        ...


class Points(Protocol):
    """A figure over time."""

    def points(self) -> list[tuple[int, float]]:
        """Return (UTC milliseconds, value), oldest first."""
        ...


class Figures(Protocol):
    """Something that describes itself, JSON-safe."""

    def figures(self) -> dict[str, Any]:
        """Return the figures."""
        ...


class Watching(Protocol):
    """The watch over a desk, as far as it is shown."""

    @property
    def alerts(self) -> AlertRows:
        """Alerts."""
        ...

    @property
    def history(self) -> Figures:
        """Time in compliance."""
        ...

    @property
    def process(self) -> Figures:
        """What the process uses."""
        ...

    @property
    def equity(self) -> Points:
        """Equity over time."""
        ...

    @property
    def scores(self) -> Points:
        """Health score over time."""
        ...

    def figures(self) -> WatchFigures | None:
        """Return the watch's part of the status, None before the first look."""
        ...

    def delivery(self) -> dict[str, Any]:
        """Return how the telling of people goes."""
        ...


def pairs(points: Sequence[tuple[int, float]]) -> list[list[float]]:
    """Return the points as lists."""
    return [[at, value] for at, value in points]
