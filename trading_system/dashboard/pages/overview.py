"""Overview: is the system well, does it earn, what does it hold."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.context import PageContext
from trading_system.dashboard.figures import (
    clock_time,
    duration,
    exact,
    micros,
    number,
    plain,
    side_kind,
    sign_kind,
)
from trading_system.dashboard.grid import Cell, Column, Grid, Row
from trading_system.dashboard.layout import health_kind
from trading_system.dashboard.lines import LineChart
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.theme import NOTHING, Kind, Text, figure, section

_LEVELS: Final[dict[str, tuple[str, Kind]]] = {
    "normal": ("Trades normally", "good"),
    "throttle": ("New orders are throttled", "warn"),
    "reduce-only": ("Positions may only shrink", "warn"),
    "halt": ("No order leaves", "bad"),
}
_TARGETS: Final = {
    "signal_generation": "Signal generation",
    "execution_latency": "Order execution",
    "success_rate": "Success rate",
    "health": "Health score",
    "system_latency": "Market data to order",
}
_STAGES: Final = 14
_FILLS: Final = 12


def build(context: PageContext) -> None:
    """Add the page to the open content column."""
    context.want("positions", "fills", "equity")
    with ui.element("div").classes("strip"):
        totals = _Totals(context)
    with ui.element("div").classes("cols cols-wide"):
        with ui.element("div").classes("stack"):
            with section("Equity", "USDT, since the start, UTC"):
                equity = _Equity(context)
            with section("Positions"):
                positions = _Positions(context)
            with section("Latest fills"):
                fills = _Fills(context)
        with ui.element("div").classes("stack"):
            with section("Health", "every lost point and its cause").classes("first"):
                health = _Health(context)
            with section("Compliance", "targets of the guides"):
                compliance = _Compliance(context)
            with section("Agents", "weight in the newest consensus"):
                agents = _Agents(context)
            with section("Stage latency", "last minute, else since the start"):
                stages = _Stages(context)
    for part in (totals, health, positions, compliance, fills, agents):
        context.every(0.5, part.update)
    context.every(1.0, equity.update)
    ui.timer(0.1, equity.load, once=True)
    ui.timer(2.0, stages.update)


class _Totals:
    # The line of figures a trader looks at first.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._equity = figure("Equity", "USDT")
        self._pnl = figure("P&L, all in", "USDT")
        self._day = figure("Today", "%")
        self._drawdown = figure("Drawdown", "%")
        self._success = figure("Success rate", "%")
        self._win = figure("Win rate", "%")
        self._slippage = figure("Slippage", "bps")
        self._uptime = figure("Up for")

    def update(self) -> None:
        status = self._context.store.status or {}
        dim: Kind = "muted" if self._context.freshness("status") else ""
        self._equity.show(plain(status.get("equity")), kind=dim)
        pnl = status.get("pnl_quote")
        self._pnl.show(plain(pnl, is_signed=True), kind=dim or sign_kind(pnl))
        day = status.get("daily_pnl_pct")
        self._day.show(plain(day, is_signed=True), kind=dim or sign_kind(day))
        self._drawdown.show(plain(status.get("drawdown_pct")), kind=dim)
        self._success.show(plain(status.get("success_rate_pct"), 1), kind=dim)
        self._win.show(plain(status.get("win_rate_pct"), 1), kind=dim)
        self._slippage.show(plain(status.get("slippage_bps"), is_signed=True), kind=dim)
        self._uptime.show(duration(status.get("uptime_s")), kind=dim)


class _Equity:
    # The curve; the API keeps its history, the stream brings the newest point.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._points: list[list[float]] = []
        self._chart = LineChart(context, "Equity in USDT over time", unit="USDT")
        self._words = Text("no equity yet", tag="p").classes("empty over")

    async def load(self) -> None:
        try:
            answer = await self._context.get("/equity")
        except ApiError as e:
            self._words.show(str(e))
            return
        self._points = _points(answer)
        self._draw()

    def update(self) -> None:
        newest = _points(self._context.store.newest("equity") or {})
        last_ms = self._points[-1][0] if self._points else 0.0
        fresh = [point for point in newest if point[0] > last_ms]
        if fresh:
            self._points = [*self._points, *fresh][-4000:]
            self._draw()

    def _draw(self) -> None:
        self._words.set_visibility(len(self._points) < 2)
        self._chart.show(self._points)


def _points(answer: dict[str, Any]) -> list[list[float]]:
    rows = answer.get("points")
    found: list[list[float]] = []
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) == 2:
            at, value = number(row[0]), number(row[1])
            if at is not None and value is not None:
                found.append([at, value])
    return found


class _Health:
    # Score, what it makes the system do, and the reasons.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        with ui.element("div").classes("health-line"):
            self._score = Text().classes("health-score")
            Text("of 100").classes("unit")
            self._does = Text("").classes("health-does")
        self._why = Text("", tag="p").classes("note")
        self._grid = Grid(
            "Lost points of health",
            (Column("Component"), Column("Why", is_wide=True), Column("Lost", "points", "end")),
            empty="no point is lost",
            width="18rem",
        )

    def update(self) -> None:
        status = self._context.store.status
        if status is None:
            self._grid.show((), empty="no data yet")
            return
        health = status.get("health") or {}
        score = health.get("score")
        stale = self._context.freshness("status")
        self._score.show(plain(score, 0), kind="muted" if stale else health_kind(score))
        behaviour = status.get("behaviour") or {}
        words, kind = _LEVELS.get(str(behaviour.get("level")), (NOTHING, "muted"))
        self._does.show(words, kind="muted" if stale else kind)
        reason = behaviour.get("reason") or "health sets no limit"
        since_s = behaviour.get("since_s")
        since = "" if since_s is None else f", for {duration(since_s)}"
        self._why.show(stale or f"{reason}{since}")
        self._grid.show(
            [_lost(text) for text in health.get("reasons", ())], empty="no point is lost"
        )


def _lost(reason: str) -> Row:
    # A reason reads: component, colon, cause, and the lost points in brackets.
    head, _, tail = str(reason).partition(": ")
    text, _, points = tail.rpartition(" (-")
    if not text:
        return Row(str(reason), (head, Cell(tail, "bad"), ""))
    return Row(str(reason), (head, text, Cell(f"-{points.rstrip(')')}", "bad")))


class _Compliance:
    # One row per target with its figure and the time in compliance.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._grid = Grid(
            "Compliance with the targets",
            (
                Column("Target"),
                Column("Met"),
                Column("Measured", align="end"),
                Column("Bound", align="end"),
                Column("Time met", "%", "end", is_minor=True),
            ),
            empty="no data yet",
            width="25rem",
        )

    def update(self) -> None:
        status = self._context.store.status
        if status is None:
            return
        times = (status.get("time_in_compliance") or {}).get("targets") or {}
        self._grid.show([_target(row, times) for row in status.get("compliance_targets", ())])


def _target(row: dict[str, Any], times: dict[str, Any]) -> Row:
    name = str(row.get("name"))
    unit, _, relation = str(row.get("unit", "")).partition(",")
    sign = "≤" if "most" in relation else "≥"
    met = Cell("met", "good") if row.get("met") else Cell("not met", "bad")
    if row.get("measured") is None:
        met = Cell("not measured", "warn")
    if not row.get("judged"):
        met = Cell("shown only", "muted", title=str(row.get("reason", "")))
    share = (times.get(name) or {}).get("met_pct")
    shown_unit = unit.replace(" p95", "")
    return Row(
        name,
        (
            _TARGETS.get(name, name),
            met,
            f"{plain(row.get('measured'), 1)} {shown_unit}",
            f"{sign} {plain(row.get('target'), 0)} {shown_unit}",
            plain(share, 1),
        ),
    )


class _Positions:
    # What is held, what it is worth and what protects it.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._grid = Grid(
            "Positions",
            (
                Column("Symbol"),
                Column("Quantity", align="end"),
                Column("Entry", align="end"),
                Column("Mark", align="end"),
                Column("Unrealised", "USDT", "end"),
                Column("Realised", "USDT", "end"),
                Column("Stop", align="end"),
            ),
            empty="no position",
            width="33rem",
            stacks=True,
        )

    def update(self) -> None:
        data = self._context.store.newest("positions")
        words = self._context.freshness("positions") if data is None else "no position"
        rows = (data or {}).get("positions", ())
        self._grid.show([_position(row) for row in rows], empty=words)


def _position(row: dict[str, Any]) -> Row:
    quantity = number(row.get("quantity")) or 0.0
    kind: Kind = "buy" if quantity > 0 else "sell" if quantity < 0 else ""
    venue = row.get("venue_quantity")
    title = "" if venue is None else f"at the venue {venue}, {duration(row.get('venue_age_s'))} ago"
    unrealised = row.get("unrealised_pnl")
    return Row(
        str(row.get("symbol")),
        (
            str(row.get("symbol")),
            Cell(exact(row.get("quantity")), kind, title),
            exact(row.get("entry_price")),
            exact(row.get("mark_price")),
            Cell(plain(unrealised, is_signed=True), sign_kind(unrealised)),
            Cell(
                plain(row.get("realised_pnl"), is_signed=True), sign_kind(row.get("realised_pnl"))
            ),
            exact(row.get("protective_stop")),
        ),
    )


class _Fills:
    # The newest trades of our own.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._grid = Grid(
            "Latest fills",
            (
                Column("Time", "UTC"),
                Column("Symbol"),
                Column("Side"),
                Column("Price", align="end"),
                Column("Quantity", align="end"),
                Column("Fee", "USDT", "end", is_minor=True),
                Column("Role", is_minor=True),
            ),
            empty="no fill yet",
            width="34rem",
        )

    def update(self) -> None:
        data = self._context.store.newest("fills")
        words = self._context.freshness("fills") if data is None else "no fill yet"
        rows = list((data or {}).get("fills", ()))[:_FILLS]
        self._grid.show([_fill(row) for row in rows], empty=words)


def _fill(row: dict[str, Any]) -> Row:
    return Row(
        str(row.get("exec_id")),
        (
            clock_time(row.get("time_ms"), has_millis=True),
            str(row.get("symbol")),
            Cell(str(row.get("side")), side_kind(row.get("side"))),
            exact(row.get("price")),
            exact(row.get("quantity")),
            plain(row.get("fee"), 4),
            "maker" if row.get("is_maker") else "taker",
        ),
    )


class _Agents:
    # Who forms the consensus.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._grid = Grid(
            "Signal agents",
            (
                Column("Agent"),
                Column("Weight", "%", "end"),
                Column("Brier", align="end", is_minor=True),
                Column("Calls", align="end", is_minor=True),
                Column("Note", is_wide=True),
            ),
            empty="no agent is on the panel",
            width="22rem",
        )

    def update(self) -> None:
        status = self._context.store.status
        if status is None:
            self._grid.show((), empty=self._context.freshness("status"))
            return
        rows = [_agent(row) for row in status.get("agents", ())]
        self._grid.show(rows, empty="no agent is on the panel")


def _agent(row: dict[str, Any]) -> Row:
    weight = number(row.get("weight"))
    share = None if weight is None else 100 * weight
    return Row(
        str(row.get("name")),
        (
            Cell(str(row.get("name")), title=f"family {row.get('family')}"),
            Cell(plain(share, 0), bar_pct=share),
            plain(row.get("brier"), 3),
            plain(row.get("calls"), 0),
            Cell(str(row.get("note") or ""), "warn" if row.get("note") else ""),
        ),
    )


class _Stages:
    # Where the time goes, from market data to fill.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._grid = Grid(
            "Latency of each stage",
            (
                Column("Stage"),
                Column("p50", align="end"),
                Column("p95", align="end"),
                Column("p99", align="end"),
                Column("Samples", align="end"),
            ),
            empty="no data yet",
            width="20rem",
        )

    async def update(self) -> None:
        if not self._context.is_visible:
            return
        try:
            answer = await self._context.get("/latency")
        except ApiError as e:
            self._grid.show((), empty=str(e))
            return
        stages = answer.get("stages")
        if isinstance(stages, dict):
            self._grid.show(
                [_stage(name, _newest(stages[name])) for name in list(stages)[:_STAGES]]
            )


def _newest(row: dict[str, Any]) -> dict[str, Any]:
    rolling = row.get("rolling") or {}
    return rolling if rolling.get("samples") else row.get("since_start") or {}


def _stage(name: str, row: dict[str, Any]) -> Row:
    return Row(
        name,
        (
            name.replace("_", " "),
            micros(row.get("p50_us")),
            micros(row.get("p95_us")),
            micros(row.get("p99_us")),
            plain(row.get("samples"), 0),
        ),
    )
