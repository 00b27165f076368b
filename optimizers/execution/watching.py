"""Says in the log how executions go."""

from __future__ import annotations

import structlog

from optimizers.execution.records import ExecutionRecords

_LOG = structlog.get_logger(__name__)
_WARN_FACTOR = 1.5


def log_figures(records: ExecutionRecords) -> int:
    """Log the figures of the newest executions; return how many are beyond 1.5 times a limit."""
    summary = records.summary()
    p95_ms = summary["latency_metrics"]["p95_ms"]
    p95_bps = summary["slippage_metrics"]["p95_bps"]
    warnings = 0
    for what, value, limit in (
        ("latency_ms", p95_ms, records.target_latency_ms),
        ("slippage_bps", p95_bps, records.max_slippage_bps),
    ):
        if value is not None and value > _WARN_FACTOR * limit:
            warnings += 1
            _LOG.warning("execution degraded", figure=what, p95=value, limit=limit)
    _LOG.info("execution figures", **summary["quality_metrics"], p95_ms=p95_ms, p95_bps=p95_bps)
    return warnings
