"""Latency figures over the newest requests: bounded windows, plain numbers, None without data."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading_system.domain.ports import HttpTiming

WINDOW = 500
"""Requests the figures are taken over."""

RECENT = 50
"""Newest requests that are shown apart and compared with those before."""

_MAX_ENDPOINTS = 64
_TREND_MINIMUM = 20
_TREND_SHARE = 0.10
_PHASES = ("queue_ms", "connect_ms", "send_ms", "first_byte_ms", "response_ms", "total_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a request may take, milliseconds (guide 5): to connect, to be answered, in all."""

    connection_ms: float = 50.0
    response_ms: float = 200.0
    total_ms: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answered request.

    Parameters
    ----------
    latency_ms : float
        From the call to the whole answer, queue and retries included.
    timing : HttpTiming
        Phases of the attempt that was answered.
    """

    latency_ms: float
    timing: HttpTiming


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the percentile ``share`` (0 to 100), linearly interpolated; None without values."""
    return _plain(np.percentile(values, share)) if len(values) else None


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return ``p50_ms``, ``p95_ms`` and ``p99_ms``."""
    return {f"p{share}_ms": percentile(values, share) for share in (50, 95, 99)}


def split(samples: Iterable[Sample], *, connects_ms: Sequence[float]) -> dict[str, Any]:
    """Return where the time went: percentiles of each phase.

    ``connect_ms`` covers every connection opened, since a warm request opens none.
    """
    held = list(samples)
    phases: dict[str, Any] = {}
    for phase in _PHASES:
        given = [getattr(sample.timing, phase) for sample in held]
        values = list(connects_ms) if phase == "connect_ms" else [v for v in given if v is not None]
        phases[phase] = {**spread(values), "samples": len(values)}
    return phases


class LatencyFigures:
    """Counts every request and keeps the newest answered ones.

    Parameters
    ----------
    window, recent : int
        Requests the figures and the recent figures are taken over.
    """

    def __init__(self, *, window: int = WINDOW, recent: int = RECENT) -> None:
        self._samples: deque[Sample] = deque(maxlen=window)
        self._recent = recent
        self._window = window
        self._by_priority: dict[int, deque[float]] = {}
        self._by_endpoint: OrderedDict[str, deque[float]] = OrderedDict()
        self.total = 0
        self.failed = 0
        self.retries = 0

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The newest answered requests, oldest first."""
        return tuple(self._samples)

    def record(self, sample: Sample, *, endpoint: str, priority: int) -> None:
        """Count one answered request."""
        self.total += 1
        self._samples.append(sample)
        line = self._by_priority.setdefault(priority, deque(maxlen=self._window))
        line.append(sample.latency_ms)
        if endpoint not in self._by_endpoint and len(self._by_endpoint) >= _MAX_ENDPOINTS:
            self._by_endpoint.popitem(last=False)
        values = self._by_endpoint.setdefault(endpoint, deque(maxlen=self._window))
        values.append(sample.latency_ms)
        self._by_endpoint.move_to_end(endpoint)

    def record_failure(self) -> None:
        """Count one request without a usable answer; its time is in no figure."""
        self.total += 1
        self.failed += 1

    def metrics(self, targets: Targets, *, connects_ms: Sequence[float]) -> dict[str, Any]:
        """Return all figures; every key is always present, None without data."""
        return {
            "status": "measured" if self._samples else "no data yet",
            "total_requests": self.total,
            "failed_requests": self.failed,
            "retries": self.retries,
            "overall_metrics": self.overall(),
            "recent_metrics": self.recent(),
            "target_comparison": self.comparison(targets, connects_ms=connects_ms),
            "connection_time_ms": {
                **spread(connects_ms),
                "last_ms": _plain(connects_ms[-1]) if connects_ms else None,
                "samples": len(connects_ms),
            },
            **self.groups(),
        }

    def overall(self) -> dict[str, float | None]:
        """Return the figures over the window."""
        values = self._latencies()
        return {
            "avg_latency_ms": _mean(values),
            "median_latency_ms": percentile(values, 50),
            "p95_latency_ms": percentile(values, 95),
            "p99_latency_ms": percentile(values, 99),
            "min_latency_ms": _plain(min(values)) if values else None,
            "max_latency_ms": _plain(max(values)) if values else None,
        }

    def recent(self) -> dict[str, Any]:
        """Return the figures over the newest requests, and how they compare with those before."""
        values = self._latencies()
        newest = values[-self._recent :]
        return {
            "avg_latency_ms": _mean(newest),
            "median_latency_ms": percentile(newest, 50),
            "p95_latency_ms": percentile(newest, 95),
            "trend": trend(values[: -self._recent], newest),
        }

    def comparison(self, targets: Targets, *, connects_ms: Sequence[float]) -> dict[str, Any]:
        """Return the share of requests, and of connections opened, within their targets."""
        responses = [sample.timing.response_ms for sample in self._samples]
        return {
            "target_response_ms": targets.response_ms,
            "target_met_pct": _share_within(responses, targets.response_ms),
            "within_2x_target_pct": _share_within(responses, 2 * targets.response_ms),
            "target_connection_ms": targets.connection_ms,
            "connection_target_met_pct": _share_within(connects_ms, targets.connection_ms),
            "target_total_ms": targets.total_ms,
            "total_target_met_pct": _share_within(self._latencies(), targets.total_ms),
        }

    def groups(self) -> dict[str, Any]:
        """Return the figures per endpoint and per priority."""
        return {
            "by_endpoint": {name: _group(values) for name, values in self._by_endpoint.items()},
            "by_priority": {
                str(priority): _group(self._by_priority[priority])
                for priority in sorted(self._by_priority)
            },
        }

    def _latencies(self) -> list[float]:
        return [sample.latency_ms for sample in self._samples]


def trend(before: Sequence[float], newest: Sequence[float]) -> str:
    """Return IMPROVING, DEGRADING or STABLE by medians, INSUFFICIENT_DATA below 20 each.

    A median within 10 percent of the one before is stable.
    """
    if min(len(before), len(newest)) < _TREND_MINIMUM:
        return "INSUFFICIENT_DATA"
    old, new = float(np.median(before)), float(np.median(newest))
    if new > old * (1 + _TREND_SHARE):
        return "DEGRADING"
    return "IMPROVING" if new < old * (1 - _TREND_SHARE) else "STABLE"


def _group(values: Sequence[float]) -> dict[str, Any]:
    return {"requests": len(values), "avg_ms": _mean(values), **spread(values)}


def _mean(values: Sequence[float]) -> float | None:
    return _plain(np.mean(values)) if len(values) else None


def _share_within(values: Sequence[float], bound: float) -> float | None:
    if not len(values):
        return None
    return 100.0 * sum(value <= bound for value in values) / len(values)


def _plain(value: float | np.floating[Any]) -> float:
    return round(float(value), 6)
