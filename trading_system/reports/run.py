"""The report of a run as rows for people; ``--json`` prints the status itself."""

from __future__ import annotations

from typing import Any, Final

_BPS: Final = 10_000.0
_US_PER_S: Final = 1_000_000.0

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
    orders, making = status["orders"], status["market_maker"]
    rows = [
        ("state", _state(status)),
        ("environment", f"{status['environment']}, {', '.join(status['symbols'])}"),
        ("market", _market(status["edge"])),
        ("signals", str(status["signals"])),
        ("orders", _orders(orders)),
        ("fills", str(status["fills"])),
        ("exits", str(status["exits"])),
        ("success rate", _success(status)),
        ("win rate", _win_rate(status)),
        ("slippage", _slippage(status)),
        *(_result(status) if making is None else _making(making)),
        ("equity", _equity(status)),
        *([] if status["state"] == "STOPPED" else [("trading state", _holds(status["holds"]))]),
        ("position", _position(status)),
        ("open orders", _open_orders(status)),
        ("protective stops", figure(status["protective_stops"], "resting at the venue")),
        *_watched(status),
        ("frames", figure(status["frames_per_second"], "per second, 10 s mean")),
        ("health", f"{status['health']['score']}/100"),
    ]
    rows += [("", f"- {reason}") for reason in status["health"]["reasons"]]
    rows.append(("compliance", status["compliance_state"]))
    return rows


def _watched(status: dict[str, Any]) -> list[tuple[str, str]]:
    behaviour, alerts = status["behaviour"], status["alerts"]
    if behaviour is None:
        return []
    why = f" ({behaviour['reason']})" if behaviour["reason"] else ""
    firing = f"{alerts['firing']} firing, {alerts['unacknowledged']} of them unacknowledged"
    return [("behaviour", f"{behaviour['level']}{why}"), ("alerts", firing)]


def report_document(status: dict[str, Any]) -> dict[str, Any]:
    """Return the report's keys alone: what two runs are compared by, JSON-safe."""
    return {key: status[key] for key in REPORT_KEYS}


def stage_rows(status: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return (stage, p50, p95, p99, samples) rows, microseconds; from a second on seconds."""
    return [
        (
            stage,
            _duration(values["p50_us"]),
            _duration(values["p95_us"]),
            _duration(values["p99_us"]),
            str(values["samples"]),
        )
        for stage, values in status["stages"].items()
    ]


def agent_rows(status: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return (agent, family, weight, Brier score, calls) rows, none under a market maker."""
    if status["market_maker"] is not None:
        return []  # they are asked, but nothing is traded on their word
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
            figure(row["measured"], row["unit"].partition(" ")[0].rstrip(",")),
            f"{row['target']:g} {row['unit']}",
            _met(row),
        )
        for row in targets
    ]


def figure(value: object, unit: str) -> str:
    """Return ``value`` with its unit, or the honest words where nothing was measured."""
    if value is None:
        return "not measured"
    text = _plain(f"{value:,.2f}") if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _state(status: dict[str, Any]) -> str:
    reason = status["stop_reason"]
    return str(status["state"]) if reason is None else f"{status['state']} ({reason})"


def _success(status: dict[str, Any]) -> str:
    rate = status["success_rate_pct"]
    if rate is None and status["market_maker"] is not None:
        return "n/a: quotes are no parent orders, its target does not apply"
    return figure(rate, "%")


def _win_rate(status: dict[str, Any]) -> str:
    rate, closed = status["win_rate_pct"], status["system_health"]["total_trades"]
    if rate is None:
        return "n/a: no round trip was completed"
    won = round(rate * closed / 100)
    return f"{won} of {closed} round trips earned something after fees ({figure(rate, '%')})"


def _slippage(status: dict[str, Any]) -> str:
    making, slippage = status["market_maker"], status["slippage_bps"]
    if slippage is None and making is not None:
        share = making["maker_share_pct"]
        if share is None:
            return "n/a: nothing was filled"
        return "n/a: all filled as maker" if share == 100.0 else "n/a: quotes and stops only"
    return figure(slippage, "bps against arrival mid, + is cost")


def _result(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("fees", figure(status["fees_bps"], "bps of traded value")),
        ("profit and loss", _amount(status["pnl_quote"])),
    ]


