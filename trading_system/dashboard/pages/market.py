"""Market: candles with own fills, the live ladder, depth and the figures of one symbol's book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard import bars, charts
from trading_system.dashboard.charts import Chart
from trading_system.dashboard.context import PageContext
from trading_system.dashboard.figures import clock_time, number, plain, side_kind
from trading_system.dashboard.grid import Cell, Column, Grid, Row
from trading_system.dashboard.ladder import Ladder, base_of, decimals_of, quote_of
from trading_system.dashboard.theme import NOTHING, Text, figure, section
from trading_system.domain.errors import TradingSystemError

INTERVALS: Final = {"1": "1 min", "5": "5 min", "15": "15 min"}
"""Candle intervals offered, minutes."""
STALE_S: Final = 5.0
"""Age in seconds from which a book is not shown as live."""

_LADDER_S: Final = 0.1
_FIGURES_S: Final = 0.25
_DEPTH_S: Final = 0.5
_CANDLES_S: Final = 2.0
_CANDLES: Final = 90
_TRADES: Final = 14


def build(context: PageContext) -> None:
    """Add the page's elements to the open content column."""
    ui.add_css(bars.STYLE)
    _Market(context)


def doubt(context: PageContext, symbol: str) -> str:
    """Return why the newest book of ``symbol`` is not to be trusted, empty if it is."""
    topic = f"market:{symbol}"
    why = context.freshness(topic, stale_s=STALE_S)
    book = context.store.newest(topic)
    if why or book is None:
        return why
    if not book.get("is_ready"):
        return "the book is not ready: it is being rebuilt"
    age_s = number(book.get("age_s"))
    if age_s is None:
        return "the age of the book is not known"
    return f"stale book, last update {age_s:.0f} s ago" if age_s > STALE_S else ""


