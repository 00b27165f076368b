"""Cost simulator: what a trade would cost on the live book; inputs left, outputs right.

Estimates come from a process of their own (:mod:`trading_system.dashboard.cost_server`), so that
none of the arithmetic is done in the dashboard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard import bars, charts
from trading_system.dashboard.charts import Chart
from trading_system.dashboard.context import PageContext
from trading_system.dashboard.cost_server import (
    COSTS,
    CostServer,
    CostServerError,
    CostServers,
    instruments_of,
)
from trading_system.dashboard.figures import exact, micros, number, plain
from trading_system.dashboard.grid import Column, Grid, Row
from trading_system.dashboard.ladder import base_of
from trading_system.dashboard.theme import NOTHING, Text, figure, section

UPDATE_S: Final = 0.7
"""Seconds from one estimate to the next while the page is seen."""
LOWEST: Final = "lowest"
"""Entry of the fee tiers that leaves the choice to the simulator."""

NO_ESTIMATE: Final = "no estimate yet"
"""Said where an estimate's words would stand."""

_CURVES_EVERY: Final = 5
_SIZES: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 50.0)
_ANY_VOLATILITY_BPS: Final = 1.0  # the walk of the book does not depend on it
_EXCHANGE_NAMES: Final = {"bybit": "Bybit", "okx": "OKX"}
_WIDE_INTERVAL: Final = 2.0


@dataclass(slots=True)
class Order:
    """What stands in the form; texts may be anything a person types."""

    exchange: str = "bybit"
    instrument: str = ""
    side: str = "buy"
    order_type: str = "market"
    price: float | None = None
    quantity: float | None = 50_000.0
    unit: str = "usd"
    is_measured: bool = True
    volatility_bps: float | None = 1.5
    tier: str = LOWEST
    horizon_s: float | None = 60.0

    def query(self) -> dict[str, Any]:
        """Return the request that the form describes; None means not given."""
        is_limit = self.order_type == "limit"
        return {
            "exchange": self.exchange,
            "instrument": self.instrument or None,
            "side": self.side,
            "order_type": self.order_type,
            "price": self.price if is_limit else None,
            "quantity": self.quantity,
            "unit": self.unit,
            "volatility_bps": None if self.is_measured else self.volatility_bps,
            "tier": None if self.tier == LOWEST else self.tier,
            "horizon_s": self.horizon_s,
        }

    def complaint(self) -> str:
        """Return what is missing before anything can be asked, empty if nothing is."""
        if not self.quantity or self.quantity <= 0:
            return "give a quantity above zero"
        if self.order_type == "limit" and not (self.price and self.price > 0):
            return "a limit order needs a limit price"
        if not self.is_measured and not (self.volatility_bps and self.volatility_bps > 0):
            return "give a volatility above zero, or let it be measured"
        return ""


def warnings_of(answer: Mapping[str, Any]) -> list[str]:
    """Return what one should know before believing an estimate, in sentences."""
    found = []
    if answer.get("is_extrapolated"):
        found.append("Larger than the displayed book: the rest is a law, not an observation.")
    interval = answer.get("interval") or {}
    if interval.get("source") == "volatility":
        found.append("The interval comes from volatility alone, no fitted model speaks here.")
    low, high = number(interval.get("p10_bps")), number(interval.get("p90_bps"))
    net = number(answer.get("net_cost_bps"))
    if low is not None and high is not None and net and high - low > _WIDE_INTERVAL * abs(net):
        found.append("The interval is wider than twice the cost itself.")
    if interval.get("fitted_on"):
        found.append(f"The cost model was fitted on: {interval['fitted_on']}.")
    samples = number(answer.get("volatility_samples"))
    if samples is not None and samples < 60:
        found.append(f"Volatility is measured from {samples:.0f} seconds only.")
    limit = answer.get("limit") or {}
    if number(limit.get("at_once_pct")):
        found.append(f"{limit['at_once_pct']:.0f} % of the limit order fills at once as taker.")
    fees = answer.get("fees") or {}
    if fees.get("as_of"):
        found.append(f"Fees of tier {fees.get('tier')} as of {fees['as_of']}, not your account's.")
    return found


def build(context: PageContext) -> None:
    """Add the page's elements to the open content column."""
    build_with(context, COSTS)


