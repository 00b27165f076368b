"""Advice from measured figures; each sentence names the figure and its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_GOOD_QUALITY = 80.0
_GOOD_FILL_PCT = 95.0
_GOOD_HIT_PCT = 50.0
_MANY_FAILURES_PCT = 10.0
_MANY_REFUSALS_PCT = 20.0
_LEAST_CALLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFigures:
    """What the advice is based on.

    Parameters
    ----------
    summary : dict
        A performance summary.
    fill_rate : float or None
        Mean fill rate, in [0, 1]; None without an execution.
    cache_lookups, cache_hits, calls_granted, calls_refused : int
        Since the start.
    """

    summary: dict[str, Any]
    fill_rate: float | None
    cache_lookups: int
    cache_hits: int
    calls_granted: int
    calls_refused: int
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


def _traffic_advice(figures: MeasuredFigures) -> list[str | None]:
    hit_pct, refused_pct = None, None
    if figures.cache_lookups >= _LEAST_CALLS:
        hit_pct = 100.0 * figures.cache_hits / figures.cache_lookups
    calls = figures.calls_granted + figures.calls_refused
    if calls >= _LEAST_CALLS:
        refused_pct = 100.0 * figures.calls_refused / calls
    return [
        _below(
            hit_pct,
            _GOOD_HIT_PCT,
            "raise price_cache_ttl: {:.0f} % of price look-ups hit the cache, aim {:g} %",
        ),
        _above(
            refused_pct,
            _MANY_REFUSALS_PCT,
            "call less often: {:.0f} % of calls came too soon, limit {:g} %",
        ),
    ]


def _above(value: float | None, limit: float, sentence: str) -> str | None:
    return sentence.format(value, limit) if value is not None and value > limit else None


def _below(value: float | None, limit: float, sentence: str) -> str | None:
    return sentence.format(value, limit) if value is not None and value < limit else None
