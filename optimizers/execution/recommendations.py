"""Advice from measured figures; each sentence names the figure and its limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optimizers.execution.operations import OperationFigures
from optimizers.execution.statistics import BatchFigures
from trading_system.config.sections import PerformanceSettings
from trading_system.runtime.cache import CacheStatistics

_GOOD_QUALITY = 80.0
_GOOD_FILL_PCT = 95.0
_MANY_FAILURES_PCT = 10.0
_LEAST_CALLS = 20
_LEAST_BATCHES = 10
_MOST_SLOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFigures:
    """What the advice is based on.

    Parameters
    ----------
    summary : dict
        A performance summary.
    fill_rate : float or None
        Mean fill rate, in [0, 1]; None without an execution.
    price_cache, book_cache : CacheStatistics
        Look-ups since the start.
    calls_granted, calls_refused : int
        Turns of the call spacing since the start.
    operations : mapping
        Timed operations by name.
    performance : PerformanceSettings
        The thresholds of traffic; those of executions are beside it.
    """

    summary: dict[str, Any]
    fill_rate: float | None
    price_cache: CacheStatistics
    book_cache: CacheStatistics
    calls_granted: int
    calls_refused: int
    operations: Mapping[str, OperationFigures]
    batches: BatchFigures
    performance: PerformanceSettings
    target_latency_ms: float
    max_slippage_bps: float


def recommendations(figures: MeasuredFigures) -> list[str]:
    """Return what to change, most costly first; empty when every figure is in order."""
    found = [*_execution_advice(figures), *_traffic_advice(figures)]
    return [sentence for sentence in found if sentence is not None]


def _execution_advice(figures: MeasuredFigures) -> list[str | None]:
    summary = figures.summary
    ended = summary["total_executions"] + summary["failed_executions"]
    failed_pct = 100.0 * summary["failed_executions"] / ended if ended else None
    fill_pct = None if figures.fill_rate is None else 100.0 * figures.fill_rate
    return [
        _above(
            summary["slippage_metrics"]["p95_bps"],
            figures.max_slippage_bps,
            "use LOW urgency or smaller orders: p95 slippage is {:.2f} bps, limit {:g} bps",
        ),
        _above(
            summary["latency_metrics"]["p95_ms"],
            figures.target_latency_ms,
            "check network and venue: p95 latency is {:.0f} ms, target {:g} ms",
        ),
        _below(
            fill_pct,
            _GOOD_FILL_PCT,
            "use HIGH urgency or a longer time: the mean fill rate is {:.1f} %, aim {:g} %",
        ),
        _below(
            summary["quality_metrics"]["avg_score"],
            _GOOD_QUALITY,
            "review execution: the mean quality score is {:.1f}, aim {:g}",
        ),
        _above(
            failed_pct,
            _MANY_FAILURES_PCT,
            "read the errors of failed executions: {:.0f} % ended without a fill, limit {:g} %",
        ),
    ]


def _traffic_advice(figures: MeasuredFigures) -> Iterator[str | None]:
    performance = figures.performance
    least_hits = performance.min_cache_hit_rate_pct
    yield from _slow_operations(figures)
    for name, cache in (("price", figures.price_cache), ("order_book", figures.book_cache)):
        yield _below(
            _share_pct(cache.hits, cache.hits + cache.misses),
            least_hits,
            f"raise {name}_cache_ttl: {{:.0f}} % of {name} look-ups hit the cache, aim {{:g}} %",
        )
    yield _above(
        _share_pct(figures.calls_refused, figures.calls_granted + figures.calls_refused),
        performance.max_refused_calls_pct,
        "call less often: {:.0f} % of calls came sooner than min_api_interval, limit {:g} %",
    )
    if figures.batches.sent >= _LEAST_BATCHES:
        yield _below(
            figures.batches.fill_pct,
            performance.min_batch_fill_pct,
            "lower batch_size or send directly: batches leave {:.0f} % full, aim {:g} %",
        )


def _slow_operations(figures: MeasuredFigures) -> list[str]:
    limit_pct = figures.performance.max_slow_operations_pct
    slow = []
    for name, operation in figures.operations.items():
        share_pct = _share_pct(operation.slow, operation.count)
        if share_pct is not None and share_pct > limit_pct:
            slow.append((share_pct, name, operation.average_s))
    return [
        f"look into {name}: {share_pct:.0f} % took longer than allowed (average {average_s:.3f} s),"
        f" limit {limit_pct:g} %"
        for share_pct, name, average_s in sorted(slow, reverse=True)[:_MOST_SLOW]
    ]


def _share_pct(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole >= _LEAST_CALLS else None


def _above(value: float | None, limit: float, sentence: str) -> str | None:
    return sentence.format(value, limit) if value is not None and value > limit else None


def _below(value: float | None, limit: float, sentence: str) -> str | None:
    return sentence.format(value, limit) if value is not None and value < limit else None
