import json
from typing import Any

from trading_system.reports.run import (
    REPORT_KEYS,
    agent_rows,
    compliance_table,
    figure,
    report_document,
    report_rows,
    stage_rows,
)

PERCENTILES = {"p50_us": 1.0, "p95_us": 2.0, "p99_us": 3.0, "max_us": 4.0, "samples": 9}
NOTHING = dict.fromkeys(PERCENTILES) | {"samples": 0}
STATUS: dict[str, Any] = {
    "state": "STOPPED",
    "stop_reason": "duration is over",
    "environment": "simulated",
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "uptime_s": 60.0,
    "signals": 120,
    "orders": {
        "sent": 6,
        "filled": 5,
        "cancelled": 1,
        "rejected": 0,
        "denied": 2,
        "unknown": 0,
        "signal_driven": 4,
    },
    "fills": 7,
    "exits": 3,
    "success_rate_pct": 83.3,
    "win_rate_pct": 33.3,
    "slippage_bps": 0.42,
    "fees_bps": 5.5,
    "pnl_quote": "12.5",
    "market_maker": None,
    "equity": "100012.5",
    "drawdown_pct": 0.01,
    "daily_pnl_pct": 0.02,
    "stages": {"receive": PERCENTILES, "ack": NOTHING},
    "health": {"score": 93.0, "reasons": ["clock: not measured yet (-2.0)"], "parts": {}},
    "performance_compliance": {"health_target_met": True},
    "compliance_targets": [
        {"name": "health", "measured": 93.0, "target": 80.0, "unit": "points, at least"}
        | {"met": True, "judged": True},
        {"name": "system_latency", "measured": None, "target": 3000.0, "unit": "ms p95, at most"}
        | {"met": False, "judged": False},
    ],
    "compliance_state": "measured",
    "holds": {"state": "REDUCING", "reasons": ["loss-limit: daily loss 2.1 %"]},
    "agents": [
        {
            "name": "order_flow",
            "family": "flow",
            "weight": 0.6,
            "brier": 0.2,
            "calls": 5,
            "note": "",
        },
        {
            "name": "llm",
            "family": "words",
            "weight": None,
            "brier": None,
            "calls": 0,
            "note": "late",
        },
    ],
    "protective_stops": 1,
    "edge": {"market": {"edge_bps": 25.0}, "cost_rule": "after costs", "min_edge_bps": 0.0},
    "position": {"local": {"BTCUSDT": "0.1"}, "venue": {"BTCUSDT": "0.1"}},
    "open_orders": 0,
    "own_open_orders": 0,
    "frames_per_second": 120.5,
}


def shown() -> dict[str, str]:
    return dict(report_rows(STATUS))


def test_everything_that_the_design_lists_is_printed() -> None:
    rows = shown()
    assert {
        "signals",
        "orders",
        "fills",
        "exits",
        "success rate",
        "win rate",
        "slippage",
        "fees",
        "health",
        "compliance",
        "market",
        "position",
        "open orders",
    } <= set(rows)
    assert "edge_bps 25.0" in rows["market"]
    assert "6 sent, 5 filled, 1 cancelled, 0 rejected, 2 denied" in rows["orders"]


def test_holds_equity_and_lost_points_say_why() -> None:
    rows = shown()
    assert rows["trading state"] == "REDUCING (loss-limit: daily loss 2.1 %)"
    assert rows["equity"] == "100012.5 USDT; 0.01 % below its peak; 0.02 % since midnight UTC"
    assert ("", "- clock: not measured yet (-2.0)") in report_rows(STATUS)


def test_each_stage_shows_three_percentiles_or_that_it_was_not_measured() -> None:
    assert stage_rows(STATUS) == [
        ("receive", "1.00", "2.00", "3.00", "9"),
        ("ack", "not measured", "not measured", "not measured", "0"),
    ]


def test_agents_show_their_weights_and_why_they_stayed_out() -> None:
    assert agent_rows(STATUS) == [
        ("order_flow", "flow", "0.600", "0.2000", "5"),
        ("llm", "words", "not measured (late)", "not measured", "0"),
    ]


def test_a_target_that_is_not_judged_says_so() -> None:
    met = [row[3] for row in compliance_table(STATUS["compliance_targets"])]
    assert met == ["yes", "no (shown, not judged)"]


def test_the_document_holds_every_key_of_the_report() -> None:
    document = report_document(STATUS)
    json.dumps(document, allow_nan=False)
    assert set(document) == set(REPORT_KEYS)


def test_a_market_that_is_not_the_embedded_venues_is_said_so() -> None:
    edge = {**STATUS["edge"], "market": None}
    rows = dict(report_rows({**STATUS, "edge": edge, "holds": {"state": "ACTIVE", "reasons": []}}))
    assert rows["market"].startswith("not the embedded venue's")
    assert rows["trading state"] == "ACTIVE"


def test_figures_carry_units_or_honest_words() -> None:
    assert figure(1234.5, "bps") == "1,234.50 bps"
    assert figure("7", "") == "7"
    assert figure(None, "bps") == "not measured"


MAKING: dict[str, Any] = {
    "quotes": {"resting": 12},
    "cycles": 30,
    "requests": {"calls": 9, "creates": 12, "amends": 8, "cancels": 1},
    "inventory": {"BTCUSDT": "0.01"},
    "interval": 2.0,
    "maker_share_pct": 100.0,
    "pnl": {
        "spread_capture": "3.10",
        "inventory": "-1.00",
        "fees": "0.60",
        "funding": "0",
        "total": "1.50",
        "equity_change": "1.50",
        "difference": "0.00",
    },
}


def test_a_market_makers_profit_is_shown_with_its_origin() -> None:
    rows = dict(report_rows({**STATUS, "market_maker": MAKING, "success_rate_pct": None}))
    assert rows["quoting"] == "30 cycles, 12 quotes resting, next cycle in 2.0 s"
    assert rows["quote requests"] == "9 calls: 12 creates, 8 amends, 1 cancels"
    assert rows["inventory"] == "BTCUSDT 0.01"
    assert rows["filled as maker"] == "100.00 % of traded value"
    assert rows["its origin"].endswith("fees -0.60, funding 0: 1.50 USDT")
    assert rows["against equity"] == "1.50 USDT change, 0.00 not explained"


def test_without_parent_orders_the_success_rate_says_that_its_target_is_missed() -> None:
    rows = dict(report_rows({**STATUS, "market_maker": MAKING, "success_rate_pct": None}))
    assert rows["success rate"].startswith("n/a")
    flat = {**MAKING, "inventory": {}, "maker_share_pct": None}
    rows = dict(report_rows({**STATUS, "market_maker": flat}))  # it closed its inventory
    assert (rows["success rate"], rows["inventory"]) == ("83.30 %", "flat")
    assert rows["filled as maker"] == "not measured"


def test_another_strategy_has_no_rows_of_a_market_maker() -> None:
    assert "quoting" not in shown()
