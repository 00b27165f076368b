"""What is remembered of executions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

from optimizers.execution.quality import performance_summary
from optimizers.execution.results import ExecutionMetrics
from trading_system.domain.errors import ValidationError
from trading_system.domain.parents import ParentOrder, ParentResult

_KEEP_METRICS = 1_000
_KEEP_COSTS = 500
_KEEP_EXECUTIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One parent order that has ended.

    Parameters
    ----------
    utc_ns : int
        When it ended, UTC nanoseconds.
    result : ParentResult or None
        What became of it; None if nothing was sent, or it failed on the way.
    error : str or None
        Why nothing was traded, None if something was.
    """

    utc_ns: int
    parent: ParentOrder
    result: ParentResult | None
    error: str | None


class ExecutionRecords:
    """The newest executions, bounded.

    Parameters
    ----------
    target_latency_ms, max_slippage_bps : float
        Limits the summary judges by, positive.
    """

    def __init__(self, *, target_latency_ms: float, max_slippage_bps: float) -> None:
        if not (target_latency_ms > 0 and max_slippage_bps > 0):
            raise ValidationError("target_latency_ms and max_slippage_bps must be positive")
        self.target_latency_ms = target_latency_ms
        self.max_slippage_bps = max_slippage_bps
        self.metrics: deque[ExecutionMetrics] = deque(maxlen=_KEEP_METRICS)
        self.costs: deque[tuple[float, float]] = deque(maxlen=_KEEP_COSTS)
        self.executions: deque[Execution] = deque(maxlen=_KEEP_EXECUTIONS)
        self.total = 0
        self.failed = 0

    def add(self, metrics: ExecutionMetrics, *, predicted_bps: float | None) -> None:
        """Take one execution with a fill and, where there was one, its cost estimate."""
        self.total += 1
        self.metrics.append(metrics)
        if predicted_bps is not None and metrics.slippage_bps is not None:
            self.costs.append((predicted_bps, metrics.slippage_bps))

    def newest(self, limit: int) -> list[Execution]:
        """Return up to ``limit`` of the newest parent orders that have ended, newest first."""
        return list(islice(reversed(self.executions), limit))

    @property
    def fill_rate(self) -> float | None:
        """Mean fill rate of the executions kept, None without one."""
        if not self.metrics:
            return None
        return sum(m.fill_rate for m in self.metrics) / len(self.metrics)

    def summary(self) -> dict[str, Any]:
        """Return the performance summary with ``cost_calibration``: predicted beside realised."""
        figures = performance_summary(
            self.metrics,
            total=self.total,
            failed=self.failed,
            target_latency_ms=self.target_latency_ms,
            max_slippage_bps=self.max_slippage_bps,
        )
        count = len(self.costs)
        predicted = sum(p for p, _ in self.costs) / count if count else None
        realised = sum(r for _, r in self.costs) / count if count else None
        figures["cost_calibration"] = {
            "samples": count,
            "avg_predicted_bps": predicted,
            "avg_realised_bps": realised,
        }
        return figures