class SymbolSwitch:
    """Chooses one of the traded symbols; they are known with the first status.

    Parameters
    ----------
    context : PageContext
        The page; its wanted topics follow the choice.

    Attributes
    ----------
    symbol : str
        The one chosen, empty before any is known.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self.symbol = ""
        self._select = ui.select([], label="Symbol", on_change=self._chosen)
        self._select.props("outlined dense options-dense").style("min-width:9.5rem")
        self.refresh()

    def refresh(self) -> None:
        """Offer the symbols that the system trades now."""
        symbols = self._context.symbols
        if symbols != list(self._select.options):
            chosen = self.symbol if self.symbol in symbols else next(iter(symbols), None)
            self._select.set_options(symbols, value=chosen)

    def choose(self, symbol: str) -> None:
        """Want the book of ``symbol`` and give up the one before."""
        if symbol == self.symbol:
            return
        if self.symbol:
            self._context.unwant(f"market:{self.symbol}")
        self.symbol = symbol
        if symbol:
            self._context.want(f"market:{symbol}")

    def _chosen(self) -> None:
        self.choose(str(self._select.value or ""))


class BookFigures:
    """The figures of a book beside the ladder."""

    def __init__(self) -> None:
        with ui.element("div").classes("strip strip-5"):
            self._bid, self._ask = figure("Bid"), figure("Ask")
            self._mid, self._micro = figure("Mid"), figure("Micro-price")
            self._spread, self._last = figure("Spread", "bps"), figure("Last trade")
            self._imbalance = figure("Imbalance, 10 levels")
            self._bar = bars.SignedBar(self._imbalance)
            self._mark, self._funding = figure("Mark"), figure("Funding", "%")
            self._age = figure("Age of the book")

    def show(self, book: Mapping[str, Any] | None, *, frame_age_s: float | None) -> None:
        """Show ``book``; without one, or while it is not ready, dashes."""
        live: Mapping[str, Any] = book if book is not None and book.get("is_ready") else {}
        digits = decimals_of(live.get("tick_size"))
        for text, key, more in (
            (self._bid, "bid", 0),
            (self._ask, "ask", 0),
            (self._mid, "mid", 1),
            (self._micro, "microprice", 2),
        ):
            text.show(plain(live.get(key), digits + more))
        self._spread.show(plain(live.get("spread_bps"), 3))
        imbalance = number(live.get("imbalance"))
        self._imbalance.show(plain(imbalance, 2, is_signed=True), kind=_lean(imbalance))
        self._bar.show(imbalance)
        about: Mapping[str, Any] = book or {}
        self._mark.show(plain(about.get("mark_price"), digits + 1))
        funding = number(about.get("funding_rate"))
        self._funding.show(NOTHING if funding is None else f"{funding * 100:+.4f}")
        age_s = number(about.get("age_s"))
        if age_s is None or frame_age_s is None:
            self._age.show(NOTHING)
        else:
            self._age.show(_age_text(age_s + frame_age_s))
        self._show_last(live.get("trades") or [{}], digits)

    def _show_last(self, trades: Sequence[Mapping[str, Any]], digits: int) -> None:
        newest = trades[0]
        self._last.show(plain(newest.get("price"), digits), kind=side_kind(newest.get("side")))


# In steps of tenths, so that the figure can be read and is not sent with every frame.
def _age_text(age_s: float) -> str:
    return "below 0.1 s" if age_s < 0.1 else f"{age_s:.1f} s"


def _lean(imbalance: float | None) -> Any:  # noqa: ANN401 - a Kind
    if not imbalance:
        return ""
    return "buy" if imbalance > 0 else "sell"


class _Market:
    # The page; every part reads the newest frame in its own time.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._shown_candles: tuple[str, str] | None = None
        with ui.element("div").classes("bar-row"):
            self._switch = SymbolSwitch(context)
            self._interval = ui.toggle(INTERVALS, value="1", on_change=self._forget_candles)
            self._interval.props("toggle-color=chosen toggle-text-color=chosen-ink")
            self._interval.props("no-caps unelevated aria-label='Candle interval'")
            self._state = Text("").classes("state-line")
        with ui.element("div").classes("cols cols-market"):
            with ui.element("div").classes("stack"):
                self._charts()
            with ui.element("div").classes("stack"):
                self._side()
        context.on_theme(self._repaint)
        context.every(_LADDER_S, self._update_ladder)
        context.every(_FIGURES_S, self._update_figures)
        context.every(_DEPTH_S, self._update_depth)
        ui.timer(_CANDLES_S, self._update_candles)

    def _charts(self) -> None:
        is_dark = self._context.is_dark
        self._figures = BookFigures()
        with section("Candles", "UTC; triangles are own fills, the dashed line the last price"):
            self._candles = Chart(charts.candles, label="Candles with own fills", is_dark=is_dark)
            self._candles.element.style("height:380px")
            self._candles_note = Text("").classes("state-line quiet")
        with section("Depth", "cumulated size by price"):
            self._depth = Chart(charts.depth, label="Cumulated depth by price", is_dark=is_dark)
            self._depth.element.style("height:220px")

    def _side(self) -> None:
        with section("Order book"):
            self._ladder = Ladder(label="Order book ladder: own size, price, size, total")
        with section("Newest trades"):
            self._trades = Grid(
                "Newest trades of the market",
                trade_columns(""),
                empty="no trade seen yet",
                width="18rem",
            )

    @property
    def _book(self) -> dict[str, Any] | None:
        return self._context.store.newest(f"market:{self._switch.symbol}")

    def _repaint(self) -> None:
        for chart in (self._candles, self._depth):
            chart.repaint(is_dark=self._context.is_dark)

    def _update_ladder(self) -> None:
        self._ladder.show(self._book, note=doubt(self._context, self._switch.symbol))

    def _update_figures(self) -> None:
        self._switch.refresh()
        topic = f"market:{self._switch.symbol}"
        self._figures.show(self._book, frame_age_s=self._context.store.age_s(topic))
        self._state.show(doubt(self._context, self._switch.symbol))

    def _update_depth(self) -> None:
        book = self._book
        if book is None:
            return
        base = base_of(self._switch.symbol)
        is_live = bool(book.get("is_ready"))
        levels = (book.get("bids", []), book.get("asks", [])) if is_live else ([], [])
        options = charts.depth_data(*levels, decimals=decimals_of(book.get("qty_step")))
        options["yAxis"] = {"name": base}
        options["xAxis"]["name"] = quote_of(self._switch.symbol)
        self._depth.show(options)
        self._trades.name_columns(trade_columns(self._switch.symbol))
        self._trades.show(trade_rows(book))

    def _forget_candles(self) -> None:
        self._shown_candles = None

    async def _update_candles(self) -> None:
        symbol, interval = self._switch.symbol, str(self._interval.value)
        if not symbol or not self._context.is_visible:
            return
        try:
            answer = await self._context.get(
                f"/candles/{symbol}", interval=interval, limit=_CANDLES
            )
        except TradingSystemError as e:
            self._candles_note.show(f"candles are not updated: {e}")
            return
        if (symbol, interval) != (self._switch.symbol, str(self._interval.value)):
            return  # another one was chosen meanwhile
        digits = decimals_of((self._book or {}).get("tick_size", "0.01"))
        options = charts.candles_data(answer, precision=digits)
        options["yAxis"] = [{"name": quote_of(symbol)}, {"name": base_of(symbol)}]
        self._candles.show(options)
        self._candles_note.show("" if answer.get("candles") else "no candle yet")


def trade_columns(symbol: str) -> list[Column]:
    """Return the columns of the newest trades, with the units of ``symbol``."""
    price, size = (quote_of(symbol), base_of(symbol)) if symbol else ("", "")
    return [
        Column("Time", "UTC"),
        Column("Side"),
        Column("Price", price, "end"),
        Column("Size", size, "end"),
    ]


def trade_rows(book: Mapping[str, Any]) -> list[Row]:
    """Return the newest trades of ``book`` as rows of a table, newest first."""
    digits = (decimals_of(book.get("tick_size")), decimals_of(book.get("qty_step")))
    return [
        Row(
            f"{place}",
            [
                clock_time(trade["time_ms"]),
                Cell(str(trade["side"]), side_kind(trade["side"])),
                plain(trade["price"], digits[0]),
                plain(trade["quantity"], digits[1]),
            ],
        )
        for place, trade in enumerate(book.get("trades", [])[:_TRADES])
    ]