def build_with(context: PageContext, costs: CostServers) -> None:
    """Add the page's elements; estimates come from ``costs``."""
    ui.add_css(bars.STYLE)
    _Cost(context, costs)


class _Form:
    # The inputs; what they hold is an Order.

    def __init__(self, symbols: Sequence[str]) -> None:
        self.order = Order()
        self.changes = 0
        self._symbols: list[str] = []
        self._tiers: list[str] = []
        with ui.element("div").classes("form"):
            self._what()
            self._how_much()
            self._how()
        self.offer(symbols)

    def _what(self) -> None:
        order = self.order
        self._exchange = _choice("Exchange", _EXCHANGE_NAMES, order, "exchange")
        self._exchange.classes("wide").on_value_change(self._new_exchange)
        self._instrument = _choice("Instrument", [], order, "instrument")
        self._instrument.classes("wide").on_value_change(self._changed)
        side = _choice("Side", {"buy": "Buy", "sell": "Sell"}, order, "side")
        side.on_value_change(self._changed)
        kind = _choice("Order type", {"market": "Market", "limit": "Limit"}, order, "order_type")
        kind.on_value_change(self._changed)
        price = self._number("Limit price, quote", "price").classes("wide")
        price.bind_visibility_from(kind, "value", value="limit")

    def _how_much(self) -> None:
        self._number("Quantity", "quantity")
        unit = _choice("Unit", {"usd": "USD", "base": "Base currency"}, self.order, "unit")
        unit.on_value_change(self._changed)

    def _how(self) -> None:
        order = self.order
        measured = ui.checkbox("Measure volatility", value=order.is_measured)
        measured.bind_value_to(order, "is_measured").on_value_change(self._changed)
        measured.classes("wide").props("dense")
        volatility = self._number("Volatility, bps per root second", "volatility_bps")
        volatility.classes("wide").bind_visibility_from(measured, "value", value=False)
        self._tier = _choice("Fee tier", {LOWEST: "Lowest"}, order, "tier")
        self._tier.on_value_change(self._changed)
        self._number("Horizon, s", "horizon_s")

    def _number(self, label: str, name: str) -> ui.number:
        box = ui.number(label, value=getattr(self.order, name), min=0)
        box.props("outlined dense debounce=300").bind_value_to(self.order, name)
        box.on_value_change(self._changed)
        return box

    def _changed(self) -> None:
        self.changes += 1

    def _new_exchange(self) -> None:
        self._tiers = []
        self._tier.set_options({LOWEST: "Lowest"}, value=LOWEST)
        self._symbols, symbols = [], self._symbols
        self.offer(symbols)
        self._changed()

    def offer(self, symbols: Sequence[str]) -> None:
        """Offer the instruments of ``symbols`` at the chosen exchange."""
        if list(symbols) == self._symbols and self._instrument.options:
            return
        self._symbols = list(symbols)
        offered = instruments_of(self.order.exchange, symbols)
        kept = self.order.instrument if self.order.instrument in offered else offered[0]
        self._instrument.set_options(offered, value=kept)

    def offer_tiers(self, status: Mapping[str, Any]) -> None:
        """Offer the fee tiers that the simulator knows for the chosen instrument."""
        for market in status.get("markets", ()):
            if market.get("instrument") == self.order.instrument:
                tiers = [str(tier) for tier in market.get("fee_tiers", ())]
                if tiers != self._tiers:
                    self._tiers = tiers
                    kept = self.order.tier if self.order.tier in tiers else LOWEST
                    self._tier.set_options(
                        {LOWEST: "Lowest", **{tier: tier for tier in tiers}}, value=kept
                    )


def _choice(
    label: str,
    options: list[str] | dict[str, str],
    order: Order,
    name: str,
) -> ui.select:
    select = ui.select(options, label=label, value=None).props("outlined dense options-dense")
    if options:
        select.set_value(getattr(order, name))
    select.bind_value_to(order, name, forward=str)
    return select


