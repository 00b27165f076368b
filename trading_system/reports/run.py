"""The report of a run as rows for people; ``--json`` prints the status itself."""

from __future__ import annotations

from typing import Any


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
        ("success rate", figure(status["success_rate_pct"], "%")),
        ("win rate", figure(status["win_rate_pct"], "% (after fees, no target)")),
        ("slippage", figure(status["slippage_bps"], "bps against arrival mid, + is cost")),
        ("fees", figure(status["fees_bps"], "bps of traded value")),
        ("profit and loss", figure(status["pnl_quote"], "USDT")),
        ("position", f"local {status['position']['local']}, venue {status['position']['venue']}"),
        (
            "open orders",
            figure(status["open_orders"], f"at the venue, {status['own_open_orders']} of them own"),
        ),
        ("frames", figure(status["frames_per_second"], "per second, 10 s mean")),
        ("health", f"{status['health']['score']}/100"),
    ]
    rows += [("", f"- {reason}") for reason in status["health"]["reasons"]]
    return rows


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


def compliance_table(targets: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return (target, measured, bar, met) rows."""
    return [
        (
            str(row["name"]),
            figure(row["measured"], ""),
            f"{row['target']:g} {row['unit']}",
            "yes" if row["met"] else "no",
        )
        for row in targets
    ]


def figure(value: object, unit: str) -> str:
    """Return ``value`` with its unit, or the honest words where nothing was measured."""
    if value is None:
        return "not measured"
    text = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


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
