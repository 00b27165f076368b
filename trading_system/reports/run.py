"""The report of a run as rows for people; ``--json`` prints the status itself."""

from __future__ import annotations

from typing import Any, Final

REPORT_KEYS: Final = (
    "state",
    "stop_reason",
    "environment",
    "symbols",
    "uptime_s",
    "signals",
    "orders",
    "fills",
    "exits",
    "success_rate_pct",
    "win_rate_pct",
    "slippage_bps",
    "fees_bps",
    "pnl_quote",
    "market_maker",
    "equity",
    "drawdown_pct",
    "daily_pnl_pct",
    "stages",
    "health",
    "performance_compliance",
    "compliance_targets",
    "compliance_state",
    "holds",
    "agents",
    "protective_stops",
    "edge",
    "position",
    "open_orders",
    "own_open_orders",
)
"""Keys of a status that make the report of a run."""


def report_rows(status: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, figure) rows of a run's final status."""
    orders = status["orders"]
    rows = [
        ("state", f"{status['state']} ({status['stop_reason']})"),
        ("environment", f"{status['environment']}, {', '.join(status['symbols'])}"),
        ("market", _market(status["edge"])),
        ("signals", str(status["signals"])),
        (
            "orders",
            _orders(orders),
        ),
        ("fills", str(status["fills"])),
        ("exits", str(status["exits"])),
        ("success rate", _success(status)),
        ("win rate", figure(status["win_rate_pct"], "% (after fees, no target)")),
        ("slippage", figure(status["slippage_bps"], "bps against arrival mid, + is cost")),
        ("fees", figure(status["fees_bps"], "bps of traded value")),
        ("profit and loss", figure(status["pnl_quote"], "USDT")),
        *_making(status["market_maker"]),
        ("equity", _equity(status)),
        ("trading state", _holds(status["holds"])),
        ("position", f"local {status['position']['local']}, venue {status['position']['venue']}"),
        (
            "open orders",
            figure(status["open_orders"], f"at the venue, {status['own_open_orders']} of them own"),
        ),
        ("protective stops", figure(status["protective_stops"], "resting at the venue")),
        ("frames", figure(status["frames_per_second"], "per second, 10 s mean")),
        ("health", f"{status['health']['score']}/100"),
    ]
    rows += [("", f"- {reason}") for reason in status["health"]["reasons"]]
    rows.append(("compliance", status["compliance_state"]))
    return rows


def report_document(status: dict[str, Any]) -> dict[str, Any]:
    """Return the report's keys alone: what two runs are compared by, JSON-safe."""
    return {key: status[key] for key in REPORT_KEYS}


def stage_rows(status: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return (stage, p50, p95, p99, samples) rows, microseconds."""
    return [
        (
            stage,
            figure(values["p50_us"], ""),
            figure(values["p95_us"], ""),
            figure(values["p99_us"], ""),
            str(values["samples"]),
        )
        for stage, values in status["stages"].items()
    ]


def agent_rows(status: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return (agent, family, weight, Brier score, calls) rows."""
    return [
        (
            str(agent["name"]),
            str(agent["family"]),
            _weight(agent),
            "not measured" if agent["brier"] is None else f"{agent['brier']:.4f}",
            str(agent["calls"]),
        )
        for agent in status["agents"]
    ]


def compliance_table(targets: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return (target, measured, bar, met) rows."""
    return [
        (
            str(row["name"]),
            figure(row["measured"], ""),
            f"{row['target']:g} {row['unit']}",
            ("yes" if row["met"] else "no") + ("" if row["judged"] else " (shown, not judged)"),
        )
        for row in targets
    ]


def figure(value: object, unit: str) -> str:
    """Return ``value`` with its unit, or the honest words where nothing was measured."""
    if value is None:
        return "not measured"
    text = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _success(status: dict[str, Any]) -> str:
    rate = status["success_rate_pct"]
    if rate is None and status["market_maker"] is not None:
        return "n/a: quotes are no parent orders, so its target counts as missed"
    return figure(rate, "%")


def _making(figures: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the rows of a market maker, none under another strategy."""
    if figures is None:
        return []
    quotes, requests, pnl = figures["quotes"], figures["requests"], figures["pnl"]
    kinds = ", ".join(f"{requests[kind]} {kind}" for kind in ("creates", "amends", "cancels"))
    inventory = ", ".join(f"{s} {q}" for s, q in figures["inventory"].items()) or "flat"
    cycles = f"{figures['cycles']} cycles, {quotes['resting']} quotes resting"
    earned = f"spread {pnl['spread_capture']}, inventory {pnl['inventory']}"
    paid = f"fees -{pnl['fees']}, funding {pnl['funding']}"
    change = f"{pnl['equity_change']} USDT change, {pnl['difference']} not explained"
    return [
        ("quoting", f"{cycles}, next cycle in {figures['interval']:.1f} s"),
        ("quote requests", f"{requests['calls']} calls: {kinds}"),
        ("inventory", inventory),
        ("filled as maker", figure(figures["maker_share_pct"], "% of traded value")),
        ("its origin", f"{earned}, {paid}: {pnl['total']} USDT"),
        ("against equity", change),
    ]


def _orders(orders: dict[str, int]) -> str:
    return (
        f"{orders['sent']} sent, {orders['filled']} filled, {orders['cancelled']} cancelled, "
        f"{orders['rejected']} rejected, {orders['denied']} denied by the gate, "
        f"{orders['unknown']} unknown; {orders['signal_driven']} signal-driven"
    )


def _market(edge: dict[str, Any]) -> str:
    market = edge["market"]
    if market is None:
        return f"not the embedded venue's; {edge['cost_rule']}"
    shown = ", ".join(f"{key} {value}" for key, value in market.items())
    return f"{shown}; {edge['cost_rule']} (min edge {edge['min_edge_bps']:g} bps)"


def _equity(status: dict[str, Any]) -> str:
    drawdown = figure(status["drawdown_pct"], "% below its peak")
    today = figure(status["daily_pnl_pct"], "% since midnight UTC")
    return f"{figure(status['equity'], 'USDT')}; {drawdown}; {today}"


def _holds(holds: dict[str, Any]) -> str:
    why = "; ".join(holds["reasons"])
    return f"{holds['state']} ({why})" if why else str(holds["state"])


def _weight(agent: dict[str, Any]) -> str:
    weight = "not measured" if agent["weight"] is None else f"{agent['weight']:.3f}"
    return f"{weight} ({agent['note']})" if agent["note"] else weight
