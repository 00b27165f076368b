"""The status everybody sees: one pure function from a snapshot to the documented keys.

Parts that are not built are listed with ``active`` false and null figures; figures that were not
measured yet are null, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trading_system.monitoring.compliance import (
    ComplianceEvidence,
    compliance,
    compliance_rows,
)
from trading_system.monitoring.health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCounts:
    """Orders of this run by outcome."""

    sent: int = 0
    filled: int = 0
    cancelled: int = 0
    rejected: int = 0
    unknown: int = 0
    denied: int = 0
    signal_driven: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSnapshot:
    """Everything the status is made of, taken at one instant.

    ``success_rate_pct`` counts parent orders completed inside their limits over parents ended;
    ``win_rate_pct`` counts trades closed with profit after fees over trades closed.
    """

    state: str
    environment: str
    symbols: tuple[str, ...]
    uptime_s: float
    targets: dict[str, float]
    signals: int
    orders: OrderCounts
    fills: int
    exits: int
    trades_closed: int
    success_rate_pct: float | None
    win_rate_pct: float | None
    slippage_bps: float | None
    fees_bps: float | None
    pnl_quote: str | None
    stages: dict[str, dict[str, float | int | None]]
    signal_p95_ms: float | None
    order_p95_ms: float | None
    health: Health
    trading_state: str
    active_positions: int
    position_local: dict[str, str]
    position_venue: dict[str, str] | None
    open_orders: int | None
    own_open_orders: int | None
    frames_per_second: float | None
    stream: dict[str, Any] = field(default_factory=dict)
    market: dict[str, Any] | None = None
    cost_rule: dict[str, Any] = field(default_factory=dict)
    stop_reason: str | None = None


def status_of(snapshot: SystemSnapshot) -> dict[str, Any]:
    """Return the JSON-safe status with every documented key."""
    evidence = ComplianceEvidence(
        signal_p95_ms=snapshot.signal_p95_ms,
        order_p95_ms=snapshot.order_p95_ms,
        success_rate_pct=snapshot.success_rate_pct,
        health_score=snapshot.health.score,
        signal_target_ms=snapshot.targets["signal_generation_time_ms"],
        order_target_ms=snapshot.targets["order_execution_time_ms"],
        success_target_pct=snapshot.targets["success_rate_pct"],
        health_target=snapshot.targets["system_health_score"],
    )
    is_active = snapshot.state in {"RUNNING", "DEGRADED"}
    return {
        "status": "no data yet" if snapshot.state == "NEW" else snapshot.state.lower(),
        "system_active": is_active,
        "state": snapshot.state,
        "environment": snapshot.environment,
        "symbols": list(snapshot.symbols),
        "uptime_s": round(snapshot.uptime_s, 1),
        "stop_reason": snapshot.stop_reason,
        "optimizations_enabled": {
            "latency_optimization": False,
            "ai_signal_optimization": False,
            "performance_optimization": False,
            "microstructure_analysis": False,
        },
        "performance_targets": dict(snapshot.targets),
        "component_status": _components(snapshot, is_active=is_active),
        "system_health": {
            "health_score": snapshot.health.score,
            "total_signals": snapshot.signals,
            "total_trades": snapshot.trades_closed,
            "success_rate": snapshot.success_rate_pct,
            "total_pnl": None if snapshot.pnl_quote is None else float(snapshot.pnl_quote),
        },
        "performance_compliance": compliance(evidence),
        "compliance_targets": compliance_rows(evidence),
        "signals": snapshot.signals,
        "orders": _order_counts(snapshot.orders),
        "fills": snapshot.fills,
        "exits": snapshot.exits,
        "success_rate_pct": snapshot.success_rate_pct,
        "win_rate_pct": snapshot.win_rate_pct,
        "slippage_bps": snapshot.slippage_bps,
        "fees_bps": snapshot.fees_bps,
        "stages": snapshot.stages,
        "health": {"score": snapshot.health.score, "reasons": list(snapshot.health.reasons)},
        "trading_state": snapshot.trading_state,
        "pnl_quote": snapshot.pnl_quote,
        "edge": {"market": snapshot.market, **snapshot.cost_rule},
        "position": {"local": snapshot.position_local, "venue": snapshot.position_venue},
        "open_orders": snapshot.open_orders,
        "own_open_orders": snapshot.own_open_orders,
        "frames_per_second": snapshot.frames_per_second,
        "streams": dict(snapshot.stream),
    }


def _components(snapshot: SystemSnapshot, *, is_active: bool) -> dict[str, dict[str, Any]]:
    return {
        "latency_optimizer": {"active": False, "queue_size": None, "avg_latency_ms": None},
        "ai_signal_optimizer": {
            "active": False,
            "cache_size": None,
            "avg_processing_time_ms": None,
        },
        "performance_optimizer": {
            "active": False,
            "total_executions": None,
            "avg_quality_score": None,
        },
        "trading_engine": {
            "active": is_active,
            "active_positions": snapshot.active_positions,
            "trades_executed": snapshot.trades_closed,
        },
    }


def _order_counts(counts: OrderCounts) -> dict[str, int]:
    return {
        "sent": counts.sent,
        "filled": counts.filled,
        "cancelled": counts.cancelled,
        "rejected": counts.rejected,
        "unknown": counts.unknown,
        "denied": counts.denied,
        "signal_driven": counts.signal_driven,
    }
