"""Risk: how much of each limit is used, why trading is held, and the controls."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.commands import Commands, Unlock
from trading_system.dashboard.context import PageContext
from trading_system.dashboard.figures import duration, number, plain, sign_kind
from trading_system.dashboard.grid import Cell, Column, Grid, Row
from trading_system.dashboard.layout import STATES
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.theme import NOTHING, Kind, Text, figure, section

_NEAR_PCT: Final = 75.0
_FULL_PCT: Final = 95.0
_INTERVAL_S: Final = 1.0


def build(context: PageContext) -> None:
    """Add the page to the open content column."""
    reading = _Reading(context)
    with ui.element("div").classes("strip"):
        totals = _Totals(reading)
    with ui.element("div").classes("cols cols-wide"):
        with ui.element("div").classes("stack"):
            with section("Limits", "used of each, from the risk gate"):
                limits = _Limits(reading)
            with section("Exposure"):
                exposure = _Exposure(reading)
            with section("Denied orders", "by the risk gate, since the start"):
                denied = _Denied(reading)
        with ui.element("div").classes("stack"):
            with section("Controls", "read only until the control token is typed").classes("first"):
                unlock = Unlock(context)
                commands = Commands(context)
            with section("Holds", "why trading is not active"):
                holds = _Holds(reading)

    async def update() -> None:
        if not context.is_visible:
            return
        await reading.refresh()
        for part in (totals, limits, holds, exposure, denied):
            part.update()

    ui.timer(_INTERVAL_S, update)
    for part in (unlock, commands):
        context.every(0.5, part.update)


class _Reading:
    # The newest answer of GET /risk, or why there is none.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self.data: dict[str, Any] = {}
        self.problem = "no data yet"

    async def refresh(self) -> None:
        try:
            self.data = await self._context.get("/risk")
        except ApiError as e:
            self.problem = str(e) if not self.data else f"old figures: {e}"
        else:
            self.problem = ""


class _Totals:
    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._state = figure("Trading state")
        self._level = figure("Health allows")
        self._equity = figure("Equity", "USDT")
        self._drawdown = figure("Drawdown", "%")
        self._day = figure("Today", "%")

    def update(self) -> None:
        data = self._reading.data
        dim: Kind = "muted" if self._reading.problem else ""
        state = str(data.get("state") or NOTHING)
        if state == "ACTIVE" and "pause" in (data.get("holds") or {}):
            state = "PAUSED"
        self._state.show(state, kind=dim or STATES.get(state, ""), title=self._reading.problem)
        behaviour = data.get("behaviour") or {}
        level = str(behaviour.get("level") or NOTHING)
        kind: Kind = "" if level == "normal" else "warn"
        self._level.show(level, kind=dim or kind, title=str(behaviour.get("reason") or ""))
        self._equity.show(plain(data.get("equity")), kind=dim)
        self._drawdown.show(plain(data.get("drawdown_pct")), kind=dim)
        day = data.get("daily_pnl_pct")
        self._day.show(plain(day, is_signed=True), kind=dim or sign_kind(day))


class _Limits:
    # One bar per limit, the figures beside it.

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._grid = Grid(
            "Limits",
            (
                Column("Limit"),
                Column("Used of it", "%"),
                Column("Used", align="end", is_minor=True),
                Column("Bound", align="end"),
                Column("Unit"),
            ),
            empty="no data yet",
            width="32rem",
        )

    def update(self) -> None:
        rows = [_limit(row) for row in self._reading.data.get("limits", ())]
        self._grid.show(rows, empty=self._reading.problem or "no limit is set")


def _limit(row: dict[str, Any]) -> Row:
    used_pct = number(row.get("used_pct"))
    kind: Kind = ""
    if used_pct is not None and used_pct >= _NEAR_PCT:
        kind = "bad" if used_pct >= _FULL_PCT else "warn"
    name, unit = str(row.get("name")), str(row.get("unit") or "")
    digits = 0 if unit in {"orders", "positions", "trades", ""} else 2
    return Row(
        name,
        (
            name[:1].upper() + name[1:],
            Cell(plain(used_pct, 1), kind, bar_pct=used_pct or 0.0),
            plain(row.get("used"), digits),
            plain(row.get("limit"), digits),
            unit,
        ),
    )


class _Holds:
    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._grid = Grid(
            "Holds",
            (Column("Source"), Column("Reason", is_wide=True)),
            empty="no data yet",
            width="16rem",
        )
        self._since = Text("", tag="p").classes("note")

    def update(self) -> None:
        data = self._reading.data
        holds = data.get("holds") or {}
        rows = [Row(str(key), (str(key), Cell(str(holds[key]), "warn"))) for key in holds]
        self._grid.show(rows, empty=self._reading.problem or "nothing holds trading")
        behaviour = data.get("behaviour") or {}
        since = behaviour.get("since_s")
        reason = behaviour.get("reason")
        told = f"{reason}, for {duration(since)}" if reason and since is not None else ""
        self._since.show(told)


class _Exposure:
    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._grid = Grid(
            "Exposure",
            (Column("Symbol"), Column("Notional", "USDT", "end"), Column("Share of equity", "%")),
            empty="no data yet",
            width="19rem",
        )

    def update(self) -> None:
        rows = [_exposure(row) for row in self._reading.data.get("exposure", ())]
        self._grid.show(rows, empty=self._reading.problem or "no exposure")


def _exposure(row: dict[str, Any]) -> Row:
    share = number(row.get("share_pct"))
    notional = number(row.get("notional"))
    kind: Kind = "" if not notional else "buy" if notional > 0 else "sell"
    return Row(
        str(row.get("symbol")),
        (
            str(row.get("symbol")),
            Cell(plain(notional), kind),
            Cell(plain(share, 1), bar_pct=abs(share or 0.0)),
        ),
    )


class _Denied:
    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._grid = Grid(
            "Denied orders",
            (Column("Reason", is_wide=True), Column("Orders", align="end")),
            empty="no data yet",
            width="16rem",
        )

    def update(self) -> None:
        denied = self._reading.data.get("denied") or {}
        rows = [
            Row(str(reason), (str(reason).replace("_", " "), plain(denied[reason], 0)))
            for reason in sorted(denied, key=lambda one: -(number(denied[one]) or 0))
        ]
        self._grid.show(rows, empty=self._reading.problem or "no order was denied")
