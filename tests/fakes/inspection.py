"""A running system to look at: realistic rows in every documented shape, bounded by the limits.

``FakeInspection`` implements ``domain.ports.Inspection``; ``full_status`` is a status of a running
system with every key. Both give the same answer every time, unless a test changes an attribute.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from snapshots import NEW_SNAPSHOT

from trading_system.domain.errors import ValidationError
from trading_system.monitoring.health import Health
from trading_system.monitoring.status import (
    AgentFigures,
    OptimizerFigures,
    OrderCounts,
    WatchFigures,
    status_of,
)

NOW_MS = 1_700_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
PROCESS = {
    "rss_mib": 142.5,
    "peak_rss_mib": 150.25,
    "cpu_pct": 31.5,
    "cpu_s": 42.1,
    "threads": 9,
    "open_files": 34,
    "received_kib_s": 180.2,
    "sent_kib_s": 4.1,
    "received_mib": 21.5,
    "sent_mib": 0.6,
}
BEHAVIOUR = {"level": "normal", "since_s": 118.2, "reason": "", "score": 97.0, "changes": 2}
TIME_IN_COMPLIANCE = {
    "since_s": 120.5,
    "all_met_pct": 91.2,
    "targets": {
        name: {"met_s": 110.0, "missed_s": 2.5, "unmeasured_s": 8.0, "met_pct": 97.8}
        for name in ("signal_generation", "order_execution", "success_rate", "health")
    },
}
DEGRADATION = {
    "figures": {
        "order_ack_ms": {
            "state": "worse",
            "reference": 1.2,
            "now": 3.4,
            "since_s": 6.5,
            "samples": 118,
        },
        "slippage_bps": {
            "state": "learning",
            "reference": None,
            "now": None,
            "since_s": None,
            "samples": 0,
        },
    },
    "degraded": ["order_ack_ms"],
}
EVENT_LOOP = {
    "p50_ms": 0.06,
    "p99_ms": 1.1,
    "max_ms": 7.9,
    "samples": 1200,
    "gc_pause_p99_ms": None,
    "gc_pause_max_ms": None,
    "gc_pauses": 0,
}
ALERTS_SUMMARY = {
    "firing": 2,
    "unacknowledged": 1,
    "worst": "critical",
    "sent": 3,
    "dropped": 0,
    "failed": 0,
}
MIDS = {"BTCUSDT": 37_000.05, "ETHUSDT": 2_000.05}


def full_status(*, state: str = "RUNNING", trading_state: str = "ACTIVE") -> dict[str, Any]:
    """Return the status of a system that has traded for two minutes, every key present."""
    snapshot = replace(
        NEW_SNAPSHOT,
        state=state,
        symbols=SYMBOLS,
        uptime_s=120.5,
        signals=240,
        orders=OrderCounts(sent=8, filled=6, cancelled=1, rejected=1, signal_driven=7),
        fills=9,
        exits=3,
        trades_closed=3,
        success_rate_pct=75.0,
        win_rate_pct=66.7,
        slippage_bps=1.25,
        fees_bps=4.9,
        pnl_quote="12.5",
        signal_p95_ms=0.8,
        order_p95_ms=3.4,
        system_p95_ms=4.4,
        health=Health(score=97.0, reasons=("order latency: p95 3.4 ms (-3.0)",)),
        trading_state=trading_state,
        active_positions=1,
        position_local={"BTCUSDT": "0.015"},
        position_venue={"BTCUSDT": "0.015"},
        position_own={"BTCUSDT": "0.015"},
        position_venue_age_s=0.4,
        open_orders=1,
        own_open_orders=1,
        frames_per_second=410.0,
        optimizers=OptimizerFigures(latency_active=True, queue_size=0, avg_latency_ms=2.2),
        agents=(AgentFigures(name="order_flow", family="flow", weight=0.6, brier=0.24, calls=240),),
        equity_quote="100012.5",
        drawdown_pct=0.2,
        daily_pnl_pct=0.01,
        protective_stops=1,
        loop=dict(EVENT_LOOP),
        watch=WatchFigures(
            behaviour=dict(BEHAVIOUR),
            alerts=dict(ALERTS_SUMMARY),
            process=dict(PROCESS),
            time_in_compliance=copy.deepcopy(TIME_IN_COMPLIANCE),
            degradation=copy.deepcopy(DEGRADATION),
        ),
    )
    return status_of(snapshot)


class FakeInspection:
    """Implements ``Inspection``; ``calls`` counts by method, ``noted`` keeps acknowledgements.

    Attributes
    ----------
    book_version : int
        A test raises it to let the books change.
    last_line : int
        Number of the newest log line; a test raises it to let lines appear.
    failure : Exception or None
        Raised by every method.
    """

    def __init__(self) -> None:
        self.book_version = 0
        self.last_line = 5
        self.failure: Exception | None = None
        self.calls: dict[str, int] = {}
        self.noted: list[tuple[str, str]] = []
        self.rows = {alert["id"]: alert for alert in _alerts()}

    def positions(self) -> dict[str, Any]:
        self._count("positions")
        return {"positions": [_position("BTCUSDT"), _flat("ETHUSDT")]}

    def orders(self) -> dict[str, Any]:
        self._count("orders")
        live = _order("live-1") | {"status": "New", "age_s": 1.5, "reduce_only": False}
        settled = _order("done-1") | {
            "filled": "0.015",
            "status": "Filled",
            "reason": "",
            "settled_ms": NOW_MS - 900,
            "age_s": 2.5,
            "reduce_only": False,
        }
        return {"live": [live], "settled": [settled]}

    def fills(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        self._count("fills")
        rows = [
            {
                "exec_id": f"exec-{number}",
                "time_ms": NOW_MS - number * 1000,
                "symbol": SYMBOLS[number % 2],
                "side": "Buy" if number % 3 else "Sell",
                "price": "37000.1",
                "quantity": "0.005",
                "fee": "0.1018",
                "is_maker": number % 4 == 0,
                "link_id": f"link-{number}",
            }
            for number in range(9)
        ]
        return {"fills": [row for row in rows if symbol in {None, row["symbol"]}][:limit]}

    def signals(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        self._count("signals")
        wanted = [name for name in SYMBOLS if symbol in {None, name}]
        decision = {
            "time_ms": NOW_MS - 4000,
            "symbol": "BTCUSDT",
            "action": "enter",
            "side": "Buy",
            "quantity": "0.015",
            "purpose": "enter",
            "expected_move_bps": 14.2,
            "cost_bps": 11.0,
            "p_up": 0.63,
            "outcome": "filled 0.015 at 1.2 bps",
        }
        decisions = [decision, {**decision, "action": "exit", "side": "Sell", "outcome": None}]
        kept = [row for row in decisions if symbol in {None, row["symbol"]}][:limit]
        return {"current": [_consensus(name) for name in wanted], "decisions": kept}

    def executions(self, *, limit: int) -> dict[str, Any]:
        self._count("executions")
        row = {
            "time_ms": NOW_MS - 4000,
            "symbol": "BTCUSDT",
            "side": "Buy",
            "purpose": "enter",
            "quantity": "0.015",
            "filled": "0.015",
            "arrival_mid": "37000.05",
            "average_price": "37004.5",
            "slippage_bps": 1.2,
            "fees": "0.3053",
            "duration_ms": 820.5,
            "success": True,
            "reason": "",
            "children": 3,
        }
        failed = {
            **row,
            "filled": "0",
            "average_price": None,
            "slippage_bps": None,
            "success": False,
            "reason": "no fill",
        }
        return {
            "executions": [row, failed][:limit],
            "summary": {"total_executions": 2, "success_rate": 50.0, "avg_slippage_bps": 1.2},
        }

    def latency(self) -> dict[str, Any]:
        self._count("latency")
        figures = {"p50_us": 120.5, "p95_us": 400.0, "p99_us": 910.2, "max_us": 3100.0}
        empty = {"p50_us": None, "p95_us": None, "p99_us": None, "max_us": None, "samples": 0}
        measured = {**figures, "samples": 4100}
        return {
            "stages": {
                "order_ack": {"rolling": measured, "since_start": measured},
                "private_fill": {"rolling": empty, "since_start": measured},
            },
            "window_s": 60.0,
            "event_loop": dict(EVENT_LOOP),
            "process": dict(PROCESS),
            "queues": {
                "requests": {"size": 0, "capacity": 100},
                "journal_backlog": 3,
                "orders_live": 1,
            },
        }

    def risk(self) -> dict[str, Any]:
        self._count("risk")
        return {
            "state": "ACTIVE",
            "behaviour": dict(BEHAVIOUR),
            "holds": {},
            "limits": [
                {
                    "name": "gross exposure",
                    "used": "555.0",
                    "limit": "50000",
                    "unit": "USDT",
                    "used_pct": 1.11,
                },
                {
                    "name": "orders per second",
                    "used": "1",
                    "limit": "10",
                    "unit": "orders/s",
                    "used_pct": 10.0,
                },
            ],
            "exposure": [{"symbol": "BTCUSDT", "notional": "555.0", "share_pct": 0.555}],
            "denied": {"HALTED": 1},
            "equity": "100012.5",
            "drawdown_pct": 0.2,
            "daily_pnl_pct": 0.01,
        }

    def compliance_history(self) -> dict[str, Any]:
        self._count("compliance_history")
        return {
            "time_in_compliance": copy.deepcopy(TIME_IN_COMPLIANCE),
            "history": {"scores": [[NOW_MS - 2000 + i * 1000, 95.0 + i] for i in range(3)]},
        }

    def equity(self) -> dict[str, Any]:
        self._count("equity")
        points = [[NOW_MS - (60 - i) * 1000, 100_000 + i * 0.25] for i in range(60)]
        return {"start": "100000", "points": points}

    def alerts(self) -> dict[str, Any]:
        self._count("alerts")
        delivery = {
            "sinks": ["mailto"],
            "sent": 3,
            "failed": 0,
            "dropped": 0,
            "last_error": None,
            "heartbeats": 4,
            "heartbeat_failed": 0,
        }
        return {"alerts": copy.deepcopy(list(self.rows.values())), "delivery": delivery}

    def acknowledge(self, alert_id: str, *, note: str) -> dict[str, Any]:
        self._count("acknowledge")
        row = self.rows.get(alert_id)
        if row is None or row["state"] == "cleared":
            raise ValidationError(f"no alert {alert_id} fires")
        self.noted.append((alert_id, note))
        row.update(state="acknowledged", note=note)
        return dict(row)

    def market(self, symbol: str, *, depth: int) -> dict[str, Any]:
        self._count("market")
        self._known(symbol)
        mid = MIDS[symbol] + self.book_version * 0.1
        levels = range(depth)
        return {
            "symbol": symbol,
            "time_ms": NOW_MS + self.book_version * 100,
            "age_s": 0.02,
            "is_ready": True,
            "bid": round(mid - 0.05, 2),
            "ask": round(mid + 0.05, 2),
            "mid": round(mid, 2),
            "microprice": round(mid + 0.01, 2),
            "spread_bps": 0.03,
            "imbalance": 0.21,
            "tick_size": 0.1,
            "qty_step": 0.001,
            "mark_price": round(mid, 2),
            "funding_rate": 0.0001,
            "bids": [[round(mid - 0.05 - i * 0.1, 2), 0.5 + i * 0.01] for i in levels],
            "asks": [[round(mid + 0.05 + i * 0.1, 2), 0.4 + i * 0.01] for i in levels],
            "own_orders": [{"side": "Buy", "price": 36_990.0, "quantity": 0.01, "link_id": "l-1"}],
            "trades": [
                {
                    "time_ms": NOW_MS - i * 50,
                    "price": round(mid, 2),
                    "quantity": 0.01,
                    "side": "Buy" if i % 2 else "Sell",
                }
                for i in range(30)
            ],
        }

    async def candles(self, symbol: str, *, interval: str, limit: int) -> dict[str, Any]:
        self._count("candles")
        self._known(symbol)
        if interval not in INTERVALS:
            raise ValidationError(f"interval must be one of {', '.join(INTERVALS)}")
        mid = MIDS[symbol]
        candles = [
            {
                "start_ms": NOW_MS - (limit - i) * 60_000,
                "open": mid + i % 7,
                "high": mid + i % 7 + 5,
                "low": mid - 5,
                "close": mid + i % 5,
                "volume": 12.5,
            }
            for i in range(limit)
        ]
        fill = {"time_ms": NOW_MS - 90_000, "price": mid, "side": "Buy", "quantity": 0.005}
        return {"symbol": symbol, "interval": interval, "candles": candles, "fills": [fill]}

    def market_maker(self) -> dict[str, Any]:
        self._count("market_maker")
        series = [[NOW_MS - 2000 + i * 1000, 0.5 * i] for i in range(3)]
        return {
            "active": True,
            "figures": {
                "quotes": 120,
                "requests": 88,
                "inventory": {"BTCUSDT": "0.015"},
                "pnl": {"spread": "1.5", "inventory": "-0.4", "fees": "-0.2", "total": "0.9"},
            },
            "quotes": [
                {
                    "symbol": "BTCUSDT",
                    "side": "Buy",
                    "price": "36999.9",
                    "quantity": "0.01",
                    "link_id": "quote-1",
                    "age_s": 0.7,
                }
            ],
            "pnl_series": dict.fromkeys(("spread", "inventory", "fees"), series),
        }

    def journal(
        self, *, kind: str | None, key: str | None, before: int | None, limit: int
    ) -> dict[str, Any]:
        self._count("journal")
        kinds = ("INTENT", "ACK", "FILL")
        rows = [
            {
                "number": number,
                "kind": kinds[number % 3],
                "run_id": "run-1",
                "key": f"link-{number // 3}",
                "time_ms": NOW_MS - (300 - number) * 100,
                "payload": {"quantity": "0.005", "price": "37000.1"},
            }
            for number in range(300, 0, -1)
            if (before is None or number < before)
            and kind in {None, kinds[number % 3]}
            and key in {None, f"link-{number // 3}"}
        ]
        page = rows[:limit]
        more = page[-1]["number"] if len(rows) > limit else None
        return {"rows": page, "next_before": more, "failure": None}

    def log(self, *, after: int, limit: int) -> dict[str, Any]:
        self._count("log")
        numbers = range(max(after, self.last_line - 1000) + 1, self.last_line + 1)[:limit]
        lines = [
            {
                "number": number,
                "time_ms": NOW_MS + number,
                "level": "info",
                "event": f"line {number}",
                "fields": {"symbol": "BTCUSDT"},
            }
            for number in numbers
        ]
        return {"lines": lines, "next_after": numbers[-1] if numbers else after}

    def _count(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.failure is not None:
            raise self.failure

    def _known(self, symbol: str) -> None:
        if symbol not in SYMBOLS:
            raise ValidationError(f"{symbol} is not traded here; {', '.join(SYMBOLS)} are")


def _position(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "quantity": "0.015",
        "own_quantity": "0.015",
        "venue_quantity": "0.015",
        "venue_age_s": 0.4,
        "entry_price": "37000.1",
        "mark_price": "37010.5",
        "notional": "555.1575",
        "unrealised_pnl": "0.156",
        "realised_pnl": "12.344",
        "fees": "1.2",
        "protective_stop": "36260.1",
        "trades_closed": 3,
        "trades_won": 2,
    }


def _flat(symbol: str) -> dict[str, Any]:
    unmeasured = dict.fromkeys(
        ("venue_quantity", "venue_age_s", "entry_price", "mark_price", "notional"), None
    )
    return {
        **_position(symbol),
        **unmeasured,
        "quantity": "0",
        "own_quantity": "0",
        "unrealised_pnl": None,
        "realised_pnl": "0",
        "fees": "0",
        "protective_stop": None,
        "trades_closed": 0,
        "trades_won": 0,
    }


def _order(link_id: str) -> dict[str, Any]:
    return {
        "link_id": link_id,
        "order_id": f"venue-{link_id}",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "type": "Limit",
        "price": "36990.0",
        "quantity": "0.015",
        "filled": "0",
    }


def _consensus(symbol: str) -> dict[str, Any]:
    vote = {
        "agent": "order_flow",
        "family": "flow",
        "weight": 0.6,
        "note": "",
        "p_up": 0.63,
        "expected_move_bps": 14.2,
        "reasons": ["imbalance 0.4 over 10 levels"],
    }
    silent = {
        **vote,
        "agent": "logistic",
        "family": "linear",
        "weight": 0.0,
        "note": "no model for this symbol",
        "p_up": None,
        "expected_move_bps": None,
        "reasons": [],
    }
    return {
        "symbol": symbol,
        "time_ms": NOW_MS,
        "p_up": 0.63,
        "expected_move_bps": 14.2,
        "uncertainty_bps": 3.1,
        "agreement": 0.8,
        "has_quorum": True,
        "horizon_s": 30.0,
        "direction": "up",
        "votes": [vote, silent],
        "verdict": "no trade: expected 14.2 bps, costs 15.1 bps",
    }


def _alerts() -> list[dict[str, Any]]:
    row = {
        "id": "a3f1c2",
        "rule": "health",
        "subject": "private stream",
        "severity": "critical",
        "state": "firing",
        "message": "private stream: down for 3 s",
        "remedy": "look at the network and the venue's status page",
        "since_ms": NOW_MS - 3000,
        "cleared_ms": None,
        "value": 12.0,
        "threshold": 70.0,
        "times": 3,
        "sent": 1,
        "note": "",
    }
    looked_after = {
        **row,
        "id": "b7d2e9",
        "rule": "latency",
        "severity": "warning",
        "state": "acknowledged",
        "note": "known",
    }
    over = {
        **row,
        "id": "c9e8f7",
        "rule": "queue",
        "severity": "info",
        "state": "cleared",
        "cleared_ms": NOW_MS - 1000,
        "value": None,
        "threshold": None,
    }
    return [row, looked_after, over]