def _making(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of a market maker; what was earned is positive, what it cost negative."""
    quotes, requests, pnl = figures["quotes"], figures["requests"], figures["pnl"]
    kinds = ", ".join(f"{requests[kind]} {kind}" for kind in ("creates", "amends", "cancels"))
    value = float(figures["traded_value"])
    parts = (
        ("spread earned", float(pnl["spread_capture"])),
        ("inventory result", float(pnl["inventory"])),
        ("fees", -float(pnl["fees"])),
        ("funding", float(pnl["funding"])),
        ("profit and loss", float(pnl["total"])),
    )
    change = f"{_signed(pnl['equity_change'])} USDT change, {_money(pnl['difference'])} of it"
    return [
        ("quoting", f"{figures['cycles']} cycles, {quotes['resting']} quotes resting"),
        ("half spread", _half_spreads(figures["half_spread_bps"])),
        ("quote requests", f"{requests['calls']} calls: {kinds}"),
        ("traded value", f"{value:,.2f} USDT in {figures['fills']} fills"),
        ("filled as maker", figure(figures["maker_share_pct"], "% of traded value")),
        ("mark-out", _markout(figures["markout"])),
        *((name, _part(amount, value)) for name, amount in parts),
        ("against equity", f"{change} not explained by the parts"),
        ("inventory", _inventory(figures)),
    ]


def _part(amount: float, value: float) -> str:
    share = f", {_signed(amount / value * _BPS)} bps of traded value" if value else ""
    return f"{_signed(amount)} USDT{share}"


def _half_spreads(halves: dict[str, float | None]) -> str:
    shown = ", ".join(f"{symbol} {figure(half, 'bps')}" for symbol, half in halves.items())
    return f"{shown} (newest quotes on both sides)"


def _markout(markout: dict[str, dict[str, Any]]) -> str:
    return ", ".join(
        f"{name.removesuffix('_s')} s: "
        + ("not measured" if row["mean_bps"] is None else f"{_signed(row['mean_bps'])} bps")
        + f" ({row['fills']} fills)"
        for name, row in markout.items()
    )


def _inventory(figures: dict[str, Any]) -> str:
    values = figures["inventory_value"]
    shown = [
        f"{symbol} {quantity}"
        + (f" ({_signed(values[symbol])} USDT)" if values.get(symbol) is not None else "")
        for symbol, quantity in figures["inventory"].items()
    ]
    return ", ".join(shown) or "flat"


def _position(status: dict[str, Any]) -> str:
    position = status["position"]
    venue, age_s = position["venue"], position["venue_age_s"]
    if venue is None:
        return f"own books {_held(position['local'])}; venue not read"
    when = "at the stop" if age_s is None else f"{age_s:.0f} s ago"
    return f"own books {_held(position['local'])}; venue, read {when}: {_held(venue)}"


def _held(positions: dict[str, str]) -> str:
    return ", ".join(f"{symbol} {held}" for symbol, held in positions.items()) or "flat"


def _open_orders(status: dict[str, Any]) -> str:
    at_venue, own = status["open_orders"], status["own_open_orders"]
    if at_venue is not None:
        return f"{at_venue} at the venue, {own} of them own"
    return "not measured" if own is None else f"{own} own; the venue is read at the stop"


def _met(row: dict[str, Any]) -> str:
    if row["judged"]:
        return "yes" if row["met"] else "no"
    if row["measured"] is None and row["met"]:
        return str(row["reason"])
    return f"{'yes' if row['met'] else 'no'} ({row['reason']})"


def _duration(value_us: float | None) -> str:
    if value_us is not None and abs(value_us) > _US_PER_S:
        return f"{value_us / _US_PER_S:,.2f} s"
    return figure(value_us, "")


def _money(amount: str | float) -> str:
    return _plain(f"{float(amount):,.2f}")


def _amount(amount: str | None) -> str:
    return "not measured" if amount is None else f"{_money(amount)} USDT"


def _signed(amount: str | float) -> str:
    text = _money(amount)
    return text if text.startswith("-") or text == "0.00" else f"+{text}"


def _plain(text: str) -> str:
    """Return ``text`` without the sign of a figure that was rounded to nothing."""
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


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
    shown = ", ".join(f"{key} {_listed(value)}" for key, value in market.items())
    return f"{shown}; {edge['cost_rule']} (min edge {edge['min_edge_bps']:g} bps)"


def _listed(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _equity(status: dict[str, Any]) -> str:
    drawdown = figure(status["drawdown_pct"], "% below its peak")
    today = figure(status["daily_pnl_pct"], "% since midnight UTC")
    return f"{_amount(status['equity'])}; {drawdown}; {today}"


def _holds(holds: dict[str, Any]) -> str:
    why = "; ".join(holds["reasons"])
    return f"{holds['state']} ({why})" if why else str(holds["state"])


def _weight(agent: dict[str, Any]) -> str:
    weight = "not measured" if agent["weight"] is None else f"{agent['weight']:.3f}"
    return f"{weight} ({agent['note']})" if agent["note"] else weight
