"""Alerts and log: what fires and how to cure it, and what the system said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.context import NeedsControlError, PageContext
from trading_system.dashboard.dialogs import Question
from trading_system.dashboard.figures import clock_time, plain
from trading_system.dashboard.grid import Cell, Column, Grid, Row
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.theme import Kind, Text, section

LEVELS: Final = ("debug", "info", "warning", "error")
"""Log levels, the least first."""

_SHOWN: Final = 200
_RANK: Final = {"firing": 0, "acknowledged": 1, "cleared": 2}
_SEVERITY: Final = {"critical": 0, "warning": 1, "info": 2}
_KINDS: Final[dict[str, Kind]] = {"critical": "bad", "warning": "warn", "info": "muted"}
_LINE_KINDS: Final[dict[str, Kind]] = {
    "critical": "bad",
    "error": "bad",
    "warning": "warn",
    "debug": "muted",
}


def build(context: PageContext) -> None:
    """Add the page to the open content column."""
    context.want("alerts", "log")
    with section("Alerts", "firing first; acknowledge needs the control token"):
        alerts = _Alerts(context)
    with section("Log", "newest first"):
        log = _Log(context)
    context.every(0.5, alerts.update)
    context.every(0.5, log.update)
    ui.timer(0.1, log.load, once=True)
    ui.timer(0.1, alerts.load, once=True)


class _Alerts:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._loaded: dict[str, Any] | None = None
        self._grid = Grid(
            "Alerts",
            (
                Column("State"),
                Column("Severity"),
                Column("Alert", is_wide=True),
                Column("Remedy", is_wide=True),
                Column("Since", "UTC"),
                Column("Times", align="end"),
                Column("Acknowledge"),
            ),
            empty="no data yet",
            width="54rem",
            stacks=True,
            on_pick=self._ask,
        )
        self._delivery = Text("", tag="p").classes("note")
        self._answer = Text("").classes("answer")
        self._answer.props["role"] = "status"

    async def load(self) -> None:
        try:
            self._loaded = await self._context.get("/alerts")
        except ApiError as e:
            self._grid.show((), empty=str(e))

    def update(self) -> None:
        data = self._context.store.newest("alerts") or self._loaded
        if data is None:
            return
        rows = sorted(data.get("alerts", ()), key=_order)
        self._grid.show([_alert(row) for row in rows], empty="no alert has fired")
        self._delivery.show(delivery_words(data.get("delivery")))

    def _ask(self, alert_id: str) -> None:
        dialog = Question("Acknowledge the alert?", "It is not sent again until it has cleared.")
        with dialog:
            note = ui.input("Note, kept with the alert").props("dense outlined maxlength=200")

            async def confirmed() -> None:
                dialog.close()
                await self._acknowledge(alert_id, str(note.value or ""))

            with ui.element("div").classes("dialog-tools"):
                dialog.cancel_button()
                ui.button("Acknowledge", on_click=confirmed, color=None).props(
                    "unelevated no-caps"
                ).classes("primary")
        dialog.open()

    async def _acknowledge(self, alert_id: str, note: str) -> None:
        try:
            await self._context.post(f"/alerts/{alert_id}/acknowledge", {"note": note.strip()})
        except NeedsControlError:
            self._answer.show(
                "Not done: type the control token on the page Risk first.", kind="bad"
            )
        except ApiError as e:
            self._answer.show(f"Not done: {e}", kind="bad")
        else:
            self._answer.show("Acknowledged.", kind="good")


def _order(row: Mapping[str, Any]) -> tuple[int, int, float]:
    return (
        _RANK.get(str(row.get("state")), 3),
        _SEVERITY.get(str(row.get("severity")), 3),
        -float(row.get("since_ms") or 0),
    )


def _alert(row: Mapping[str, Any]) -> Row:
    state, severity = str(row.get("state")), str(row.get("severity"))
    is_over = state == "cleared"
    kind: Kind = "muted" if is_over else _KINDS.get(severity, "")
    note = str(row.get("note") or "")
    message = str(row.get("message") or row.get("rule"))
    since = clock_time(row.get("since_ms"))
    if is_over:
        since = f"{since} to {clock_time(row.get('cleared_ms'))}"
    return Row(
        str(row.get("id")),
        (
            Cell(state, kind),
            Cell(severity, kind),
            Cell(message + (f" (note: {note})" if note else ""), "muted" if is_over else ""),
            "" if is_over else str(row.get("remedy") or ""),
            since,
            plain(row.get("times"), 0),
            Cell("Acknowledge", is_action=True) if state == "firing" else "",
        ),
        "muted" if is_over else "",
    )


def delivery_words(delivery: Mapping[str, Any] | None) -> str:
    """Return in a sentence who is told of alerts, and how well that works."""
    if not delivery:
        return ""
    sinks = delivery.get("sinks") or ()
    if not sinks:
        return "Nobody is told of alerts: set TRADING_ALERTS__URLS to be told."
    counts = ", ".join(f"{delivery.get(name, 0)} {name}" for name in ("sent", "failed", "dropped"))
    error = delivery.get("last_error")
    return f"Told by {', '.join(map(str, sinks))}: {counts}" + (
        f"; last error: {error}" if error else ""
    )


class _Log:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._is_paused = False
        self._least = "info"
        self._drawn: tuple[int, int, str] | None = None
        with ui.element("div").classes("tools"):
            options = {level: f"{level} and above" for level in LEVELS}
            choice = ui.select(options, value=self._least, label="Level", on_change=self._choose)
            choice.props("dense outlined options-dense").classes("choice")
            self._pause = (
                ui.button("Pause", on_click=self._toggle, color=None)
                .props("outline no-caps")
                .classes("quiet")
            )
            self._note = Text("").classes("note")
        self._grid = Grid(
            "Log lines",
            (
                Column("Time", "UTC"),
                Column("Level"),
                Column("Event", is_wide=True),
                Column("Fields", is_wide=True),
            ),
            empty="no data yet",
            width="40rem",
            is_tall=True,
            flows=True,
        )

    async def load(self) -> None:
        try:
            self._context.store.add_lines(await self._context.get("/log", limit=500))
        except ApiError as e:
            self._grid.show((), empty=str(e))

    def update(self) -> None:
        if self._is_paused:
            return
        lines = self._context.store.log_lines()
        newest = int(lines[0]["number"]) if lines else 0
        if (newest, len(lines), self._least) == self._drawn:
            return
        self._drawn = (newest, len(lines), self._least)
        shown = [line for line in lines if _is_at_least(line, self._least)][:_SHOWN]
        self._grid.show([_line(line) for line in shown], empty=f"no line of level {self._least}")
        self._note.show(f"{len(shown)} of {len(lines)} lines")

    def _choose(self, event: Any) -> None:  # noqa: ANN401 - NiceGUI's generic event
        if event.value in LEVELS:
            self._least = event.value
            self._redraw()

    def _toggle(self) -> None:
        self._is_paused = not self._is_paused
        self._pause.set_text("Go on" if self._is_paused else "Pause")
        self._note.show("paused" if self._is_paused else "")
        self._redraw()

    def _redraw(self) -> None:
        self._drawn = None
        self.update()


def _is_at_least(line: Mapping[str, Any], least: str) -> bool:
    level = str(line.get("level"))
    return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(least)


def _line(line: Mapping[str, Any]) -> Row:
    level = str(line.get("level"))
    shown = _fields(line.get("fields"))
    return Row(
        str(line.get("number")),
        (
            clock_time(line.get("time_ms"), has_millis=True),
            Cell(level, _LINE_KINDS.get(level, "")),
            str(line.get("event")),
            Cell(shown, "muted"),
        ),
    )


def _fields(fields: object) -> str:
    if not isinstance(fields, dict):
        return ""
    said = {key: value for key, value in fields.items() if value is not None and value != ""}
    return "  ".join(
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in said.items()
    )
