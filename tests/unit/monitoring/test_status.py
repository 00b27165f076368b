import json
from dataclasses import replace
from typing import Any

from snapshots import NEW_SNAPSHOT

from trading_system.monitoring.health import Health
from trading_system.monitoring.status import (
    AgentFigures,
    OptimizerFigures,
    status_of,
)

FULL = replace(
    NEW_SNAPSHOT,
    state="RUNNING",
    signal_p95_ms=2.0,
    order_p95_ms=40.0,
    system_p95_ms=12.0,
    success_rate_pct=90.0,
    win_rate_pct=50.0,
    pnl_quote="1.5",
    equity_quote="100001.5",
    drawdown_pct=0.2,
    daily_pnl_pct=-0.1,
    protective_stops=1,
    holds=("operator: lunch",),
    trading_state="REDUCING",
    health=Health(score=91.0, reasons=(), parts=(("clock", 1.0),)),
    loop={"p99_ms": 1.0},
    agents=(
        AgentFigures(name="order_flow", family="flow", weight=0.75, brier=0.21, calls=7),
        AgentFigures(name="llm", family="language", note="too late"),
    ),
    optimizers=OptimizerFigures(
        latency_active=True,
        queue_size=2,
        avg_latency_ms=3.5,
        signals_active=True,
        cache_size=4,
        cache_hit_rate_pct=61.0,
        avg_processing_time_ms=0.2,
        performance_active=True,
        total_executions=9,
        avg_quality_score=88.0,
        microstructure_active=True,
    ),
)
# Keys that the users' guides and the design name; scripts depend on them.
DOCUMENTED = {
    "status",
    "system_active",
    "optimizations_enabled",
    "performance_targets",
    "component_status",
    "system_health",
    "performance_compliance",
    "signals",
    "orders",
    "fills",
    "exits",
    "success_rate_pct",
    "win_rate_pct",
    "slippage_bps",
    "fees_bps",
    "stages",
    "health",
    "edge",
    "position",
    "open_orders",
    "holds",
    "equity",
    "drawdown_pct",
    "daily_pnl_pct",
    "protective_stops",
    "agents",
    "compliance_state",
    "event_loop",
    "market_maker",
}
COMPONENTS = {
    "latency_optimizer": {"active", "queue_size", "avg_latency_ms"},
    "ai_signal_optimizer": {"active", "cache_size", "avg_processing_time_ms"},
    "performance_optimizer": {"active", "total_executions", "avg_quality_score"},
    "trading_engine": {"active", "active_positions", "trades_executed"},
}


def shape(value: Any) -> Any:
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def test_every_documented_key_is_there_from_the_first_call() -> None:
    status = status_of(NEW_SNAPSHOT)
    json.dumps(status, allow_nan=False)
    assert set(status) >= DOCUMENTED
    assert {
        name: set(status["component_status"][name]) & keys for name, keys in COMPONENTS.items()
    } == COMPONENTS
    assert (status["status"], status["compliance_state"]) == ("no data yet", "no data yet")


def test_the_first_call_has_the_keys_of_the_last() -> None:
    grown = {"agents", "health", "event_loop"}
    first, last = status_of(NEW_SNAPSHOT), status_of(FULL)
    json.dumps(last, allow_nan=False)
    assert list(first) == list(last)
    for key in set(first) - grown:
        assert shape(first[key]) == shape(last[key]), key


def test_what_is_not_in_use_is_inactive_and_without_figures() -> None:
    status = status_of(NEW_SNAPSHOT)
    assert not any(status["optimizations_enabled"].values())
    parts = {k: v for k, v in status["component_status"].items() if k != "trading_engine"}
    assert {v for part in parts.values() for v in part.values()} == {False, None}


def test_the_optimizers_figures_reach_their_documented_keys() -> None:
    status = status_of(FULL)
    assert all(status["optimizations_enabled"].values())
    assert status["component_status"]["latency_optimizer"] == {
        "active": True,
        "queue_size": 2,
        "avg_latency_ms": 3.5,
    }
    assert status["component_status"]["ai_signal_optimizer"]["avg_processing_time_ms"] == 0.2
    assert status["component_status"]["performance_optimizer"]["avg_quality_score"] == 88.0


def test_holds_agents_and_account_are_shown() -> None:
    status = status_of(FULL)
    assert status["holds"] == {"state": "REDUCING", "reasons": ["operator: lunch"]}
    assert [(a["name"], a["weight"], a["note"]) for a in status["agents"]] == [
        ("order_flow", 0.75, ""),
        ("llm", None, "too late"),
    ]
    assert (status["equity"], status["drawdown_pct"], status["protective_stops"]) == (
        "100001.5",
        0.2,
        1,
    )
    assert status["health"]["parts"] == {"clock": 1.0}
    assert status["event_loop"] == {"p99_ms": 1.0}


def test_all_targets_met_reads_as_the_guides_do() -> None:
    status = status_of(FULL)
    assert all(status["performance_compliance"].values())
    assert status["compliance_targets"][-1]["measured"] == 12.0
    assert status["system_health"]["total_pnl"] == 1.5


def test_a_market_makers_figures_are_null_under_another_strategy() -> None:
    assert status_of(NEW_SNAPSHOT)["market_maker"] is None
    figures = {"cycles": 3}
    assert status_of(replace(FULL, market_maker=figures))["market_maker"] == figures