class _Outputs:
    # The figures, the warnings and the charts.

    def __init__(self, *, is_dark: bool) -> None:
        self.outer = ui.element("div").classes("stack")
        with self.outer:
            self._headline()
            self._drawn = ui.element("div").classes("cols cols-even")
            with self._drawn:
                self._charts(is_dark=is_dark)
            self._drawn.set_visibility(False)  # until there is something to draw

    def _headline(self) -> None:
        with ui.element("div").classes("strip strip-5"):
            self._net = figure("Net cost", "bps")
            self._net_quote = figure("Net cost", "USDT")
            self._interval = figure("10 % to 90 %", "bps")
            self._slippage = figure("Expected slippage", "bps")
            self._fees = figure("Fees", "bps")
            self._impact = figure("Market impact", "bps")
            self._price = figure("Mean fill price")
            self._notional = figure("Notional", "USDT")
            self._volatility = figure("Volatility", "bps/√s")
            self._spread = figure("Spread", "bps")
        with ui.element("div").classes("cols cols-even"):
            with section("Maker and taker", "expected shares of the order"):
                self._share = bars.ShareBar("maker", "taker")
            with section("Warnings"):
                self._warnings = Grid(
                    "Warnings", [Column("What to know")], empty=NO_ESTIMATE, width="16rem"
                )

    def _charts(self, *, is_dark: bool) -> None:
        with section("Cost against size", "same order, other sizes"):
            self.curve = Chart(charts.cost_curve, label="Cost against size", is_dark=is_dark)
        with section("Book depth", "size by its mean distance from the mid"):
            self.reach = Chart(charts.reach, label="Book depth", is_dark=is_dark)
        with section("Schedule", "Almgren-Chriss"):
            self.schedule = Chart(charts.schedule, label="Schedule", is_dark=is_dark)
            self._schedule_note = Text("").classes("state-line quiet")
        with section("Internal latency", "newest"):
            self._latency = Grid(
                "Latency",
                [Column("Stage"), Column("Took", "", "end")],
                empty="not measured yet",
                width="14rem",
            )

    def show(self, answer: Mapping[str, Any]) -> None:
        interval: Mapping[str, Any] = answer["interval"]
        self._net.show(plain(answer["net_cost_bps"], 3))
        self._net_quote.show(plain(answer["net_cost_quote"], 2))
        self._interval.show(f"{plain(interval['p10_bps'], 2)} to {plain(interval['p90_bps'], 2)}")
        self._slippage.show(plain(answer["slippage_bps"], 3))
        self._fees.show(plain(answer["fees_bps"], 3))
        self._impact.show(plain(answer["market_impact_bps"], 3))
        self._price.show(plain(answer["fill_price_quote"], 2))
        self._notional.show(plain(answer["notional_quote"], 2))
        self._volatility.show(plain(answer["volatility_bps"], 2))
        self._spread.show(plain(answer["book"]["spread_bps"], 3))
        self._share.show(number(answer["maker_pct"]))
        rows = [Row(text, [text]) for text in warnings_of(answer)]
        self._warnings.show(rows, empty="nothing to warn of")
        self._latency.show(latency_rows(answer))
        self._show_schedule(answer)
        self._drawn.set_visibility(True)
        self.outer.classes(remove="doubtful-part")

    def _show_schedule(self, answer: Mapping[str, Any]) -> None:
        plan: Mapping[str, Any] = answer["schedule"]
        quantity = float(answer["quantity_base"])
        self.schedule.show(
            charts.schedule_data(
                plan["steps"],
                quantity=quantity,
                unit=base_of(str(answer["instrument"])),
                horizon_s=plan["horizon_s"],
            )
        )
        cost = number(plan["cost_bps"])
        expected = "" if cost is None else f"; {cost:.3f} ± {plan['risk_bps']:.2f} bps"
        self._schedule_note.show(f"{plan['note']}{expected}")

    def show_curves(
        self,
        rows: Sequence[Mapping[str, Any]],
        walks: Mapping[str, Sequence[Mapping[str, Any]]],
        *,
        asked: float,
        unit: str,
        base: str,
    ) -> None:
        self.curve.show(charts.cost_curve_data(rows, asked=asked, unit=unit))
        bids = [[-round(row["slippage_bps"], 4), row["quantity_base"]] for row in walks["sell"]]
        asks = [[round(row["slippage_bps"], 4), row["quantity_base"]] for row in walks["buy"]]
        self.reach.show(charts.reach_data(bids[::-1], asks, unit=base))

    def doubt(self) -> None:
        """Take the figures away and dim the charts: they are not of now."""
        for text in self._figures:
            text.show(NOTHING)
        self._share.show(None)
        self._warnings.show([], empty=NO_ESTIMATE)
        self.outer.classes(add="doubtful-part")

    @property
    def _figures(self) -> tuple[Text, ...]:
        return (
            *(self._net, self._net_quote, self._interval, self._slippage, self._fees),
            *(self._impact, self._price, self._notional, self._volatility, self._spread),
        )

    def repaint(self, *, is_dark: bool) -> None:
        for chart in (self.curve, self.reach, self.schedule):
            chart.repaint(is_dark=is_dark)


