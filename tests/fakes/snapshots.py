"""A status snapshot to start from."""

from __future__ import annotations

from trading_system.monitoring.health import Health
from trading_system.monitoring.latency import StageLatency
from trading_system.monitoring.status import OrderCounts, SystemSnapshot

TARGETS = {
    "signal_generation_time_ms": 2000.0,
    "order_execution_time_ms": 500.0,
    "system_latency_ms": 3000.0,
    "success_rate_pct": 60.0,
    "system_health_score": 80.0,
}
NEW_SNAPSHOT = SystemSnapshot(
    state="NEW",
    environment="simulated",
    symbols=("BTCUSDT",),
    uptime_s=0.0,
    targets=TARGETS,
    signals=0,
    orders=OrderCounts(),
    fills=0,
    exits=0,
    trades_closed=0,
    success_rate_pct=None,
    win_rate_pct=None,
    slippage_bps=None,
    fees_bps=None,
    pnl_quote=None,
    stages=StageLatency().summary(),
    signal_p95_ms=None,
    order_p95_ms=None,
    health=Health(score=0.0, reasons=("private stream: never connected (-12.0)",)),
    trading_state="HALTED",
    active_positions=0,
    position_local={},
    position_venue=None,
    open_orders=None,
    own_open_orders=None,
    frames_per_second=None,
    cost_rule={"cost_rule": "cost rule after costs", "min_edge_bps": 0.0},
)
"""A system that has not started: the documented targets, nothing measured yet."""
