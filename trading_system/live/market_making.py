"""The market maker of a session: runs it, guards its inventory, splits its profit and loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Protocol

import structlog

from agents.market_maker.maker import MarketMaker
from trading_system.config.sections import MarketMakerSettings
from trading_system.config.settings import Settings
from trading_system.domain.errors import DeadlineExceeded
from trading_system.domain.instruments import Instrument, plain
from trading_system.domain.orders import Fill
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.feed import MarketFeed
from trading_system.live.inventory_stops import InventoryStops
from trading_system.live.markout import MarkOut
from trading_system.live.mids import MidHistory
from trading_system.live.quoting import QuotingDesk
from trading_system.live.symbol_state import SymbolState
from trading_system.risk.attribution import ProfitAttribution
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.deadline import within
from trading_system.runtime.lifecycle import Spawn

_LOG = structlog.get_logger(__name__)
_WIND_DOWN_S = 12.0
_BPS = 10_000.0
_MONEY_STEP = Decimal("0.00000001")


class Maker(Protocol):
    """What the session needs of a market maker."""

    @property
    def settings(self) -> MarketMakerSettings:
        """How it quotes."""
        ...

    async def run(self) -> None:
        """Quote until :meth:`wind_down`."""
        ...

    async def wind_down(self) -> bool:
        """Quote no more, cancel every quote; return whether the venue confirmed it."""
        ...

    def standing_aside(self, symbol: str, reason: str) -> AbstractAsyncContextManager[bool]:
        """Quote nothing of ``symbol`` inside the block; tell it whether its quotes are gone."""
        ...

    def on_book_change(self, symbol: str) -> None:
        """Hear that the book of ``symbol`` has changed."""
        ...

    def collect_performance_stats(self) -> dict[str, Any]:
        """Return the figures since the start."""
        ...


class MarketMaking:
    """One market maker beside the session's gate, portfolio and books.

    Parameters
    ----------
    maker : Maker
        Quotes through the session's gate.
    stops : InventoryStops
        Rests a stop behind the inventory.
    portfolio : Portfolio
        Positions and profit.
    book_of : Callable[[str], SymbolState]
        Live book of a symbol.
    """

    def __init__(
        self,
        maker: Maker,
        *,
        stops: InventoryStops,
        portfolio: Portfolio,
        book_of: Callable[[str], SymbolState],
    ) -> None:
        self.maker = maker
        self.stops = stops
        self.attribution = ProfitAttribution()
        self._portfolio = portfolio
        self._book_of = book_of
        self._mids = MidHistory()
        self._marks: dict[str, Decimal] = {}
        self._markout = MarkOut()

    def adopt(self) -> None:
        """Take over the positions that the portfolio adopted, before the first fill."""
        for position in self._portfolio.positions:
            if position.quantity:
                self.attribution.adopt(position.symbol, position.quantity)

    def start(self, spawn: Spawn) -> None:
        """Begin to quote and to guard the inventory, in supervised tasks."""
        spawn("inventory-stops", self.stops.serve())
        spawn("market-maker", self.maker.run())

    def on_booked(self, fill: Fill) -> None:
        """Count one fill that was booked just now, with the mid just before it.

        Without one that old the present mid stands in.
        """
        before = self._mids.before(fill.symbol, fill.ts_exchange_ns)
        self.attribution.on_fill(fill, self._mid(fill.symbol) if before is None else before)
        if fill.is_maker:
            self._markout.on_fill(fill)
        self.stops.note(fill.symbol)

    def on_funded(self, symbol: str, amount: Decimal) -> None:
        """Count one funding settlement that was booked just now."""
        self.attribution.on_funding(symbol, amount)

    def on_mark(self, symbol: str, price: Decimal) -> None:
        """Value the inventory at the mark price that the portfolio was given."""
        self._marks[symbol] = price
        self.attribution.mark(symbol, price)

    def on_market(self, symbol: str) -> None:
        """Let the maker see that the book of ``symbol`` has changed."""
        mid, ts_ns = self._mid(symbol), self._book_of(symbol).book.ts_exchange_ns
        if mid is not None and ts_ns is not None:
            self._mids.note(symbol, ts_ns, mid)
            self._markout.on_mid(symbol, ts_ns, mid)
        self.maker.on_book_change(symbol)

    async def wind_down(self) -> None:
        """Stop quoting and cancel every quote, confirmed by the venue if it answers in time.

        What still rests after that is cancelled and looked up when the session stops.
        """
        try:
            async with within(_WIND_DOWN_S, "pulling all quotes"):
                is_confirmed = await self.maker.wind_down()
        except DeadlineExceeded as e:
            _LOG.error("quotes are not confirmed as cancelled", error=str(e))
        else:
            _LOG.info("the market maker has ended", is_confirmed=is_confirmed)

    def figures(self) -> dict[str, Any]:
        """Return what the market maker has done, JSON-safe; money as texts, quote currency.

        Fees are positive when paid, everything else is positive when earned.
        """
        stats = self.maker.collect_performance_stats()
        split = self.attribution.total()
        value = split.maker_value + split.taker_value
        return {
            "quotes": stats["quotes"],
            "cycles": stats["cycle_times"]["count"],
            "requests": stats["requests"],
            "skipped": stats["skipped"],
            "errors": stats["errors"],
            "inventory": self._inventory(),
            "inventory_value": self._inventory_value(),
            "max_inventory_notional": plain(self.maker.settings.max_inventory_notional),
            "half_spread_bps": _half_spreads(stats["inventory"]),
            "interval": stats["update_interval"],
            "maker_share_pct": round(float(split.maker_value / value) * 100, 4) if value else None,
            "traded_value": _money(value),
            "markout": self._markout.figures(),
            "fills": split.fills,
            "unmeasured_fills": split.unmeasured,
            "protective_stops": self.stops.requests,
            "pnl": self._profit(),
        }

    def fees_bps(self) -> float | None:
        """Return all fees over all traded value, basis points, None without a fill."""
        split = self.attribution.total()
        value = split.maker_value + split.taker_value
        return round(float(split.fees / value) * _BPS, 3) if value else None

    def _profit(self) -> dict[str, str]:
        split, change = self.attribution.total(), self._portfolio.pnl
        return {
            "spread_capture": _money(split.spread_capture),
            "inventory": _money(split.inventory),
            "fees": _money(split.fees),
            "funding": _money(split.funding),
            "total": _money(split.total),
            "equity_change": _money(change),
            "difference": _money(change - split.total),
        }

    def _mid(self, symbol: str) -> Decimal | None:
        prices = self._book_of(symbol).best_prices()
        if prices.bid is None or prices.ask is None:
            return None
        return (prices.bid + prices.ask) / 2

    def _inventory(self) -> dict[str, str]:
        return {p.symbol: plain(p.quantity) for p in self._portfolio.positions if p.quantity}

    def _inventory_value(self) -> dict[str, str | None]:
        """Return the signed value of each position at its newest mark price."""
        held = [p for p in self._portfolio.positions if p.quantity]
        marks = self._marks
        return {
            p.symbol: _money(p.quantity * marks[p.symbol]) if p.symbol in marks else None
            for p in held
        }


def market_making_of(
    desk: QuotingDesk,
    *,
    engine: ExecutionEngine,
    feed: MarketFeed,
    portfolio: Portfolio,
    instruments: Mapping[str, Instrument],
    settings: Settings,
    clock: Clock,
) -> MarketMaking:
    """Return the market maker that ``settings`` describe, over the session's own parts."""
    maker = MarketMaker(
        desk,
        symbols=tuple(instruments),
        settings=settings.market_maker,
        performance=settings.performance,
        risk=settings.risk,
        clock=clock,
    )
    stops = InventoryStops(
        engine,
        portfolio=portfolio,
        market=feed.market_view,
        instruments=instruments,
        rules=settings.strategy,
        timeout_s=settings.bybit.request_timeout_s,
    )
    return MarketMaking(maker, stops=stops, portfolio=portfolio, book_of=feed.symbols.__getitem__)


def _half_spreads(inventory: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    found = {symbol: row["half_spread_bps"] for symbol, row in inventory.items()}
    return {s: None if half is None else round(half, 3) for s, half in found.items()}


def _money(amount: Decimal) -> str:
    return format(amount.quantize(_MONEY_STEP), "f")
