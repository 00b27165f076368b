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
        | {"met": True, "judged": True, "reason": ""},
        {"name": "system_latency", "measured": None, "target": 3000.0, "unit": "ms p95, at most"}
        | {"met": False, "judged": False, "reason": "shown, not judged"},
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
    "behaviour": {"level": "throttle", "reason": "health 63 below 70"},
    "alerts": {"firing": 2, "unacknowledged": 1},
    "edge": {
        "market": {"edge_bps": 25.0, "symbols": ["BTCUSDT", "ETHUSDT"]},
        "cost_rule": "after costs",
        "min_edge_bps": 0.0,
    },
    "position": {
        "local": {"BTCUSDT": "0.1"},
        "venue": {"BTCUSDT": "0.1"},
        "venue_age_s": None,
    },
    "system_health": {"total_trades": 3},
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
    assert "edge_bps 25.0, symbols BTCUSDT and ETHUSDT" in rows["market"]
    assert rows["behaviour"] == "throttle (health 63 below 70)"
    assert rows["alerts"] == "2 firing, 1 of them unacknowledged"
    assert "6 sent, 5 filled, 1 cancelled, 0 rejected, 2 denied" in rows["orders"]


def test_holds_equity_and_lost_points_say_why() -> None:
    rows = dict(report_rows({**STATUS, "state": "RUNNING", "stop_reason": None}))
    assert rows["state"] == "RUNNING"
    assert rows["trading state"] == "REDUCING (loss-limit: daily loss 2.1 %)"
    assert rows["equity"] == "100,012.50 USDT; 0.01 % below its peak; 0.02 % since midnight UTC"
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


def test_before_the_first_session_nothing_is_said_of_alerts() -> None:
    rows = dict(report_rows({**STATUS, "behaviour": None, "alerts": None}))
    assert not {"behaviour", "alerts"} & set(rows)


def test_a_target_that_is_not_judged_says_so() -> None:
    met = [row[3] for row in compliance_table(STATUS["compliance_targets"])]
    assert met == ["yes", "no (shown, not judged)"]


def test_the_document_holds_every_key_of_the_report() -> None:
    document = report_document(STATUS)
    json.dumps(document, allow_nan=False)
    assert set(document) == set(REPORT_KEYS)


def test_a_market_that_is_not_the_embedded_venues_is_said_so() -> None:
    edge = {**STATUS["edge"], "market": None}
    running = {"state": "RUNNING", "holds": {"state": "ACTIVE", "reasons": []}}
    rows = dict(report_rows({**STATUS, "edge": edge, **running}))
    assert rows["market"].startswith("not the embedded venue's")
    assert rows["trading state"] == "ACTIVE"


def test_figures_carry_units_or_honest_words() -> None:
    assert figure(1234.5, "bps") == "1,234.50 bps"
    assert figure("7", "") == "7"
    assert figure(None, "bps") == "not measured"
    assert figure(-0.001, "%") == "0.00 %"  # rounded to nothing has no sign
    assert figure(-1.0, "%") == "-1.00 %"


def test_what_takes_longer_than_a_second_is_told_in_seconds() -> None:
    slow = PERCENTILES | {"p99_us": 2_345_678.0}
    assert stage_rows({"stages": {"fill": slow}}) == [("fill", "1.00", "2.00", "2.35 s", "9")]


def test_a_running_system_says_when_and_where_it_read_positions_and_orders() -> None:
    position = {"local": {"BTCUSDT": "0.1"}, "venue": {}, "venue_age_s": 3.2}
    running = {"position": position, "open_orders": None, "own_open_orders": 12}
    rows = dict(report_rows({**STATUS, **running}))
    assert rows["position"] == "own books BTCUSDT 0.1; venue, read 3 s ago: flat"
    assert rows["open orders"] == "12 own; the venue is read at the stop"
    assert shown()["position"].endswith("venue, read at the stop: BTCUSDT 0.1")
    assert shown()["open orders"] == "0 at the venue, 0 of them own"
    unknown = {"position": position | {"venue": None}, "own_open_orders": None}
    rows = dict(report_rows({**STATUS, **unknown, "open_orders": None}))
    assert rows["position"].endswith("venue not read")
    assert rows["open orders"] == "not measured"


