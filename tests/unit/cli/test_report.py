"""What people see of a status, and what scripts get."""

import json
from dataclasses import replace
from typing import Any

from control_desk import FakeControl

from trading_system.monitoring.health import Health
from trading_system.monitoring.latency import StageLatency
from trading_system.monitoring.status import AgentFigures, OrderCounts, SystemSnapshot, status_of

TARGETS = {
    "signal_generation_time_ms": 2000.0,
    "order_execution_time_ms": 500.0,
    "system_latency_ms": 3000.0,
    "success_rate_pct": 60.0,
    "system_health_score": 80.0,
}
SNAPSHOT = SystemSnapshot(
    state="RUNNING",
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
AGENT = AgentFigures(name="order_flow", family="flow", weight=0.75, brier=0.21, calls=7)


class Showing(FakeControl):
    def __init__(self, snapshot: SystemSnapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def get_system_status(self) -> dict[str, Any]:
        return status_of(self._snapshot)


async def test_a_status_is_shown_as_tables_and_as_json(command: Any, running: Any) -> None:
    async with running(Showing(replace(SNAPSHOT, agents=(AGENT,)))):
        tables = await command("status")
        document = await command("status", "--json")
    assert (tables.code, document.code) == (0, 0)
    for title in ("Run report", "Stages", "Signal agents", "Compliance", "never connected"):
        assert title in tables.out
    assert json.loads(document.out)["agents"][0]["name"] == "order_flow"


async def test_without_agents_there_is_no_table_of_agents(command: Any, running: Any) -> None:
    async with running(Showing(SNAPSHOT)):
        assert "Signal agents" not in (await command("status")).out


async def test_compliance_without_data_is_not_met(command: Any, running: Any) -> None:
    async with running(Showing(SNAPSHOT)):
        outcome = await command("compliance")
    assert (outcome.code, "not measured" in outcome.out) == (1, True)
