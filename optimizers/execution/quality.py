"""Execution quality in one number, and figures over many executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optimizers.execution.results import ExecutionMetrics

_RECENT = 10


def quality_score(
    *,
    latency_ms: float,
    slippage_bps: float | None,
    fill_rate: float,
    target_latency_ms: float,
    max_slippage_bps: float,
) -> float:
    """Return the mean of three parts, each 0 to 100; 0 without a fill.

    Latency and slippage count 100 at zero (or a gain), 50 at their limit and 0 at twice the limit
    and beyond, linearly; the third part is the fill rate in percent. The score never rises with
    latency or slippage and never falls with the fill rate.

    Parameters
    ----------
    latency_ms : float
        Not negative.
    slippage_bps : float or None
        Signed, positive = cost.
    fill_rate : float
        In [0, 1].
    target_latency_ms, max_slippage_bps : float
        Limits, positive.
    """
    if slippage_bps is None or fill_rate <= 0.0:
        return 0.0
    latency_part = _part(latency_ms, target_latency_ms)
    slippage_part = _part(slippage_bps, max_slippage_bps)
    return (latency_part + slippage_part + 100.0 * min(1.0, fill_rate)) / 3.0


def _part(value: float, limit: float) -> float:
    return 100.0 * min(1.0, max(0.0, 1.0 - value / (2.0 * limit)))


def performance_summary(
    metrics: Sequence[ExecutionMetrics],
    *,
    total: int,
    failed: int,
    target_latency_ms: float,
    max_slippage_bps: float,
) -> dict[str, Any]:
    """Return the figures of ``metrics`` (oldest first), every key always present, JSON-safe.

    Percentiles are interpolated linearly. ``target_met`` compares the 95th percentile of latency
    with its target and ``within_tolerance`` that of slippage; both are None without data.

    Parameters
    ----------
    total, failed : int
        Executions with a fill, and without one, since the start.
    """
    latency = _figures([m.latency_ms for m in metrics])
    slippage = _figures([m.slippage_bps for m in metrics if m.slippage_bps is not None])
    quality = _figures([m.execution_quality_score for m in metrics])
    recent = list(metrics)[-_RECENT:]
    return {
        "status": "ok" if metrics else "no executions yet",
        "total_executions": total,
        "failed_executions": failed,
        "latency_metrics": {
            "avg_ms": latency["avg"],
            "median_ms": latency["median"],
            "p95_ms": latency["p95"],
            "p99_ms": latency["p99"],
            "max_ms": latency["max"],
            "target_met": _is_within(latency["p95"], target_latency_ms),
        },
        "slippage_metrics": {
            "avg_bps": slippage["avg"],
            "median_bps": slippage["median"],
            "p95_bps": slippage["p95"],
            "max_bps": slippage["max"],
            "within_tolerance": _is_within(slippage["p95"], max_slippage_bps),
        },
        "quality_metrics": {
            "avg_score": quality["avg"],
            "median_score": quality["median"],
            "min_score": quality["min"],
            "max_score": quality["max"],
        },
        "recent_performance": {
            "last_10_avg_latency": _mean([m.latency_ms for m in recent]),
            "last_10_avg_slippage": _mean(
                [m.slippage_bps for m in recent if m.slippage_bps is not None]
            ),
            "last_10_avg_quality": _mean([m.execution_quality_score for m in recent]),
        },
    }


def _figures(values: list[float]) -> dict[str, float | None]:
    if not values:
        return dict.fromkeys(("avg", "median", "p95", "p99", "min", "max"))
    held = np.array(values)
    median, p95, p99 = np.percentile(held, (50, 95, 99))
    return {
        "avg": float(held.mean()),
        "median": float(median),
        "p95": float(p95),
        "p99": float(p99),
        "min": float(held.min()),
        "max": float(held.max()),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _is_within(value: float | None, limit: float) -> bool | None:
    return None if value is None else value <= limit
