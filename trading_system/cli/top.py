"""``trading-system top``: the running system on one screen, refreshed until Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trading_system.cli.output import NotRunningError, printable
from trading_system.domain.errors import TradingSystemError

Ask = Callable[[str], Mapping[str, Any]]
"""Returns the control API's answer to a GET of a path."""

PATHS: Final = ("/status", "/positions", "/alerts")
"""What one screen is made of."""

_NONE: Final = "-"
_LEVEL_STYLES: Final = {"ACTIVE": "bold green", "REDUCING": "bold yellow", "HALTED": "bold red"}
_SEVERITY_STYLES: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_ORDERS: Final = ("sent", "filled", "cancelled", "rejected", "denied", "unknown")
_GOOD: Final = 80.0
_POOR: Final = 55.0
_SHOWN_REASONS: Final = 6
_SHOWN_ALERTS: Final = 6


def read(ask: Ask) -> dict[str, Mapping[str, Any]]:
    """Return one screen's answers by name: ``status``, ``positions``, ``alerts``."""
    return {path.removeprefix("/"): ask(path) for path in PATHS}


def watch(
    ask: Ask,
    *,
    interval_s: float,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show the system until Ctrl-C; a system that does not answer is said so and asked again.

    Parameters
    ----------
    ask : Callable[[str], Mapping]
        Asks the control API.
    interval_s : float
        Time between two refreshes, seconds.
    sleep : Callable[[float], None]
        Waits for some seconds; raises ``KeyboardInterrupt`` to end.
    """
    answers = read(ask)  # a system that never answered is an error, not an empty screen
    with Live(screen(answers), console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                sleep(interval_s)
                try:
                    answers = read(ask)
                    live.update(screen(answers), refresh=True)
                except (NotRunningError, TradingSystemError) as e:
                    gone = Text(f"no answer: {e}", style="bold red")
                    live.update(Group(gone, screen(answers)), refresh=True)
        except KeyboardInterrupt:
            return


def show(answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write one screen to standard output."""
    Console(file=sys.stdout).print(screen(answers))


def screen(answers: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Return the screen for the answers of :func:`read`."""
    status = answers["status"]
    return Group(
        _headline(status),
        _health(status),
        Columns([_figures(status), _stages(status)], padding=(0, 3)),
        _positions(answers["positions"]["positions"]),
        _alerts(answers["alerts"]["alerts"]),
        Text("Ctrl-C ends; the system goes on", style="dim"),
    )


def _headline(status: Mapping[str, Any]) -> Text:
    state = str(status["trading_state"])
    text = Text()
    text.append(f" {str(status['environment']).upper()} ", style="reverse")
    text.append(f"  {status['state']}  ")
    text.append(state, style=_LEVEL_STYLES.get(state, "bold"))
    behaviour = status.get("behaviour")
    if behaviour is not None and behaviour["level"] != "normal":
        text.append(f"  {behaviour['level']}: {printable(behaviour['reason'])}", style="yellow")
    text.append(f"  up {_duration(status['uptime_s'])}", style="dim")
    market = (status["edge"] or {}).get("market")
    if market:
        text.append(f"  {_market(market)}", style="dim")
    return text


def _market(market: Mapping[str, Any]) -> str:
    edge = market.get("edge_bps")
    kind = str(market["market"])
    return kind if edge is None else f"{kind} market, edge {edge:g} bps"


def _health(status: Mapping[str, Any]) -> Text:
    score = float(status["health"]["score"])
    style = "green" if score >= _GOOD else "red" if score < _POOR else "yellow"
    text = Text("health ")
    text.append(f"{score:.1f}", style=f"bold {style}")
    for reason in status["health"]["reasons"][:_SHOWN_REASONS]:
        text.append(f"\n  {printable(reason)}", style="dim")
    return text


def _figures(status: Mapping[str, Any]) -> Table:
    orders = status["orders"]
    process = status.get("process") or {}
    rows = (
        ("equity", _number(status["equity"], ".2f", " USDT")),
        ("P&L", _number(status["pnl_quote"], "+.2f", " USDT")),
        ("drawdown", _number(status["drawdown_pct"], ".3f", " %")),
        ("signals", str(status["signals"])),
        (
            "orders",
            ", ".join(f"{orders[name]} {name}" for name in _ORDERS),
        ),
        ("success / wins", f"{_pct(status['success_rate_pct'])} / {_pct(status['win_rate_pct'])}"),
        (
            "slippage / fees",
            (
                f"{_number(status['slippage_bps'], '+.2f', ' bps')} / "
                f"{_number(status['fees_bps'], '.2f', ' bps')}"
            ),
        ),
        ("frames", _number(status["frames_per_second"], ".0f", " /s")),
        (
            "process",
            (
                f"{_number(process.get('cpu_pct'), '.0f', ' % of a core')}, "
                f"{_number(process.get('rss_mib'), '.0f', ' MiB')}"
            ),
        ),
    )
    table = Table(box=None, show_header=False, padding=(0, 1))
    for name, figure in rows:
        table.add_row(Text(name, style="dim"), figure)
    return table


def _stages(status: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 1))
    for name in ("stage", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "stage" else "right", style="dim")
    for stage, figures in status["stages"].items():
        cells = [_milliseconds(figures[key]) for key in ("p50_us", "p95_us", "p99_us")]
        table.add_row(stage, *cells)
    return table


def _positions(rows: list[Mapping[str, Any]]) -> RenderableType:
    held = [row for row in rows if row["quantity"] not in {"0", "", None}]
    if not held:
        return Text("no open position", style="dim")
    table = Table(box=None, padding=(0, 1), title="positions", title_justify="left")
    for name in ("symbol", "quantity", "entry", "mark", "value USDT", "unrealised USDT", "stop"):
        table.add_column(name, justify="left" if name == "symbol" else "right")
    keys = ("quantity", "entry_price", "mark_price", "notional", "unrealised_pnl")
    for row in held:
        cells = [_NONE if row[key] is None else str(row[key]) for key in keys]
        table.add_row(str(row["symbol"]), *cells, str(row["protective_stop"] or "none"))
    return table


def _alerts(rows: list[Mapping[str, Any]]) -> RenderableType:
    firing = [row for row in rows if row["state"] != "cleared"]
    if not firing:
        return Text("no alert", style="dim")
    text = Text()
    for row in firing[:_SHOWN_ALERTS]:
        name = printable(f"{row['rule']} {row['subject']}".strip())
        text.append(f"{row['severity']} {name}: ", style=_SEVERITY_STYLES.get(row["severity"], ""))
        text.append(printable(f"{row['message']} → {row['remedy']}") + "\n")
    if len(firing) > _SHOWN_ALERTS:
        text.append(f"and {len(firing) - _SHOWN_ALERTS} more\n", style="dim")
    text.rstrip()
    return text


def _number(value: object, form: str, unit: str) -> str:
    return _NONE if value is None else f"{float(str(value)):{form}}{unit}"


def _pct(value: object) -> str:
    return _number(value, ".0f", " %")


def _milliseconds(figure_us: float | None) -> str:
    return _NONE if figure_us is None else f"{figure_us / 1000:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
