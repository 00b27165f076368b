"""Figures of the signal optimizer: every key from the first call, JSON-safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from optimizers.signals.member import MemberFigures
from trading_system.runtime.cache import CacheStatistics

_KEPT = 500
_RECENT = 10


class RequestFigures:
    """Times and outcomes of the newest requests, cache hits and failures included.

    Parameters
    ----------
    target_ms : float
        Longest acceptable time of a request, milliseconds.
    """

    def __init__(self, *, target_ms: float) -> None:
        self.target_ms = target_ms
        self.total = 0
        self.failed = 0
        self._times_ms: deque[float] = deque(maxlen=_KEPT)
        self._successes: deque[bool] = deque(maxlen=_RECENT)

    def add(self, time_ms: float, *, succeeded: bool) -> None:
        """Count one request."""
        self.total += 1
        self.failed += not succeeded
        self._times_ms.append(time_ms)
        self._successes.append(succeeded)

    def overall(self) -> dict[str, Any]:
        """Return ``overall_metrics``; times in milliseconds, None before the first request."""
        times = np.array(self._times_ms)
        names = ("median", "p95", "p99")
        points = np.percentile(times, (50, 95, 99)) if len(times) else (None,) * 3
        met = float(np.mean(times <= self.target_ms) * 100.0) if len(times) else None
        return {
            "total_requests": self.total,
            "failed_requests": self.failed,
            "avg_processing_time_ms": float(times.mean()) if len(times) else None,
            **{
                f"{name}_processing_time_ms": None if point is None else float(point)
                for name, point in zip(names, points, strict=True)
            },
            "target_ms": self.target_ms,
            "target_met_pct": met,
        }

    def recent(self) -> dict[str, Any]:
        """Return ``recent_performance`` of the last ten requests; the rate is 0 to 1."""
        times = list(self._times_ms)[-_RECENT:]
        return {
            "last_10_avg_time": sum(times) / len(times) if times else None,
            "last_10_success_rate": sum(self._successes) / len(self._successes)
            if self._successes
            else None,
        }


def cache_figures(
    consensus: CacheStatistics, opinions: CacheStatistics, *, ttl_s: float
) -> dict[str, Any]:
    """Return ``cache_metrics``; the hit rate is that of whole requests, 0 to 1."""
    return {
        "cache_size": consensus.size + opinions.size,
        "cache_capacity": consensus.capacity + opinions.capacity,
        "cache_hit_rate": consensus.hit_rate,
        "cache_ttl": ttl_s,
        "hits": consensus.hits,
        "misses": consensus.misses,
        "shared": consensus.shared,
        "evictions": consensus.evictions + opinions.evictions,
        "expirations": consensus.expirations + opinions.expirations,
        "invalidations": consensus.invalidations + opinions.invalidations,
        "opinion_hit_rate": opinions.hit_rate,
        "opinion_hits": opinions.hits,
        "opinion_misses": opinions.misses,
    }


def model_figures(
    panels: Sequence[tuple[MemberFigures, ...]], lookups: dict[str, tuple[int, int]]
) -> dict[str, dict[str, Any]]:
    """Return ``model_performance`` over all panels.

    Parameters
    ----------
    panels : sequence of tuple of MemberFigures
        One tuple per symbol.
    lookups : dict of str to (hits, misses)
        Look-ups of each agent's opinions in the cache.
    """
    by_name: dict[str, list[MemberFigures]] = {}
    for figures in (figures for panel in panels for figures in panel):
        by_name.setdefault(figures.name, []).append(figures)
    return {name: _model(by_name[name], lookups.get(name, (0, 0))) for name in sorted(by_name)}


def _model(figures: list[MemberFigures], lookups: tuple[int, int]) -> dict[str, Any]:
    calls = sum(f.calls for f in figures)
    failures = sum(f.failures for f in figures)
    matured = sum(f.matured for f in figures)
    hits, misses = lookups
    average_us = _mean([(f.avg_us, f.calls) for f in figures])
    return {
        "family": figures[0].family,
        "state": "open" if any(f.state == "open" for f in figures) else figures[0].state,
        "avg_response_time_ms": None if average_us is None else average_us / 1_000.0,
        "p95_response_time_ms": max(
            (f.p95_us / 1_000.0 for f in figures if f.p95_us is not None), default=None
        ),
        "success_rate": max(0.0, 1.0 - failures / calls) if calls else None,
        "total_requests": calls,
        "votes": sum(f.votes for f in figures),
        "abstentions": sum(f.abstentions for f in figures),
        "failures": failures,
        "cache_hit_rate": hits / (hits + misses) if hits + misses else None,
        "weight": sum(f.weight for f in figures) / len(figures),
        "brier_score": _mean([(f.brier, f.matured) for f in figures]),
        "accuracy_score": _mean([(f.accuracy, f.matured) for f in figures]),
        "matured_outcomes": matured,
    }


def _mean(values: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, count) for value, count in values if value is not None and count]
    total = sum(count for _, count in known)
    return sum(value * count for value, count in known) / total if total else None
