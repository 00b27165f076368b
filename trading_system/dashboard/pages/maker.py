"""Market maker: own quotes on the ladder, inventory, where the profit comes from, requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard import bars, charts
from trading_system.dashboard.charts import PROFIT_PARTS, Chart
from trading_system.dashboard.context import PageContext
from trading_system.dashboard.figures import duration, exact, number, plain, side_kind, sign_kind
from trading_system.dashboard.grid import Cell, Column, Grid, Row
from trading_system.dashboard.ladder import Ladder
from trading_system.dashboard.pages.market import SymbolSwitch, doubt
from trading_system.dashboard.theme import NOTHING, Text, empty, figure, palette, section
from trading_system.domain.ports import Clock
from trading_system.runtime.clock import SystemClock

TOPIC: Final = "market-maker"
HOW_TO_START: Final = (
    "No market maker is running: the system trades by another strategy. "
    "To quote both sides, stop it and start it with: trading-system start --strategy market-maker"
)
"""Shown where there is nothing to show."""

_LADDER_S: Final = 0.1
_FIGURES_S: Final = 0.5
_CHARTS_S: Final = 1.0
_SOURCE: Final = {
    "spread": ("spread_capture", 1.0),
    "inventory": ("inventory", 1.0),
    "fees": ("fees", -1.0),
    "funding": ("funding", 1.0),
    "total": ("total", 1.0),
}
_KEPT_POINTS: Final = 900
_NS_PER_MS: Final = 1_000_000
_REQUESTS: Final = (
    ("creates", "Quotes placed"),
    ("amends", "Quotes moved"),
    ("cancels", "Quotes cancelled"),
    ("calls", "Requests sent"),
    ("slow", "Slow answers"),
    ("rate_waits", "Waits for the rate limit"),
    ("owed", "Requests owed"),
)


def build(context: PageContext) -> None:
    """Add the page's elements to the open content column."""
    ui.add_css(bars.STYLE)
    _Maker(context)


