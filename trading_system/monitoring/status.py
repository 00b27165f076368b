"""The status everybody sees: one pure function from a snapshot to the documented keys.

Parts that are not in use are listed with ``active`` false and null figures; figures that were not
measured yet are null, never zero. Every key is there from the first call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trading_system.monitoring.compliance import (
    ComplianceEvidence,
    compliance,
    compliance_rows,
    compliance_state,
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
class OptimizerFigures:
    """What the four optimizers say of themselves; None means absent or not measured yet.

    ``*_active`` is True while the part serves the running system.
    """

    latency_active: bool = False
    queue_size: int | None = None
    avg_latency_ms: float | None = None
    signals_active: bool = False
    cache_size: int | None = None
    cache_hit_rate_pct: float | None = None
    avg_processing_time_ms: float | None = None
    performance_active: bool = False
    total_executions: int | None = None
    avg_quality_score: float | None = None
    microstructure_active: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFigures:
    """One signal agent of the panel.

    Parameters
    ----------
    weight : float or None
        Share in the newest consensus, in [0, 1]; None before the first.
    brier : float or None
        Mean squared error of its matured probabilities, in [0, 1]; 0.25 is a coin.
    calls : int
        Opinions asked of it.
    note : str
        Why it did not take part in the newest consensus, empty if it did.
    """

    name: str
    family: str
    weight: float | None = None
    brier: float | None = None
    calls: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFigures:
    """What watches a running system says: each a JSON-safe part of the status.

    ``behaviour`` is what the health score makes the system do, ``alerts`` how many fire,
    ``process`` memory, processor and bandwidth, ``time_in_compliance`` how long each target was
    met, ``degradation`` which figure has changed.
    """

    behaviour: dict[str, Any]
    alerts: dict[str, Any]
    process: dict[str, Any]
    time_in_compliance: dict[str, Any]
    degradation: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSnapshot:
    """Everything the status is made of, taken at one instant.

    ``success_rate_pct`` counts parent orders completed inside their limits over parents ended;
    ``win_rate_pct`` counts trades closed with profit after fees over trades closed. ``holds`` are
    the reasons why trading is not ACTIVE. ``drawdown_pct`` is the fall from the equity peak, not
    negative; ``daily_pnl_pct`` is the change since midnight UTC, both of equity. ``loop`` is the
    summary of :class:`~trading_system.monitoring.loop_lag.LoopLag`; ``market_maker`` holds
    the figures of a market maker, None under another strategy. ``position_venue_age_s`` is how long
    ago the venue's side was read while running; ``own_open_orders`` is the own books' count until
    the venue was read at the stop. ``watch`` is
    None before the first session.
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
    optimizers: OptimizerFigures = OptimizerFigures()
    agents: tuple[AgentFigures, ...] = ()
    holds: tuple[str, ...] = ()
    equity_quote: str | None = None
    drawdown_pct: float | None = None
    daily_pnl_pct: float | None = None
    protective_stops: int | None = None
    system_p95_ms: float | None = None
    loop: dict[str, Any] | None = None
    execution: dict[str, Any] = field(default_factory=dict)
    position_own: dict[str, str] = field(default_factory=dict)
    position_venue_age_s: float | None = None
    market_maker: dict[str, Any] | None = None
    watch: WatchFigures | None = None


def status_of(snapshot: SystemSnapshot) -> dict[str, Any]:
    """Return the JSON-safe status with every documented key."""
    evidence = _evidence(snapshot)
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
            "latency_optimization": snapshot.optimizers.latency_active,
            "ai_signal_optimization": snapshot.optimizers.signals_active,
            "performance_optimization": snapshot.optimizers.performance_active,
            "microstructure_analysis": snapshot.optimizers.microstructure_active,
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
        "compliance_state": compliance_state(evidence),
        "execution": dict(snapshot.execution),
        "signals": snapshot.signals,
        "orders": _order_counts(snapshot.orders),
        "fills": snapshot.fills,
        "exits": snapshot.exits,
        "success_rate_pct": snapshot.success_rate_pct,
        "win_rate_pct": snapshot.win_rate_pct,
        "slippage_bps": snapshot.slippage_bps,
        "fees_bps": snapshot.fees_bps,
        "stages": snapshot.stages,
        "health": {
            "score": snapshot.health.score,
            "reasons": list(snapshot.health.reasons),
            "parts": dict(snapshot.health.parts),
        },
        "trading_state": snapshot.trading_state,
        **_account(snapshot),
        "agents": [_agent(agent) for agent in snapshot.agents],
        "event_loop": None if snapshot.loop is None else dict(snapshot.loop),
        "pnl_quote": snapshot.pnl_quote,
        "edge": {"market": snapshot.market, **snapshot.cost_rule},
        "position": {
            "local": snapshot.position_local,
            "venue": snapshot.position_venue,
            "venue_age_s": snapshot.position_venue_age_s,
            "own": snapshot.position_own,
        },
        "open_orders": snapshot.open_orders,
        "own_open_orders": snapshot.own_open_orders,
        "frames_per_second": snapshot.frames_per_second,
        "streams": dict(snapshot.stream),
        **_watched(snapshot.watch),
    }


def _watched(watch: WatchFigures | None) -> dict[str, Any]:
    names = ("behaviour", "alerts", "process", "time_in_compliance", "degradation")
    return {name: None if watch is None else dict(getattr(watch, name)) for name in names}


def _evidence(snapshot: SystemSnapshot) -> ComplianceEvidence:
    return ComplianceEvidence(
        signal_p95_ms=snapshot.signal_p95_ms,
        order_p95_ms=snapshot.order_p95_ms,
        success_rate_pct=snapshot.success_rate_pct,
        health_score=snapshot.health.score,
        signal_target_ms=snapshot.targets["signal_generation_time_ms"],
        order_target_ms=snapshot.targets["order_execution_time_ms"],
        success_target_pct=snapshot.targets["success_rate_pct"],
        health_target=snapshot.targets["system_health_score"],
        system_p95_ms=snapshot.system_p95_ms,
        system_target_ms=snapshot.targets["system_latency_ms"],
        works_parents=snapshot.market_maker is None,
    )


def _account(snapshot: SystemSnapshot) -> dict[str, Any]:
    return {
        "holds": {"state": snapshot.trading_state, "reasons": list(snapshot.holds)},
        "equity": snapshot.equity_quote,
        "drawdown_pct": snapshot.drawdown_pct,
        "daily_pnl_pct": snapshot.daily_pnl_pct,
        "protective_stops": snapshot.protective_stops,
        "market_maker": None if snapshot.market_maker is None else dict(snapshot.market_maker),
    }


def _agent(agent: AgentFigures) -> dict[str, Any]:
    return {
        "name": agent.name,
        "family": agent.family,
        "weight": agent.weight,
        "brier": agent.brier,
        "calls": agent.calls,
        "note": agent.note,
    }


def _components(snapshot: SystemSnapshot, *, is_active: bool) -> dict[str, dict[str, Any]]:
    parts = snapshot.optimizers
    return {
        "latency_optimizer": {
            "active": parts.latency_active,
            "queue_size": parts.queue_size,
            "avg_latency_ms": parts.avg_latency_ms,
        },
        "ai_signal_optimizer": {
            "active": parts.signals_active,
            "cache_size": parts.cache_size,
            "cache_hit_rate_pct": parts.cache_hit_rate_pct,
            "avg_processing_time_ms": parts.avg_processing_time_ms,
        },
        "performance_optimizer": {
            "active": parts.performance_active,
            "total_executions": parts.total_executions,
            "avg_quality_score": parts.avg_quality_score,
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
