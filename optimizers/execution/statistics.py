"""The statistics of a running optimizer, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optimizers.execution.operations import OperationTimer
from optimizers.execution.spacing import CallSpacing
from trading_system.runtime.cache import CacheStatistics

_NEWEST_SLOW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFigures:
    """How full batches left.

    Parameters
    ----------
    sent, orders : int
        Batches and the orders in them, since the start.
    size : int
        Orders of a full batch.
    """

    sent: int
    orders: int
    size: int

    @property
    def fill_pct(self) -> float | None:
        """Orders per place, percent; None before the first batch."""
        return 100.0 * self.orders / (self.sent * self.size) if self.sent else None


def batch_figures(sizes: list[int]) -> BatchFigures:
    """Return the figures of batches counted by their number of orders, from 0 to full."""
    return BatchFigures(
        sent=sum(sizes),
        orders=sum(index * count for index, count in enumerate(sizes)),
        size=len(sizes) - 1,
    )


def performance_stats(
    timer: OperationTimer,
    *,
    caches: dict[str, CacheStatistics],
    spacing: CallSpacing,
    batches: BatchFigures,
) -> dict[str, Any]:
    """Return what ``PerformanceOptimizer.get_performance_stats`` documents."""
    figures = timer.figures
    calls = timer.calls
    return {
        "api_call_count": sum(calls.values()),
        "api_calls": calls,
        "slow_operations": {name: f.slow for name, f in figures.items() if f.slow},
        "newest_slow_operations": list(timer.newest_slow)[-_NEWEST_SLOW:],
        "failed_operations": {name: f.failures for name, f in figures.items() if f.failures},
        "cache_hit_rates": {name: _percent(s.hit_rate) for name, s in caches.items()},
        "operation_averages": {name: f.average_s for name, f in figures.items()},
        "operation_p95": {name: f.p95_s for name, f in figures.items()},
        "operation_counts": {name: f.count for name, f in figures.items()},
        "spacing": {"granted": spacing.granted, "refused": spacing.refused},
        "batches": {
            "sent": batches.sent,
            "orders": batches.orders,
            "fill_pct": batches.fill_pct,
        },
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share