def latency_rows(answer: Mapping[str, Any]) -> list[Row]:
    """Return the newest duration of each stage of the simulator that was measured."""
    stages: Mapping[str, Any] = answer.get("latency") or {}
    rows = []
    for key, value in stages.items():
        took = micros(value)
        if took != NOTHING:
            name = key.removesuffix("_us").replace("_", " ")
            rows.append(Row(key, [name, took]))
    age_ms = number((answer.get("book") or {}).get("age_ms"))
    if age_ms is not None:
        rows.append(Row("age", ["age of the book", f"{exact(round(age_ms, 1))} ms"]))
    return rows


class _Cost:
    # The page: asks while it is seen, never two questions at once.

    def __init__(self, context: PageContext, costs: CostServers) -> None:
        self._context = context
        self._costs = costs
        self._turn = 0
        self._drawn = -1
        with ui.element("div").classes("bar-row"):
            self._state = Text("").classes("state-line")
            self._state.props["role"] = "status"
            self._again = ui.button("Try again", on_click=self._retry).props("flat dense no-caps")
            self._again.set_visibility(False)
        with ui.element("div").classes("cols cols-cost"):
            with section("Order"):
                self._form = _Form(context.symbols)
            self._outputs = _Outputs(is_dark=context.is_dark)
        self._outputs.doubt()
        context.on_theme(lambda: self._outputs.repaint(is_dark=context.is_dark))
        ui.timer(UPDATE_S, self._update)

    @property
    def _server(self) -> CostServer:
        return self._costs.of(self._form.order.exchange)

    def _retry(self) -> None:
        self._server.retry()

    async def _update(self) -> None:
        if not self._context.is_visible:
            return
        self._form.offer(self._context.symbols)
        order, server = self._form.order, self._server
        if not server.is_ready:
            server.offer(instruments_of(order.exchange, self._context.symbols))
        complaint = order.complaint()
        if complaint:
            self._say(complaint)
            return
        changes = self._form.changes
        try:
            answer = await server.estimate(order.query())
            if changes == self._form.changes:  # else it is of an order that is no longer asked for
                self._outputs.show(answer)
                self._say("")
                await self._curves(server, changes, quantity_base=answer["quantity_base"])
        except CostServerError as e:
            self._say(f"{e}; {e.remedy}" if e.remedy else str(e), can_retry=e.code == "failed")

    def _say(self, problem: str, *, can_retry: bool = False) -> None:
        self._state.show(problem)
        self._again.set_visibility(can_retry)
        if problem:
            self._outputs.doubt()

    async def _curves(self, server: CostServer, changes: int, *, quantity_base: float) -> None:
        self._turn += 1
        if self._turn % _CURVES_EVERY and self._drawn == changes:
            return
        query = self._form.order.query()
        self._form.offer_tiers(await server.status())
        asked, unit = float(query["quantity"]), str(query["unit"])
        rows = await _estimates(server, [{**query, "quantity": asked * s} for s in _SIZES])
        walk = {
            **query,
            "order_type": "market",
            "price": None,
            "unit": "base",
            "volatility_bps": _ANY_VOLATILITY_BPS,
        }
        walks = {
            side: await _estimates(
                server, [{**walk, "side": side, "quantity": quantity_base * s} for s in _SIZES]
            )
            for side in ("buy", "sell")
        }
        if changes == self._form.changes:
            self._drawn = changes
            shown = {
                s: [r for r in found if not r["is_extrapolated"]] for s, found in walks.items()
            }
            base = base_of(self._form.order.instrument)
            name = "USD" if unit == "usd" else base
            self._outputs.show_curves(rows, shown, asked=asked, unit=name, base=base)


async def _estimates(
    server: CostServer, queries: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    # A size that the present book cannot price has no point; a lost server is said by the next one.
    found = []
    for query in queries:
        try:
            found.append(await server.estimate(query))
        except CostServerError as e:
            if e.code not in {"invalid_request", "volatility_unknown", "book_unavailable"}:
                raise
    return found