def profit_parts(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the signed parts of the profit, USDT: paid fees are negative."""
    profit = figures.get("pnl") or {}
    values = {name: number(profit.get(key)) for name, (key, _) in _SOURCE.items()}
    return {
        name: value * _SOURCE[name][1] + 0.0 for name, value in values.items() if value is not None
    }


def inventory_rows(figures: Mapping[str, Any], *, limit: float | None) -> list[Row]:
    """Return one row for each symbol with inventory, its value against ``limit`` in USDT."""
    held: Mapping[str, Any] = figures.get("inventory") or {}
    values: Mapping[str, Any] = figures.get("inventory_value") or {}
    rows = []
    for symbol, quantity in sorted(held.items()):
        value = number(values.get(symbol))
        used = None if value is None or not limit else abs(value) / limit * 100.0
        used_text = NOTHING if used is None else f"{used:.1f} %"
        shown_value = plain(value, 2, is_signed=True)
        cells: list[Cell | str] = [
            symbol,
            exact(quantity),
            Cell(shown_value, sign_kind(None)),
            Cell(used_text, "warn" if used is not None and used > 90.0 else "", bar_pct=used),
        ]
        rows.append(Row(symbol, cells))
    return rows


def quote_rows(quotes: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return one row for each resting quote, highest price first by symbol."""
    ordered = sorted(quotes, key=lambda q: (str(q["symbol"]), -(number(q["price"]) or 0.0)))
    return [
        Row(
            str(quote.get("link_id", place)),
            [
                str(quote["symbol"]),
                Cell(str(quote["side"]), side_kind(quote["side"])),
                exact(quote["price"]),
                exact(quote["quantity"]),
                duration(quote.get("age_s")),
            ],
        )
        for place, quote in enumerate(ordered)
    ]


def request_rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return what was asked of the venue and what went wrong, one row for each kind."""
    requests: Mapping[str, Any] = figures.get("requests") or {}
    errors: Mapping[str, Any] = figures.get("errors") or {}
    rows = [Row(key, [name, plain(requests.get(key), 0)]) for key, name in _REQUESTS]
    rows.append(Row("rate", ["Requests per 10 cycles", plain(requests.get("per_10_cycles"), 1)]))
    for key, name in (("denied", "Denied by the risk gate"), ("failed", "Failed")):
        count = number(errors.get(key))
        rows.append(Row(key, [name, Cell(plain(count, 0), "bad" if count else "")]))
    denials: Mapping[str, Any] = errors.get("denials") or {}
    for reason, times in sorted(denials.items()):
        rows.append(Row(f"denial {reason}", [f"denied: {reason}", plain(times, 0)]))
    return rows


def spread_rows(figures: Mapping[str, Any]) -> list[Row]:
    """Return the half spread of each symbol and the mark-out after each horizon, bps."""
    halves: Mapping[str, Any] = figures.get("half_spread_bps") or {}
    rows = [
        Row(f"half {symbol}", [f"Half spread, {symbol}", plain(half, 2), NOTHING])
        for symbol, half in sorted(halves.items())
    ]
    markout: Mapping[str, Any] = figures.get("markout") or {}
    for horizon, row in markout.items():
        mean = number(row.get("mean_bps"))
        cells: list[Cell | str] = [
            f"Mark-out after {horizon.replace('_', ' ')}",
            Cell(plain(mean, 2, is_signed=True), sign_kind(mean)),
            plain(row.get("fills"), 0),
        ]
        rows.append(Row(f"markout {horizon}", cells))
    return rows


def inventory_limit(frame: Mapping[str, Any]) -> float | None:
    """Return the largest inventory of a symbol, USDT, where the answer tells it."""
    return number((frame.get("figures") or {}).get("max_inventory_notional"))


class ProfitHistory:
    """Profit by source since the page was opened, for a system that keeps no series itself.

    Parameters
    ----------
    clock : Clock
        Time of the points, UTC.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._points: deque[tuple[float, dict[str, float]]] = deque(maxlen=_KEPT_POINTS)

    def add(self, parts: Mapping[str, float]) -> None:
        """Keep ``parts`` as of now; the oldest of 900 points goes."""
        self._points.append((self._clock.utc_ns() / _NS_PER_MS, dict(parts)))

    def series(self) -> dict[str, list[list[float]]]:
        """Return points ``[UTC ms, USDT]`` by part, oldest first."""
        return {
            name: [[time_ms, parts[name]] for time_ms, parts in self._points if name in parts]
            for name in PROFIT_PARTS
        }


class _Maker:
    # The page; its two faces are the sentence how to start one and the running maker.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._history = ProfitHistory(clock=SystemClock())
        context.want(TOPIC)
        self._state = Text("").classes("state-line")
        self._absent = empty("no data yet")
        self._body = ui.element("div").classes("stack")
        self._body.set_visibility(False)
        with self._body:
            self._figures()
            with ui.element("div").classes("cols cols-market"):
                with ui.element("div").classes("stack"):
                    self._main()
                with ui.element("div").classes("stack"):
                    self._side()
        context.on_theme(self._repaint)
        context.every(_LADDER_S, self._update_ladder)
        context.every(_FIGURES_S, self._update_figures)
        context.every(_CHARTS_S, self._update_charts)

    def _figures(self) -> None:
        with ui.element("div").classes("strip"):
            self._total = figure("Profit", "USDT")
            self._fills = figure("Fills")
            self._maker_share = figure("Maker share", "%")
            self._traded = figure("Traded value", "USDT")
            self._interval = figure("Quoting interval", "s")
            self._cycles = figure("Cycles")
            self._resting = figure("Quotes resting")
            self._stops = figure("Protective stops")

    def _main(self) -> None:
        is_dark = self._context.is_dark
        with section("Profit by source", "fees below zero are paid"):
            self._bars = Chart(charts.profit_bars, label="Profit by source", is_dark=is_dark)
        with section("Profit over the session", "UTC"):
            self._lines = Chart(
                charts.profit_lines, label="Profit by source over the session", is_dark=is_dark
            )
            self._lines_note = Text("").classes("state-line quiet")
        with section("Inventory", "against the limit of each symbol"):
            columns = [
                Column("Symbol"),
                Column("Quantity", "base", "end"),
                Column("Value", "USDT", "end"),
                Column("Limit used", "", "end"),
            ]
            self._inventory = Grid("Inventory", columns, empty="no inventory", width="18rem")
        with section("Quotes"):
            columns = [
                Column("Symbol"),
                Column("Side"),
                Column("Price", "USDT", "end"),
                Column("Quantity", "base", "end"),
                Column("Age", "", "end"),
            ]
            self._quotes = Grid("Resting quotes", columns, empty="no quote rests", width="18rem")

    def _side(self) -> None:
        with section("Quotes on the ladder"):
            self._switch = SymbolSwitch(self._context)
            self._ladder = Ladder(label="Order book ladder with own quotes")
        with section("Spreads and mark-out"):
            columns = [Column("Figure"), Column("Mean", "bps", "end"), Column("Fills", "", "end")]
            self._spreads = Grid("Spreads", columns, empty="nothing quoted yet", width="18rem")
        with section("Requests and errors"):
            columns = [Column("Kind"), Column("Count", "", "end")]
            self._requests = Grid("Requests", columns, empty="none sent yet", width="18rem")
            self._error = Text("").classes("state-line")

    @property
    def _frame(self) -> dict[str, Any] | None:
        return self._context.store.newest(TOPIC)

    def _repaint(self) -> None:
        for chart in (self._bars, self._lines):
            chart.repaint(is_dark=self._context.is_dark)

    def _update_ladder(self) -> None:
        if self._body.visible:
            symbol = self._switch.symbol
            book = self._context.store.newest(f"market:{symbol}")
            self._ladder.show(book, note=doubt(self._context, symbol))

    def _update_figures(self) -> None:
        frame = self._frame
        is_active = bool(frame and frame.get("active") and frame.get("figures"))
        self._state.show(self._context.freshness(TOPIC) if frame is not None else "")
        if is_active != self._body.visible:
            self._body.set_visibility(is_active)
            self._absent.set_visibility(not is_active)
        if frame is None:
            self._absent.show(self._context.freshness(TOPIC) or "no data yet")
        elif not is_active:
            self._absent.show(HOW_TO_START)
        else:
            self._switch.refresh()
            self._show(frame)

    def _show(self, frame: Mapping[str, Any]) -> None:
        figures: Mapping[str, Any] = frame["figures"]
        total = (figures.get("pnl") or {}).get("total")
        self._total.show(plain(total, 2, is_signed=True), kind=sign_kind(total))
        self._fills.show(plain(figures.get("fills"), 0))
        self._maker_share.show(plain(figures.get("maker_share_pct"), 1))
        self._traded.show(plain(figures.get("traded_value"), 0))
        self._interval.show(plain(figures.get("interval"), 2))
        self._cycles.show(plain(figures.get("cycles"), 0))
        quotes: Mapping[str, Any] = figures.get("quotes") or {}
        self._resting.show(f"{plain(quotes.get('resting'), 0)} of {plain(quotes.get('wanted'), 0)}")
        self._stops.show(plain(figures.get("protective_stops"), 0))
        self._inventory.show(inventory_rows(figures, limit=inventory_limit(frame)))
        self._quotes.show(quote_rows(frame.get("quotes") or []))
        self._spreads.show(spread_rows(figures))
        self._requests.show(request_rows(figures))
        last = (figures.get("errors") or {}).get("last")
        self._error.show(f"last error: {last}" if last else "")

    def _update_charts(self) -> None:
        frame = self._frame
        if frame is None or not self._body.visible:
            return
        colours = palette(is_dark=self._context.is_dark)
        parts = profit_parts(frame["figures"])
        self._bars.show(charts.profit_bars_data(parts, colours))
        if not self._context.freshness(TOPIC):
            self._history.add(parts)
        kept: Mapping[str, Any] | None = frame.get("pnl_series")
        series = signed_series(kept) if kept else self._history.series()
        self._lines.show(charts.profit_lines_data(series))
        self._lines_note.show("" if kept else "since this page was opened")


def signed_series(series: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, list[list[float]]]:
    """Return points ``[ms, USDT]`` by part, from either spelling of the parts; fees as paid."""
    found: dict[str, list[list[float]]] = {}
    for name, (key, sign) in _SOURCE.items():
        points = series.get(name) or series.get(key) or ()
        found[name] = [
            [float(time_ms), round(value * sign + 0.0, 4)]
            for time_ms, raw in points
            if (value := number(raw)) is not None
        ]
    return found
