"""The result of a latency benchmark: statistics, a grade, and what the figures recommend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optimizers.latency.figures import Sample, Targets, percentile, split

_GRADES = ((100.0, "A+"), (200.0, "A"), (300.0, "B"), (500.0, "C"))
_QUEUE_SHARE = 0.2
_TAIL_RATIO = 3.0
_TAIL_FLOOR_MS = 5.0

NO_GRADE = "N/A"
"""Grade of a benchmark without a single answer."""


def grade(p95_ms: float | None) -> str:
    """Return A+, A, B, C or D for a 95th percentile of at most 100, 200, 300, 500 ms or more."""
    if p95_ms is None:
        return NO_GRADE
    return next((name for bound, name in _GRADES if p95_ms <= bound), "D")


def latency_stats(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean, standard deviation (of a sample), extremes and percentiles, milliseconds."""
    if not values:
        names = ("mean", "std", "min", "max", "median", "p95", "p99")
        return {f"{name}_ms": None for name in names}
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {
        "mean_ms": round(float(np.mean(values)), 6),
        "std_ms": round(deviation, 6),
        "min_ms": round(min(values), 6),
        "max_ms": round(max(values), 6),
        "median_ms": percentile(values, 50),
        "p95_ms": percentile(values, 95),
        "p99_ms": percentile(values, 99),
    }


def benchmark_result(
    samples: Sequence[Sample],
    *,
    errors: int,
    warm_up: int,
    connects_ms: Sequence[float],
    targets: Targets,
    is_kept_alive: bool,
) -> dict[str, Any]:
    """Return the documented keys of ``benchmark_performance`` and the split of the time.

    Parameters
    ----------
    samples : Sequence[Sample]
        The measured requests that were answered.
    errors : int
        The measured requests that were not; their times are in no figure.
    warm_up : int
        Requests sent before, in no figure either.
    connects_ms : Sequence[float]
        Times to open the connections used.
    """
    stats = latency_stats([sample.latency_ms for sample in samples])
    phases = split(samples, connects_ms=connects_ms)
    return {
        "iterations_completed": len(samples),
        "errors": errors,
        "warm_up": warm_up,
        "latency_stats": stats,
        "split": phases,
        "performance_grade": grade(stats["p95_ms"]),
        "recommendations": recommendations(
            stats, phases, errors=errors, targets=targets, is_kept_alive=is_kept_alive
        ),
    }


def recommendations(
    stats: dict[str, float | None],
    phases: dict[str, Any],
    *,
    errors: int,
    targets: Targets,
    is_kept_alive: bool,
) -> list[str]:
    """Return what the figures advise, each with the figures that led to it; may be empty."""
    advice = []
    if errors:
        advice.append(f"{errors} requests failed: check network, host and rate limits first")
    p95, median, p99 = stats["p95_ms"], stats["median_ms"], stats["p99_ms"]
    if p95 is None or median is None or p99 is None:
        return advice
    queue, connect, response = (
        phases[name]["p95_ms"] for name in ("queue_ms", "connect_ms", "response_ms")
    )
    if queue is not None and queue > _QUEUE_SHARE * p95:
        advice.append(
            f"requests wait {queue:.1f} ms of {p95:.1f} ms for a connection (p95, target "
            f"{_QUEUE_SHARE:.0%} of it): raise TRADING_OPTIMIZATION__CONNECTION_POOL_SIZE"
        )
    if not is_kept_alive:
        advice.append("every request opens a connection: turn connection_keepalive on")
    if connect is not None and connect > targets.connection_ms:
        advice.append(
            f"connecting takes {connect:.1f} ms (p95, target {targets.connection_ms:g}): "
            "pre-warm before trading and stay nearer to the venue"
        )
    if response is not None and response > targets.response_ms:
        advice.append(
            f"the venue answers in {response:.1f} ms (p95, target {targets.response_ms:g}): "
            "run in a region nearer to it"
        )
    if p99 > _TAIL_FLOOR_MS and p99 > _TAIL_RATIO * median:
        advice.append(
            f"the slowest percent takes {p99:.1f} ms against a median of {median:.1f} ms (target "
            f"{_TAIL_RATIO:g} times it): look for other load on this machine or link"
        )
    return advice