def test_wins_are_counted() -> None:
    assert shown()["win rate"] == "1 of 3 round trips earned something after fees (33.30 %)"
    rows = dict(report_rows({**STATUS, "win_rate_pct": None}))
    assert rows["win rate"].startswith("n/a")


def test_after_the_stop_the_trading_state_is_left_out() -> None:
    assert "trading state" not in shown()


MAKING: dict[str, Any] = {
    "quotes": {"resting": 12},
    "cycles": 30,
    "requests": {"calls": 9, "creates": 12, "amends": 8, "cancels": 1},
    "inventory": {"BTCUSDT": "0.01", "ETHUSDT": "-1"},
    "inventory_value": {"BTCUSDT": "650.00", "ETHUSDT": None},
    "half_spread_bps": {"BTCUSDT": 3.1, "ETHUSDT": None},
    "traded_value": "3000.00",
    "fills": 6,
    "markout": {
        "1_s": {"mean_bps": -2.5, "fills": 6},
        "10_s": {"mean_bps": None, "fills": 0},
    },
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


def of_maker(**changes: Any) -> dict[str, str]:
    making = {**STATUS, "market_maker": MAKING, "success_rate_pct": None, "slippage_bps": None}
    return dict(report_rows({**making, **changes}))


def test_a_market_makers_profit_is_shown_in_parts_with_their_share_of_the_value() -> None:
    rows = of_maker()
    assert rows["quoting"] == "30 cycles, 12 quotes resting"
    assert rows["half spread"].startswith("BTCUSDT 3.10 bps, ETHUSDT not measured")
    assert rows["quote requests"] == "9 calls: 12 creates, 8 amends, 1 cancels"
    assert rows["inventory"] == "BTCUSDT 0.01 (+650.00 USDT), ETHUSDT -1"
    assert rows["traded value"] == "3,000.00 USDT in 6 fills"
    assert rows["filled as maker"] == "100.00 % of traded value"
    assert rows["mark-out"] == "1 s: -2.50 bps (6 fills), 10 s: not measured (0 fills)"
    assert rows["spread earned"] == "+3.10 USDT, +10.33 bps of traded value"
    assert rows["inventory result"] == "-1.00 USDT, -3.33 bps of traded value"
    assert rows["fees"] == "-0.60 USDT, -2.00 bps of traded value"  # a cost is negative
    assert rows["funding"] == "0.00 USDT, 0.00 bps of traded value"
    assert rows["profit and loss"] == "+1.50 USDT, +5.00 bps of traded value"
    assert rows["against equity"].startswith("+1.50 USDT change, 0.00 of it not explained")


def test_what_cannot_apply_to_a_maker_says_why() -> None:
    rows = of_maker()
    assert rows["success rate"].startswith("n/a")
    assert rows["slippage"] == "n/a: all filled as maker"
    stopped = {**MAKING, "maker_share_pct": 90.0}
    assert of_maker(market_maker=stopped)["slippage"].startswith("n/a: quotes and stops")
    flat = {**MAKING, "inventory": {}, "maker_share_pct": None, "traded_value": "0"}
    rows = of_maker(market_maker=flat, success_rate_pct=83.3)  # the operator's own orders
    assert (rows["success rate"], rows["inventory"]) == ("83.30 %", "flat")
    assert rows["slippage"] == "n/a: nothing was filled"
    assert rows["fees"] == "-0.60 USDT"


def test_a_target_that_cannot_apply_is_neither_met_nor_missed() -> None:
    row = {"name": "success_rate", "measured": None, "target": 60.0, "unit": "%, at least"}
    table = compliance_table([row | {"met": True, "judged": False, "reason": "not applicable: x"}])
    assert table[0][3] == "not applicable: x"


def test_agents_that_nobody_trades_on_are_left_out() -> None:
    assert agent_rows({**STATUS, "market_maker": MAKING}) == []


def test_another_strategy_has_no_rows_of_a_market_maker() -> None:
    assert "quoting" not in shown()
